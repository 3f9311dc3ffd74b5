"""Waiting as a task: the first poke, deferring, and how a wait ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.arguments import check_flags, seconds
from airflow_provider_nugen.compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    task_state_store,
)
from airflow_provider_nugen.exceptions import (
    JobCancelledError,
    JobFailedError,
    ProviderError,
    RequestRejectedError,
    ServiceUnreachableError,
    final,
    wait_error,
)
from airflow_provider_nugen.tasks import WaitsForJob
from airflow_provider_nugen.ui import Color
from airflow_provider_nugen.waiting.result import Outcome, WaitResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_nugen.waiting.wait import JobWait

#: Where a sensor in reschedule mode keeps what it knows between two pokes (Airflow 3.3 and later).
STATE_KEY = "airflow_provider_nugen.wait"
#: The least seconds until a rescheduled sensor is due again: the scheduler fails a task that is queued again before
#: it has read that the worker before has exited; see :data:`~airflow_provider_nugen.compat.MIN_RUN_TIME`.
MIN_RESCHEDULE = 10.0

#: How a wait without success ends the task; asking again can help only where the status could not be read.
_ERRORS: dict[Outcome, type[ProviderError]] = {
    Outcome.FAILED: final(JobFailedError),
    Outcome.CANCELLED: final(JobCancelledError),
    Outcome.REJECTED: final(RequestRejectedError),
    Outcome.UNREACHABLE: ServiceUnreachableError,
}


class JobSensor(WaitsForJob, BaseSensorOperator):
    """
    Waits for a job, or for several; the base of all sensors of this provider.

    A wait ends the task in the same way in deferrable, poke and reschedule mode:

    - the job is done: its final status as a dict is returned, and its ids are pushed as XComs of their own;
    - the job failed or was cancelled, or the service refuses the question (a wrong key, an id that does not exist):
      ``JobFailedError``, ``JobCancelledError``, ``RequestRejectedError``, all in their final form, so no retry: asking
      again cannot help;
    - the status could not be read ten times in a row and for more than ten minutes: ``ServiceUnreachableError``, so a
      retry waits on;
    - ``timeout`` is over: ``AirflowSensorTimeout``; ``execution_timeout`` is over: ``AirflowTaskTimeout``.

    The id may be a list of ids: one task, and one trigger, waits until all those jobs are over. If all are done, the
    list of their final statuses in the order of the ids is returned, and ids are pushed as lists (``model_ids``, ...).
    Otherwise the task ends as above, and the message names each job that did not succeed. An empty list is done.

    ``soft_fail`` turns all of these but ``ServiceUnreachableError`` into a skip; ``never_fail`` turns all into a skip;
    with ``silent_fail`` a service that cannot be reached is waited for until ``timeout``. ``execution_timeout`` counts
    from the first poke when deferred, and per poke in reschedule mode, as Airflow does. Before Airflow 3.3 a sensor in
    reschedule mode knows nothing of the poke before: there, a service that cannot be reached, and a job that stays
    ``READY`` without an evaluation, end the wait only at its ``timeout``.

    A sensor only reads: it never cancels a job, whatever becomes of the task.

    :param deferrable: wait in the triggerer, without holding a worker; wins over ``mode``. A job that the service
        expects to end within ten seconds is waited for on the worker.
    :param poke_interval: seconds between two pokes; may be a template. In reschedule mode at least ten.
    :param use_eta: poke less often while the service says that the job takes long: until it expects the end, but at
        the most ten intervals. With ``exponential_backoff`` the estimates are not used.
    :param report_progress: while the task is deferred its XCom ``progress`` says the job's status, its progress, when
        it is expected to end and when it was polled last; for a list of jobs how many are over, and their statuses.
        Written when they change, at most once a minute.
    """

    ui_color = Color.WAITING.value

    def __init__(
        self,
        *,
        deferrable: bool = True,
        poke_interval: timedelta | float | str = 60,
        use_eta: bool = True,
        report_progress: bool = False,
        **kwargs: Any,
    ) -> None:
        check_flags(deferrable=deferrable, use_eta=use_eta, report_progress=report_progress)
        if not isinstance(poke_interval, str):
            seconds(poke_interval, "poke_interval")
        if "timeout" in kwargs:
            seconds(kwargs["timeout"], "timeout")
        super().__init__(poke_interval=60 if isinstance(poke_interval, str) else poke_interval, **kwargs)
        if isinstance(poke_interval, str):
            # Rendered, and turned into a number, when the task runs.
            self.poke_interval = poke_interval  # type: ignore[assignment]
        self.deferrable = deferrable
        self.use_eta = use_eta
        self.report_progress = report_progress
        self._wait: JobWait[Any] | None = None

    def job_id(self, context: Context) -> object:
        """
        Return which job is waited for: the argument named by the kind of job.

        :param context: the context of the running task.
        """
        return getattr(self, self.kind.id_name)

    def failure(self, kind: JobKind[Any], result: WaitResult, job_id: str | list[str]) -> BaseException:
        """
        Return the exception that ends the task; :meth:`_flags` makes a skip of it where the flags want one.

        :param kind: the kind of job.
        :param result: how the wait ended.
        :param job_id: the job, or the jobs.
        """
        match result.outcome:
            case Outcome.TIMEOUT:
                return AirflowSensorTimeout(result.message)
            case Outcome.EXECUTION_TIMEOUT:
                return AirflowTaskTimeout(result.message)
        return wait_error(_ERRORS[result.outcome], result, kind.service.name, self.conn_id, job_id)

    @contextmanager
    def _flags(self) -> Iterator[None]:
        """Make a skip of an exception if the flags say so, as Airflow's poke loop does; in every mode, here only."""
        try:
            yield
        except (AirflowSkipException, AirflowRescheduleException):
            raise
        except (AirflowSensorTimeout, AirflowTaskTimeout, AirflowFailException) as e:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(e)) from e
            raise
        except Exception as e:
            if self.never_fail:
                raise AirflowSkipException(str(e)) from e
            raise

    def execute(self, context: Context) -> Any:
        """
        Poke; if the job is not done, defer, or poke again in the way that ``mode`` says.

        :param context: the context of the running task.
        """
        with self._flags(), self.session():
            self._wait = wait = self._begin(context)
            if not self.deferrable:
                return self._execute_here(wait, context)
            if self.reschedule:
                self.log.warning("deferrable=True wins over mode='reschedule': waiting in the triggerer.")
            if result := self.poke_before_deferring(wait):
                return self.finish(self.kind, result, context)
            self.defer_to(wait)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Continue after deferring; parameters as of Airflow's own."""
        with self._flags():
            return super().resume_execution(next_method, next_kwargs, context)

    def _execute_here(self, wait: JobWait[Any], context: Context) -> Any:
        """
        Poke until the wait is over, as Airflow's poke loop does.

        That one times out before the final poll, and has an idea of its own of how long to sleep. A key that is refused
        is tried for a minute; where a rescheduled sensor would not remember since when, it stays for that minute.
        """
        while not (done := self.poke(context)):
            forgets = self._store(context) is None and any(waiter.state.refused_since for waiter in wait.open())
            if self.reschedule and not forgets:
                sleep = max(wait.sleep(time.time(), MIN_RESCHEDULE), MIN_RESCHEDULE)
                raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=sleep))
            time.sleep(wait.sleep(time.time()))
        return done.xcom_value if isinstance(done, PokeReturnValue) else None

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """
        Poke once; raises as the class says if the wait is over without success.

        :param context: the context of the running task.
        """
        if self._wait is None:
            self._wait = self._begin(context)
        result, store = self.poke_jobs(self._wait), self._store(context)
        if result:
            if store is not None:
                store.delete(STATE_KEY)
            return PokeReturnValue(True, self.finish(self.kind, result, context))
        if store is not None:
            store.set(STATE_KEY, {"try": _this_try(context), **self._wait.to_json()})
        return False

    def _begin(self, context: Context) -> JobWait[Any]:
        """Begin the wait of this try; in reschedule mode, take it up where the poke before left it."""
        from airflow_provider_nugen.waiting.state import WaitSettings

        began, known, polled_before = time.time(), dict[str, Any](), False
        if self.reschedule and not self.deferrable:
            if first := context["ti"].get_first_reschedule_date(context):
                began = first.timestamp()
            store = self._store(context)
            stored = None if store is None else store.get(STATE_KEY)
            if isinstance(stored, dict) and stored.get("try") == _this_try(context):
                # When it is due Airflow decides.
                known = {name: value for name, value in stored.items() if name != "due"}
            polled_before = first is not None
        settings = WaitSettings(
            poke_interval=seconds(self.poke_interval, "poke_interval"),
            deadline=began + self.timeout,
            execution_deadline=began + self.execution_timeout.total_seconds()
            if self.deferrable and self.execution_timeout
            else None,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait.total_seconds() if self.max_wait else None,
            ignore_failures=self.silent_fail,
            use_eta=self.use_eta,
            report_progress=self.report_progress,
        )
        wait = self.begin(self.kind, self.job_id(context), settings, {**known, "began": began})
        for waiter in wait.waiters.values() if polled_before else ():
            waiter.state.polled_before = True
        return wait

    def _store(self, context: Context) -> Any:
        return task_state_store(context) if self.reschedule and not self.deferrable else None


def _this_try(context: Context) -> list[int]:
    """Return which try this is: the store outlives retries and clears, the state of a wait must not."""
    ti = context["ti"]
    return [ti.max_tries, ti.try_number]
