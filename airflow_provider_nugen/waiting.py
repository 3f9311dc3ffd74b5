"""
The waiter: given what a service answered and the time, what next?

Pure: no I/O, no clock, no Airflow. A :class:`Waiter` is fed with answers, errors and the time, and says how long
to sleep, or how the wait ended. The poke loop and the trigger do the I/O it asks for, so that every rule of a wait
is written here once and holds in every mode.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from airflow_provider_nugen.api.endpoint import Call, RawResponse
from airflow_provider_nugen.api.errors import ApiError, NotFoundError, UnauthorizedError
from airflow_provider_nugen.api.job import CANCELLED, RUNNING, SUCCEEDED, JobKind, Reading, progress_bounds
from airflow_provider_nugen.api.models import ServiceModel

M = TypeVar("M", bound=ServiceModel)

#: No wait asks more often than this, in seconds, whatever its ``poke_interval``.
SHORTEST_SLEEP = 0.1
#: After a failed look the next one comes after this many seconds (or ``poke_interval``, if that is shorter) ...
FIRST_RETRY = 5.0
#: ... then after twice as many, and so on, up to this many (or ``poke_interval``, if that is longer).
LONGEST_RETRY = 60.0
#: So many looks must fail in a row ...
MAX_FAILURES = 10
#: ... and for longer than so many seconds, before the wait gives up.
MAX_OUTAGE = 600.0
#: A fresh id is not visible everywhere at once: for so many seconds a 404 is not final. Just under a minute, so
#: that a wait for an id that never existed ends within one.
NOT_FOUND_GRACE = 55.0
#: Many waits may have the same deadline: for so many seconds the last look can wait for its turn.
LAST_LOOK = 30.0
#: A job that stays for so many seconds in a state that leads nowhere is taken to be stuck.
STALL = 600.0
#: An estimate is worth a log line when it moves by more than this share of what remains, or a minute.
ETA_MOVED = 0.1


#: However long the service says that a job takes, it is looked at again after so many intervals.
LONGEST_SLEEP = 10
#: The look after an expected end comes up to this share of an interval after it.
SPREAD = 0.3
#: An estimate of more than so many seconds, ten years, is none.
ABSURD = 10 * 365 * 86400.0


class Outcome(StrEnum):
    """How a wait ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: The service refuses the question: asking again cannot help.
    REJECTED = "rejected"
    #: The status could not be read for too long: whether the job runs is not known.
    UNREACHABLE = "unreachable"
    #: The sensor's ``timeout``.
    TIMEOUT = "timeout"
    #: The task's ``execution_timeout``.
    EXECUTION_TIMEOUT = "execution_timeout"


