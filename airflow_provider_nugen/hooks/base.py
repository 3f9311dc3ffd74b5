"""What the hooks of both services have in common: connection, sending, retrying, the Test button."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from airflow.sdk import BaseHook

from airflow_provider_nugen.api.endpoint import Call, Endpoint
from airflow_provider_nugen.api.errors import ApiError, TransientResponseError, retry_after_seconds
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.exceptions import JOB_ERRORS, wait_error
from airflow_provider_nugen.hooks.deprecation import log_deprecation
from airflow_provider_nugen.metrics import WORKER
from airflow_provider_nugen.waiting.result import Decision, Outcome

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tenacity import RetryCallState

    from airflow_provider_nugen.api.models import ServiceModel
    from airflow_provider_nugen.hooks.revision import SpokenRevision
    from airflow_provider_nugen.hooks.settings import Settings
    from airflow_provider_nugen.hooks.sync_transport import SyncTransport
    from airflow_provider_nugen.waiting.waiter import Waiter

T = TypeVar("T")
M = TypeVar("M", bound="ServiceModel")


class LogTarget(Protocol):
    """Where messages go: a logger, of the standard library or Airflow's."""

    def log(self, level: int, event: str, /) -> Any:
        """Log a line."""


#: A call of a hook is sent at most this many times ...
MAX_ATTEMPTS = 4
#: ... and never waits longer than this between two of them, in seconds.
MAX_RETRY_WAIT = 60.0


