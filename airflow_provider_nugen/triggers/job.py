"""One trigger for every kind of job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, fields
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.compat import is_still_deferred
from airflow_provider_nugen.hooks.base import arequest
from airflow_provider_nugen.hooks.client import AsyncClient
from airflow_provider_nugen.waiting.result import Decision, Outcome, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.waiter import Waiter

#: How long to look at a job before it is cancelled, in seconds: Airflow gives ``on_kill`` half a minute by default.
POLL_BEFORE_CANCEL = 10.0
_SETTINGS = tuple(field.name for field in fields(WaitSettings))


class JobTrigger(BaseTrigger):
    """
    Waits for a job on the triggerer's event loop.

    Yields exactly one event, the payload of
    :meth:`~airflow_provider_nugen.waiting.result.WaitResult.to_event`, whatever happens. Can run twice at once
    without harm, since it only reads.

    :param kind: the key of the kind of job, see :data:`~airflow_provider_nugen.api.registry.KINDS`.
    :param job_id: the job.
    :param conn_id: the Airflow connection.
    :param poke_interval: seconds between two looks.
    :param deadline: when the wait times out, in epoch seconds.
    :param execution_deadline: when the task's ``execution_timeout`` is over, in epoch seconds.
    :param exponential_backoff: let the interval grow with the time waited.
    :param max_wait: the longest interval then, in seconds.
    :param ignore_failures: never give up because the status cannot be read.
    :param use_eta: look less often while the service says that the job takes long.
    :param began: when the wait began, in epoch seconds.
    :param seen: whether the service has ever said anything about the job.
    :param status: the last status word as sent.
    :param cancel_on_kill: cancel the job when a user ends the task while it is deferred (Airflow 3.3 and later), if
        the service can.
    :param unknown_kwargs: arguments of another version of the provider, kept for it and otherwise ignored.
    """

    def __init__(
        self,
        kind: str,
        job_id: str,
        conn_id: str,
        poke_interval: float = 60.0,
        deadline: float | None = None,
        execution_deadline: float | None = None,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        ignore_failures: bool = False,
        use_eta: bool = True,
        began: float | None = None,
        seen: bool = False,
        status: str | None = None,
        cancel_on_kill: bool = False,
        **unknown_kwargs: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kwargs: dict[str, Any] = {
            "kind": kind,
            "job_id": job_id,
            "conn_id": conn_id,
            "poke_interval": poke_interval,
            "deadline": deadline,
            "execution_deadline": execution_deadline,
            "exponential_backoff": exponential_backoff,
            "max_wait": max_wait,
            "ignore_failures": ignore_failures,
            "use_eta": use_eta,
            "began": began,
            "seen": seen,
            "status": status,
            "cancel_on_kill": cancel_on_kill,
            **unknown_kwargs,
        }

    @classmethod
    def of(cls, waiter: Waiter[Any], cancel_on_kill: bool = False) -> JobTrigger:
        """Make the trigger that goes on with a wait."""
        memory = waiter.memory
        return cls(
            kind=waiter.kind.key,
            job_id=str(waiter.job_id),
            conn_id=waiter.conn_id,
            **asdict(waiter.settings),
            began=memory.began,
            seen=memory.seen,
            status=memory.status,
            cancel_on_kill=cancel_on_kill,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process needs to go on with the wait."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event."""
        kwargs = self.kwargs
        kind = KINDS.get(kwargs["kind"])
        if kind is None:
            ending = WaitResult(
                Outcome.UNREACHABLE,
                f"The triggerer does not know the kind of job {kwargs['kind']!r}: install the same version of "
                "airflow-provider-nugen there as on the workers.",
            )
        else:
            ending = await self._wait(self._waiter(kind))
        yield TriggerEvent(ending.to_event())

    def _waiter(self, kind: JobKind[Any]) -> Waiter[Any]:
        kwargs = self.kwargs
        began = kwargs["began"]
        return Waiter(
            kind,
            kwargs["job_id"],
            kwargs["conn_id"],
            WaitSettings(**{name: kwargs[name] for name in _SETTINGS}),
            WaitState(time.time() if began is None else began, kwargs["seen"], kwargs["status"]),
        )

    async def _wait(self, waiter: Waiter[Any]) -> WaitResult:
        client = AsyncClient.acquire(waiter.kind.service, waiter.conn_id)
        try:
            decision = Decision(sleep=waiter.first_sleep(time.time()))
            while decision.ending is None:
                if decision.sleep:
                    await asyncio.sleep(decision.sleep)
                try:
                    if decision.reread:
                        decision = waiter.on_reread(await client.reread(), time.time())
                    else:
                        # Not kept in a variable, where it would last until the next one.
                        decision = waiter.on_response(
                            await client.fetch(waiter.call, waiter.queue_timeout(time.time())), time.time()
                        )
                except ApiError as e:
                    decision = waiter.on_error(e, time.time())
                for note in decision.notes:
                    self.log.log(note.level, note.text)
            return decision.ending
        except Exception as e:
            self.log.exception("The wait broke off.")
            return WaitResult(
                Outcome.UNREACHABLE,
                f"Waiting for {waiter.kind.subject(waiter.job_id)} broke off ({type(e).__name__}: {e}): a bug in "
                "airflow-provider-nugen, see the log of the trigger. The job goes on.",
            )
        finally:
            await client.release()

    async def on_kill(self) -> None:
        """
        Cancel the job because a user ended the task while it was deferred (Airflow 3.3 and later).

        Airflow calls this, too, when it merely moves the trigger to another triggerer: then the task is still deferred
        for this very job, and nothing is cancelled. A triggerer that hung while another one has ended the wait finds
        its trigger gone, too: so nothing is cancelled either when the wait was over by itself.
        """
        kwargs = self.kwargs
        kind, subject = KINDS[kwargs["kind"]], KINDS[kwargs["kind"]].subject(kwargs["job_id"])
        if not kwargs["cancel_on_kill"]:
            self.log.info("The task was ended; %s goes on.", subject)
        elif await is_still_deferred(self.task_instance, kind.id_name, kwargs["job_id"]):
            self.log.info(
                "Nobody has ended the task: the wait for %s moved to another triggerer, or goes on by a retry.", subject
            )
        elif over := await self._over(kind):
            self.log.info("Not cancelled, since the wait was over by itself: %s", over)
        elif kind.cancel is None:
            self.log.warning("%s cannot cancel: %s goes on, and is billed.", kind.service.name, subject)
        else:
            try:
                await arequest(kind.service, kwargs["conn_id"], kind.cancel.call(**{kind.id_name: kwargs["job_id"]}))
                self.log.info("The task was ended: cancelled %s.", subject)
            except ApiError as e:
                self.log.error("%s could not be cancelled, and may go on: %s", subject, e)

    async def _over(self, kind: JobKind[Any]) -> str:
        """Say why the wait was over before the task was ended; nothing if it was not, or if that is not known."""
        waiter = self._waiter(kind)
        try:
            async with asyncio.timeout(POLL_BEFORE_CANCEL):
                answer = await arequest(kind.service, waiter.conn_id, waiter.call)
        except (ApiError, TimeoutError):
            return ""
        ending = waiter.on_answer(answer, time.time()).ending
        return ending.message if ending else ""