@dataclass(frozen=True, slots=True)
class Ending:
    """
    The end of a wait. Consists of JSON values, since it travels as a trigger's event.

    :param outcome: how it ended.
    :param message: what happened, to which job, through which connection, and what to do next.
    :param result: the final status, if the job ended.
    """

    outcome: Outcome
    message: str
    result: dict[str, Any] | None = None

    def to_event(self) -> dict[str, Any]:
        """Make the payload of a trigger event."""
        return {**asdict(self), "outcome": str(self.outcome)}

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Ending:
        """Read the payload of a trigger event."""
        return cls(Outcome(event["outcome"]), event["message"], event.get("result"))


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log, with a level of :mod:`logging`."""

    level: int
    text: str


@dataclass(slots=True)
class Decision:
    """
    What to do next: read the connection again, or sleep and then look again, or stop.

    :param sleep: seconds before the next look.
    :param reread: read the connection again and tell :meth:`Waiter.on_reread` whether it changed.
    :param ending: the wait is over.
    :param notes: for the log.
    """

    sleep: float = 0.0
    reread: bool = False
    ending: Ending | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitSettings:
    """
    What the user asked for.

    :param poke_interval: seconds between two looks.
    :param deadline: when the wait times out, in epoch seconds.
    :param execution_deadline: when the task's ``execution_timeout`` is over, in epoch seconds.
    :param exponential_backoff: let the interval grow with the time waited.
    :param max_wait: the longest interval then, in seconds.
    :param ignore_failures: never give up because the status cannot be read (``silent_fail``).
    :param use_eta: look less often while the service says that the job takes long.
    """

    poke_interval: float = 60.0
    deadline: float | None = None
    execution_deadline: float | None = None
    exponential_backoff: bool = False
    max_wait: float | None = None
    ignore_failures: bool = False
    use_eta: bool = True


@dataclass(slots=True)
class Memory:
    """
    What a wait knows of its past. Consists of JSON values, so that it can be stored between two looks.

    :param began: when the wait began, in epoch seconds.
    :param seen: whether the service has ever said anything about the job.
    :param status: the last status word as sent.
    :param progress: the last progress as logged.
    :param eta: the last estimated end as logged, in epoch seconds.
    :param failures: failed looks in a row.
    :param failing_since: when the first of them was, in epoch seconds.
    :param stalled_since: since when the job leads nowhere, in epoch seconds.
    :param reread: the connection was read again since the last answer.
    """

    began: float
    seen: bool = False
    status: str | None = None
    progress: float | str | None = None
    eta: float | None = None
    failures: int = 0
    failing_since: float | None = None
    stalled_since: float | None = None
    reread: bool = False

    def to_json(self) -> dict[str, Any]:
        """Make a JSON object of it."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Memory:
        """Read it back; what another version stored beside it is ignored."""
        names = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in names})


