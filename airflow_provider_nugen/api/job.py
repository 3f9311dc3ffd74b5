"""
What a kind of job is: one declaration.

A :class:`JobKind` says which endpoint tells the status, how its words map to the four states, which XComs a
finished job pushes, and what else its service says about a job: the reason of a failure, when it expects to
be done. Sensors, triggers and operators know kinds only by their declaration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from airflow_provider_nugen.api.endpoint import Call, Endpoint
from airflow_provider_nugen.api.service import Service

if TYPE_CHECKING:
    from airflow_provider_nugen.api.models import Progress, ServiceModel

M = TypeVar("M", bound="ServiceModel")


class JobState(StrEnum):
    """What a status word means for the one who waits."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


RUNNING, SUCCEEDED, FAILED, CANCELLED = JobState


@dataclass(frozen=True, slots=True)
class JobStatus:
    """
    What one answer says about a job.

    :param state: what the status word means.
    :param status: the status word as sent.
    :param is_known_status: whether the word is in the kind's table.
    :param progress: as sent.
    :param eta_seconds: how long the service expects the job to take from now, in seconds.
    :param eta: when the service expects the job to end.
    :param reason: why the job failed, in the service's words.
    :param warning: what a person should know although the job succeeded.
    :param stall_reason: what it means when the job stays like this for long.
    :param missing_field: a field that a finished job must have and this answer does not; the detail may have it.
    :param needs_action: it ends a wait, but the job is not over: it continues when a person has acted.
    """

    state: JobState
    status: str
    is_known_status: bool = True
    progress: Progress | None = None
    eta_seconds: float | None = None
    eta: datetime | None = None
    reason: str = ""
    warning: str = ""
    stall_reason: str = ""
    missing_field: str = ""
    needs_action: bool = False

    @property
    def is_terminal_failure(self) -> bool:
        """Whether the job is over without success, so that nothing can be adopted."""
        return self.state in (FAILED, CANCELLED) and not self.needs_action


def progress_bounds(progress: Progress | None) -> tuple[float, float] | None:
    """
    Read how far a job is, at least and at most, from 0 to 1; services count in whole units.

    Per cent as a number or text, or text such as ``"5/10 questions"`` (``docs/nugen-api.rst``, "Shapes";
    ``docs/seekr-api.rst``, "Alignment jobs").
    """
    if isinstance(progress, str):
        match = _PROGRESS.match(progress)
        if match is None:
            return None
        part, whole = float(match[1]), float(match[2] or 100)
    elif progress is not None:
        part, whole = progress, 100.0
    else:
        return None
    return (part / whole, min((part + 1) / whole, 1.0)) if 0 <= part <= whole and whole else None


_PROGRESS = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:/\s*(\d{1,9})|%|$)")


class Supplement(NamedTuple, Generic[M]):
    """
    What another endpoint adds to the status of a job, for the log and for the reason of a failure.

    A wait never depends on it: if it cannot be read, the status counts without it.

    :param endpoint: the endpoint; its path has the same id as that of the status.
    :param is_wanted: decides whether an answer lacks it.
    :param add: returns the answer with what the endpoint said.
    """

    endpoint: Endpoint[Any]
    is_wanted: Callable[[M], bool]
    add: Callable[[M, Any], M]


class Described(NamedTuple):
    """
    What a task that made a job has told about it, beside its id.

    :param name: its name.
    :param listed_id: the id by which the list shows it, if it is known.
    :param revision: the API revision that knows the id.
    """

    name: str | None = None
    listed_id: str | None = None
    revision: str | None = None


class Lookup(NamedTuple, Generic[M]):
    """
    The list in which a job is found whose id the status endpoint does not know, or whose answer lacks something.

    A service that has moved to another API revision may not know the ids that the one before has given out. So its 404
    ends a wait only in the revision that knew the id.

    :param endpoint: the list.
    :param find: returns the job as the list shows it, or ``None``; gets the list, the ids that the job may have there,
        and its name, as far as they are known.
    :param listed_id: returns the id by which the list shows the job, if an answer names it.
    :param describe: returns what is known from a dict that was passed in the place of the id.
    :param advice: what a person can do about a job that is not found after a move.
    """

    endpoint: Endpoint[Any]
    find: Callable[[Any, Set[str], str | None], M | None]
    listed_id: Callable[[M], str | None]
    describe: Callable[[Mapping[str, Any]], Described]
    advice: str


