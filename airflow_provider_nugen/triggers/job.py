"""One trigger for every kind of job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.api.safe import safe_json
from airflow_provider_nugen.compat import MIN_RUN_TIME, is_still_deferred, on_kill_timeout
from airflow_provider_nugen.hooks.base import arequest
from airflow_provider_nugen.hooks.client import AsyncClient
from airflow_provider_nugen.metrics import TRIGGERER
from airflow_provider_nugen.triggers.progress import ProgressReport
from airflow_provider_nugen.waiting.result import Decision, Outcome, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings
from airflow_provider_nugen.waiting.wait import JobWait
from airflow_provider_nugen.waiting.waiter import Waiter

#: How long to poll a job before it is cancelled, in seconds: Airflow gives ``on_kill`` half a minute by default.
POLL_BEFORE_CANCEL = 10.0
#: What is left of the time that Airflow gives ``on_kill``, in seconds, to log what became of it.
KILL_MARGIN = 2.0


class JobTrigger(BaseTrigger):
    """
    Waits for a job, or for several, on the triggerer's event loop.

    Yields exactly one event, the payload of
    :meth:`~airflow_provider_nugen.waiting.result.WaitResult.to_event`, whatever happens. Can run twice at once
    without harm, since it only reads.

    :param kind: the key of the kind of job, see :data:`~airflow_provider_nugen.api.registry.KINDS`.
    :param job_id: the job, or a list of jobs.
    :param conn_id: the Airflow connection.
    :param cancel_on_kill: cancel the jobs when a user ends the task while it is deferred (Airflow 3.3 and later), if
        the service can.
    :param wait: the settings and the state of the wait, see :class:`~airflow_provider_nugen.waiting.state.WaitSettings`
        and :class:`~airflow_provider_nugen.waiting.wait.JobWait`. What another version of the provider has written is
        kept, and otherwise ignored.
    """

    def __init__(
        self, kind: str, job_id: str | list[str], conn_id: str, cancel_on_kill: bool = False, **wait: Any
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kwargs: dict[str, Any] = {
            "kind": kind,
            "job_id": job_id,
            "conn_id": conn_id,
            "cancel_on_kill": cancel_on_kill,
            **wait,
        }
        #: What is done because a user ended the task.
        self._kill: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, wait: JobWait[Any], cancel_on_kill: bool = False) -> JobTrigger:
        """
        Build the trigger that continues a wait.

        :param wait: the wait.
        :param cancel_on_kill: see the class.
        """
        return cls(
            wait.kind.key, wait.job_id, wait.conn_id, cancel_on_kill, **wait.settings.to_json(), **wait.to_json()
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process needs to continue the wait: JSON values that Airflow can carry."""
        return f"{type(self).__module__}.{type(self).__qualname__}", safe_json(self.kwargs)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event."""
        began = time.monotonic()
        kind = KINDS.get(self.kwargs["kind"])
        if kind is None:
            result = WaitResult(
                Outcome.UNREACHABLE,
                f"The triggerer does not know the kind of job {self.kwargs['kind']!r}: install the same version of "
                "airflow-provider-nugen there as on the workers.",
            )
        else:
            result = await self._wait(kind)
        await asyncio.sleep(began + MIN_RUN_TIME - time.monotonic())
        yield TriggerEvent(result.to_event())

    def _begin(self, kind: JobKind[Any]) -> JobWait[Any]:
        kwargs = self.kwargs
        stored = kwargs if kwargs.get("began") is not None else {**kwargs, "began": time.time()}
        return JobWait(kind, kwargs["job_id"], kwargs["conn_id"], WaitSettings.from_json(kwargs), stored)

    async def _wait(self, kind: JobKind[Any]) -> WaitResult:
        client = AsyncClient.acquire(kind.service, self.kwargs["conn_id"])
        try:
            wait = self._begin(kind)
            report = ProgressReport(self.task_instance, wait) if wait.settings.report_progress else None
            while (result := wait.result()) is None:
                if len(waiters := wait.open()) == 1:
                    await self._poll(waiters[0], client, report)
                else:
                    async with asyncio.TaskGroup() as group:
                        for waiter in waiters:
                            group.create_task(self._poll(waiter, client, report))
            return result
        except Exception as e:
            self.log.exception("The wait broke off.")
            while isinstance(e, ExceptionGroup):
                e = e.exceptions[0]
            return WaitResult(
                Outcome.UNREACHABLE,
                f"Waiting for {kind.label} {self.kwargs['job_id']!r} broke off ({type(e).__name__}: {e}): a bug in "
                "airflow-provider-nugen, see the log of the trigger. The job continues.",
            )
        finally:
            await client.release()

    async def _poll(self, waiter: Waiter[Any], client: AsyncClient, report: ProgressReport | None = None) -> None:
        """Poll one job until it is over."""
        decision = Decision(sleep=waiter.first_sleep(time.time()))
        while decision.result is None:
            if decision.sleep:
                await asyncio.sleep(decision.sleep)
            call = waiter.next_call()
            try:
                response = await client.fetch(call, waiter.queue_timeout(time.time()))
                decision = waiter.on_response(call, response, time.time())
                TRIGGERER.polled(waiter.kind, response.status)
                # Not kept while it sleeps.
                del response
            except ApiError as e:
                decision = waiter.on_error(call, e, time.time())
                TRIGGERER.polled(waiter.kind)
            for message in decision.messages:
                self.log.log(message.level, message.text)
            if report is not None:
                await report.push(time.time())

    async def on_kill(self) -> None:
        """
        Cancel the jobs because a user ended the task while it was deferred (Airflow 3.3 and later).

        Airflow calls this, too, when it merely moves the trigger to another triggerer: then the task is still deferred
        for these very jobs, and nothing is cancelled. A triggerer that hung while another one has ended the wait finds
        its trigger gone, too: so nothing is cancelled either when the wait was over by itself.

        The triggerer repeats its cancelling about once a second, each time by cancelling whatever runs here. So this is
        done by a task of its own, once, in the time that Airflow gives it.
        """
        if self._kill is None:
            self._kill = asyncio.create_task(self._end_jobs())
            _kills.add(self._kill)
            self._kill.add_done_callback(_kills.discard)
        await _outlast(self._kill)

    async def cleanup(self) -> None:
        """Stay until :meth:`on_kill` is done: with the trigger goes the log of what becomes of the job."""
        if self._kill is not None:
            await _outlast(self._kill)

    async def _end_jobs(self) -> None:
        kind, job_id = KINDS[self.kwargs["kind"]], self.kwargs["job_id"]
        ids = [job_id] if isinstance(job_id, str) else job_id
        limit = max(on_kill_timeout() - KILL_MARGIN, KILL_MARGIN)
        try:
            async with asyncio.timeout(limit):
                await self._cancel_jobs(kind, ids)
        except TimeoutError:
            self.log.error("%s could not be cancelled within %.0f s, and may continue.", _named(kind, ids), limit)
        except Exception:
            self.log.exception("%s could not be cancelled, and may continue.", _named(kind, ids))

    async def _cancel_jobs(self, kind: JobKind[Any], ids: list[str]) -> None:
        subject = _named(kind, ids)
        if not self.kwargs["cancel_on_kill"]:
            self.log.info("The task was ended; %s continues.", subject)
        elif await is_still_deferred(self.task_instance, kind.id_name, self.kwargs["job_id"]):
            self.log.info(
                "Nobody has ended the task: the wait for %s moved to another triggerer, or continues by a retry.",
                subject,
            )
        else:
            wait = self._begin(kind)
            jobs: list[Coroutine[Any, Any, None]] = [self._cancel(kind, one) for one in wait.waiters.values()]
            await asyncio.gather(*jobs)

    async def _cancel(self, kind: JobKind[Any], waiter: Waiter[Any]) -> None:
        """Cancel one job unless the wait for it was over by itself."""
        subject = kind.subject(waiter.job_id)
        if over := await self._over(kind, waiter):
            self.log.info("Not cancelled, since the wait was over by itself: %s", over)
        elif kind.cancel is None:
            self.log.warning("%s cannot cancel: %s continues, and is billed.", kind.service.name, subject)
        else:
            try:
                await arequest(kind.service, waiter.conn_id, kind.cancel.call(**{kind.id_name: waiter.job_id}))
                self.log.info("The task was ended: cancelled %s.", subject)
            except ApiError as e:
                self.log.error("%s could not be cancelled, and may continue: %s", subject, e)

    async def _over(self, kind: JobKind[Any], waiter: Waiter[Any]) -> str:
        """Return why the wait was over before the task was ended; nothing if it was not, or if that is not known."""
        call = waiter.next_call()
        try:
            async with asyncio.timeout(POLL_BEFORE_CANCEL):
                answer = await arequest(kind.service, waiter.conn_id, call)
        except (ApiError, TimeoutError):
            return ""
        result = waiter.on_answer(call, answer, time.time()).result
        return result.message if result else ""


#: What is under way because tasks were ended. An event loop alone would let go of it.
_kills: set[asyncio.Task[None]] = set()


async def _outlast(task: asyncio.Task[None]) -> None:
    """Wait for a task that limits its own time, however often the one who waits is cancelled."""
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue


def _named(kind: JobKind[Any], ids: list[str]) -> str:
    return kind.subject(ids[0]) if len(ids) == 1 else f"{len(ids)} x {kind.label}"
