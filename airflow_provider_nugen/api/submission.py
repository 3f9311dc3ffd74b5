"""
How a job is started, and found again: one declaration per kind of job that costs money.

Neither service has idempotency keys: a request that is sent twice makes a second, paid job. So an operator that does
not know whether its request arrived looks for its own job first. A :class:`Submission` says where to look and how to
tell it from others; :func:`choose` decides, without I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.job import CANCELLED, FAILED, JobKind

A = TypeVar("A")

#: The clocks of the service and of the workers may differ by so many seconds.
CLOCK_SKEW = 120.0


@dataclass(frozen=True)
class Listed:
    """
    A job as the service lists it.

    :param job_id: its id.
    :param status: its status word.
    :param created: when it was created.
    :param name: its name, if jobs of its kind have one.
    :param inputs: what it was created with, as far as the list shows it.
    """

    job_id: str
    status: str
    created: datetime | None = None
    name: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)


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
    :param filters: submitted fields that narrow the listing: our field to the listing's.
    :param page: the size of a page, where the listing has pages (``limit`` and ``offset``).
    """

    kind: JobKind[Any]
    create: Endpoint[A]
    created_id: Callable[[A, Mapping[str, Any]], str]
    listing: Endpoint[Any] | None = None
    listed: Callable[[Any], Sequence[Listed]] = lambda answer: ()
    name: str | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    page: int | None = None


@dataclass(frozen=True)
class Choice:
    """
    What to do after looking for one's own job.

    :param job_id: the job to adopt, if exactly one is certainly ours.
    :param doubtful: jobs that may be ours, but need not.
    """

    job_id: str | None = None
    doubtful: tuple[Listed, ...] = ()


def choose(
    submission: Submission[Any],
    listed: Iterable[Listed],
    inputs: Mapping[str, Any],
    *,
    own_name: str | None,
    since: float | None,
) -> Choice:
    """
    Decide which of the listed jobs is ours.

    :param submission: how jobs of this kind are found.
    :param listed: what the service lists.
    :param inputs: what was, or would be, submitted.
    :param own_name: the name that was generated for this job; ``None`` if the user chose it or there are no names.
    :param since: when the first try began, in epoch seconds, if that is known.
    """
    live = [job for job in listed if submission.kind.state(job.status) not in (FAILED, CANCELLED)]
    if own_name is not None:
        named = [job for job in live if job.name == own_name]
        return Choice(named[0].job_id) if len(named) == 1 else Choice(doubtful=tuple(named))
    like_ours = [
        job
        for job in live
        if all(job.inputs.get(name) == value for name, value in inputs.items() if name in job.inputs)
        and (since is None or job.created is None or job.created.timestamp() >= since - CLOCK_SKEW)
    ]
    certain = (
        len(like_ours) == 1
        and submission.name is None
        and since is not None
        and like_ours[0].created is not None
        # A list that does not show what a job was created with cannot tell ours from another.
        and bool(like_ours[0].inputs)
    )
    return Choice(like_ours[0].job_id) if certain else Choice(doubtful=tuple(like_ours))
