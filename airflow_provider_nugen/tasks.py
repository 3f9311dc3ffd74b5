"""A task that talks to a service, and a task that waits for jobs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.arguments import job_ids
from airflow_provider_nugen.compat import MIN_RUN_TIME, TaskDeferralError, TaskDeferralTimeout
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.metrics import WORKER
from airflow_provider_nugen.outlets import fill_outlet_events
from airflow_provider_nugen.ui import RENDERERS, Color
from airflow_provider_nugen.waiting.result import Outcome, WaitResult

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context
    from airflow.sdk.definitions.xcom_arg import PlainXComArg

    from airflow_provider_nugen.waiting.state import WaitSettings
    from airflow_provider_nugen.waiting.wait import JobWait

#: Seconds between the deadline of a wait, where the final poll is due, and Airflow's own timeout of the trigger, which
#: is only the backstop for a deadline that falls while no triggerer runs.
BACKSTOP = 60.0
#: A shorter pause is waited for on the worker: what comes back from the triggerer too soon the scheduler fails, see
#: :data:`~airflow_provider_nugen.compat.MIN_RUN_TIME`.
MIN_DEFERRAL = MIN_RUN_TIME
#: Seconds from the first poke: a job that is expected to end within them is waited for on the worker. Starting another
#: worker would take about as long.
NEARLY_DONE = 10.0
#: Seconds between an expected end and the poll for it: estimates are given in whole seconds.
ESTIMATE_SLACK = 1.0
#: The most seconds that a deferrable wait holds its worker, whatever there is to poll.
MAX_WORKER_WAIT = 30.0


class ServiceTask(BaseOperator):
    """A task that talks to a service through a hook; the base of all sensors and operators of this provider."""

    hook_class: ClassVar[type[ServiceHook]]
    ui_color = Color.ASKING.value
    template_fields_renderers: ClassVar[dict[str, str]] = RENDERERS
    #: Returns what the task has made, once it has; for lineage.
    made: Callable[[], Sequence[Mapping[str, Any]]] | None = None
    #: How its wait ended, once it has; for lineage.
    ended: WaitResult | None = None

    if TYPE_CHECKING:

        @property
        def output(self) -> PlainXComArg:
            """What the task returns; Airflow's type for it does not say that ``output["key"]`` works."""

    @cached_property
    def hook(self) -> ServiceHook:
        """The hook that does the I/O."""
        return self.hook_class(self.conn_id)

    @property
    def conn_id(self) -> str:
        """The Airflow connection."""
        conn_id: str = getattr(self, self.hook_class.conn_name_attr)
        return conn_id

    # Called by the OpenLineage provider, if it is installed.

    def get_openlineage_facets_on_start(self) -> OperatorLineage:
        """Return what the task is made of: documents, a base model, a benchmark."""
        return self._lineage()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage:
        """
        Return what the task is made of, and what it has made.

        :param task_instance: the task instance; what is to be said is known here.
        """
        return self._lineage()

    def get_openlineage_facets_on_failure(self, task_instance: object) -> OperatorLineage:
        """
        Return what the task was made of, and why it failed; parameters as when it is complete.

        :param task_instance: the task instance.
        """
        return self._lineage()

    def _lineage(self) -> OperatorLineage:
        from airflow_provider_nugen.lineage import lineage

        return lineage(self)

    def pause(self, seconds: float, method_name: str, kwargs: dict[str, Any], *, deferrable: bool) -> None:
        """
        Wait for some seconds: in the triggerer, or on the worker if that is not wanted or too short to defer.

        :param seconds: how long, in seconds.
        :param method_name: the method that continues after the triggerer.
        :param kwargs: its arguments.
        :param deferrable: whether to wait in the triggerer.
        """
        if deferrable and seconds >= MIN_DEFERRAL:
            # Comes with Airflow. Loaded only now, since a DAG file need not pay for it.
            from airflow.providers.standard.triggers.temporal import DateTimeTrigger

            self.hook.close()
            self.defer(
                trigger=DateTimeTrigger(moment=datetime.now(UTC) + timedelta(seconds=seconds)),
                method_name=method_name,
                kwargs=kwargs,
            )
        time.sleep(seconds)

    @contextmanager
    def session(self) -> Iterator[ServiceHook]:
        """Lend the hook, and close what it has opened however the block ends."""
        try:
            yield self.hook
        finally:
            self.hook.close()


