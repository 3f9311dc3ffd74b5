"""
How a job is started, and found again: one declaration per kind of job that costs money.

Neither service has idempotency keys: a request that is sent twice makes a second, paid job. So an operator that does
not know whether its request arrived searches for its own job first. A :class:`Submission` says where to search and how
to tell the job from others; :func:`match_job` decides, without I/O.

A list is weak evidence: names may be cut, changed or missing in it, it may show one page only, and new jobs may
appear late. What a list cannot tell is doubt, and doubt is never an absence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast

from airflow_provider_nugen.api.endpoint import Call, Endpoint, Request
from airflow_provider_nugen.api.job import JobKind, JobStatus
from airflow_provider_nugen.api.response import RawResponse

A = TypeVar("A")

#: The clocks of the service and of the workers may differ by this many seconds.
CLOCK_SKEW = 120.0
#: A request is acted on within this many seconds after it was sent, or never.
PROCESSING_TIME = 120.0
#: A list of exactly this many jobs may be one page of several where nothing is said of pages.
PAGE_SIZES = frozenset({10, 20, 25, 30, 40, 50, 100, 200, 250, 500, 1000})
#: A listed name with fewer characters than this is not taken for a cut one, unless it ends like one (``...``).
MIN_CUT_NAME = 4


@dataclass(frozen=True)
class ListedJob:
    """
    A job as the service lists it.

    :param job_id: its id.
    :param status: its status word.
    :param created: when it was created.
    :param name: its name, if jobs of its kind have one.
    :param inputs: what it was created with; a value that is ``None`` is one that the list does not show.
    :param answer: the same as the answer to a poll of the job, where the list shows as much; it can say more than the
        status word does.
    """

    job_id: str
    status: str
    created: datetime | None = None
    name: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    answer: Any = None

    def read_status(self, kind: JobKind[Any]) -> JobStatus:
        """Return what the list tells of the job, for a kind of job."""
        return kind.status_from_word(self.status) if self.answer is None else kind.read_status(self.answer)

    @property
    def created_at(self) -> float | None:
        """When it was created, in epoch seconds; a zero (1970, or the year 1) stands for a time that is not known."""
        at = 0.0 if self.created is None else self.created.timestamp()
        return at if at > 0 else None

    def __str__(self) -> str:
        name = f", name {self.name!r}" if self.name else ""
        return f"{self.job_id!r} ({self.status or 'no status'}{name}, created {self.created or 'at an unknown time'})"


@dataclass(frozen=True, eq=False)
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
    :param max_name: the most characters of a generated name; it is cut at its end.
    :param page: the size of a page, where the listing has pages (``limit`` and ``offset``).
    """

    kind: JobKind[Any]
    create: Endpoint[A]
    created_id: Callable[[A, Mapping[str, Any]], str]
    listing: Endpoint[Any] | None = None
    listed: Callable[[Any], Sequence[ListedJob]] = lambda answer: ()
    name: str | None = None
    max_name: int | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    page: int | None = None


# Requests of a submission.


@dataclass(frozen=True, eq=False)
class GuardedCall(Call[A]):
    """
    A call that is checked at each attempt to send it, also after a pause between two attempts.

    :param check: raises an ``ApiError`` if the call must not be sent any more.
    """

    check: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, call: Call[A], check: Callable[[], None]) -> GuardedCall[A]:
        """Guard a call."""
        return cls(call.endpoint, call.ids, call.values, call.uploads, check)

    def request(self, revision: str, conn_id: str) -> Request:
        """Build the request, unless it must not be sent any more; see :meth:`.Call.request`."""
        self.check()
        return Call.request(self, revision, conn_id)


class ListPage(NamedTuple, Generic[A]):
    """
    One page of a list.

    :param content: what the endpoint's reader made of it.
    :param total: how many items there are, where the answer says so.
    :param has_more: whether the answer says that there are more.
    :param limit: the size of a page, where the answer says so.
    :param now: the service's clock, in epoch seconds.
    """

    content: A
    total: int | None = None
    has_more: bool = False
    limit: int | None = None
    now: float | None = None


