"""Starting a job that costs money: once per attempt of a task instance, as far as the service allows."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.api.errors import ApiError, NotFoundError
from airflow_provider_nugen.api.job import RUNNING, JobKind, JobStatus
from airflow_provider_nugen.api.submission import Choice, ListedJob, Submission, match_job
from airflow_provider_nugen.compat import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow_provider_nugen.exceptions import (
    JobCancelledError,
    JobFailedError,
    JobTimeoutError,
    ProviderError,
    RequestRejectedError,
    ServiceUnreachableError,
    final,
    wait_error,
)
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.operators.attempt import Attempt
from airflow_provider_nugen.operators.base import ServiceOperator
from airflow_provider_nugen.tasks import WaitsForJob, seconds
from airflow_provider_nugen.waiting.result import Outcome, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings

if TYPE_CHECKING:
    from airflow.sdk import Context

#: How a wait without success ends the task: all but one are retryable, since a retry can start another job.
_ERRORS: dict[Outcome, type[ProviderError]] = {
    Outcome.FAILED: JobFailedError,
    Outcome.CANCELLED: JobCancelledError,
    Outcome.REJECTED: final(RequestRejectedError),
    Outcome.UNREACHABLE: ServiceUnreachableError,
    Outcome.TIMEOUT: JobTimeoutError,
}
#: How long an operator waits for a job unless told otherwise, in seconds: as long as a sensor does.
DEFAULT_TIMEOUT = timedelta(days=7)


class StartOperator(WaitsForJob, ServiceOperator):
    """
    Starts a job, and can wait for it; the base of all operators whose job costs money.

    One job per attempt (a try with its retries): when a try before this one, or a request whose answer got lost, may
    have started a job, the operator looks for that job and adopts it. It adopts by the id that it stored (Airflow 3.3
    and later), or by the name that it generated; where jobs have no names, by all that was submitted together with
    the time of creation (3.3 and later). A job that failed or was cancelled is never adopted. If it is not certain
    which job is ours, the task fails and lists the candidates. Clearing the task starts a new job, and the log says
    what became of the old one.

    Before Airflow 3.3 a retry does not know whether the try before it sent anything, so it always looks first.

    With ``wait_for_completion`` the task ends as the matching sensor does, but a job that failed or was stopped, and a
    ``timeout``, are retryable errors: a retry after a failed job buys a new one, any other retry goes on with the job
    that runs.

    :param wait_for_completion: wait until the job is done; ``return_value`` is then its final status.
    :param deferrable: wait in the triggerer, without holding a worker.
    :param poke_interval: seconds between two looks; may be a template.
    :param use_eta: look less often while the service says that the job takes long.
    :param timeout: seconds to wait at the most.
    :param cancel_on_kill: cancel the job when a user ends the task while it waits. While deferred that needs Airflow
        3.3. Nugen cannot cancel: there the log says that the job goes on.
    :param cancel_on_timeout: cancel the job when ``timeout`` or ``execution_timeout`` is over.
    """

    submission: Submission[Any]
    #: A job that was just started may take a moment to be seen: seconds before each look for it.
    lookup_delays: Sequence[float] = (0.0, 2.0, 5.0)

    def __init__(
        self,
        *,
        wait_for_completion: bool = False,
        deferrable: bool = True,
        poke_interval: timedelta | float | str = 60,
        use_eta: bool = True,
        timeout: timedelta | float = DEFAULT_TIMEOUT,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poke_interval = poke_interval
        self.use_eta = use_eta
        self.timeout = seconds(timeout, "timeout")
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.kind = self.submission.kind
        #: What cancels the job when the task is killed; made ready before, since a signal handler cannot ask Airflow
        #: for a connection.
        self._cancel_target: tuple[ServiceHook, str] | None = None
        self._killed = False
        self._job_id: str | None = None

    # What a subclass says.

    def inputs(self) -> dict[str, Any]:
        """Say what is submitted, by the names of the endpoint's fields."""
        raise NotImplementedError

    def uploads(self) -> Sequence[Upload]:
        """Say which files go with it."""
        return ()

    def extra_xcoms(self) -> dict[str, Any]:
        """Say what is handed on beside the job's id."""
        return {}

    # Starting.

    def execute(self, context: Context) -> Any:
        """Start the job or adopt it, hand its id on, and wait for it if so told."""
        job_id = self.start(context)
        ids = self.push_xcoms(context, {self.kind.id_name: job_id, **self.extra_xcoms()})
        return self.wait(context, job_id) if self.wait_for_completion else ids

    def start(self, context: Context) -> str:
        """
        Start the job, unless this attempt has started it already.

        :return: its id.
        :raises AirflowFailException: if running the task again cannot help, or could pay twice.
        :raises AirflowException: if it can.
        """
        seconds(self.poke_interval, "poke_interval")  # wrong, it would end a wait for what is paid for by then
        try:
            return self._start(Attempt(context))
        except ApiError as e:
            raise self.failed(e) from None
        finally:
            self.hook.close()

    def _start(self, attempt: Attempt) -> str:
        inputs, generated_name = self.inputs(), None
        name = self.submission.name
        if name is not None and inputs.get(name) is None:
            inputs[name] = generated_name = attempt.name
        if attempt.job_id is not None and (adopted := self._adopt_stored(attempt, attempt.job_id)):
            return adopted
        if attempt.is_first_try and attempt.number > 0:
            self._report_old_jobs(attempt, inputs, named=generated_name is not None)
        if attempt.may_have_sent and (found := self._find(attempt, inputs, generated_name)):
            return found
        call = self.submission.create.upload(self.uploads(), **inputs)
        attempt.record_sending()
        try:
            job_id = self.submission.created_id(self.hook.request(call), inputs)
        except ApiError as e:
            if not e.maybe_processed:
                attempt.record_not_sent()
                raise
            self.log.warning("It is not known whether the service acted on the request: %s", e)
            if found := self._find(attempt, inputs, generated_name):
                return found
            raise AirflowException(
                f"{e} No {self.kind.label} of this task is listed, so the service probably did not act on the request. "
                "A retry looks again before it starts one."
            ) from None
        self.log.info("Started %s.", self.kind.subject(job_id))
        attempt.record_started(job_id)
        return job_id

    def _adopt_stored(self, attempt: Attempt, job_id: str) -> str | None:
        """Go on with the job that a try before this one started, unless it ended without success."""
        subject = self.kind.subject(job_id)
        try:
            reading = self.kind.reading(self.hook.request(self.kind.call(job_id)))
        except NotFoundError as e:
            # A fresh id is not visible everywhere at once, so this need not mean that the job is gone.
            raise AirflowException(
                f"{e} A try before this one started {subject}. A retry looks for it again; if it is gone for good, "
                "clear the task to start another one."
            ) from None
        if reading.is_terminal_failure:
            self.log.info("%s of the try before is %s: starting another.", subject, reading.status)
            attempt.record_ended()
            return None
        self.log.info("Going on with %s of the try before (%s).", subject, reading.status)
        return job_id

    def _find(self, attempt: Attempt, inputs: Mapping[str, Any], generated_name: str | None) -> str | None:
        """Look for the job that this attempt may have started already."""
        label, doubt = self.kind.label, "An earlier request of this task may have started"
        if self.submission.listing is None:
            raise AirflowFailException(
                f"{doubt} a {label}, and {self.kind.service.name} has no list to look for it: look for it yourself, "
                "and clear the task if there is none."
            )
        choice = Choice()
        for pause in self.lookup_delays:
            time.sleep(pause)
            choice = match_job(
                self.submission,
                self._list(inputs),
                inputs,
                generated_name=generated_name,
                submitted_at=attempt.submitted_at,
                not_before=attempt.not_before,
                previous_job_ids=attempt.previous_job_ids,
                kind=self.kind,
            )
            if choice.job_id or choice.candidates:
                break
        if choice.candidates:
            raise AirflowFailException(
                f"{doubt} one of these: {', '.join(map(str, choice.candidates))}. It is not certain which, so none is "
                "adopted and none is started. If one of them is this task's, go on with its id; if none is, clear the "
                f"task to start a new {label}."
            )
        if choice.job_id:
            self.log.info("Found %s, which an earlier request of this task started.", self.kind.subject(choice.job_id))
            attempt.record_started(choice.job_id)
        return choice.job_id

    def _list(self, inputs: Mapping[str, Any]) -> list[ListedJob]:
        submission, listed, offset = self.submission, dict[str, ListedJob](), 0
        if submission.listing is None:
            return []
        filters = {theirs: inputs[ours] for ours, theirs in submission.filters.items()}
        while True:
            page = {"limit": submission.page, "offset": offset} if submission.page else {}
            try:
                jobs = submission.listed(self.hook.request(submission.listing.call(**filters, **page)))
            except NotFoundError:
                if submission.target is None:
                    raise  # no list of jobs, so nobody knows that there is none
                jobs = []
            known = len(listed)
            listed |= {job.job_id: job for job in jobs}
            offset += len(jobs)
            # A service that takes no notice of the offset brings the same page for ever.
            if not submission.page or len(jobs) < submission.page or len(listed) == known:
                return list(listed.values())

    def _report_old_jobs(self, attempt: Attempt, inputs: Mapping[str, Any], named: bool) -> None:
        """Say what became of the jobs that this task started before it was cleared."""
        old: list[tuple[str, JobStatus]] = []
        try:
            for job_id in attempt.previous_job_ids:
                reading = self.kind.reading(self.hook.request(self.kind.call(job_id)))
                old.append((job_id, reading))
            if named and not old:
                old = [
                    (job.job_id, job.reading(self.kind))
                    for job in self._list(inputs)
                    if (job.name or "").startswith(attempt.name_prefix)
                ]
        except ApiError as e:
            self.log.warning("What became of what this task started before it was cleared is not known: %s", e)
        for job_id, reading in old:
            self.log.warning(
                "Before it was cleared this task started %s: %s%s. It starts another one now.",
                self.kind.subject(job_id),
                reading.status,
                ", so it goes on and may be billed" if reading.state is RUNNING else "",
            )
        if not old and not (named or attempt.has_memory):
            self.log.warning(
                "This task was cleared, and starts a new %s. Airflow keeps no memory of one that it may have started "
                "before (3.3 and later do): if there is one, it goes on.",
                self.kind.label,
            )

    # Waiting.

    def job_id(self, context: Context) -> object:
        """Say which job is waited for; after deferring, the one that was handed on before."""
        ti = context["ti"]
        return self._job_id or ti.xcom_pull(task_ids=ti.task_id, key=self.kind.id_name, map_indexes=ti.map_index)

    def wait(self, context: Context, job_id: str, method_name: str = "execute_complete") -> Any:
        """
        Wait for the job, here or in the triggerer.

        :param context: the context of the running task.
        :param job_id: the job.
        :param method_name: the method that goes on afterwards, if it waits in the triggerer.
        """
        self._job_id = job_id
        kind, now = self.kind, time.time()
        wait = self.begin(
            kind,
            job_id,
            WaitSettings(
                poke_interval=seconds(self.poke_interval, "poke_interval"),
                use_eta=self.use_eta,
                deadline=now + self.timeout,
                execution_deadline=now + self.execution_timeout.total_seconds()
                if self.deferrable and self.execution_timeout
                else None,
            ),
            {"began": now},
        )
        self._get_ready_to_kill(job_id)
        if self._killed:
            self.on_kill()  # was called before there was a job to cancel
        with self.session():
            if not self.deferrable:
                return self.finish(kind, self.wait_here(wait), context)
            if result := self.poke_before_deferring(wait):
                return self.finish(kind, result, context)
            # Also with do_xcom_push=False, which is about results: whoever resumes or cancels the wait needs the id.
            context["ti"].xcom_push(key=kind.id_name, value=job_id)
            self.defer_to(wait, method_name, cancel_on_kill=self.cancel_on_kill)

    def finish(self, kind: JobKind[Any], result: WaitResult, context: Context) -> Any:
        """End the task. A retry sees for itself whether there is a job to go on with."""
        self._cancel_target = None
        if result.outcome in (Outcome.TIMEOUT, Outcome.EXECUTION_TIMEOUT) and self.cancel_on_timeout:
            self._cancel(self.hook, str(self.job_id(context)))
        return super().finish(kind, result, context)

    def failure(self, kind: JobKind[Any], result: WaitResult, job_id: str | list[str]) -> BaseException:
        """Return the exception that ends the task: retryable unless the service refuses the question."""
        if result.outcome is Outcome.EXECUTION_TIMEOUT:
            return AirflowTaskTimeout(result.message)
        return wait_error(_ERRORS[result.outcome], result, kind.service.name, self.conn_id, job_id)

    # Cancelling.

    def _get_ready_to_kill(self, job_id: str) -> None:
        hook = self.hook_class(self.conn_id)
        try:
            hook.settings  # noqa: B018  # read now, while Airflow can be asked
        except ApiError:
            return  # the wait itself will say so
        self._cancel_target = hook, job_id

    def on_kill(self) -> None:
        """Cancel the job that is waited for, if so told and the service can."""
        self._killed = True
        if self._cancel_target is None:
            return
        (hook, job_id), self._cancel_target = self._cancel_target, None
        # Airflow calls this also when ``execution_timeout`` is over.
        timed_out = isinstance(sys.exception(), AirflowTaskTimeout)
        if self.cancel_on_timeout if timed_out else self.cancel_on_kill:
            self._cancel(hook, job_id)

    def _cancel(self, hook: ServiceHook, job_id: str) -> None:
        subject = self.kind.subject(job_id)
        if self.kind.cancel is None:
            self.log.warning("%s cannot cancel: %s goes on, and may be billed.", self.kind.service.name, subject)
            return
        try:
            hook.request(self.kind.cancel.call(**{self.kind.id_name: job_id}))
        except ApiError as e:
            self.log.error("%s could not be cancelled, and may go on: %s", subject, e)
        else:
            self.log.info("Cancelled %s.", subject)