class ServiceHook(BaseHook):
    """
    Talks to one service through one Airflow connection.

    Use it in a ``with`` block, which closes the session at its end; blocks may be nested. A hook that was closed opens
    another session, and reads the connection again, when it is used again.

    :param conn_id: the connection.
    """

    service: ClassVar[Service]
    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._settings: Settings | None = None
        self._transport: SyncTransport | None = None
        self._was_read = False
        self._blocks = 0

    def __enter__(self) -> Self:
        """Enter a block at whose end the session is closed."""
        self._blocks += 1
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the session at the end of the outermost block."""
        self._blocks -= 1
        if not self._blocks:
            self.close()

    # The connection.

    @property
    def settings(self) -> Settings:
        """
        The connection, read once.

        :raises ConnectionSettingsError: if it is missing, incomplete or contradictory.
        :raises TransportError: if Airflow cannot be asked for it right now.
        """
        return self._read()

    @property
    def revision(self) -> str:
        """The API revision that calls are sent in: the connection's, or the one that the service spoke last."""
        return self._spoken_revision().revision

    def _spoken_revision(self) -> SpokenRevision:
        from airflow_provider_nugen.hooks.revision import spoken_revision

        return spoken_revision(self.settings)

    def _read(self, known_to_exist: bool = False) -> Settings:
        if self._settings is not None:
            return self._settings
        # Loaded only now, as all that a task needs to send: a DAG file that is parsed sends nothing.
        from airflow_provider_nugen.hooks.connection import read_settings

        settings = read_settings(self.service, self.conn_id, known_to_exist=known_to_exist or self._was_read)
        self._settings, self._was_read = settings, True
        if settings.unknown_extras:
            self.log.warning(
                "%s (connection %r): unknown extras %s are ignored.",
                self.service.name,
                self.conn_id,
                list(settings.unknown_extras),
            )
        return settings

    def reread(self) -> bool:
        """
        Read the connection again because the service refused its key.

        :return: whether it has changed.
        :raises TransportError: if it is not found any more, or Airflow cannot be asked for it right now.
        """
        before = self.settings
        self.close()
        return self.settings != before

    # The session.

    def _open(self) -> SyncTransport:
        if self._transport is None:
            from airflow_provider_nugen.hooks.transport import sync_transport

            self._transport = sync_transport(self.settings)
        return self._transport

    def get_conn(self) -> Any:
        """Return the ``requests`` session, with the key in its headers."""
        return self._open().session

    def close(self) -> None:
        """Close the session and forget the connection."""
        transport, self._transport = self._transport, None
        self._settings = None
        if transport is not None:
            transport.close()

    # Sending.

    def fetch(self, call: Call[Any], *, known_to_exist: bool = False) -> RawResponse:
        """
        Send one call, without retrying and without reading the answer.

        What was not processed is sent once more: after a 401, with the connection read again, and after the router's
        own 404 if the API revision is open.

        :param call: the call.
        :param known_to_exist: the connection has been read before, by another process perhaps: that it is not found
            is a passing failure then. A hook that has read it knows that by itself.
        :raises WrongRouteError: if no API revision that may be spoken has the path.
        :raises ApiError: if no answer came, explained.
        """
        self._read(known_to_exist)
        response = self._ask_in_any_revision(call)
        if response.status == 401:
            self.reread()
            response = self._ask_in_any_revision(call)
        log_deprecation(call, response)
        return response

    def _ask_in_any_revision(self, call: Call[Any]) -> RawResponse:
        revision = self._spoken_revision()
        answers = [self._ask(call, revision.first_for(call))]
        while (other := revision.next_for(call, *answers)) is not None:
            answers.append(self._ask(call, other))
        return answers[-1]

    def _ask(self, call: Call[Any], revision: str) -> RawResponse:
        from airflow_provider_nugen.hooks.failures import explained

        with explained(call, self.settings):
            response = self._open().send(call.request(revision, self.conn_id))
        response.revision = revision
        return response

    def send(self, call: Call[T]) -> T:
        """
        Send one call and read the answer, without retrying.

        :raises ApiError: whatever went wrong, explained.
        """
        return call.read(self.fetch(call), self.conn_id)

    def request(self, call: Call[T], *, repeat_posts: bool = True) -> T:
        """
        Send a call; send it again after a passing failure.

        A call that is not idempotent is sent again only if the service provably did not act on it: connection
        refused, 429, or 503 with ``Retry-After``.

        :param call: the call.
        :param repeat_posts: take the word of the endpoint that a POST may be repeated.
        :raises ApiError: the last failure.
        """
        from tenacity import Retrying

        result: T = Retrying(**_retry_policy(call.endpoint, repeat_posts))(self.send, call)
        return result

    def read_status(self, kind: JobKind[M], job_id: object) -> M:
        """
        Read the status of a job; its detail, where it has one, if the status endpoint keeps failing.

        :param kind: the kind of job.
        :param job_id: the job.
        :raises ApiError: the last failure of the status endpoint.
        """
        try:
            return self.request(kind.call(job_id))
        except TransientResponseError as e:
            if e.status < 500 or kind.detail is None:
                raise
            failure = e
        try:
            return self.request(kind.call(job_id, detail=True))
        except ApiError:
            raise failure from None

    async def arequest(self, call: Call[T], *, repeat_posts: bool = True) -> T:
        """Send a call without blocking the event loop, as :meth:`request` does."""
        return await arequest(self.service, self.conn_id, call, repeat_posts=repeat_posts)

    def call(self, call: Call[T]) -> T:
        """
        Send a call for code of a user, as all methods do that are named after what they send.

        As :meth:`request`, but a POST is never sent again unless the service provably did not act on it: nothing here
        searches for what it may have started.

        :raises ApiError: the last failure.
        """
        return self.request(call, repeat_posts=False)

    async def acall(self, call: Call[T]) -> T:
        """Send a call for async code of a user, as :meth:`call` does; files are sent by a thread."""
        if not call.uploads:
            return await self.arequest(call, repeat_posts=False)
        with type(self)(self.conn_id) as hook:
            return await asyncio.to_thread(hook.call, call)

    # Waiting, for scripts and notebooks: tasks wait with sensors and operators.

    def poll(self, waiter: Waiter[Any], log: LogTarget) -> Decision:
        """
        Do the I/O that a waiter wants, until it wants to sleep or is done.

        :param waiter: decides about the wait.
        :param log: where its messages go.
        :return: what it decided.
        """
        while True:
            call = waiter.next_call()
            try:
                response = self.fetch(call)
                decision = waiter.on_response(call, response, time.time())
                WORKER.polled(waiter.kind, response.status)
            except ApiError as e:
                decision = waiter.on_error(call, e, time.time())
                WORKER.polled(waiter.kind)
            for message in decision.messages:
                log.log(message.level, message.text)
            if decision.result or decision.sleep:
                return decision

    def wait_for_job(
        self, kind: JobKind[Any] | str, job_id: str, *, timeout: float = 7 * 86400, poke_interval: float = 60
    ) -> dict[str, Any]:
        """
        Wait until a job is done, in a script or a notebook, by the rules of sensors.

        In a DAG use a sensor: it waits without holding a worker, and outlives a restart.

        :param kind: the kind of job, or its key such as ``"nugen.alignment"``; of this hook's service.
        :param job_id: the job.
        :param timeout: seconds to wait at the most.
        :param poke_interval: seconds between two polls.
        :return: the final status, as a sensor returns it.
        :raises JobFailedError: if the job failed.
        :raises JobCancelledError: if somebody cancelled it.
        :raises JobTimeoutError: if it was not done in time.
        :raises RequestRejectedError: if the service refuses the question.
        :raises ServiceUnreachableError: if the status could not be read for too long.
        :raises ValueError: if there is no such kind of job, or a length of time is not one.
        """
        from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
        from airflow_provider_nugen.waiting.waiter import Waiter

        for name, value in (("timeout", timeout), ("poke_interval", poke_interval)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; it must be a number of seconds")
        kind, now = self._kind(kind), time.time()
        settings = WaitSettings(poke_interval=poke_interval, deadline=now + timeout)
        waiter = Waiter(kind, job_id, self.conn_id, settings, WaitState(now))
        with self:
            while (result := (decision := self.poll(waiter, self.log)).result) is None:
                time.sleep(decision.sleep)
        if result.outcome is not Outcome.SUCCEEDED:
            raise wait_error(JOB_ERRORS[result.outcome], result, self.service.name, self.conn_id, job_id)
        self.log.info(result.message)
        return result.result if isinstance(result.result, dict) else {}

    def _kind(self, kind: JobKind[Any] | str) -> JobKind[Any]:
        found = KINDS.get(kind) if isinstance(kind, str) else kind
        if found is None or found.service is not self.service:
            own = ", ".join(repr(key) for key, one in KINDS.items() if one.service is self.service)
            raise ValueError(f"{kind!r} is not a kind of job of {self.service.name}; there are {own}")
        return found

    # The Test button.

    def test_connection(self) -> tuple[bool, str]:
        """
        Test the connection, for the button in Airflow's UI: address, key, and what else the service can check.

        :return: whether it works, and a message for a person.
        """
        try:
            with self:
                messages = [message for call in self._test_calls() if (message := self._test(call))]
                if unknown := self.settings.unknown_extras:
                    messages.append(f"Ignored, since unknown: the extras {', '.join(unknown)}.")
        except ApiError as e:
            return False, str(e)
        return True, " ".join([f"{self.service.name} accepts the key.", *messages])

    def _test_calls(self) -> Sequence[Call[Any]]:
        raise NotImplementedError

    def _test(self, call: Call[Any]) -> str:
        self.send(call)
        return ""


async def arequest(service: Service, conn_id: str, call: Call[T], *, repeat_posts: bool = True) -> T:
    """
    Send a call through a connection without blocking the event loop; again after a passing failure.

    :param service: the service.
    :param conn_id: the Airflow connection.
    :param call: the call.
    :param repeat_posts: take the word of the endpoint that a POST may be repeated.
    :raises ApiError: the last failure.
    """
    from tenacity import AsyncRetrying

    from airflow_provider_nugen.hooks.client import AsyncClient

    client = AsyncClient.acquire(service, conn_id)
    try:
        result: T = await AsyncRetrying(**_retry_policy(call.endpoint, repeat_posts))(client.send, call)
        return result
    finally:
        await client.release()


def _retry_policy(endpoint: Endpoint[Any], repeat_posts: bool) -> dict[str, Any]:
    """Return tenacity's arguments for an endpoint; imported here, since a DAG file that is parsed sends nothing."""
    from tenacity import retry_if_exception, stop_after_attempt

    may_repeat = endpoint.is_idempotent and (repeat_posts or endpoint.method != "POST")

    def is_worth_retrying(error: BaseException) -> bool:
        return (
            isinstance(error, ApiError)
            and error.transient
            and (may_repeat or not error.maybe_processed)
            and (retry_after_seconds(error.retry_after, time.time()) or 0) <= MAX_RETRY_WAIT
        )

    def seconds_to_wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_for = retry_after_seconds(getattr(error, "retry_after", None), time.time())
        return float(2 ** (state.attempt_number - 1)) if asked_for is None else max(asked_for, 1.0)

    return {
        "retry": retry_if_exception(is_worth_retrying),
        "stop": stop_after_attempt(MAX_ATTEMPTS),
        "wait": seconds_to_wait,
        "reraise": True,
    }