class WaitsForJob(ServiceTask):
    """
    What a task needs to wait for a job or for several; the base of sensors, and of operators that start a job and wait.

    A subclass has :attr:`hook_class` and ``timeout``; it decides which jobs it waits for, and how an unsuccessful end
    becomes an exception. A task that waits once has its kind of job in :attr:`kind`; one that waits for one thing after
    another passes the kind to each method.
    """

    kind: JobKind[Any]
    timeout: int | float

    def job_id(self, context: Context) -> object:
        """
        Return which job is waited for.

        An id, a list of ids, or what :func:`~airflow_provider_nugen.arguments.job_ids` takes for one.

        :param context: the context of the running task.
        """
        raise NotImplementedError

    def failure(self, kind: JobKind[Any], result: WaitResult, job_id: str | list[str]) -> BaseException:
        """
        Return the exception that ends the task.

        :param kind: the kind of job.
        :param result: how the wait ended.
        :param job_id: the job, or the jobs.
        """
        raise NotImplementedError

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """
        End the task with what the trigger found.

        :param context: the context of the running task.
        :param event: the trigger's event.
        """
        return self.finish(self.kind, WaitResult.from_event(event), context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Continue after deferring.

        Goes past ``BaseSensorOperator.resume_execution``, whose idea of ``soft_fail`` is wider than the poke loop's.
        When the trigger was lost or too late there is no event: one final poll tells the status.
        """
        with self.session():
            try:
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except (TaskDeferralTimeout, TaskDeferralError) as e:
                lost = e
            return self.on_trigger_failure(lost, context)

    def on_trigger_failure(self, error: Exception, context: Context) -> Any:
        """
        Continue when the trigger was lost or too late.

        :param error: what Airflow says of it.
        :param context: the context of the running task.
        """
        return self.finish(self.kind, self.final_poll(self.kind, error, context), context)

    def final_poll(self, kind: JobKind[Any], error: Exception, context: Context) -> WaitResult:
        """
        Poll once more, and decide how the wait ends.

        :param kind: the kind of job.
        :param error: what Airflow says of the trigger.
        :param context: the context of the running task.
        """
        from airflow_provider_nugen.waiting.state import WaitSettings

        now, budget, settings = time.time(), self.timeout, WaitSettings()
        if isinstance(error, TaskDeferralTimeout):
            settings = WaitSettings(deadline=now)
            if self.execution_timeout is not None and self.execution_timeout.total_seconds() < budget:
                budget, settings = self.execution_timeout.total_seconds(), WaitSettings(execution_deadline=now)
        # What the trigger knew is lost. The task would not have deferred had the service not known the job.
        wait = self.begin(kind, self.job_id(context), settings, {"began": now - budget}, seen=True)
        return self.poke_jobs(wait) or WaitResult(
            Outcome.UNREACHABLE,
            f"Waiting for {wait.subject} broke off: the trigger failed ({error}). The job continues.",
        )

    def begin(
        self,
        kind: JobKind[Any],
        job_id: object,
        settings: WaitSettings,
        stored: Mapping[str, Any] | None = None,
        *,
        seen: bool = False,
    ) -> JobWait[Any]:
        """
        Begin to wait, or take a wait up.

        :param kind: the kind of job.
        :param job_id: the job or the jobs, see :func:`~airflow_provider_nugen.arguments.job_ids`.
        :param settings: what the user asked for.
        :param stored: what is known already, see :class:`~airflow_provider_nugen.waiting.wait.JobWait`.
        :param seen: the service knows the jobs.
        :raises InvalidArgumentError: if there is no id to ask for.
        """
        # Loaded only now: a DAG file that is parsed waits for nothing.
        from airflow_provider_nugen.waiting.wait import JobWait

        ids = job_ids(job_id, kind.id_name)
        wait = JobWait(kind, ids, self.conn_id, settings, {"began": time.time(), **(stored or {})})
        if kind.lookup is not None:
            items: Any = [job_id] if isinstance(ids, str) else job_id
            for one, item in zip([ids] if isinstance(ids, str) else ids, items, strict=True):
                if isinstance(item, Mapping):
                    wait.waiters[one].describe(kind.lookup.describe(item))
        for waiter in wait.waiters.values() if seen else ():
            waiter.state.seen = True
        return wait

    def poke_jobs(self, wait: JobWait[Any], limit: float = math.inf) -> WaitResult | None:
        """
        Poll every job that is due, once.

        :param wait: the wait.
        :param limit: seconds after which no further job is polled.
        :return: how the wait ended, if it did.
        """
        began, polled = time.monotonic(), set[str]()
        first = wait.is_many and not any(waiter.state.seen for waiter in wait.waiters.values())
        # Those that were over before are due when no other is left.
        while due := [waiter for waiter in wait.due(time.time()) if waiter.job_id not in polled]:
            for waiter in due:
                if time.monotonic() - began >= limit:
                    return None
                self.hook.poll(waiter, self.log)
                polled.add(waiter.job_id)
        if first:
            self.log.info("%s", wait.summary())
        return wait.result()

    def poke_before_deferring(self, wait: JobWait[Any]) -> WaitResult | None:
        """
        Poll for the first time; stay on the worker for a job that the service expects to end within seconds.

        :param wait: the wait.
        :return: how the wait ended, if it did.
        """
        began = time.monotonic()
        while True:
            result, now = self.poke_jobs(wait, MAX_WORKER_WAIT), time.time()
            left = wait.seconds_left(now)
            if result is not None or left is None or left > NEARLY_DONE:
                return result
            pause = min(left + ESTIMATE_SLACK, wait.seconds_to_deadline(now))
            if time.monotonic() - began + pause > MAX_WORKER_WAIT:
                return None
            time.sleep(pause)
            wait.poll_now()

    def wait_here(self, wait: JobWait[Any]) -> WaitResult:
        """
        Poke on the worker until the wait is over.

        :param wait: the wait.
        :return: how it ended.
        """
        while (result := self.poke_jobs(wait)) is None:
            time.sleep(wait.sleep(time.time()))
        return result

    def defer_to(
        self, wait: JobWait[Any], method_name: str = "execute_complete", *, cancel_on_kill: bool = False
    ) -> NoReturn:
        """
        Hand the wait over to the triggerer.

        :param wait: the wait.
        :param method_name: the method that continues afterwards.
        :param cancel_on_kill: let the trigger cancel the jobs when a user ends the task.
        """
        # Loaded only now, since most of what is parsed or resumed does not defer.
        from airflow_provider_nugen.triggers.job import JobTrigger

        self.hook.close()
        ends = [end for end in (wait.settings.deadline, wait.settings.execution_deadline) if end is not None]
        self.defer(
            trigger=JobTrigger.of(wait, cancel_on_kill),
            method_name=method_name,
            timeout=timedelta(seconds=max(min(ends) - wait.began, 0) + BACKSTOP) if ends else None,
        )

    def finish(self, kind: JobKind[Any], result: WaitResult, context: Context) -> Any:
        """
        End the task: the one place where a wait becomes a value or an exception, in every mode.

        :param kind: the kind of job.
        :param result: how the wait ended.
        :param context: the context of the running task.
        :return: the final status as JSON values, and its ids pushed as XComs of their own where they are not null; for
            several jobs the list of final statuses, and lists of ids under the plural of their names.
        """
        self.ended = result
        WORKER.wait_ended(kind, result)
        if result.outcome is not Outcome.SUCCEEDED:
            raise self.failure(kind, result, job_ids(self.job_id(context), kind.id_name))
        self.log.info(result.message)
        value = result.result
        if self.do_xcom_push:
            for name in kind.xcom_keys:
                if isinstance(value, list):
                    ids = [(status or {}).get(name) for status in value]
                    if not ids or any(one is not None for one in ids):
                        context["ti"].xcom_push(key=f"{name}s", value=ids)
                elif value is not None and value.get(name) is not None:
                    context["ti"].xcom_push(key=name, value=value[name])
        fill_outlet_events(self, context, lambda: self._facts(kind, value, context), many=isinstance(value, list))
        return {} if value is None else value

    def _facts(self, kind: JobKind[Any], value: Any, context: Context) -> list[dict[str, Any]]:
        """Return what the events of the outlets say of each job."""
        ids, statuses = job_ids(self.job_id(context), kind.id_name), value if isinstance(value, list) else [value]
        jobs = ids if isinstance(ids, list) else [ids]
        return [
            {**kind.facts(one, status or {}), "waited_seconds": (status or {}).get("waited_seconds")}
            for one, status in zip(jobs, statuses, strict=True)
        ]