@dataclass(slots=True)
class Waiter(Generic[M]):
    """
    Decides about one wait for one job.

    :param kind: the kind of job.
    :param job_id: its id.
    :param conn_id: the Airflow connection, for messages.
    :param settings: what the user asked for.
    :param memory: what is known already.
    :param rand: gives random numbers from 0 to 1, for jitter.
    """

    kind: JobKind[M]
    job_id: object
    conn_id: str
    settings: WaitSettings
    memory: Memory
    rand: Callable[[], float] = random.random
    #: The answer of a finished job that lacks something; its detail is asked for once.
    incomplete: tuple[M, Reading] | None = field(default=None, init=False)
    #: How the service refused the key, while the connection is read again.
    refusal: ApiError | None = field(default=None, init=False)
    #: The last answer that said that the job runs: what it meant, and a hash of its text.
    running: Reading | None = field(default=None, init=False)
    running_hash: int = field(default=0, init=False)
    #: When progress was first seen, and how far the job was then.
    first_progress: tuple[float, float] | None = field(default=None, init=False)
    _status_call: Call[M] | None = field(default=None, init=False)

    @property
    def call(self) -> Call[M]:
        """What to ask the service next."""
        if self.incomplete is not None:
            return self.kind.call(self.job_id, detail=True)
        if self._status_call is None:
            self._status_call = self.kind.call(self.job_id)
        return self._status_call

    def first_sleep(self, now: float) -> float:
        """
        Say how long to sleep after taking over a wait that somebody else has begun.

        Spread over one interval, so that a thousand waits taken over together do not ask together.
        """
        interval = self._interval(now)
        if not self.memory.seen:
            interval = min(interval, FIRST_RETRY)
        return self._until(now, interval * self.rand())

    def patience(self, now: float) -> float:
        """Say how many seconds the next look can wait for its turn: until a little after the next deadline."""
        return self._until(now, math.inf) + LAST_LOOK

    def on_response(self, response: RawResponse, now: float) -> Decision:
        """
        Decide after a response arrived, whatever it says.

        Most looks at a running job find what the look before has found: the same text is not read twice.
        """
        text_hash = hash(response.body)
        if self.running is not None and text_hash == self.running_hash and response.status == 200:
            return self._still_running(self.running, now, self._recovered())
        self.running = None
        try:
            decision = self.on_answer(self.call.read(response, self.conn_id), now)
        except ApiError as e:
            return self.on_error(e, now)
        self.running_hash = text_hash
        return decision

    def on_answer(self, answer: M, now: float) -> Decision:
        """Decide after the service answered."""
        memory = self.memory
        reading = self.kind.reading(answer, memory.status)
        if self.incomplete is not None:
            return self._on_detail(answer, reading)
        notes = self._notes(reading, now) + self._recovered()
        memory.seen, memory.status = True, reading.word
        if reading.state is not RUNNING:
            if reading.state is SUCCEEDED and reading.lacks and self.kind.detail:
                self.incomplete = answer, reading
                return Decision(notes=tuple(notes))
            return self._end(answer, reading, notes)
        self.running = reading
        return self._still_running(reading, now, notes)

    def _still_running(self, reading: Reading, now: float, notes: list[Note]) -> Decision:
        memory = self.memory
        memory.stalled_since = (memory.stalled_since or now) if reading.stall else None
        if memory.stalled_since is not None and now - memory.stalled_since > STALL:
            stalled = _duration(now - memory.stalled_since)
            return self._finish(Outcome.FAILED, f"has been {reading.word!r} for {stalled}: {reading.stall}.", notes)
        sleep = self._interval(now)
        if self.settings.use_eta and not self.settings.exponential_backoff:
            sleep = paced(sleep, self._remaining(reading, now), self.rand)
        return self._wait(now, sleep, notes)

    def _remaining(self, reading: Reading, now: float) -> float | None:
        """Say how many seconds the job will go on: the service's estimate, else by the progress that was seen."""
        if reading.eta_seconds is not None or reading.eta is not None:
            return estimate(reading, now)
        bounds = progress_bounds(reading.progress)
        if bounds is None:
            return None
        least, most = bounds
        if self.first_progress is None:
            self.first_progress = now, least
        since, then = self.first_progress
        if least <= then or now <= since:
            return None
        # Rather too early than too late.
        return (now - since) * (1 - most) / (most - then)

    def _recovered(self) -> list[Note]:
        """Note that the service answers (again)."""
        memory = self.memory
        failures, memory.failures, memory.failing_since, memory.reread = memory.failures, 0, None, False
        if not failures:
            return []
        return [Note(logging.INFO, f"{self._status()} can be read again after {failures} failed looks.")]

    def on_error(self, error: ApiError, now: float) -> Decision:
        """Decide after a look failed."""
        memory = self.memory
        if isinstance(error, UnauthorizedError) and not memory.reread:
            memory.reread, self.refusal = True, error
            return Decision(reread=True)
        self.refusal = None
        fresh = isinstance(error, NotFoundError) and not memory.seen and self.incomplete is None
        grace = NOT_FOUND_GRACE - (now - memory.began)
        if not error.transient and not (fresh and grace > 0):
            if self.incomplete is not None:
                return self._without_detail(error)
            return self._finish(Outcome.REJECTED, f"could not be read: {error.advice}", subject=self._status())
        # Whatever passes: the next 401 asks for the connection once more.
        memory.reread = False
        memory.failures += 1
        memory.failing_since = now if memory.failing_since is None else memory.failing_since
        outage = now - memory.failing_since
        if memory.failures >= MAX_FAILURES and outage > MAX_OUTAGE and not self.settings.ignore_failures:
            return self._finish(
                Outcome.UNREACHABLE,
                f"could not be read {memory.failures} times in {_duration(outage)}; whether the job still runs "
                f"is not known. Last: {error.advice}",
                subject=self._status(),
            )
        sleep = self._retry_sleep(error, now)
        if fresh:
            sleep = min(sleep, grace)
        level = logging.WARNING if memory.failures == 1 else logging.INFO
        text = f"{self._status()} could not be read ({memory.failures} in a row): {error.advice}"
        if fresh:
            text += f" A fresh id is not visible everywhere at once, so this is final only in {grace:.0f} s."
        return self._wait(now, sleep, [Note(level, text)], error)

    def on_reread(self, changed: bool, now: float) -> Decision:
        """
        Decide after the connection was read again because the service refused the key.

        :param changed: whether the connection is another one now.
        :param now: the time in epoch seconds.
        """
        refusal, self.refusal = self.refusal, None
        if not changed and refusal is not None:
            return self.on_error(refusal, now)
        return Decision(
            notes=(Note(logging.INFO, "The key was refused, but the connection has changed since: once more."),)
        )

    def _wait(self, now: float, sleep: float, notes: list[Note], error: ApiError | None = None) -> Decision:
        settings = self.settings
        ends = [d for d in (settings.deadline, settings.execution_deadline) if d is not None]
        if not ends or now < min(ends):
            return Decision(self._until(now, max(sleep, SHORTEST_SLEEP)), notes=tuple(notes))
        outcome, name = Outcome.TIMEOUT, "timeout"
        if settings.execution_deadline == min(ends):
            outcome, name = Outcome.EXECUTION_TIMEOUT, "execution_timeout"
        budget = _duration(min(ends) - self.memory.began)
        last = f"last status {self.memory.status!r}" if self.memory.status else "its status was never read"
        trouble = f"; the last look failed: {error.advice}" if error else "."
        deadline = datetime.fromtimestamp(min(ends), UTC).isoformat(timespec="seconds")
        return self._finish(
            outcome,
            f"was not done when its {name} of {budget} was over (deadline {deadline}): {last}{trouble} "
            "The job goes on unless the task cancels it; waiting for it again, with a longer timeout, does no harm.",
            notes,
        )

    def _until(self, now: float, sleep: float) -> float:
        """Sleep no longer than until the next deadline, where a last look is due."""
        for deadline in (self.settings.deadline, self.settings.execution_deadline):
            if deadline is not None:
                sleep = min(sleep, deadline - now)
        return max(sleep, 0.0)

    def _interval(self, now: float) -> float:
        settings = self.settings
        if not settings.exponential_backoff:
            return settings.poke_interval
        # Airflow's poke loop waits poke_interval * 2 ** (n - 2) seconds after poke n, plus up to as much again as
        # jitter. In terms of the time waited that is the line below: no count to keep, whatever the mode.
        waited = max(now - self.memory.began, 0.0)
        interval = max((waited + 0.75 * settings.poke_interval) / 1.5, 1.0) * (1 + self.rand())
        return interval if settings.max_wait is None else min(interval, settings.max_wait)

    def _retry_sleep(self, error: ApiError, now: float) -> float:
        interval = self.settings.poke_interval
        first = min(interval, FIRST_RETRY)
        asked_for = retry_after_seconds(error.retry_after, now)
        if asked_for is not None:
            # Never earlier than asked, and not all waits at the same moment.
            return max(asked_for, min(first, 1.0)) + self.rand() * min(first, 1 + asked_for / 10)
        longest = max(interval, LONGEST_RETRY)
        exponent = min(self.memory.failures - 1, 30)
        return float(min(first * 2**exponent, longest)) * (0.75 + 0.25 * self.rand())

    def _on_detail(self, answer: M, reading: Reading) -> Decision:
        if reading.state is SUCCEEDED and not reading.lacks:
            return self._end(answer, reading, [])
        return self._without_detail()

    def _without_detail(self, error: ApiError | None = None) -> Decision:
        assert self.incomplete is not None  # noqa: S101  # only called after it was set
        answer, reading = self.incomplete
        trouble = f" (reading it failed: {error.advice})" if error else ""
        return self._finish(
            Outcome.FAILED,
            f"is {reading.word!r}, but neither its status nor its detail names a {reading.lacks}{trouble}. "
            "Ask the service's support what became of it.",
            result=self.kind.result(answer, reading),
        )

    def _end(self, answer: M, reading: Reading, notes: list[Note]) -> Decision:
        result = self.kind.result(answer, reading)
        if reading.state is SUCCEEDED:
            if reading.warning:
                notes.append(Note(logging.WARNING, f"{self._subject()}: {reading.warning}"))
            warning = f" Warning: {reading.warning}" if reading.warning else ""
            return self._finish(Outcome.SUCCEEDED, f"is done: {reading.word}.{warning}", notes, result)
        outcome = Outcome.CANCELLED if reading.state is CANCELLED else Outcome.FAILED
        verb = "was stopped" if outcome is Outcome.CANCELLED else "failed"
        reason = reading.reason.rstrip(". ") or "the service gives no reason"
        return self._finish(outcome, f"{verb} (status {reading.word!r}): {reason}.", notes, result)

    def _finish(
        self,
        outcome: Outcome,
        what: str,
        notes: list[Note] | None = None,
        result: dict[str, Any] | None = None,
        subject: str | None = None,
    ) -> Decision:
        ending = Ending(outcome, f"{subject or self._subject()} {what}", result)
        return Decision(ending=ending, notes=tuple(notes or ()))

    def _subject(self, prefix: str = "") -> str:
        kind = self.kind
        return f"{kind.service.name} (connection {self.conn_id!r}): {prefix}{kind.subject(self.job_id)}"

    def _status(self) -> str:
        return self._subject("the status of ")

    def _notes(self, reading: Reading, now: float) -> list[Note]:
        """Say what changed since the last look: status, progress, estimate."""
        memory, notes = self.memory, []
        if reading.word != memory.status and not reading.known:
            notes.append(
                Note(
                    logging.WARNING,
                    f"{self._subject()}: unknown status {reading.word!r}; waiting on as if it ran.",
                )
            )
        left = estimate(reading, now)
        eta = None if left is None else now + left
        moved = (eta is None) != (memory.eta is None) or (
            eta is not None
            and memory.eta is not None
            and abs(eta - memory.eta) > max(60.0, ETA_MOVED * abs(memory.eta - now))
        )
        if reading.word == memory.status and reading.progress == memory.progress and not moved:
            return notes
        memory.progress, memory.eta = reading.progress, eta
        text = f"{self._subject()}: {reading.word}"
        if memory.status and memory.status != reading.word:
            text += f" (was {memory.status})"
        if reading.progress is not None:
            text += f", progress {reading.progress}" + ("" if isinstance(reading.progress, str) else " %")
        if eta is not None and reading.state is RUNNING:
            text += f", expected to end {datetime.fromtimestamp(eta, UTC).isoformat(timespec='seconds')}"
        notes.append(Note(logging.INFO, text))
        return notes


