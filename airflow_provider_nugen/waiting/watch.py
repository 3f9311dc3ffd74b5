"""
The watching policy: given what a service lists and the time, which jobs are news?

Pure: no I/O, no clock, no Airflow. A :class:`Watch` is fed with listings; it knows which jobs are old, lets a
:class:`~airflow_provider_nugen.waiting.waiter.Waiter` read the status of each that seems to be done, and names those
that are. The trigger does the I/O.

What it knows outlives the process as a short digest of each id: a list need not tell when a job was created or done,
so a time alone cannot tell what is new.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider_nugen.api.job import SUCCEEDED, JobKind, epoch
from airflow_provider_nugen.api.submission import ListedJob
from airflow_provider_nugen.waiting import schedule
from airflow_provider_nugen.waiting.result import LogMessage, Outcome, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.waiter import Waiter

#: What was fired is stored at the first poll that comes so many seconds after it or later: a trigger does not learn
#: when its event is in the database, where its triggerer writes it about once a second.
SETTLE = 10.0
#: So many jobs are asked for their own status between two polls of the list.
MAX_POLLS = 100
#: A job whose status cannot be read is asked for again after so many seconds at the latest.
MAX_PAUSE = 3600.0
#: Characters of a digest: 48 bits, so that with ten thousand jobs one in 28 thousand million new ones is taken for old.
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """
    A job that the list says is done.

    :param job_id: its id.
    :param time: when it was done, or at least created, in epoch seconds, where the list says so.
    """

    job_id: str
    time: float | None


def finished_jobs(kind: JobKind[Any], jobs: Iterable[ListedJob]) -> dict[str, FinishedJob]:
    """
    Return the jobs that succeeded, as the list says, by the digests of their ids.

    :param kind: the kind of job.
    :param jobs: what is listed.
    """
    return {
        digest(job.job_id): FinishedJob(job.job_id, _listed_time(kind, job))
        for job in jobs
        if job.read_status(kind).state is SUCCEEDED
    }


def _listed_time(kind: JobKind[Any], job: ListedJob) -> float | None:
    done = getattr(job.answer, kind.time_keys[1], None) if kind.time_keys[1] else None
    at = done.timestamp() if done is not None else 0.0
    return at if at > 0 else job.created_at


def digest(job_id: str) -> str:
    """
    Return what stands for a job in what is stored.

    :param job_id: its id.
    """
    return base64.urlsafe_b64encode(hashlib.blake2b(job_id.encode("utf-8", "replace"), digest_size=6).digest()).decode()


@dataclass(slots=True)
class Watch:
    """
    Decides which jobs are news.

    :param kind: the kind of job.
    :param conn_id: the Airflow connection, for messages.
    :param poke_interval: seconds between two polls of the list.
    :param name_like: a pattern such as ``support-*`` that the name of a job must match; ``None`` takes all. The name is
        that of the job's own status: lists cut names, or leave them out.
    :param since: at the first start, what was done after this is new, in epoch seconds; ``None`` = nothing is.
    :param fired: when the event of a job was handed over, by its digest, until that is stored; outlives the watch where
        a process starts it again.
    :param rand: gives random numbers from 0 to 1, for jitter.
    """

    kind: JobKind[Any]
    conn_id: str
    poke_interval: float = 60.0
    name_like: str | None = None
    since: float | None = None
    fired: dict[str, float] = field(default_factory=dict)
    rand: Callable[[], float] = random.random
    #: Whether :meth:`begin` was called.
    is_begun: bool = field(default=False, init=False)
    #: Whether :meth:`to_json` has changed since it was last stored.
    is_dirty: bool = field(default=False, init=False)
    #: Polls of the list that failed, in a row.
    failures: int = field(default=0, init=False)
    _done: set[str] = field(default_factory=set, init=False)
    _is_first: bool = field(default=True, init=False)
    #: Those that seem to be done, by their digests, and the wait for the status of each.
    _waiters: dict[str, Waiter[Any]] = field(default_factory=dict, init=False)
    #: How often the status of a job could not be read for so long that its wait gave up.
    _pauses: dict[str, int] = field(default_factory=dict, init=False)

    def begin(self, stored: Any) -> None:
        """
        Begin with what an earlier watch has left.

        :param stored: what :meth:`to_json` returned before; ``None`` at the first start.
        """
        self.is_begun = True
        if isinstance(stored, Mapping) and isinstance(text := stored.get("done"), str):
            self._done = {text[at : at + _DIGEST] for at in range(0, len(text), _DIGEST)}
            self._is_first = False

    def to_json(self) -> dict[str, Any]:
        """Return what is known as a JSON object: which jobs are old."""
        return {"done": "".join(sorted(self._done))}

    def settle(self, now: float) -> None:
        """
        Take what was fired a while ago for old.

        :param now: the time in epoch seconds.
        """
        for key, fired in self.fired.items():
            if now - fired >= SETTLE and key not in self._done:
                self._add_done(key)

    def on_stored(self) -> None:
        """Note that what :meth:`to_json` returned is stored."""
        self.is_dirty = False
        for key in self.fired.keys() & self._done:
            del self.fired[key]

    def on_listing(self, finished: Mapping[str, FinishedJob], now: float) -> None:
        """
        Note which jobs are done that were not.

        :param finished: what :func:`finished_jobs` made of the list.
        :param now: the time in epoch seconds.
        """
        self.failures = 0
        for key, job in finished.items():
            if key in self._done or key in self.fired or key in self._waiters:
                continue
            if self._is_first and self._is_old(job):
                self._add_done(key)
            else:
                self._waiters[key] = self._waiter(job.job_id, now)
        if self._is_first:
            self._is_first, self.is_dirty = False, True

    def on_failure(self, retry_after: float | None) -> float:
        """
        Return how long to sleep after the list could not be read.

        :param retry_after: seconds after which the service wants to be asked again.
        """
        self.failures += 1
        return schedule.retry_interval(self.poke_interval, self.failures, retry_after, self.rand)

    def due(self, now: float) -> list[Waiter[Any]]:
        """
        Return whose status is to be read now.

        :param now: the time in epoch seconds.
        """
        due = [
            waiter for waiter in self._waiters.values() if waiter.result is None and (waiter.state.due or now) <= now
        ]
        return due[:MAX_POLLS]

    def sleep(self, now: float) -> float:
        """
        Return in how many seconds the next poll is due: of the list, or of a job that could not be read.

        :param now: the time in epoch seconds.
        """
        due = [waiter.state.due or now for waiter in self._waiters.values() if waiter.result is None]
        return max(min([self.poke_interval, *(when - now for when in due)]), min(self.poke_interval, 1.0))

    def news(self, now: float) -> tuple[dict[str, dict[str, Any]], list[LogMessage]]:
        """
        Return what is to be fired, and what the log says of those that are not.

        :param now: the time in epoch seconds.
        :return: the payloads by the digests that :meth:`on_fired` takes.
        """
        payloads, messages = {}, list[LogMessage]()
        for key, waiter in list(self._waiters.items()):
            if waiter.result is None:
                continue
            del self._waiters[key]
            outcome, result = waiter.result.outcome, waiter.result.result
            if outcome is Outcome.SUCCEEDED and isinstance(result, dict):
                if self._is_news(result):
                    payloads[key] = self.kind.facts(waiter.job_id, result)
                else:
                    self._add_done(key)
            elif outcome in (Outcome.FAILED, Outcome.CANCELLED):
                self._add_done(key)
                messages.append(_not_fired(waiter.result))
            else:
                self._pauses[key] = pauses = self._pauses.get(key, 0) + 1
                self._waiters[key] = other = self._waiter(waiter.job_id, now)
                other.state.due = now + min(self.poke_interval * 2 ** min(pauses, 20), MAX_PAUSE)
                messages.append(_not_fired(waiter.result))
        return payloads, messages

    def on_fired(self, key: str, now: float) -> None:
        """
        Note that an event was handed over.

        :param key: which one.
        :param now: the time in epoch seconds.
        """
        self.fired[key] = now

    def _add_done(self, key: str) -> None:
        self._done.add(key)
        self._pauses.pop(key, None)
        self.is_dirty = True

    def _is_old(self, job: FinishedJob) -> bool:
        """Decide at the first start; what the list does not date is read, and dated by its own status."""
        return self.since is None or (job.time is not None and job.time < self.since)

    def _is_news(self, result: Mapping[str, Any]) -> bool:
        """Decide by the status of a job what its list need not show: its name, and when it was done."""
        name = result.get(self.kind.name_key)
        if self.name_like is not None and not (isinstance(name, str) and fnmatchcase(name, self.name_like)):
            return False
        if self.since is None:
            return True
        created, done = (epoch(result.get(key)) for key in self.kind.time_keys)
        at = done if done is not None else created
        return at is None or at >= self.since

    def _waiter(self, job_id: str, now: float) -> Waiter[Any]:
        settings = WaitSettings(poke_interval=self.poke_interval)
        state = WaitState(began=now, seen=True)
        return Waiter(self.kind, job_id, self.conn_id, settings, state, self.rand, one_of_many=True)


def _not_fired(result: WaitResult) -> LogMessage:
    return LogMessage(logging.WARNING, f"Listed as done, but no event is fired: {result.message}")
