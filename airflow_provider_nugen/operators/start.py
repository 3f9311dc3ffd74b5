"""Starting a job and waiting for it: how the task waits, ends, and cancels what it has started."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.job import CANCELLED, FAILED, JobKind
from airflow_provider_nugen.arguments import check_flags, job_ids, seconds
from airflow_provider_nugen.compat import AirflowTaskTimeout
from airflow_provider_nugen.exceptions import JOB_ERRORS, ProviderError, wait_error
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.operators.base import ServiceOperator
from airflow_provider_nugen.operators.identity import JobRecord, TaskIdentity
from airflow_provider_nugen.tasks import WaitsForJob
from airflow_provider_nugen.ui import Color
from airflow_provider_nugen.waiting.result import Outcome, WaitResult

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_nugen.waiting.state import WaitSettings

#: How long an operator waits for a job unless told otherwise, in seconds: as long as a sensor does.
DEFAULT_TIMEOUT = timedelta(days=7)
OnClear = Literal["new", "adopt"]
OnChangedInputs = Literal["fail", "new"]


class StartOperator(WaitsForJob, ServiceOperator):
    """
    Starts a job, and can wait for it; the base of all operators whose job costs money.

    With ``wait_for_completion`` the task ends as the matching sensor does, but a job that failed or was stopped, and a
    ``timeout``, are retryable errors: a retry after a failed job buys a new one, any other retry continues with the job
    that runs.

    :param wait_for_completion: wait until the job is done; ``return_value`` is then its final status.
    :param deferrable: wait in the triggerer, without holding a worker.
    :param poke_interval: seconds between two polls; may be a template.
    :param use_eta: poll less often while the service says that the job takes long.
    :param report_progress: while the task is deferred its XCom ``progress`` says how far the job is, as of the sensors.
    :param timeout: seconds to wait at the most.
    :param cancel_on_kill: cancel the job when a user ends the task while it waits. While deferred that needs Airflow
        3.3. Nugen cannot cancel: there the log says that the job continues.
    :param cancel_on_timeout: cancel the job when ``timeout`` or ``execution_timeout`` is over.
    :param on_clear: what becomes of the job that the task started before it was cleared, if it still runs: ``"new"``
        names it at WARNING, cancels it where the service can, and starts another one; ``"adopt"`` continues with it.
        From Airflow 3.4 on the task state that a user keeps when clearing is always continued with.
    :param on_changed_inputs: what a retry does when the inputs are others than those that an earlier try submitted
        (Airflow 3.3 and later): ``"fail"``, or start a ``"new"`` job.
    :raises ValueError: if one of these is wrong; at parse time unless it is a template.
    """

    ui_color = Color.STARTING.value

    #: A job that was just started may take a moment to be visible: seconds before each lookup of it. Nothing is
    #: concluded from its absence before all of them are over: a minute.
    lookup_delays: Sequence[float] = (0.0, 2.0, 5.0, 8.0, 10.0, 15.0, 22.0)

    def __init__(
        self,
        *,
        wait_for_completion: bool = False,
        deferrable: bool = True,
        poke_interval: timedelta | float | str | XComArg = 60,
        use_eta: bool = True,
        report_progress: bool = False,
        timeout: timedelta | float = DEFAULT_TIMEOUT,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = False,
        on_clear: OnClear = "new",
        on_changed_inputs: OnChangedInputs = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_flags(
            wait_for_completion=wait_for_completion,
            deferrable=deferrable,
            use_eta=use_eta,
            report_progress=report_progress,
            cancel_on_kill=cancel_on_kill,
            cancel_on_timeout=cancel_on_timeout,
        )
        if on_clear not in get_args(OnClear):
            raise ValueError(f"on_clear must be 'new' or 'adopt', not {on_clear!r}")
        if on_changed_inputs not in get_args(OnChangedInputs):
            raise ValueError(f"on_changed_inputs must be 'fail' or 'new', not {on_changed_inputs!r}")
        if isinstance(poke_interval, (int, float, timedelta)):
            seconds(poke_interval, "poke_interval")
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poke_interval = poke_interval
        self.use_eta = use_eta
        self.report_progress = report_progress
        self.timeout = seconds(timeout, "timeout")
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.on_clear = on_clear
        self.on_changed_inputs = on_changed_inputs
        #: What cancels the job when the task is killed; made ready before, since a signal handler cannot ask Airflow
        #: for a connection.
        self._cancel_target: tuple[ServiceHook, JobKind[Any], list[str]] | None = None
        self._killed = False
        self._job_id: str | list[str] | None = None

    # What a subclass adds.

    def start(self, context: Context) -> str:
        """
        Start the job, unless an earlier try has started it already.

        :return: its id.
        :raises ProviderError: in its final form if running the task again cannot help, or could pay twice.
        """
        raise NotImplementedError

    def extra_xcoms(self) -> dict[str, Any]:
        """Return what is pushed beside the job's id."""
        return {}

    def start_all(self, context: Context) -> str | list[str]:
        """
        Start the job, or all jobs of a list; see :meth:`start`.

        :return: its id; for a list of jobs the list of their ids.
        """
        return self.start(context)

    @property
    def is_many(self) -> bool:
        """Whether the arguments, rendered, are those of a list of jobs."""
        return False

    @property
    def id_key(self) -> str:
        """The XCom that the job's id is pushed as; that of several jobs holds their list."""
        return f"{self.kind.id_name}s" if self.is_many else self.kind.id_name

    def execute(self, context: Context) -> Any:
        """Start the job or adopt it, push its id, and wait for it if so told."""
        job_id = self.start_all(context)
        ids = self.push_xcoms(context, {self.id_key: job_id, **self.extra_xcoms()})
        return self.wait(context, job_id) if self.wait_for_completion else ids

    def job_record(self, context: Context, item: int | None = None) -> JobRecord:
        """
        Read what is known of the job of this task.

        :param context: the context of the running task.
        :param item: which of several jobs, from 0; ``None`` for a task of one job.
        """
        return JobRecord(TaskIdentity(context, item), context, adopt=self.on_clear == "adopt")

    def arguments_text(self) -> str:
        """Return the rendered arguments as text that is equal for equal arguments."""
        names = (name for name in self.template_fields if name not in (self.hook_class.conn_name_attr, "poke_interval"))
        return json.dumps({name: _plain(getattr(self, name)) for name in names}, sort_keys=True)

    # Waiting.

    def job_id(self, context: Context) -> object:
        """Return the job that is waited for; after deferring, the one that was pushed before."""
        ti = context["ti"]
        if self._job_id is not None:
            return self._job_id
        return ti.xcom_pull(task_ids=ti.task_id, key=self.id_key, map_indexes=ti.map_index)

    def wait(
        self,
        context: Context,
        job_id: str | list[str],
        kind: JobKind[Any] | None = None,
        method_name: str = "execute_complete",
    ) -> Any:
        """
        Wait for the job, here or in the triggerer.

        :param context: the context of the running task.
        :param job_id: the job, or a list of jobs.
        :param kind: the kind of job, if not :attr:`kind`.
        :param method_name: the method that continues afterwards, if it waits in the triggerer.
        """
        self._job_id = job_id
        kind, now = kind or self.kind, time.time()
        stored: dict[str, Any] = {"began": now}
        if isinstance(job_id, str):
            stored["status"] = self.job_record(context).status
        else:
            stored["jobs"] = [{"status": self.job_record(context, item).status} for item in range(len(job_id))]
        wait = self.begin(kind, job_id, self.wait_settings(now), stored)
        self._get_ready_to_kill(kind, *([job_id] if isinstance(job_id, str) else job_id))
        if self._killed:
            self.on_kill()  # was called before there was a job to cancel
        with self.session():
            if not self.deferrable:
                return self.finish(kind, self.wait_here(wait), context)
            result = self.poke_before_deferring(wait)
            if result is None and self._killed:
                result = self.wait_here(wait)
            if result is not None:
                return self.finish(kind, result, context)
            # Also with do_xcom_push=False, which is about results: whoever resumes or cancels the wait needs the id.
            context["ti"].xcom_push(key=f"{kind.id_name}s" if wait.is_many else kind.id_name, value=job_id)
            # From here on the wait continues in the triggerer, and what ends the task there cancels the job there.
            self._cancel_target = None
            self.defer_to(wait, method_name, cancel_on_kill=self.cancel_on_kill)

    def wait_settings(self, began: float) -> WaitSettings:
        """
        Return what the arguments say about a wait.

        :param began: when it began, in epoch seconds.
        """
        from airflow_provider_nugen.waiting.state import WaitSettings

        return WaitSettings(
            poke_interval=seconds(self.poke_interval, "poke_interval"),  # type: ignore[arg-type]  # rendered by now
            use_eta=self.use_eta,
            report_progress=self.report_progress,
            deadline=began + self.timeout,
            execution_deadline=began + self.execution_timeout.total_seconds()
            if self.deferrable and self.execution_timeout
            else None,
        )

    def finish(self, kind: JobKind[Any], result: WaitResult, context: Context) -> Any:
        """End the task. A retry polls the job to see whether to continue with it."""
        self._cancel_target = None
        if result.outcome in (Outcome.TIMEOUT, Outcome.EXECUTION_TIMEOUT) and self.cancel_on_timeout:
            self._cancel(self.hook, kind, self._not_over(kind, result, context))
        if result.outcome is not Outcome.SUCCEEDED:
            many = isinstance(result.result, list)
            statuses: list[Any] = result.result if isinstance(result.result, list) else [result.result]
            for item, status in enumerate(statuses):
                if isinstance(status, dict):
                    has_failed = status.get("state") in (FAILED, CANCELLED)
                    self.job_record(context, item if many else None).record_status(
                        str(status.get("status")), has_failed=has_failed
                    )
        return super().finish(kind, result, context)

    def _not_over(self, kind: JobKind[Any], result: WaitResult, context: Context) -> list[str]:
        """Return the jobs whose end the wait has not seen."""
        ids = job_ids(self.job_id(context), kind.id_name)
        if isinstance(ids, str):
            return [ids]
        statuses = result.result if isinstance(result.result, list) else [None] * len(ids)
        return [job_id for job_id, status in zip(ids, statuses, strict=True) if status is None]

    def failure(self, kind: JobKind[Any], result: WaitResult, job_id: str | list[str]) -> BaseException:
        """Return the exception that ends the task: retryable unless the service refuses the question."""
        if result.outcome is Outcome.EXECUTION_TIMEOUT:
            return AirflowTaskTimeout(result.message)
        return wait_error(JOB_ERRORS[result.outcome], result, kind.service.name, self.conn_id, job_id)

    # Cancelling.

    def _get_ready_to_kill(self, kind: JobKind[Any], *ids: str) -> None:
        hook = self.hook_class(self.conn_id)
        try:
            hook.settings  # noqa: B018  # read now, while Airflow can be asked
        except ApiError:
            return  # the wait itself will say so
        self._cancel_target = hook, kind, list(ids)

    def on_kill(self) -> None:
        """Cancel the job that is waited for, if so told and the service can; send nothing more that starts one."""
        self._killed = True
        if self._cancel_target is None:
            return
        target, self._cancel_target = self._cancel_target, None
        # Airflow calls this also when ``execution_timeout`` is over.
        timed_out = isinstance(sys.exception(), AirflowTaskTimeout)
        if self.cancel_on_timeout if timed_out else self.cancel_on_kill:
            self._cancel(*target)

    def _cancel(self, hook: ServiceHook, kind: JobKind[Any], ids: list[str]) -> None:
        for job_id in ids:
            subject = kind.subject(job_id)
            if kind.cancel is None:
                self.log.warning("%s cannot cancel: %s continues, and may be billed.", kind.service.name, subject)
                continue
            try:
                with hook:
                    hook.request(kind.cancel.call(**{kind.id_name: job_id}))
            except ApiError as e:
                self.log.error("%s could not be cancelled, and may continue: %s", subject, e)
            else:
                self.log.info("Cancelled %s.", subject)

    def failed(self, error: ApiError) -> ProviderError:
        """Build the exception that ends the task; what a killed task did not send, a retry may send."""
        if isinstance(error, TaskKilledError):
            return ProviderError(str(error), service=self.hook_class.service.name, conn_id=self.conn_id)
        return super().failed(error)

    def check_not_killed(self) -> None:
        """
        Check that nobody has ended the task; to be called right before a request that costs money.

        :raises TaskKilledError: if somebody has.
        """
        if self._killed:
            raise TaskKilledError("the task was ended before this was sent, so it was not sent.")


class TaskKilledError(ApiError):
    """The task was ended before a request was sent."""


def _plain(value: Any) -> Any:
    """Return rendered arguments as JSON values; what JSON does not have becomes text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
