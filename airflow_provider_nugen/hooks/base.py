"""What the hooks of both services have in common: connection, sending, retrying, the Test button."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.sdk import BaseHook
from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from airflow_provider_nugen.api.endpoint import Call, Endpoint, RawResponse
from airflow_provider_nugen.api.errors import ApiError, retry_after_seconds
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.hooks.client import AsyncClient
from airflow_provider_nugen.hooks.connection import read_settings
from airflow_provider_nugen.hooks.failures import explained
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.hooks.transport import sync_transport

if TYPE_CHECKING:
    from airflow_provider_nugen.hooks.sync_transport import SyncTransport

T = TypeVar("T")

#: A call of a hook is sent at most so many times ...
ATTEMPTS = 4
#: ... and never waits longer than so many seconds between two of them.
LONGEST_PAUSE = 60.0
#: Operations whose deprecation this process has logged.
_deprecated: set[str] = set()


class ServiceHook(BaseHook):
    """
    Talks to one service through one Airflow connection.

    :param conn_id: the connection.
    """

    service: ClassVar[Service]
    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id

    @cached_property
    def settings(self) -> Settings:
        """
        The connection, read once.

        :raises ConnectionSettingsError: if it is missing, incomplete or contradictory.
        """
        settings = read_settings(self.service, self.conn_id)
        if settings.unknown_extras:
            self.log.warning(
                "%s (connection %r): unknown extras %s are ignored.",
                self.service.name,
                self.conn_id,
                list(settings.unknown_extras),
            )
        return settings

    @cached_property
    def _transport(self) -> SyncTransport:
        return sync_transport(self.settings)

    def get_conn(self) -> Any:
        """Return the ``requests`` session, with the key in its headers."""
        return self._transport.session

    def close(self) -> None:
        """Close the session; the hook opens another one, and reads the connection again, when it is used again."""
        if "_transport" in self.__dict__:
            self.__dict__.pop("_transport").close()
        self.__dict__.pop("settings", None)

    def reread(self) -> bool:
        """
        Read the connection again.

        :return: whether it has changed.
        """
        before = self.settings
        self.close()
        return self.settings != before

    def fetch(self, call: Call[Any]) -> RawResponse:
        """
        Send one call, without retrying and without reading the answer.

        :raises ApiError: if no answer came, explained.
        """
        settings = self.settings
        with explained(call, settings):
            response = self._transport.send(call.request(settings.revision, self.conn_id))
        if response.deprecation and call.endpoint.operation not in _deprecated:
            _deprecated.add(call.endpoint.operation)
            self.log.warning("%s says that %r is deprecated.", self.service.name, call.endpoint.operation)
        return response

    def send(self, call: Call[T]) -> T:
        """
        Send one call and read the answer, without retrying.

        :raises ApiError: whatever went wrong, explained.
        """
        return call.read(self.fetch(call), self.conn_id)

    def request(self, call: Call[T]) -> T:
        """
        Send a call; send it again after a passing failure.

        A call that is not idempotent is sent again only if the service provably did not act on it: connection
        refused, 429, or 503 with ``Retry-After``.

        :raises ApiError: the last failure.
        """
        result: T = Retrying(**_policy(call.endpoint))(self.send, call)
        return result

    async def arequest(self, call: Call[T]) -> T:
        """Send a call without blocking the event loop, as :meth:`request` does."""
        return await arequest(self.service, self.conn_id, call)

    def test_connection(self) -> tuple[bool, str]:
        """
        Test the connection, for the button in Airflow's UI: address, key, and what else the service can check.

        :return: whether it works, and a message for a person.
        """
        try:
            messages = [message for call in self._test_calls() if (message := self._test(call))]
            if unknown := self.settings.unknown_extras:
                messages.append(f"Ignored, since unknown: the extras {', '.join(unknown)}.")
        except ApiError as e:
            return False, str(e)
        finally:
            self.close()
        return True, " ".join([f"{self.service.name} accepts the key.", *messages])

    def _test_calls(self) -> Sequence[Call[Any]]:
        raise NotImplementedError

    def _test(self, call: Call[Any]) -> str:
        self.send(call)
        return ""


async def arequest(service: Service, conn_id: str, call: Call[T]) -> T:
    """
    Send a call through a connection without blocking the event loop; again after a passing failure.

    :raises ApiError: the last failure.
    """
    client = AsyncClient.acquire(service, conn_id)
    try:
        result: T = await AsyncRetrying(**_policy(call.endpoint))(client.send, call)
        return result
    finally:
        await client.release()


def _policy(endpoint: Endpoint[Any]) -> dict[str, Any]:
    def worth_retrying(error: BaseException) -> bool:
        return (
            isinstance(error, ApiError)
            and error.transient
            and (endpoint.is_idempotent or not error.maybe_processed)
            and (retry_after_seconds(error.retry_after, time.time()) or 0) <= LONGEST_PAUSE
        )

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_for = retry_after_seconds(getattr(error, "retry_after", None), time.time())
        return float(2 ** (state.attempt_number - 1)) if asked_for is None else max(asked_for, 1.0)

    return {
        "retry": retry_if_exception(worth_retrying),
        "stop": stop_after_attempt(ATTEMPTS),
        "wait": pause,
        "reraise": True,
    }
