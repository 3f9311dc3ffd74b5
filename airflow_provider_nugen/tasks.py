"""A task that talks to a service, and a task that waits for a job."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator

from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.compat import (
    AirflowFailException,
    TaskDeferralError,
    TaskDeferralTimeout,
)
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.triggers.job import JobTrigger
from airflow_provider_nugen.waiting.result import Decision, Outcome, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.waiter import Waiter

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Airflow's own time-out, of a trigger and of the poke loop, comes so many seconds after our deadline, where the last
#: look is due: it is only the backstop for a deadline that falls while no triggerer runs.
BACKSTOP = 60.0


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

    def failure(self, ending: WaitResult) -> BaseException:
        """Make the exception that ends the task."""
        raise NotImplementedError

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """End the task with what the trigger found."""
        return self.finish(WaitResult.from_event(event), context)

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
        return self.on_trigger_failure(lost, context)

    def on_trigger_failure(self, error: Exception, context: Context) -> Any:
        """
        Go on when the trigger was lost or too late.

        :param error: what Airflow says of it.
        :param context: the context of the running task.
        """
        return self.finish(self.final_poll(error, context), context)

    def final_poll(self, error: Exception, context: Context) -> WaitResult:
        """Look once more at the job, and say how the wait ends; parameters as of :meth:`on_trigger_failure`."""
        now, budget, settings = time.time(), self.timeout, WaitSettings()
        if isinstance(error, TaskDeferralTimeout):
            settings = WaitSettings(deadline=now)
            if self.execution_timeout is not None and self.execution_timeout.total_seconds() < budget:
                budget, settings = self.execution_timeout.total_seconds(), WaitSettings(execution_deadline=now)
        waiter = self.waiter(self.job_id(context), settings, WaitState(began=now - budget))
        decision = self.look(waiter)
        self.hook.close()
        return decision.ending or WaitResult(
            Outcome.UNREACHABLE,
            f"Waiting for {self.kind.subject(waiter.job_id)} broke off: the trigger failed ({error}). The job goes on.",
        )

    def waiter(self, job_id: object, settings: WaitSettings, memory: WaitState) -> Waiter[Any]:
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
        self, waiter: Waiter[Any], method_name: str = "execute_complete", *, cancel_on_kill: bool = False
    ) -> NoReturn:
        """
        Hand the wait over to the triggerer.

        :param waiter: the wait.
        :param method_name: the method that goes on afterwards.
        :param cancel_on_kill: let the trigger cancel the job when a user ends the task.
        """
        self.hook.close()
        settings, memory = waiter.settings, waiter.memory
        ends = [end for end in (settings.deadline, settings.execution_deadline) if end is not None]
        self.defer(
            trigger=JobTrigger.of(waiter, cancel_on_kill),
            method_name=method_name,
            timeout=timedelta(seconds=max(min(ends) - memory.began, 0) + BACKSTOP) if ends else None,
        )

    def finish(self, ending: WaitResult, context: Context) -> dict[str, Any]:
        """
        End the task: the one place where a wait becomes a result or an exception, in every mode.

        :return: the final status as JSON values; its ids are pushed as XComs of their own where they are not null.
        """
        if ending.outcome is not Outcome.SUCCEEDED:
            raise self.failure(ending)
        self.log.info(ending.message)
        result = ending.result or {}
        if self.do_xcom_push:
            for name in self.kind.xcom_keys:
                if result.get(name) is not None:
                    context["ti"].xcom_push(key=name, value=result[name])
        return result


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