class ListCall(Call[Any]):
    """A call that reads a page of a list, with all that the answer says about the rest of the list."""

    __slots__ = ()

    @classmethod
    def of(cls, call: Call[Any]) -> ListCall:
        """Make one of a call of a listing."""
        return cls(call.endpoint, call.ids, call.values, call.uploads)

    def read(self, response: RawResponse, conn_id: str) -> Any:
        """Read the page; see :meth:`.Call.read`."""
        content = Call.read(self, response, conn_id)
        payload = json.loads(response.body) if response.body else None
        about: dict[str, Any] = {}
        if isinstance(payload, dict):
            about = payload | {
                name: value
                for key in ("meta", "pagination")
                if isinstance(payload.get(key), dict)
                for name, value in payload[key].items()
            }
        return ListPage(
            content,
            _count(about, "total", "total_count", "count"),
            any(about.get(name) not in (None, False, "") for name in ("has_more", "next", "next_page", "next_cursor")),
            _count(about, "limit", "page_size", "per_page"),
            epoch_of_date(response.date),
        )


def _count(about: Mapping[str, Any], *names: str) -> int | None:
    values = (about.get(name) for name in names)
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)


def epoch_of_date(header: str | None) -> float | None:
    """
    Read a ``Date`` header (RFC 9110, section 6.6.1).

    :param header: the header as sent.
    :return: epoch seconds, or ``None`` if there is no (readable) header.
    """
    try:
        date = parsedate_to_datetime(header or "")
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


class JobList(NamedTuple):
    """
    All that a listing shows.

    :param jobs: the jobs.
    :param incomplete: why the list need not be the whole list; empty if it is.
    :param now: the service's clock, in epoch seconds.
    """

    jobs: Sequence[ListedJob] = ()
    incomplete: str = ""
    now: float | None = None


class ListReader:
    """
    Puts a list together from its pages.

    Feed it with one page after the other, until :attr:`next_offset` is ``None``.

    :param submission: whose list it is.
    """

    def __init__(self, submission: Submission[Any]) -> None:
        self._submission = submission
        self._jobs: dict[str, ListedJob] = {}
        self._read = 0
        self._incomplete = ""
        self._now: float | None = None
        #: Where the next page begins; ``None`` when there is none to ask for.
        self.next_offset: int | None = 0

    def add(self, page: ListPage[Any]) -> None:
        """Add a page."""
        jobs, known = self._submission.listed(page.content), len(self._jobs)
        self._jobs |= {job.job_id: job for job in jobs}
        self._read += len(jobs)
        self._now = page.now if self._now is None else self._now
        missing = ""
        if page.total is not None and len(self._jobs) < page.total:
            missing = f"it shows {len(self._jobs)} of {page.total}"
        elif page.has_more:
            missing = f"it says that there are more than the {len(self._jobs)} that it shows"
        asked = {size for size in (self._submission.page, page.limit) if size}
        if not missing and page.total is None and len(jobs) in (asked or PAGE_SIZES):
            missing = f"it shows {len(self._jobs)}, which may be one page of several"
        # A service that takes no notice of the offset answers with the same page for ever.
        ended = not self._submission.page or not jobs or len(self._jobs) == known
        self.next_offset = None if ended or not missing else self._read
        self._incomplete = missing if jobs or page.total is not None or page.has_more else ""

    def result(self) -> JobList:
        """Return what was read."""
        return JobList(tuple(self._jobs.values()), self._incomplete, self._now)


# Which job is the task's own.


class Sent(NamedTuple):
    """
    What is known of the requests that may have started a job; times by the service's clock, in epoch seconds.

    :param first: when the first one was sent.
    :param last: when the last one was sent.
    :param listed: ids of the jobs like it that were listed before the first one.
    """

    first: float | None = None
    last: float | None = None
    listed: Collection[str] | None = None


class JobMatch(NamedTuple):
    """
    Which of the listed jobs is the task's own.

    :param job_id: the job to adopt, if exactly one is certainly the task's own.
    :param candidates: jobs that may be the task's own, but need not.
    :param doubt: why the list cannot prove that there is none; empty if it can.
    :param by_name: it was told by its generated name, so that it is certain whatever else will be listed later.
    """

    job_id: str | None = None
    candidates: tuple[ListedJob, ...] = ()
    doubt: str = ""
    by_name: bool = False


