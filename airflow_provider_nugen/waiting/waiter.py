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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from airflow_provider_nugen.api.endpoint import Call, RawResponse
from airflow_provider_nugen.api.errors import ApiError, NotFoundError, UnauthorizedError, retry_after_seconds
from airflow_provider_nugen.api.job import CANCELLED, RUNNING, SUCCEEDED, JobKind, JobStatus, progress_bounds
from airflow_provider_nugen.api.models import ServiceModel
from airflow_provider_nugen.waiting.result import Decision, LogMessage, Outcome, WaitResult
from airflow_provider_nugen.waiting.schedule import estimate, eta_interval
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState

M = TypeVar("M", bound=ServiceModel)

#: No wait asks more often than this, in seconds, whatever its ``poke_interval``.
MIN_INTERVAL = 0.1
#: After a failed look the next one comes after this many seconds (or ``poke_interval``, if that is shorter) ...
FIRST_RETRY = 5.0
#: ... then after twice as many, and so on, up to this many (or ``poke_interval``, if that is longer).
MAX_RETRY_INTERVAL = 60.0
#: So many looks must fail in a row ...
MAX_FAILURES = 10
#: ... and for longer than so many seconds, before the wait gives up.
MAX_OUTAGE = 600.0
#: A fresh id is not visible everywhere at once: for so many seconds a 404 is not final. Just under a minute, so
#: that a wait for an id that never existed ends within one.
NOT_FOUND_GRACE = 55.0
#: Many waits may have the same deadline: for so many seconds the last look can wait for its turn.
FINAL_POLL_PATIENCE = 30.0
#: A job that stays for so many seconds in a state that leads nowhere is taken to be stuck.
STALL_TIMEOUT = 600.0
#: An estimate is worth a log line when it moves by more than this share of what remains, or a minute.
ETA_MOVED = 0.1


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
    memory: WaitState
    rand: Callable[[], float] = random.random
    #: The answer of a finished job that lacks something; its detail is asked for once.
    incomplete: tuple[M, JobStatus] | None = field(default=None, init=False)
    #: How the service refused the key, while the connection is read again.
    refusal: ApiError | None = field(default=None, init=False)
    #: The last answer that said that the job runs: what it meant, and a hash of its text.
    running: JobStatus | None = field(default=None, init=False)
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

    def queue_timeout(self, now: float) -> float:
        """Say how many seconds the next look can wait for its turn: until a little after the next deadline."""
        return self._until(now, math.inf) + FINAL_POLL_PATIENCE

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
        memory.seen, memory.status = True, reading.status
        if reading.state is not RUNNING:
            if reading.state is SUCCEEDED and reading.missing_field and self.kind.detail:
                self.incomplete = answer, reading
                return Decision(notes=tuple(notes))
            return self._end(answer, reading, notes)
        self.running = reading
        return self._still_running(reading, now, notes)

    def _still_running(self, reading: JobStatus, now: float, notes: list[LogMessage]) -> Decision:
        memory = self.memory
        memory.stalled_since = (memory.stalled_since or now) if reading.stall_reason else None
        if memory.stalled_since is not None and now - memory.stalled_since > STALL_TIMEOUT:
            stalled = _duration(now - memory.stalled_since)
            return self._finish(
                Outcome.FAILED, f"has been {reading.status!r} for {stalled}: {reading.stall_reason}.", notes
            )
        sleep = self._interval(now)
        if self.settings.use_eta and not self.settings.exponential_backoff:
            sleep = eta_interval(sleep, self._remaining(reading, now), self.rand)
        return self._wait(now, sleep, notes)

    def _remaining(self, reading: JobStatus, now: float) -> float | None:
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

    def _recovered(self) -> list[LogMessage]:
        """Note that the service answers (again)."""
        memory = self.memory
        failures, memory.failures, memory.failing_since, memory.reread = memory.failures, 0, None, False
        if not failures:
            return []
        return [LogMessage(logging.INFO, f"{self._status()} can be read again after {failures} failed looks.")]

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
        return self._wait(now, sleep, [LogMessage(level, text)], error)

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
            notes=(LogMessage(logging.INFO, "The key was refused, but the connection has changed since: once more."),)
        )

    def _wait(self, now: float, sleep: float, notes: list[LogMessage], error: ApiError | None = None) -> Decision:
        settings = self.settings
        ends = [d for d in (settings.deadline, settings.execution_deadline) if d is not None]
        if not ends or now < min(ends):
            return Decision(self._until(now, max(sleep, MIN_INTERVAL)), notes=tuple(notes))
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
        longest = max(interval, MAX_RETRY_INTERVAL)
        exponent = min(self.memory.failures - 1, 30)
        return float(min(first * 2**exponent, longest)) * (0.75 + 0.25 * self.rand())

    def _on_detail(self, answer: M, reading: JobStatus) -> Decision:
        if reading.state is SUCCEEDED and not reading.missing_field:
            return self._end(answer, reading, [])
        return self._without_detail()

    def _without_detail(self, error: ApiError | None = None) -> Decision:
        assert self.incomplete is not None  # noqa: S101  # only called after it was set
        answer, reading = self.incomplete
        trouble = f" (reading it failed: {error.advice})" if error else ""
        return self._finish(
            Outcome.FAILED,
            f"is {reading.status!r}, but neither its status nor its detail names a {reading.missing_field}{trouble}. "
            "Ask the service's support what became of it.",
            result=self.kind.result(answer, reading),
        )

    def _end(self, answer: M, reading: JobStatus, notes: list[LogMessage]) -> Decision:
        result = self.kind.result(answer, reading)
        if reading.state is SUCCEEDED:
            if reading.warning:
                notes.append(LogMessage(logging.WARNING, f"{self._subject()}: {reading.warning}"))
            warning = f" Warning: {reading.warning}" if reading.warning else ""
            return self._finish(Outcome.SUCCEEDED, f"is done: {reading.status}.{warning}", notes, result)
        outcome = Outcome.CANCELLED if reading.state is CANCELLED else Outcome.FAILED
        verb = "was stopped" if outcome is Outcome.CANCELLED else "failed"
        reason = reading.reason.rstrip(". ") or "the service gives no reason"
        return self._finish(outcome, f"{verb} (status {reading.status!r}): {reason}.", notes, result)

    def _finish(
        self,
        outcome: Outcome,
        what: str,
        notes: list[LogMessage] | None = None,
        result: dict[str, Any] | None = None,
        subject: str | None = None,
    ) -> Decision:
        ending = WaitResult(outcome, f"{subject or self._subject()} {what}", result)
        return Decision(ending=ending, notes=tuple(notes or ()))

    def _subject(self, prefix: str = "") -> str:
        kind = self.kind
        return f"{kind.service.name} (connection {self.conn_id!r}): {prefix}{kind.subject(self.job_id)}"

    def _status(self) -> str:
        return self._subject("the status of ")

    def _notes(self, reading: JobStatus, now: float) -> list[LogMessage]:
        """Say what changed since the last look: status, progress, estimate."""
        memory, notes = self.memory, []
        if reading.status != memory.status and not reading.is_known_status:
            notes.append(
                LogMessage(
                    logging.WARNING,
                    f"{self._subject()}: unknown status {reading.status!r}; waiting on as if it ran.",
                )
            )
        left = estimate(reading, now)
        eta = None if left is None else now + left
        moved = (eta is None) != (memory.eta is None) or (
            eta is not None
            and memory.eta is not None
            and abs(eta - memory.eta) > max(60.0, ETA_MOVED * abs(memory.eta - now))
        )
        if reading.status == memory.status and reading.progress == memory.progress and not moved:
            return notes
        memory.progress, memory.eta = reading.progress, eta
        text = f"{self._subject()}: {reading.status}"
        if memory.status and memory.status != reading.status:
            text += f" (was {memory.status})"
        if reading.progress is not None:
            text += f", progress {reading.progress}" + ("" if isinstance(reading.progress, str) else " %")
        if eta is not None and reading.state is RUNNING:
            text += f", expected to end {datetime.fromtimestamp(eta, UTC).isoformat(timespec='seconds')}"
        notes.append(LogMessage(logging.INFO, text))
        return notes


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return " ".join(f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if n)