@dataclass(frozen=True, eq=False)
class JobKind(Generic[M]):
    """
    One kind of job.

    :param key: its name in trigger arguments; never changes, since waits in the database carry it.
    :param label: what people call the job.
    :param id_name: the argument and path parameter that names the job.
    :param status: the endpoint that tells the status.
    :param status_map: status words in upper case, and what they mean.
    :param xcom_keys: fields of the final status that are pushed as XComs of their own.
    :param fact_keys: further fields of the final status that the events of assets have: what the job was made of, and
        what was measured.
    :param name_key: the field of the status with the name that a user gave the job, if it has one.
    :param time_keys: the fields of the status that say when the job was created, and when it was done.
    :param detail: another endpoint that tells the status, of the same model: for a finished job that lacks
        something, and for a status endpoint that keeps failing.
    :param cancel: the endpoint that cancels the job, where the service has one.
    :param supplement: what is asked for beside the status.
    :param lookup: the list where a job is found whose id is not known, or whose answer lacks something.
    :param stands: a job that is done stands and costs money until it is cancelled: a deployment.
    :param interpret: returns what the answer means beyond its word; gets the answer, what the word alone means and
        the previous status word.
    """

    key: str
    label: str
    id_name: str
    status: Endpoint[M]
    status_map: Mapping[str, JobState]
    xcom_keys: tuple[str, ...] = ()
    fact_keys: tuple[str, ...] = ()
    name_key: str = ""
    time_keys: tuple[str, str] = ("", "")
    detail: Endpoint[M] | None = None
    cancel: Endpoint[Any] | None = None
    supplement: Supplement[M] | None = None
    lookup: Lookup[M] | None = None
    stands: bool = False
    interpret: Callable[[M, JobStatus, str | None], JobStatus] | None = None

    def __post_init__(self) -> None:
        if words := [word for word in self.status_map if word != word.upper()]:
            raise ValueError(f"{self.key}: status words are compared in upper case, so write {words} in it.")

    @property
    def service(self) -> Service:
        """The service that runs the job."""
        return self.status.service

    def call(self, job_id: object, *, detail: bool = False) -> Call[M]:
        """Build the call for the status of a job, or for its detail."""
        endpoint = self.detail if detail and self.detail else self.status
        return endpoint.call(**{self.id_name: job_id})

    def is_live(self, job_status: JobStatus) -> bool:
        """Return whether a job runs, or stands, and costs money until it is cancelled."""
        return job_status.state is RUNNING or (self.stands and job_status.state is SUCCEEDED)

    def subject(self, job_id: object) -> str:
        """Return a job's name for messages: ``alignment 'a-1'``."""
        return f"{self.label} {str(job_id)!r}"

    def state(self, word: str | None) -> JobState | None:
        """Return what a status word means, in any case; ``None`` for one that is not in the table."""
        return self.status_map.get(word.upper()) if word else None

    def status_from_word(self, word: str) -> JobStatus:
        """Return what a status word alone means."""
        state = self.state(word)
        return JobStatus(state or RUNNING, word, is_known_status=state is not None)

    def read_status(self, answer: M, previous: str | None = None) -> JobStatus:
        """
        Return what an answer means.

        :param answer: the parsed response.
        :param previous: the status word of the previous poll, where there was one.
        """
        job_status = self.status_from_word(answer.status)  # type: ignore[attr-defined]  # every kind's model has it
        return self.interpret(answer, job_status, previous) if self.interpret else job_status

    def result(self, answer: M, job_status: JobStatus) -> dict[str, Any]:
        """Build the JSON dict that a finished wait returns: the final status, and ``state`` as we read it."""
        return {**answer.model_dump(mode="json"), "state": str(job_status.state)}

    def facts(self, job_id: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """
        Build what the event of an asset says about a finished job: ids, what it was made of, metrics, durations.

        The same names in the event of a watcher and in that of an outlet.

        :param job_id: what was waited for; a final status need not name the job, or names what became of it.
        :param result: what :meth:`result` returned.
        """
        keys = dict.fromkeys((*self.xcom_keys, *filter(None, [self.name_key, *self.time_keys]), *self.fact_keys))
        return {
            self.id_name: result.get(self.id_name) or job_id,
            **{key: result.get(key) for key in keys if key != self.id_name},
            "status": result.get("status"),
            "job_seconds": self.job_seconds(result),
        }

    def job_seconds(self, result: Mapping[str, Any]) -> float | None:
        """
        Return how many seconds a finished job took, by the service's clock; ``None`` where it does not say.

        :param result: what :meth:`result` returned.
        """
        created, done = (epoch(result.get(key)) for key in self.time_keys)
        return None if created is None or done is None or done < created else round(done - created, 3)


def epoch(value: object) -> float | None:
    """
    Read a time as a result has it, in epoch seconds.

    :param value: the text of a time.
    :return: ``None`` if it is none, or a zero.
    """
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp() or None
    except (ValueError, OverflowError):
        return None