def match_job(
    submission: Submission[Any],
    job_list: JobList,
    inputs: Mapping[str, Any],
    *,
    name_key: str | None,
    sent: Sent | None,
    kin_key: str | None = None,
    not_before: float | None = None,
    previous_job_ids: Collection[str] = (),
    kind: JobKind[Any] | None = None,
) -> JobMatch:
    """
    Decide which of the listed jobs is the task's own.

    :param submission: how jobs of this kind are found.
    :param job_list: what the service lists.
    :param inputs: what was, or would be, submitted.
    :param name_key: the part of the generated name that no other task's job has; ``None`` if the user chose the name
        or jobs have no names.
    :param sent: what is known of the requests; ``None`` if nothing is known.
    :param kin_key: a part of the generated name that jobs have which may be the task's own, but need not.
    :param not_before: a time before which the job cannot have been created, in epoch seconds by the service's clock.
    :param previous_job_ids: jobs that are certainly not the one: those that the same task has started before.
    :param kind: how to read a job's status, if not as ``submission`` does.
    """
    kind, sent = kind or submission.kind, sent or Sent()
    live = [
        job
        for job in job_list.jobs
        if not job.read_status(kind).is_terminal_failure and job.job_id not in previous_job_ids
    ]
    begin = not_before if sent.first is None else sent.first
    recent = [
        job
        for job in live
        if job.job_id not in (sent.listed or ())
        and (begin is None or job.created_at is None or job.created_at >= begin - CLOCK_SKEW)
    ]
    if name_key is not None:
        named = [job for job in live if name_key.lower() in (job.name or "").lower()]
        if len(named) == 1:
            return JobMatch(named[0].job_id, by_name=True)
        kin = [job for job in live if kin_key is not None and kin_key in (job.name or "").lower()]
        unclear = [*kin, *(job for job in recent if _may_be_cut(job.name, name_key))]
        candidates = {job.job_id: job for job in (*named, *unclear)}
        return JobMatch(candidates=tuple(candidates.values()), doubt=job_list.incomplete)
    alike = [job for job in recent if is_alike(submission, job, inputs)]
    if len(alike) == 1 and not job_list.incomplete and _is_certain(submission, alike[0], inputs, sent):
        return JobMatch(alike[0].job_id)
    return JobMatch(candidates=tuple(alike), doubt=job_list.incomplete)


def is_alike(submission: Submission[Any], job: ListedJob, inputs: Mapping[str, Any]) -> bool:
    """
    Decide whether a listed job may have been created with these inputs.

    A job of the same name may be whatever else the list says of it, since the service may say it differently.
    """
    if submission.name is not None and inputs.get(submission.name) is not None:
        return _may_be_named(job.name, str(inputs[submission.name]))
    return all(job.inputs.get(name) in (None, value) for name, value in inputs.items())


def _is_certain(submission: Submission[Any], job: ListedJob, inputs: Mapping[str, Any], sent: Sent) -> bool:
    """Decide whether the only job like the task's own is the task's own."""
    if submission.name is not None or None in (sent.first, sent.listed, job.created_at):
        return False
    # The service's times may be whole seconds.
    first, created = math.floor(cast(float, sent.first)), cast(float, job.created_at)
    last = sent.first if sent.last is None else sent.last
    # A list that does not show all that a job was created with cannot tell one from another.
    shown = bool(inputs) and all(
        job.inputs.get(name) is not None for name, value in inputs.items() if value is not None
    )
    return shown and first <= created <= cast(float, last) + PROCESSING_TIME


def _may_be_named(listed: str | None, name: str) -> bool:
    """Decide whether a job of this name can be listed so: names may be cut, or changed in case, or have a suffix."""
    if listed is None or not listed.strip():
        return True
    shown = listed.strip().lower()
    return name.strip().lower() in shown or _may_be_cut(listed, name)


def _may_be_cut(listed: str | None, name: str) -> bool:
    """Decide whether a listed name is missing, or what is left of another name."""
    if listed is None or not listed.strip():
        return True
    rest = re.sub(r"[\s.…]+$", "", listed.strip()).lower()
    is_cut = rest != listed.strip().lower() or len(rest) >= MIN_CUT_NAME
    return is_cut and name.strip().lower().startswith(rest)


# What was submitted, told apart.


def same_inputs_key(inputs: Mapping[str, Any]) -> str:
    """
    Return the canonical JSON text of inputs, equal for equal inputs.

    :raises TypeError: if they cannot be sent as JSON.
    :raises ValueError: if they contain a number that JSON does not have.
    """
    sent: Iterable[tuple[str, Any]] = ((name, value) for name, value in inputs.items() if value is not None)
    return json.dumps(dict(sent), sort_keys=True, ensure_ascii=True, allow_nan=False)
