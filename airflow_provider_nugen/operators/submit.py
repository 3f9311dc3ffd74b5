"""Submitting a job that costs money: once per try and its retries, as far as the service lets it be known."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Self

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.api.errors import ApiError, InvalidInputError, NotFoundError
from airflow_provider_nugen.api.job import JobStatus
from airflow_provider_nugen.api.submission import (
    GuardedCall,
    JobList,
    JobMatch,
    ListCall,
    ListedJob,
    ListReader,
    Sent,
    Submission,
    is_alike,
    match_job,
    same_inputs_key,
)
from airflow_provider_nugen.exceptions import PossibleDuplicateJobError, ProviderError, ServiceUnreachableError, final
from airflow_provider_nugen.metrics import WORKER
from airflow_provider_nugen.operators.base import invalid
from airflow_provider_nugen.operators.identity import JobRecord, TaskIdentity
from airflow_provider_nugen.operators.start import StartOperator
from airflow_provider_nugen.tasks import seconds

if TYPE_CHECKING:
    from airflow.sdk import Context

#: A job is listed within this many seconds after the request for it, or does not exist.
VISIBLE_AFTER = 60.0


@dataclass
class Attempt:
    """
    One try to start a job.

    :param one: the operator with the arguments of this one job.
    :param identity: the task.
    :param record: what is known of its job.
    :param inputs: what is submitted, by the names of the endpoint's fields.
    :param inputs_text: the rendered arguments, as text that is equal for equal arguments.
    :param generated: the job's name is generated.
    :param siblings: the jobs of the same task for its other items: none of them is this one's.
    """

    one: SubmitOperator
    identity: TaskIdentity
    record: JobRecord
    inputs: dict[str, Any]
    inputs_text: str
    generated: bool
    siblings: Sequence[str] = ()

    @property
    def has_changed(self) -> bool:
        """The arguments are others than those that an earlier try submitted."""
        return self.record.has_changed(self.inputs_text)


class SubmitOperator(StartOperator):
    """
    Submits a job that has an id of its own; the base of all operators whose job must not be paid twice.

    One job per try and its retries: when an earlier try, or a request whose answer got lost, may have started a job,
    the operator searches for that job and adopts it. It adopts by the id that it stored (Airflow 3.3 and later), or by
    the name that it generated; where jobs have no names, by all that was submitted together with the time of creation
    (3.3 and later, or within one try). A job that failed or was cancelled is never adopted. If it is not certain which
    job is the task's own, the task fails and lists the candidates.

    Before Airflow 3.3 a retry does not know whether an earlier try sent anything, so it always searches first.
    """

    submission: Submission[Any]
    #: The arguments that may be lists of values, for as many jobs; that of the value is a list itself for those in
    #: :attr:`list_values`.
    item_arguments: ClassVar[Sequence[str]] = ()
    list_values: ClassVar[Collection[str]] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = self.submission.kind

    # What a subclass adds.

    def inputs(self) -> dict[str, Any]:
        """Return what is submitted, by the names of the endpoint's fields; checked, and able to be sent."""
        raise NotImplementedError

    def uploads(self) -> Sequence[Upload]:
        """Return the files that are sent with it, checked."""
        return ()

    def check_before_paying(self) -> None:
        """Check what only the service knows, right before something is sent that costs money."""

    # Starting.

    @property
    def is_many(self) -> bool:
        """Whether one of the arguments is a list of values, for as many jobs."""
        return bool(self._lists())

    def _lists(self) -> dict[str, Sequence[Any]]:
        """Return the arguments that have a value for each of several jobs."""
        values = {name: getattr(self, name) for name in self.item_arguments}
        return {
            name: value
            for name, value in values.items()
            if _is_list(value) and (name not in self.list_values or any(map(_is_list, value)))
        }

    def items(self) -> list[Self]:
        """
        Return the operator once for each of several jobs, with the arguments of that job.

        :raises InvalidArgumentError: if two lists are not of the same length.
        """
        lists = self._lists()
        lengths = {name: len(values) for name, values in lists.items()}
        if len(set(lengths.values())) > 1:
            raise invalid(f"The lists {lengths} must have the same length: a value for each job.")
        items = [self.prepare_for_execution() for _ in range(max(lengths.values(), default=0))]
        for name, values in lists.items():
            for item, value in zip(items, values, strict=True):
                setattr(item, name, value)
        return items

    def start(self, context: Context) -> str:
        """Start the job, unless an earlier try has started it already; see :meth:`.StartOperator.start`."""
        # Wrong, it would end a wait for what is paid for by then.
        seconds(self.poke_interval, "poke_interval")  # type: ignore[arg-type]  # rendered by now
        try:
            with self.session():
                return self._start(self._attempt(context, self))
        except ApiError as e:
            raise self.failed(e) from None

    def start_all(self, context: Context) -> str | list[str]:
        """Start the job, or one job of a list after the other until one cannot be started."""
        if not self.is_many:
            return self.start(context)
        seconds(self.poke_interval, "poke_interval")  # type: ignore[arg-type]  # rendered by now
        try:
            with self.session():
                return self._start_many(context)
        except ApiError as e:
            raise self.failed(e) from None

    def _start_many(self, context: Context) -> list[str]:
        # All arguments are checked before anything is paid.
        attempts = [self._attempt(context, one, item) for item, one in enumerate(self.items())]
        ids: list[str] = []
        for item, attempt in enumerate(attempts):
            later = [other.record.job_id for other in attempts[item + 1 :]]
            attempt.siblings = [*ids, *filter(None, later)]
            try:
                ids.append(self._start(attempt))
            except (ApiError, ProviderError):
                self.log.warning(
                    "Item %d of %d could not be started. Started before it: %s. They continue; a retry continues with "
                    "them on Airflow 3.3 and later.",
                    item,
                    len(attempts),
                    ", ".join(map(repr, ids)) or "none",
                )
                raise
        return ids

    def _attempt(self, context: Context, one: SubmitOperator, item: int | None = None) -> Attempt:
        identity, record, inputs = TaskIdentity(context, item), self.job_record(context, item), one.inputs()
        name = self.submission.name
        generated = name is not None and inputs.get(name) is None
        if name is not None and generated:
            inputs[name] = identity.name(record.key)[: self.submission.max_name]
        try:
            same_inputs_key(inputs)  # can be sent
            return Attempt(one, identity, record, inputs, one.arguments_text(), generated)
        except (TypeError, ValueError) as e:
            raise invalid(f"The arguments of {self.task_id!r} cannot be sent as JSON: {e}.") from None

    def _start(self, attempt: Attempt) -> str:
        record = attempt.record
        if record.job_id is not None and (adopted := self._adopt_recorded(attempt, record.job_id)):
            return adopted
        if record.may_have_sent and (found := self._find_and_adopt(attempt)):
            return found
        uploads = [replace(upload, open=_opened_later(upload)) for upload in attempt.one.uploads()]
        call = self.submission.create.upload(uploads, **attempt.inputs)
        attempt.one.check_before_paying()
        self._deal_with_earlier_jobs(attempt)
        listed, now = (None, None) if attempt.generated else self._list_before_sending(attempt)
        read_at = time.time()

        def record_sending() -> None:
            record.record_sending(attempt.inputs_text, listed, None if now is None else now + time.time() - read_at)

        def before_sending() -> None:
            # Pauses between two attempts can be long, and the last of them may be the one that arrives.
            self.check_not_killed()
            record_sending()

        try:
            answer = self.hook.request(GuardedCall.of(call, before_sending))
            job_id = self.submission.created_id(answer, attempt.inputs)
        except ApiError as e:
            if not e.maybe_processed:
                record.record_not_sent()
                raise
            record_sending()  # it was under way until now
            self.log.warning("It is not known whether the service acted on the request: %s", e)
            if found := self._find_and_adopt(attempt, in_this_try=True):
                return found
            raise ServiceUnreachableError(
                f"{e} No {self.kind.label} of this task is listed, so the service probably did not act on the request. "
                "A retry searches again before it starts one.",
                service=self.kind.service.name,
                conn_id=self.conn_id,
            ) from None
        self.log.info("Started %s.", self.kind.subject(job_id))
        record.record_started(job_id)
        return job_id

    # Continue with the job of an earlier try.

    def _adopt_recorded(self, attempt: Attempt, job_id: str) -> str | None:
        """Return the job that an earlier try started, unless it ended without success."""
        subject, record = self.kind.subject(job_id), attempt.record
        try:
            job_status = self.kind.read_status(self.hook.read_status(self.kind, job_id), record.status)
        except NotFoundError as e:
            # A fresh id is not visible everywhere at once, so this need not mean that the job is gone.
            raise ServiceUnreachableError(
                f"{e} An earlier try started {subject}. A retry polls it again; if it is gone for good, clear the task "
                "to start another one.",
                service=self.kind.service.name,
                conn_id=self.conn_id,
                job_id=job_id,
            ) from None
        same_word = (record.status or "").upper() == job_status.status.upper()
        if job_status.is_terminal_failure or (record.has_failed and same_word and not job_status.needs_action):
            self.log.info("%s of an earlier try is %s: starting another.", subject, job_status.status)
            record.record_ended()
            return None
        if attempt.has_changed:
            self._start_despite(attempt, job_id, job_status.status, is_running=self.kind.is_live(job_status))
            return None
        self.log.info("Continuing with %s of an earlier try (%s).", subject, job_status.status)
        WORKER.adopted(self.kind)
        return job_id

    def _start_despite(self, attempt: Attempt, job_id: str, status: str, *, is_running: bool) -> None:
        """
        Deal with a job that an earlier try started with other inputs.

        :raises PossibleDuplicateJobError: unless ``on_changed_inputs`` says that another one is to be started.
        """
        subject = self.kind.subject(job_id)
        if self.on_changed_inputs == "fail":
            raise self._duplicate(
                f"An earlier try started {subject} ({status}) with other inputs than those of today: which of them are "
                "right is not known, so none is started. Clear the task to start a new one, or set "
                "on_changed_inputs='new'.",
                job_id,
            )
        self.log.warning("%s (%s) was started with other inputs. Another one is started now.", subject, status)
        if is_running:
            self._cancel_earlier(job_id)
        attempt.record.record_started(job_id)
        attempt.record.record_ended()

    def _find_and_adopt(self, attempt: Attempt, in_this_try: bool = False) -> str | None:
        """
        Search for the job that may have been started already, until it is found or would be visible if it existed.

        :param attempt: the try.
        :param in_this_try: it was this try that has just sent the request.
        :raises PossibleDuplicateJobError: if it is not certain which job is the task's own, or whether there is one.
        """
        label, record = self.kind.label, attempt.record
        doubt = "An earlier request of this task may have been acted on"
        changed = attempt.has_changed and not in_this_try
        match, jobs = JobMatch(), JobList()
        for delay in self.lookup_delays:
            time.sleep(delay)
            jobs = self._list(
                attempt.inputs,
                f"{doubt}, and {self.kind.service.name} has no list to search for its {label}: search for it yourself, "
                f"and {self._how_to_start_anew(attempt)} if there is none.",
            )
            match = self._match(attempt, jobs, {} if changed else attempt.inputs)
            if match.by_name or record.seconds_since_sent(jobs.now) > VISIBLE_AFTER:
                break
        if match.job_id is not None:
            if changed:
                (job,) = (job for job in jobs.jobs if job.job_id == match.job_id)
                is_running = self.kind.is_live(job.read_status(self.kind))
                self._start_despite(attempt, job.job_id, job.status, is_running=is_running)
                return None
            self.log.info("Found %s, which an earlier request of this task started.", self.kind.subject(match.job_id))
            WORKER.adopted(self.kind)
            record.record_started(match.job_id)
            return match.job_id
        if match.candidates or match.doubt:
            candidates = ", ".join(map(str, match.candidates)) or "none of those that are listed"
            raise self._duplicate(
                f"{doubt}. Its {label} may be one of these: {candidates}."
                + (f" The list need not be complete: {match.doubt}." if match.doubt else "")
                + " It is not certain, so none is adopted and none is started. If one of them is this task's, continue "
                f"with its id; if none is, {self._how_to_start_anew(attempt)} to start a new {label}.",
                *(job.job_id for job in match.candidates),
            )
        return None

    def _match(self, attempt: Attempt, jobs: JobList, inputs: Mapping[str, Any], sent: Sent | None = None) -> JobMatch:
        record, begin = attempt.record, attempt.record.run_started
        if begin is not None and jobs.now is not None:
            # The worker's clock is close to Airflow's, so this is what the service's said; rather too early.
            begin = min(begin, begin + jobs.now - time.time())
        return match_job(
            self.submission,
            jobs,
            inputs,
            name_key=record.name_key if attempt.generated else None,
            kin_key=record.kin_key,
            sent=sent or record.sent,
            not_before=begin,
            previous_job_ids=[*record.previous_job_ids, *attempt.siblings],
            kind=self.kind,
        )

    @staticmethod
    def _how_to_start_anew(attempt: Attempt) -> str:
        """Return what a user can do who knows that there is no job; without a store a clear is like a retry."""
        if attempt.record.kin_key is not None:
            return "set on_clear='new'"
        return "clear the task" if attempt.record.has_store or attempt.generated else "trigger a new run"

    def _duplicate(self, message: str, *job_ids: str) -> ProviderError:
        return final(PossibleDuplicateJobError)(
            message,
            service=self.kind.service.name,
            conn_id=self.conn_id,
            job_id=job_ids[0] if len(job_ids) == 1 else None,
        )

    # Lists.

    def _list(self, inputs: Mapping[str, Any], no_list: str = "There is no list.") -> JobList:
        """
        Read the whole list of jobs of this kind.

        :param inputs: what is submitted; some of it narrows the list.
        :param no_list: the message of the error if there is no list.
        :raises PossibleDuplicateJobError: if there is no list.
        """
        submission, reader = self.submission, ListReader(self.submission)
        if submission.listing is None:
            raise self._duplicate(no_list)
        filters = {name: inputs[field] for field, name in submission.filters.items()}
        while reader.next_offset is not None:
            page = {"limit": submission.page, "offset": reader.next_offset} if submission.page else {}
            try:
                reader.add(self.hook.request(ListCall.of(submission.listing.call(**filters, **page))))
            except InvalidInputError:
                raise self._duplicate(no_list) from None  # not in this revision of the API
        return reader.result()

    def _list_before_sending(self, attempt: Attempt) -> tuple[list[str] | None, float | None]:
        """Return the ids of the jobs like this one that are listed, and the service's clock, where they are known."""
        if self.submission.listing is None:
            return None, None
        try:
            jobs = self._list(attempt.inputs)
        except (ApiError, ProviderError) as e:
            self.log.debug("What is listed before the request is not known: %s", e)
            return None, None
        return [job.job_id for job in jobs.jobs if is_alike(self.submission, job, attempt.inputs)], jobs.now

    # Clearing.

    def _deal_with_earlier_jobs(self, attempt: Attempt) -> None:
        """Name the jobs that this task started before it was cleared, and cancel those that run, where that works."""
        record = attempt.record
        if not (record.starts_anew or (record.is_empty and not attempt.identity.is_first_try)):
            return
        old: dict[str, JobStatus] = {}
        certain = set(record.previous_job_ids)
        try:
            for job_id in record.previous_job_ids:
                old[job_id] = self.kind.read_status(self.hook.read_status(self.kind, job_id))
            if not old or record.sent_before_clear is not None:
                for job in self._listed_before_clear(attempt):
                    old[job.job_id] = job.read_status(self.kind)
                    if attempt.generated and attempt.identity.task_key in (job.name or "").lower():
                        certain.add(job.job_id)
        except (ApiError, ProviderError) as e:
            self.log.warning("What became of what this task started before it was cleared is not known: %s", e)
        for job_id, job_status in old.items():
            is_running = self.kind.is_live(job_status)
            self.log.warning(
                "Before it was cleared this task %s %s: %s%s. It starts another one now.",
                "started" if job_id in certain else "may have started",
                self.kind.subject(job_id),
                job_status.status,
                ", so it continues and may be billed"
                if is_running and (self.kind.cancel is None or job_id not in certain)
                else "",
            )
            # What is merely like the task's own job may be somebody else's.
            if is_running and job_id in certain:
                self._cancel_earlier(job_id)
        if not old and not (attempt.generated or record.has_store):
            self.log.warning(
                "This task was tried before, and starts a new %s. Airflow keeps no memory of one that it may have "
                "started before it was cleared (3.3 and later do): if there is one, it continues.",
                self.kind.label,
            )

    def _listed_before_clear(self, attempt: Attempt) -> list[ListedJob]:
        """Search the list for jobs that this task started, or may have started, before it was cleared."""
        record, identity, sent = attempt.record, attempt.identity, attempt.record.sent_before_clear
        if not attempt.generated and sent is None:
            return []
        jobs = self._list(attempt.inputs)
        if attempt.generated:
            key = identity.kin_key if identity.run_was_cleared else identity.task_key
            return [job for job in jobs.jobs if key in (name := (job.name or "").lower()) and record.key not in name]
        match = self._match(attempt, jobs, attempt.inputs, sent)
        found = {match.job_id, *(job.job_id for job in match.candidates)}
        return [job for job in jobs.jobs if job.job_id in found]

    def _cancel_earlier(self, job_id: str) -> None:
        """
        Cancel a job before another one takes its place, where the service can.

        :raises ServiceUnreachableError: if it may be cancelled later: a retry tries again.
        """
        if self.kind.cancel is None:
            return
        try:
            self.hook.request(self.kind.cancel.call(**{self.kind.id_name: job_id}))
        except ApiError as e:
            if e.transient:
                raise self.failed(e) from None
            self.log.error("%s could not be cancelled, and may continue: %s", self.kind.subject(job_id), e)
        else:
            self.log.warning("Cancelled %s.", self.kind.subject(job_id))


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _opened_later(upload: Upload) -> Any:
    """Return what opens a file when it is sent; one that has vanished is an error of the argument."""

    def open_file() -> BinaryIO:
        try:
            return upload.open()
        except OSError as e:
            raise InvalidInputError(f"the file {upload.name!r} cannot be read any more: {e}.") from None

    return open_file
