"""The wait of a task: for one job, or for several at once."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.waiting.progress import timestamp
from airflow_provider_nugen.waiting.result import Outcome, WaitResult, cut
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.waiter import Waiter

if TYPE_CHECKING:
    from airflow_provider_nugen.api.models import ServiceModel

M = TypeVar("M", bound="ServiceModel")

#: What ends a wait for several jobs when they ended differently: the first of these that is among their outcomes. What
#: a retry cannot help comes before what it can.
SEVERITY = (
    Outcome.FAILED,
    Outcome.CANCELLED,
    Outcome.REJECTED,
    Outcome.EXECUTION_TIMEOUT,
    Outcome.TIMEOUT,
    Outcome.UNREACHABLE,
)
#: The most characters of what happened to one of several jobs in a message.
MAX_REASON = 1000


class JobWait(Generic[M]):
    """
    Waits for one job or for several, each by the rules of its :class:`~airflow_provider_nugen.waiting.waiter.Waiter`.

    Several jobs are over when each of them is. They succeed together, with the list of their final statuses in the
    order of the ids; or they fail together, with a message that names each that did not succeed.

    :param kind: the kind of the jobs.
    :param job_id: the id, or the list of ids. An id that comes twice is polled once.
    :param conn_id: the Airflow connection, for messages.
    :param settings: what the user asked for.
    :param stored: what is known already: ``began``, and what :meth:`to_json` returned before.
    :param rand: gives random numbers from 0 to 1, for jitter.
    """

    def __init__(
        self,
        kind: JobKind[M],
        job_id: str | Sequence[str],
        conn_id: str,
        settings: WaitSettings,
        stored: Mapping[str, Any],
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.kind = kind
        self.job_id: str | list[str] = job_id if isinstance(job_id, str) else list(job_id)
        self.conn_id = conn_id
        self.settings = settings
        self.began: float = stored["began"]
        many = not isinstance(job_id, str)
        ids = list(dict.fromkeys([job_id] if isinstance(job_id, str) else job_id))
        states: Any = stored.get("jobs") if many else [stored]
        if not isinstance(states, list) or len(states) != len(ids):
            states = [{}] * len(ids)
        #: The waiters by the ids of their jobs.
        self.waiters: dict[str, Waiter[M]] = {}
        for one, state in zip(ids, states, strict=True):
            known = WaitState.from_json({**state, "began": self.began})
            self.waiters[one] = Waiter(kind, one, conn_id, settings, known, rand, one_of_many=many)

    @property
    def is_many(self) -> bool:
        """Whether a list of ids is waited for, be it of one."""
        return not isinstance(self.job_id, str)

    @property
    def subject(self) -> str:
        """Name the jobs in messages."""
        first, *others = self.waiters or [""]
        more = f" and {len(others)} more" if others else ""
        return f"{self.kind.subject(first)}{more}" if first else f"no {self.kind.label}"

    def to_json(self) -> dict[str, Any]:
        """Return what is known as a JSON object; each of several jobs has an object of its own in ``jobs``."""
        states = [waiter.state.to_json() for waiter in self.waiters.values()]
        if not self.is_many:
            return states[0]
        for state in states:
            del state["began"]
        return {"began": self.began, "jobs": states}

    def open(self) -> list[Waiter[M]]:
        """
        Return whose job is to be polled.

        Jobs that were over before this process took the wait up are polled last, once, for their final status.
        """
        unknown = [waiter for waiter in self.waiters.values() if waiter.result is None]
        return [waiter for waiter in unknown if not waiter.state.over] or unknown

    def due(self, now: float) -> list[Waiter[M]]:
        """
        Return whose job is to be polled now.

        :param now: the time in epoch seconds.
        """
        return [waiter for waiter in self.open() if (waiter.state.due or now) <= now]

    def sleep(self, now: float, spread: float = 0.0) -> float:
        """
        Return in how many seconds the next poll is due.

        :param now: the time in epoch seconds.
        :param spread: the seconds after it within which other due jobs are polled together with it.
        """
        due = [waiter.state.due or now for waiter in self.open()]
        first = min(due, default=now)
        return max(max((when for when in due if when <= first + spread), default=now) - now, 0.0)

    def seconds_left(self, now: float) -> float | None:
        """
        Return in how many seconds all jobs are expected to be over; ``None`` if that is not known, or not wanted.

        :param now: the time of the last answers, in epoch seconds.
        """
        if not self.settings.use_eta:
            return None
        left = [waiter.seconds_left(now) for waiter in self.waiters.values() if waiter.result is None]
        known = [seconds for seconds in left if seconds is not None]
        return max(known) if known and len(known) == len(left) else None

    def seconds_to_deadline(self, now: float) -> float:
        """
        Return in how many seconds the first deadline is, if there is one.

        :param now: the time in epoch seconds.
        """
        ends = [end for end in (self.settings.deadline, self.settings.execution_deadline) if end is not None]
        return max(min(ends, default=math.inf) - now, 0.0)

    def poll_now(self) -> None:
        """Let all polls be due, whatever was planned."""
        for waiter in self.open():
            waiter.state.due = None

    def summary(self) -> str:
        """Describe in a line how far several jobs are."""
        words = Counter(waiter.state.status or "not read yet" for waiter in self.waiters.values())
        counted = ", ".join(f"{count} {word}" for word, count in words.most_common())
        return f"{self._subject()}: {counted}" if counted else f"{self._subject()}: nothing to wait for"

    def report(self) -> dict[str, Any]:
        """Return how far the wait is, for people who look at the task: JSON values."""
        if isinstance(self.job_id, str):
            state = self.waiters[self.job_id].state
            eta = None if state.eta is None else timestamp(state.eta)
            return {"status": state.status, "progress": state.progress, "expected_end": eta}
        states = [waiter.state for waiter in self.waiters.values()]
        words = Counter(state.status or "not read yet" for state in states)
        return {"jobs": len(states), "over": sum(state.over for state in states), "statuses": dict(words)}

    def result(self) -> WaitResult | None:
        """Return how the wait ended; ``None`` if it has not."""
        results = {job_id: waiter.result for job_id, waiter in self.waiters.items()}
        if isinstance(self.job_id, str):
            return results[self.job_id]
        if not all(results.values()):
            return None
        ended = {job_id: result for job_id, result in results.items() if result is not None}
        values = [ended[job_id].result for job_id in self.job_id]
        outcomes = {result.outcome for result in ended.values()} - {Outcome.SUCCEEDED}
        if not outcomes:
            return WaitResult(Outcome.SUCCEEDED, f"{self.summary()}.", values)
        done = [job_id for job_id, result in ended.items() if result.outcome is Outcome.SUCCEEDED]
        failed = len(ended) - len(done)
        return WaitResult(
            next(outcome for outcome in SEVERITY if outcome in outcomes),
            f"{self._subject()}: {failed} of {len(ended)} did not succeed. {' '.join(self._failures())} "
            f"Succeeded: {', '.join(map(repr, done)) or 'none'}.",
            values,
        )

    def _failures(self) -> Iterator[str]:
        """Name the jobs that did not succeed, those together that ended alike."""
        alike: dict[str, list[str]] = {}
        for job_id, waiter in self.waiters.items():
            if waiter.result is not None and waiter.result.outcome is not Outcome.SUCCEEDED:
                alike.setdefault(cut(waiter.what, MAX_REASON), []).append(job_id)
        for what, ids in alike.items():
            yield f"{self.kind.label} {', '.join(map(repr, ids))}: {what}"

    def _subject(self) -> str:
        count = len(self.waiters)
        return f"{self.kind.service.name} (connection {self.conn_id!r}): {count} x {self.kind.label}"
