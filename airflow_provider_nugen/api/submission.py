"""
How a job is started, and found again: one declaration per kind of job that costs money.

Neither service has idempotency keys: a request that is sent twice makes a second, paid job. So an operator that does
not know whether its request arrived looks for its own job first. A :class:`Submission` says where to look and how to
tell it from others; :func:`match_job` decides, without I/O.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.job import JobKind, JobStatus

A = TypeVar("A")

#: The clocks of the service and of the workers may differ by so many seconds.
CLOCK_SKEW = 120.0


@dataclass(frozen=True)
class ListedJob:
    """
    A job as the service lists it.

    :param job_id: its id.
    :param status: its status word.
    :param created: when it was created.
    :param name: its name, if jobs of its kind have one.
    :param inputs: what it was created with; a value that is ``None`` is one that the list does not show.
    :param answer: the same as the answer to a look at the job, where the list shows as much; it can say more than the
        status word does.
    """

    job_id: str
    status: str
    created: datetime | None = None
    name: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    answer: Any = None

    def reading(self, kind: JobKind[Any]) -> JobStatus:
        """Say what the list tells of the job, for a kind of job."""
        return kind.status_from_word(self.status) if self.answer is None else kind.reading(self.answer)

    def __str__(self) -> str:
        return f"{self.job_id!r} ({self.status}, created {self.created or 'at an unknown time'})"


@dataclass(frozen=True)
class Submission(Generic[A]):
    """
    How a kind of job is started and found again.

    :param kind: the kind of job.
    :param create: the endpoint that starts it.
    :param created_id: takes the job's id from the answer and what was submitted.
    :param listing: the endpoint that lists jobs of this kind, where there is one.
    :param listed: turns the answer of the listing into the listed jobs.
    :param name: the field that names the job, where the service keeps one.
    :param target: the field whose value is the job's id, where a job has no id of its own: a model is deployed or not.
    :param filters: submitted fields that narrow the listing: our field to the listing's.
    :param page: the size of a page, where the listing has pages (``limit`` and ``offset``).
    """

    kind: JobKind[Any]
    create: Endpoint[A]
    created_id: Callable[[A, Mapping[str, Any]], str]
    listing: Endpoint[Any] | None = None
    listed: Callable[[Any], Sequence[ListedJob]] = lambda answer: ()
    name: str | None = None
    target: str | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    page: int | None = None


@dataclass(frozen=True)
class Choice:
    """
    What to do after looking for one's own job.

    :param job_id: the job to adopt, if exactly one is certainly ours.
    :param candidates: jobs that may be ours, but need not.
    """

    job_id: str | None = None
    candidates: tuple[ListedJob, ...] = ()


def match_job(
    submission: Submission[Any],
    listed: Iterable[ListedJob],
    inputs: Mapping[str, Any],
    *,
    generated_name: str | None,
    submitted_at: float | None,
    not_before: float | None = None,
    previous_job_ids: Collection[str] = (),
    kind: JobKind[Any] | None = None,
) -> Choice:
    """
    Decide which of the listed jobs is ours.

    :param submission: how jobs of this kind are found.
    :param listed: what the service lists.
    :param inputs: what was, or would be, submitted.
    :param generated_name: the name that was generated for this job; ``None`` if the user chose it or jobs have
        no names.
    :param submitted_at: when the first try began to send, in epoch seconds, if that is known.
    :param not_before: a time before which our job cannot have been created, in epoch seconds, for when it is not.
    :param previous_job_ids: jobs that are certainly not the one: those that the same task has started before.
    :param kind: how to read a job's status, if not as ``submission`` does.
    """
    kind = kind or submission.kind
    live = [
        job
        for job in listed
        if not job.reading(kind).is_terminal_failure and (submission.target or job.job_id not in previous_job_ids)
    ]
    if generated_name is not None:
        named = [job for job in live if job.name == generated_name]
        return Choice(named[0].job_id) if len(named) == 1 else Choice(candidates=tuple(named))
    begin = not_before if submitted_at is None else submitted_at
    submitted = {name: value for name, value in inputs.items() if value is not None}
    # A job of the same name may be ours whatever else the list says of it, since the service may say it differently.
    alike = {submission.name: inputs.get(submission.name)} if submission.name else inputs
    like_ours = [
        job
        for job in live
        if all(job.inputs.get(name) in (None, value) for name, value in alike.items())
        and (begin is None or job.created is None or job.created.timestamp() >= begin - CLOCK_SKEW)
    ]
    certain = (
        len(like_ours) == 1
        and submission.name is None
        and submitted_at is not None
        and like_ours[0].created is not None
        # One that is a little older is another's, or the clocks differ: certain only of a model, of which there are no
        # two. The service's times may be whole seconds.
        and (submission.target is not None or like_ours[0].created.timestamp() >= math.floor(submitted_at))
        # A list that does not show all that a job was created with cannot tell ours from another.
        and all(
            like_ours[0].inputs.get(name) is not None
            for name in ([submission.target] if submission.target else submitted)
        )
    )
    return Choice(like_ours[0].job_id) if certain else Choice(candidates=tuple(like_ours))