def estimate(reading: Reading, now: float) -> float | None:
    """
    Say how many seconds the service expects the job to go on.

    An estimate that is negative, not finite or absurd is none.
    """
    if reading.eta_seconds is not None:
        seconds = reading.eta_seconds
    elif reading.eta is not None:
        seconds = reading.eta.timestamp() - now
    else:
        return None
    return seconds if 0 <= seconds < ABSURD else None


def paced(interval: float, seconds: float | None, rand: Callable[[], float]) -> float:
    """
    Say how long to sleep when the service expects the job to go on for a while.

    Until just after the expected end, but never longer than :data:`LONGEST_SLEEP` intervals, should the service be
    wrong, and never shorter than one. Spread over a part of an interval, so that waits that began together, or expect
    the same end, do not look together.

    :param interval: seconds between two looks otherwise.
    :param seconds: how long the job is expected to go on.
    :param rand: gives random numbers from 0 to 1.
    """
    if seconds is None or seconds <= interval:
        return interval
    return min(seconds + interval * SPREAD * rand(), interval * (LONGEST_SLEEP - rand()))


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """
    Read a ``Retry-After`` header: seconds, or an HTTP date (RFC 9110, section 10.2.3).

    :param header: the header as sent.
    :param now: the time in epoch seconds.
    :return: seconds from now, never negative; ``None`` if there is no (readable) header.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now, 0.0)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return " ".join(f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if n)
