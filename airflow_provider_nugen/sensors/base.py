"""Waiting as a task: one look, deferring, and how a wait ends."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue

from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    task_state_store,
)
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.triggers.job import JobTrigger
from airflow_provider_nugen.waiting import Decision, Ending, Memory, Outcome, Waiter, WaitSettings

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Airflow's own time-out, of a trigger and of the poke loop, comes so many seconds after our deadline, where the last
#: look is due: it is only the backstop for a deadline that falls while no triggerer runs.
BACKSTOP = 60.0
#: Where a sensor in reschedule mode keeps its memory between two looks (Airflow 3.3 and later).
MEMORY_KEY = "airflow_provider_nugen.wait"


class ServiceTask(BaseOperator):
    """A task that talks to a service through a hook; the base of all sensors and operators of this provider."""

    hook_class: ClassVar[type[ServiceHook]]

    @cached_property
    def hook(self) -> ServiceHook:
        """The hook that does the I/O."""
        return self.hook_class(self.conn_id)

    @property
    def conn_id(self) -> str:
        """The Airflow connection."""
        conn_id: str = getattr(self, self.hook_class.conn_name_attr)
        return conn_id


class WaitsForJob(ServiceTask):
    """
    What a task needs to wait for a job; the base of sensors, and of operators that start a job and wait.

    A subclass has :attr:`kind` and :attr:`hook_class`, ``poke_interval``, and says which job it waits for and how an
    unsuccessful end becomes an exception.
    """

    kind: JobKind[Any]
    timeout: int | float

    def job_id(self, context: Context) -> object:
        """Say which job is waited for."""
        raise NotImplementedError

    def failure(self, ending: Ending) -> BaseException:
        """Make the exception that ends the task."""
        raise NotImplementedError

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """End the task with what the trigger found."""
        return self.finish(Ending.from_event(event), context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Go on after deferring.

        Goes past ``BaseSensorOperator.resume_execution``, whose idea of ``soft_fail`` is wider than the poke loop's.
        When the trigger was lost or too late there is no event: one last look tells how things stand.
        """
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as e:
            lost = e
        return self.after_loss(lost, context)

    def after_loss(self, error: Exception, context: Context) -> Any:
        """
        Go on when the trigger was lost or too late.

        :param error: what Airflow says of it.
        :param context: the context of the running task.
        """
        return self.finish(self.last_look(error, context), context)

    def last_look(self, error: Exception, context: Context) -> Ending:
        """Look once more at the job, and say how the wait ends; parameters as of :meth:`after_loss`."""
        now, budget, settings = time.time(), self.timeout, WaitSettings()
        if isinstance(error, TaskDeferralTimeout):
            settings = WaitSettings(deadline=now)
            if self.execution_timeout is not None and self.execution_timeout.total_seconds() < budget:
                budget, settings = self.execution_timeout.total_seconds(), WaitSettings(execution_deadline=now)
        waiter = self.waiter(self.job_id(context), settings, Memory(began=now - budget))
        decision = self.look(waiter)
        self.hook.close()
        return decision.ending or Ending(
            Outcome.UNREACHABLE,
            f"Waiting for {self.kind.subject(waiter.job_id)} broke off: the trigger failed ({error}). The job goes on.",
        )

    def waiter(self, job_id: object, settings: WaitSettings, memory: Memory) -> Waiter[Any]:
        """Make the waiter that decides about the wait."""
        return Waiter(self.kind, job_id, self.conn_id, settings, memory)

    def look(self, waiter: Waiter[Any]) -> Decision:
        """Do the I/O that the waiter wants until it wants to sleep or is done."""
        decision = Decision()
        while True:
            try:
                if decision.reread:
                    decision = waiter.on_reread(self.hook.reread(), time.time())
                else:
                    decision = waiter.on_response(self.hook.fetch(waiter.call), time.time())
            except ApiError as e:
                decision = waiter.on_error(e, time.time())
            for note in decision.notes:
                self.log.log(note.level, note.text)
            if decision.ending:
                self.hook.close()
            if decision.ending or decision.sleep:
                return decision

    def defer_to(
        self, waiter: Waiter[Any], then: str = "execute_complete", *, cancel_on_kill: bool = False
    ) -> NoReturn:
        """
        Hand the wait over to the triggerer.

        :param waiter: the wait.
        :param then: the method that goes on afterwards.
        :param cancel_on_kill: let the trigger cancel the job when a user ends the task.
        """
        self.hook.close()
        settings, memory = waiter.settings, waiter.memory
        ends = [end for end in (settings.deadline, settings.execution_deadline) if end is not None]
        self.defer(
            trigger=JobTrigger.of(waiter, cancel_on_kill),
            method_name=then,
            timeout=timedelta(seconds=max(min(ends) - memory.began, 0) + BACKSTOP) if ends else None,
        )

    def finish(self, ending: Ending, context: Context) -> dict[str, Any]:
        """
        End the task: the one place where a wait becomes a result or an exception, in every mode.

        :return: the final status as JSON values; its ids are pushed as XComs of their own where they are not null.
        """
        if ending.outcome is not Outcome.SUCCEEDED:
            raise self.failure(ending)
        self.log.info(ending.message)
        result = ending.result or {}
        if self.do_xcom_push:
            for name in self.kind.ids:
                if result.get(name) is not None:
                    context["ti"].xcom_push(key=name, value=result[name])
        return result


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

    def failure(self, ending: Ending) -> BaseException:
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
        memory = Memory(time.time())
        if self.reschedule and not self.deferrable:
            if first := context["ti"].get_first_reschedule_date(context):
                memory.began = first.timestamp()
            store = self._store(context)
            stored = None if store is None else store.get(MEMORY_KEY)
            if isinstance(stored, dict) and stored.get("try") == _this_try(context):
                memory = Memory.from_json({**stored, "began": memory.began})
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


def seconds(value: timedelta | float | str, argument: str) -> float:
    """
    Take a length of time as it comes out of arguments and templates.

    :param value: seconds, also as text, or a timedelta.
    :param argument: the argument's name, for errors.
    :raises AirflowFailException: if it is no length of time.
    """
    try:
        number = value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise AirflowFailException(f"{argument} is {value!r}; it must be a number of seconds, or a timedelta.")
    return number


def _this_try(context: Context) -> list[int]:
    """Name the try: the store outlives retries and clears, the memory of a wait must not."""
    ti = context["ti"]
    return [ti.max_tries, ti.try_number]
