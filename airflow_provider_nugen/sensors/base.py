"""Waiting as a task: one look, deferring, and how a wait ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_nugen.compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    task_state_store,
)
from airflow_provider_nugen.tasks import BACKSTOP, WaitsForJob, seconds
from airflow_provider_nugen.waiting.result import Outcome, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.waiter import Waiter

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Where a sensor in reschedule mode keeps its memory between two looks (Airflow 3.3 and later).
MEMORY_KEY = "airflow_provider_nugen.wait"


class JobSensor(WaitsForJob, BaseSensorOperator):
    """
    Waits for a job; the base of all sensors of this provider.

    A wait ends the task in the same way in deferrable, poke and reschedule mode:

    - the job is done: its final status as a dict is returned, and its ids are pushed as XComs of their own;
    - the job failed or was cancelled, or the service refuses the question (a wrong key, an id that does not exist):
      ``AirflowFailException``, so no retry: asking again cannot help;
    - the status could not be read ten times in a row and for more than ten minutes: ``AirflowException``, so a retry
      waits on;
    - ``timeout`` is over: ``AirflowSensorTimeout``; ``execution_timeout`` is over: ``AirflowTaskTimeout``.

    ``soft_fail`` turns all of these but the third into a skip; ``never_fail`` turns all into a skip; with
    ``silent_fail`` the third never happens. ``execution_timeout`` counts from the first look when deferred, and per
    look in reschedule mode, as Airflow does. Before Airflow 3.3 a sensor in reschedule mode has no memory between two
    looks: there, a service that cannot be reached, and a job that stays ``READY`` without an evaluation, end the wait
    only at its ``timeout``.

    A sensor only reads: it never cancels a job, whatever becomes of the task.

    :param deferrable: wait in the triggerer, without holding a worker; wins over ``mode``.
    :param poke_interval: seconds between two looks; may be a template.
    :param use_eta: look less often while the service says that the job takes long: until it expects the end, but at
        the most ten intervals. With ``exponential_backoff`` the estimates are not used.
    """

    #: How a wait that did not succeed ends the task.
    exceptions: ClassVar[dict[Outcome, type[BaseException]]] = {
        Outcome.FAILED: AirflowFailException,
        Outcome.CANCELLED: AirflowFailException,
        Outcome.REJECTED: AirflowFailException,
        Outcome.UNREACHABLE: AirflowException,
        Outcome.TIMEOUT: AirflowSensorTimeout,
        Outcome.EXECUTION_TIMEOUT: AirflowTaskTimeout,
    }

    def __init__(
        self,
        *,
        deferrable: bool = True,
        poke_interval: timedelta | float | str = 60,
        use_eta: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=60 if isinstance(poke_interval, str) else poke_interval, **kwargs)
        if isinstance(poke_interval, str):
            # Rendered, and turned into a number, when the task runs.
            self.poke_interval = poke_interval  # type: ignore[assignment]
        self.deferrable = deferrable
        self.use_eta = use_eta

    def job_id(self, context: Context) -> object:
        """Say which job is waited for: the argument named by the kind of job."""
        return getattr(self, self.kind.id_name)

    def failure(self, ending: WaitResult) -> BaseException:
        """Make the exception that ends the task, a skip if the flags say so."""
        skip = self.never_fail or (self.soft_fail and ending.outcome is not Outcome.UNREACHABLE)
        return (AirflowSkipException if skip else self.exceptions[ending.outcome])(ending.message)

    @contextmanager
    def _flags(self) -> Iterator[None]:
        """Let the flags hold for Airflow's own clocks, too, which may strike in a sleep as well as in a look."""
        try:
            yield
        except (AirflowSensorTimeout, AirflowTaskTimeout) as e:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(e)) from e
            raise

    def execute(self, context: Context) -> Any:
        """Look; if the job is not done, defer, or look again in the way that ``mode`` says."""
        with self._flags():
            return self._execute(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after deferring."""
        with self._flags():
            return super().resume_execution(next_method, next_kwargs, context)

    def _execute(self, context: Context) -> Any:
        self._waiter = self._begin(context)
        if not self.deferrable:
            timeout = self.timeout
            self.timeout = timeout + BACKSTOP
            try:
                return super().execute(context)
            finally:
                self.timeout = timeout
        if self.reschedule:
            self.log.warning("deferrable=True wins over mode='reschedule': waiting in the triggerer.")
        decision = self.look(self._waiter)
        if decision.ending:
            return self.finish(decision.ending, context)
        self.defer_to(self._waiter)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once; raises as the class says if the wait is over without success."""
        if not hasattr(self, "_waiter"):
            self._waiter = self._begin(context)
        decision = self.look(self._waiter)
        store = self._store(context)
        if decision.ending:
            if store is not None:
                store.delete(MEMORY_KEY)
            return PokeReturnValue(True, self.finish(decision.ending, context))
        if store is not None:
            store.set(MEMORY_KEY, {"try": _this_try(context), **self._waiter.memory.to_json()})
        self._sleep = decision.sleep
        return False

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        """Sleep between two pokes for as long as the waiter says, in both loops of Airflow."""
        return self._sleep

    def _begin(self, context: Context) -> Waiter[Any]:
        """Make the waiter of this try; in reschedule mode it goes on where the last look ended."""
        memory = WaitState(time.time())
        if self.reschedule and not self.deferrable:
            if first := context["ti"].get_first_reschedule_date(context):
                memory.began = first.timestamp()
            store = self._store(context)
            stored = None if store is None else store.get(MEMORY_KEY)
            if isinstance(stored, dict) and stored.get("try") == _this_try(context):
                memory = WaitState.from_json({**stored, "began": memory.began})
        settings = WaitSettings(
            poke_interval=seconds(self.poke_interval, "poke_interval"),
            deadline=memory.began + self.timeout,
            execution_deadline=memory.began + self.execution_timeout.total_seconds()
            if self.deferrable and self.execution_timeout
            else None,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait.total_seconds() if self.max_wait else None,
            ignore_failures=self.silent_fail,
            use_eta=self.use_eta,
        )
        return self.waiter(self.job_id(context), settings, memory)

    def _store(self, context: Context) -> Any:
        return task_state_store(context) if self.reschedule and not self.deferrable else None


def _this_try(context: Context) -> list[int]:
    """Name the try: the store outlives retries and clears, the memory of a wait must not."""
    ti = context["ti"]
    return [ti.max_tries, ti.try_number]
