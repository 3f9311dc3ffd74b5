"""
The waiter: given what a service answered and the time, what next?

Pure: no I/O, no clock, no Airflow. A :class:`Waiter` is fed with answers, errors and the time, and decides how long
to sleep, or how the wait for its job ended. The poke loop and the trigger do the I/O it asks for, so that every rule of
a wait is written here once and holds in every mode.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import (
    ApiError,
    ConnectionSettingsError,
    NotFoundError,
    ResponseError,
    UnauthorizedError,
    WrongRouteError,
    retry_after_seconds,
)
from airflow_provider_nugen.api.job import RUNNING, SUCCEEDED, Described, JobStatus
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.waiting import schedule
from airflow_provider_nugen.waiting.outcome import JobOutcome
from airflow_provider_nugen.waiting.progress import changes, duration, timestamp
from airflow_provider_nugen.waiting.result import Decision, LogMessage, Outcome

if TYPE_CHECKING:
    from airflow_provider_nugen.api.models import ServiceModel

M = TypeVar("M", bound="ServiceModel")

#: A wait gives up when this many polls in a row have failed ...
MAX_FAILURES = 10
#: ... and for longer than this many seconds.
MAX_OUTAGE = 600.0
#: After this many 5xx in a row of the status route the detail route is asked in turn with it.
MAX_STATUS_ERRORS = 3
#: Seconds in which a 404 is not final, since a fresh id is not visible everywhere at once. Just under a minute, so
#: that a wait for an id that never existed ends within one.
NOT_FOUND_GRACE = 55.0
#: Seconds in which all polls must be refused with 401 before a key is final as refused, for a wait whose job the
#: service has shown: a troubled service refuses right keys, too, and all of them at once. The connection is read again
#: each time.
REFUSAL_HOLD = 60.0
#: Seconds, at the least, until the key is sent again meanwhile.
REFUSAL_RETRY = 5.0
#: Seconds that the final poll can wait for its turn: many waits may have the same deadline.
FINAL_POLL_PATIENCE = 30.0
#: Seconds after which a job in a state that leads nowhere is taken to be stuck.
STALL_TIMEOUT = 600.0


@dataclass(slots=True)
class Waiter(JobOutcome[M]):
    """
    Decides about the wait for one job.

    Its parameters are those of :class:`~airflow_provider_nugen.waiting.outcome.JobOutcome`.
    """

    #: The status route keeps failing, so it is the detail route's turn.
    _ask_detail: bool = field(default=False, init=False)
    #: The last answer that said that the job runs: what it meant, and a hash of its text.
    _running: JobStatus | None = field(default=None, init=False)
    _running_hash: int = field(default=0, init=False)
    _status_call: Call[M] | None = field(default=None, init=False)
    #: The answer that the kind's supplement is asked for, and the call that it is the answer of.
    _unsupplemented: tuple[Call[M], M] | None = field(default=None, init=False)
    #: The 404 after which the job is searched for in the kind's list; with the call and the API revision that it is of.
    _unknown: tuple[Call[M], NotFoundError, str] | None = field(default=None, init=False)

    def describe(self, described: Described) -> None:
        """Keep what whoever made the job has told about it, unless more is known already."""
        state = self.state
        state.name = state.name or described.name
        state.listed_id = state.listed_id or described.listed_id
        state.revision = state.revision or described.revision

    def next_call(self) -> Call[M]:
        """Return what to ask the service next."""
        if self._unsupplemented is not None and self.kind.supplement is not None:
            return self.kind.supplement.endpoint.call(**{self.kind.id_name: self.job_id})
        if self.kind.lookup is not None and self._looks_up:
            return self.kind.lookup.endpoint.call()
        if self._ask_detail or self._incomplete is not None:
            return self.kind.call(self.job_id, detail=True)
        if self._status_call is None:
            self._status_call = self.kind.call(self.job_id)
        return self._status_call

    def first_sleep(self, now: float) -> float:
        """
        Return how long to sleep after taking over a wait that somebody else has begun.

        Until the poll that is due; if that was missed, a part of an interval, so that a thousand waits taken over
        together do not poll together.

        :param now: the time in epoch seconds.
        """
        state = self.state
        if state.due is not None and state.due > now:
            return self._until(now, state.due - now)
        interval = schedule.poll_interval(self.settings, now - state.began, self.rand)
        if not state.seen:
            interval = min(interval, schedule.FIRST_RETRY)
        return 0.0 if state.over else self._until(now, interval * self.rand())

    def queue_timeout(self, now: float) -> float:
        """
        Return how many seconds the next poll can wait for its turn: until a little after the next deadline.

        :param now: the time in epoch seconds.
        """
        return self._until(now, math.inf) + FINAL_POLL_PATIENCE

    def seconds_left(self, now: float) -> float | None:
        """
        Return in how many seconds the service expects the job to end; ``None`` if it does not run, or says nothing.

        :param now: the time of the last answer, in epoch seconds.
        """
        return None if self._running is None else schedule.estimate(self._running, now)

    def on_response(self, call: Call[M], response: RawResponse, now: float) -> Decision:
        """
        Decide after a response arrived, whatever it says.

        Most polls of a running job find what the poll before has found: the same text is not read twice.

        :param call: what was asked.
        :param response: what came.
        :param now: the time in epoch seconds.
        """
        if self._unsupplemented is not None:
            return self._on_supplement(call, response, now)
        if self._looks_up:
            return self._on_lookup(call, response, now)
        text_hash = hash(response.body)
        if (
            self.kind.supplement is None
            and self._running is not None
            and text_hash == self._running_hash
            and response.status == 200
        ):
            return self._still_running(self._running, now, self._recovered(call))
        self._running = None
        try:
            answer = call.read(response, self.conn_id)
        except ApiError as e:
            if isinstance(e, NotFoundError) and self.kind.lookup is not None:
                self._unknown = call, e, response.revision
                return Decision()
            return self.on_error(call, e, now)
        if self.kind.lookup is not None:
            self.state.revision = response.revision or None
            self.state.listed_id = self.kind.lookup.listed_id(answer) or self.state.listed_id
        supplement = self.kind.supplement
        if supplement is not None and self._incomplete is None and supplement.is_wanted(answer):
            self._unsupplemented = call, answer
            return Decision()
        decision = self.on_answer(call, answer, now)
        self._running_hash = text_hash
        return decision

    def on_answer(self, call: Call[M], answer: M, now: float) -> Decision:
        """
        Decide after the service answered; parameters as of :meth:`on_response`.

        :param answer: the parsed response.
        """
        state = self.state
        status = self.kind.read_status(answer, state.status)
        if self._incomplete is not None:
            return self._on_detail(answer, status, now)
        messages = changes(self._subject(), status, state, now, words_only=self.one_of_many)
        messages += self._recovered(call)
        if status.state is not RUNNING:
            if status.state is SUCCEEDED and status.missing_field and (self.kind.detail or self.kind.lookup):
                self._incomplete = answer, status
                return Decision(messages=tuple(messages))
            return self._end(answer, status, messages, now)
        self._running = status
        return self._still_running(status, now, messages)

    @property
    def _looks_up(self) -> bool:
        """Whether the kind's list is to be asked next."""
        return self._unknown is not None or (self._incomplete is not None and self.kind.detail is None)

    def _on_lookup(self, call: Call[Any], response: RawResponse, now: float) -> Decision:
        """Decide with the list where the status endpoint does not know the job, or lacks something."""
        assert self.kind.lookup is not None  # noqa: S101  # only called for a kind that has one
        try:
            listed = call.read(response, self.conn_id)
        except ApiError as e:
            return self.on_error(call, e, now)
        ids = {one for one in (self.job_id, self.state.listed_id) if one}
        found = self.kind.lookup.find(listed, ids, self.state.name)
        if found is not None:
            self._unknown = self._incomplete = None
            self.state.listed_id = self.kind.lookup.listed_id(found) or self.state.listed_id
            return self.on_answer(call, found, now)
        return self._without_detail(now) if self._unknown is None else self._not_found(now)

    def _not_found(self, now: float) -> Decision:
        """Decide about a job that neither the status endpoint nor the list knows."""
        assert self._unknown is not None and self.kind.lookup is not None  # noqa: S101, PT018  # only called then
        (call, error, revision), self._unknown = self._unknown, None
        if self.state.revision in (None, revision):
            return self.on_error(call, error, now)
        error.hint = self.kind.lookup.advice
        return self._retry(call, error, now)

    def _on_supplement(self, call: Call[M], response: RawResponse, now: float) -> Decision:
        """Decide with what the supplement adds, or without it if it cannot be read."""
        assert self._unsupplemented is not None  # noqa: S101  # only called after it was set
        assert self.kind.supplement is not None  # noqa: S101  # the same
        (status_call, answer), self._unsupplemented = self._unsupplemented, None
        try:
            answer = self.kind.supplement.add(answer, call.read(response, self.conn_id))
        except ApiError as e:
            return self._without_supplement(status_call, answer, e, now)
        return self.on_answer(status_call, answer, now)

    def _without_supplement(self, call: Call[M], answer: M, error: ApiError, now: float) -> Decision:
        decision = self.on_answer(call, answer, now)
        decision.messages = (LogMessage(logging.DEBUG, str(error)), *decision.messages)
        return decision

    def on_error(self, call: Call[M], error: ApiError, now: float) -> Decision:
        """
        Decide after a poll failed, or the connection could not be read.

        Whoever polls has read the connection again after a 401, and asked once more if that could help.

        :param call: what was asked.
        :param error: what happened.
        :param now: the time in epoch seconds.
        """
        if self._unsupplemented is not None:
            (status_call, answer), self._unsupplemented = self._unsupplemented, None
            return self._without_supplement(status_call, answer, error, now)
        if self._unknown is not None:
            if isinstance(error, ResponseError) and not (error.transient or isinstance(error, UnauthorizedError)):
                return self._not_found(now)  # there is no list to ask
            self._unknown = None
        state = self.state
        fresh = isinstance(error, NotFoundError) and not state.seen and self._incomplete is None
        grace = NOT_FOUND_GRACE - (now - state.began)
        refused = isinstance(error, UnauthorizedError)
        state.refused_since = (state.refused_since or now) if refused else None
        if not (error.transient or self._is_passing(call, error, now) or (fresh and grace > 0)):
            if self._incomplete is not None:
                return self._without_detail(now, error)
            return self._finish(Outcome.REJECTED, f"could not be read: {error.advice}", of_status=True)
        return self._retry(call, error, now, until=grace if fresh else None)

    def _is_passing(self, call: Call[M], error: ApiError, now: float) -> bool:
        """Decide whether an error that ends a wait for a job never seen is passing for one that was."""
        if isinstance(error, UnauthorizedError):
            return self._was_polled() and self._refusal_left(now) > 0
        if isinstance(error, ConnectionSettingsError):
            # It was read before. Airflow says the same when its database or its secrets backend is down.
            return self._was_polled()
        if isinstance(error, WrongRouteError) and self._incomplete is None:
            # A service that moves is back soon; a detail that was asked in the place of the status may not exist.
            return self._was_polled() or self._is_detail(call)
        return False

    def _refusal_left(self, now: float) -> float:
        """Return for how many seconds the key must be refused before that is final."""
        since = self.state.refused_since
        return REFUSAL_HOLD - (now - (now if since is None else since))

    def _was_polled(self) -> bool:
        """Return whether the service knew the job, or an earlier poke left it to this one to find out."""
        return self.state.seen or self.state.polled_before

    def _is_detail(self, call: Call[M]) -> bool:
        return call.endpoint is self.kind.detail

    def _retry(self, call: Call[M], error: ApiError, now: float, until: float | None = None) -> Decision:
        """Poll again after a failure that passes, unless there were too many for too long."""
        state = self.state
        # What the detail route makes up for is said once.
        known = state.server_errors >= MAX_STATUS_ERRORS
        state.failures += 1
        state.failing_since = now if state.failing_since is None else state.failing_since
        if self._incomplete is None:
            self._take_turns(call, error)
        outage = now - state.failing_since
        if state.failures >= MAX_FAILURES and outage > MAX_OUTAGE and not self.settings.ignore_failures:
            return self._finish(
                Outcome.UNREACHABLE,
                f"could not be read {state.failures} times in {duration(outage)}; whether the job still runs "
                f"is not known. Last: {error.advice}",
                of_status=True,
            )
        retry_after = retry_after_seconds(error.retry_after, now)
        sleep = schedule.retry_interval(self.settings.poke_interval, state.failures, retry_after, self.rand)
        if isinstance(error, UnauthorizedError):
            sleep = max(sleep if retry_after else min(sleep, self._refusal_left(now)), REFUSAL_RETRY)
        text = f"{self._status()} could not be read ({state.failures} in a row): {error.advice}"
        if until is not None:
            sleep = min(sleep, until)
            text += f" A fresh id is not visible everywhere at once, so this is final only in {until:.0f} s."
        level = logging.INFO if state.failures > 1 else logging.DEBUG if known else logging.WARNING
        if self._ask_detail and state.polled_before and retry_after is None:
            # At once: the next poke is another process, which would ask the status route first, again.
            return Decision(messages=(LogMessage(level, text),))
        return self._wait(now, sleep, [LogMessage(level, text)], error)

    def _take_turns(self, call: Call[M], error: ApiError) -> None:
        """Let the detail route answer in turn with a status route that keeps failing."""
        state, detail = self.state, self._is_detail(call)
        if not detail and isinstance(error, ResponseError):
            state.server_errors = state.server_errors + 1 if error.status >= 500 else 0
        # Without memory of the pokes before, which Airflow before 3.3 has not, this one may be one of many that failed.
        limit = 1 if state.polled_before else MAX_STATUS_ERRORS
        self._ask_detail = not detail and state.server_errors >= limit and self.kind.detail is not None

    def _recovered(self, call: Call[M]) -> list[LogMessage]:
        """Note that the service answers (again)."""
        state = self.state
        state.refused_since, self._ask_detail = None, False
        failures, errors = state.failures, state.server_errors
        if not failures and not errors:
            return []
        state.failures, state.failing_since = 0, None
        detail = self._is_detail(call)
        if not detail:
            state.server_errors = 0
        if detail and errors > MAX_STATUS_ERRORS:
            return []
        by = " by its detail" if detail else ""
        return [LogMessage(logging.INFO, f"{self._status()} can be read again{by} after {failures} failed polls.")]

    def _still_running(self, status: JobStatus, now: float, messages: list[LogMessage]) -> Decision:
        state = self.state
        state.over = False
        state.stalled_since = (state.stalled_since or now) if status.stall_reason else None
        if state.stalled_since is not None and now - state.stalled_since > STALL_TIMEOUT:
            stalled = duration(now - state.stalled_since)
            return self._finish(
                Outcome.FAILED, f"has been {status.status!r} for {stalled}: {status.stall_reason}.", messages
            )
        sleep = schedule.poll_interval(self.settings, now - state.began, self.rand)
        if self.settings.use_eta and not self.settings.exponential_backoff:
            sleep = schedule.eta_interval(sleep, schedule.remaining(status, state, now), self.rand)
        return self._wait(now, sleep, messages)

    def _wait(self, now: float, sleep: float, messages: list[LogMessage], error: ApiError | None = None) -> Decision:
        settings = self.settings
        ends = [d for d in (settings.deadline, settings.execution_deadline) if d is not None]
        if not ends or now < min(ends):
            sleep = self._until(now, max(sleep, schedule.MIN_INTERVAL))
            self.state.due = now + sleep
            return Decision(sleep, messages=tuple(messages))
        outcome, name = Outcome.TIMEOUT, "timeout"
        if settings.execution_deadline == min(ends):
            outcome, name = Outcome.EXECUTION_TIMEOUT, "execution_timeout"
        budget = duration(min(ends) - self.state.began)
        last = f"last status {self.state.status!r}" if self.state.status else "its status was never read"
        trouble = f"; the final poll failed: {error.advice}" if error else "."
        return self._finish(
            outcome,
            f"was not done when its {name} of {budget} was over (deadline {timestamp(min(ends))}): {last}{trouble} "
            "The job continues unless the task cancels it. It is safe to wait for it again with a longer timeout.",
            messages,
        )

    def _until(self, now: float, sleep: float) -> float:
        """Sleep no longer than until the next deadline, where a final poll is due."""
        for deadline in (self.settings.deadline, self.settings.execution_deadline):
            if deadline is not None:
                sleep = min(sleep, deadline - now)
        return max(sleep, 0.0)

    def _on_detail(self, answer: M, status: JobStatus, now: float) -> Decision:
        if status.state is SUCCEEDED and not status.missing_field:
            return self._end(answer, status, [], now)
        return self._without_detail(now)
