"""
Jobs that progress in time.

The state of a job is a pure function of its record and the time: nothing runs in the background, and a simulator
that was restarted continues where the clock is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Words with which a job ends without having succeeded, in both services.
BROKEN = frozenset({"FAILED", "STOPPED", "CANCELLED"})
#: Words with which a job can end. One whose last word is another never ends by itself.
FINAL = BROKEN | {"READY", "COMPLETED", "EVALUATED", "DEPLOYED", "UNDEPLOYED", "ACTIVE", "INACTIVE"}


@dataclass
class Stage:
    """A status word, and how many seconds a job has it; the last stage of a job lasts."""

    word: str
    seconds: float = 0.0


@dataclass
class Job:
    """
    A job, or a thing that takes time to get ready.

    :param kind: one of the kinds in :data:`~airflow_provider_nugen.simulator.state.DURATIONS`.
    :param id: its id.
    :param created: when it was created, in epoch seconds.
    :param stages: the words it goes through.
    :param inputs: what it was created with.
    :param scope: whose it is: SeekrFlow's team, empty for a personal workspace.
    :param ended: the word that ended it early, and when (epoch seconds).
    :param reason: why it ended the way it did.
    :param overrides: fields of its answers that are set from outside; ``status`` among them.
    """

    kind: str
    id: str
    created: float
    stages: list[Stage]
    inputs: dict[str, Any] = field(default_factory=dict)
    scope: str = ""
    ended: tuple[str, float] | None = None
    reason: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def duration(self) -> float:
        """Seconds until the last stage."""
        return sum(stage.seconds for stage in self.stages[:-1])

    @property
    def last(self) -> str:
        """The word of the last stage."""
        return self.stages[-1].word

    def end_early(self, word: str, now: float, reason: str | None = None) -> None:
        """End the job before its time, with its last word or another; one that has ended stays as it is."""
        if not self.done(now):
            self.ended, self.reason = (word, now), reason

    def word(self, now: float) -> str:
        """Return the status word of the moment."""
        return self.passed(now)[-1]

    def broken(self, now: float) -> bool:
        """Return whether the job has ended without having succeeded."""
        return self.done(now) and self.word(now).upper() in BROKEN

    def passed(self, now: float) -> list[str]:
        """List the words that the job had until now, the one of the moment last."""
        ended = self.ended if self.ended and now >= self.ended[1] else None
        if ended and ended[0] == self.last and self.last.upper() not in BROKEN:
            return [stage.word for stage in self.stages]
        words = [stage.word for stage in self.stages[: self._index(ended[1] if ended else now) + 1]]
        return [*words, ended[0]] if ended else words

    def _index(self, at: float) -> int:
        left = at - self.created
        for index, stage in enumerate(self.stages[:-1]):
            if left < stage.seconds:
                return index
            left -= stage.seconds
        return len(self.stages) - 1

    def start(self, word: str) -> float:
        """
        Return when the job comes to a stage, in epoch seconds.

        :param word: the status word of the stage; of several stages with it the first counts.

        :raises ValueError: if it has no such stage.
        """
        index = [stage.word for stage in self.stages].index(word)
        start = self.created + sum(stage.seconds for stage in self.stages[:index])
        return min(start, self.ended[1]) if self.ended else start

    def after(self, word: str) -> float:
        """
        Return when the job leaves a stage, in epoch seconds.

        :param word: the status word of the stage; of several stages with it the first counts.
        :raises ValueError: if it has no such stage.
        """
        index = [stage.word for stage in self.stages].index(word)
        end = self.created + sum(stage.seconds for stage in self.stages[: index + 1])
        return min(end, self.ended[1]) if self.ended else end

    def done(self, now: float) -> bool:
        """Return whether nothing will change any more."""
        return self.end(now) is not None

    def end(self, now: float) -> float | None:
        """Return when the job ended, in epoch seconds; ``None`` while it runs."""
        if self.ended:
            word, end = self.ended
        else:
            word, end = self.last, self.created + self.duration
        return end if end <= now and word.upper() in FINAL else None

    def progress(self, now: float) -> float:
        """Return how far the job is, from 0 to 1."""
        end = self.end(now)
        if end is not None and not self.broken(now):
            return 1.0
        # One that never ends, or that broke, is never whole.
        return min(_part((now if end is None else end) - self.created, self.duration), 0.99)

    def step_progress(self, now: float) -> float:
        """Return how far the stage of the moment is, from 0 to 1."""
        if self.done(now):
            return 1.0
        index = self._index(now)
        return _part(
            now - self.created - sum(stage.seconds for stage in self.stages[:index]), self.stages[index].seconds
        )

    def remaining(self, now: float) -> float | None:
        """Return how many seconds the job still takes; ``None`` when it is over, or never will be."""
        if self.done(now) or self.last.upper() not in FINAL:
            return None
        return self.created + self.duration - now


def _part(elapsed: float, whole: float) -> float:
    return min(max(elapsed / whole, 0.0), 1.0) if whole else 0.0
