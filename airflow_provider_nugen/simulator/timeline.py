"""
Jobs that progress in time.

What a job looks like is a pure function of its record and the time: nothing runs in the background, and a simulator
that was restarted goes on where the clock is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Words with which a job ends without having succeeded, in both services.
BROKEN = frozenset({"FAILED", "STOPPED", "CANCELLED"})


@dataclass
class Stage:
    """A status word, and how many seconds a job has it; the last stage of a job lasts."""

    word: str
    seconds: float = 0.0


@dataclass
class Job:
    """
    A job, or a thing that takes time to get ready.

    :param kind: alignment, evaluation, deployment, undeployment, document, benchmark, seekr_alignment, data_job.
    :param id: its id.
    :param created: when it was created, in epoch seconds.
    :param stages: the words it goes through.
    :param inputs: what it was created with.
    :param scope: whose it is: SeekrFlow's team, empty for a personal workspace.
    :param fails_with: why it fails in the middle of its longest stage.
    :param ended: the word that cut it off, and when.
    :param reason: why it was cut off.
    :param overrides: fields of its answers that are set from outside; ``status`` among them.
    """

    kind: str
    id: str
    created: float
    stages: list[Stage]
    inputs: dict[str, Any] = field(default_factory=dict)
    scope: str = ""
    fails_with: str | None = None
    ended: tuple[str, float] | None = None
    reason: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def duration(self) -> float:
        """Seconds until the last stage."""
        return sum(stage.seconds for stage in self.stages[:-1])

    def cut_off(self, word: str, now: float, reason: str | None = None) -> None:
        """End the job before its time; one that has ended stays as it is."""
        if not self.done(now):
            self.ended, self.reason = (word, now), reason

    def word(self, now: float) -> str:
        """Say the status word of the moment."""
        now = self._settle(now)
        if self.ended and now >= self.ended[1]:
            return self.ended[0]
        elapsed = now - self.created
        for stage in self.stages[:-1]:
            if elapsed < stage.seconds:
                return stage.word
            elapsed -= stage.seconds
        return self.stages[-1].word

    def reached(self, word: str, now: float) -> bool:
        """Say whether the job has come to a stage, or past it."""
        words = [stage.word for stage in self.stages]
        if word not in words:
            return False
        self._settle(now)
        at = min(now, self.ended[1] if self.ended else now)
        return at - self.created >= sum(stage.seconds for stage in self.stages[: words.index(word)])

    def done(self, now: float) -> bool:
        """Say whether nothing will change any more."""
        return self.end(now) is not None

    def end(self, now: float) -> float | None:
        """Say when the job ended, in epoch seconds; ``None`` while it runs."""
        self._settle(now)
        end = self.ended[1] if self.ended else self.created + self.duration
        return end if end <= now else None

    def progress(self, now: float) -> float:
        """Say how far the job is, from 0 to 1."""
        self._settle(now)
        at = min(now, self.ended[1] if self.ended else now)
        return min(max((at - self.created) / self.duration, 0.0), 1.0) if self.duration else 1.0

    def remaining(self, now: float) -> float | None:
        """Say how many seconds the job still takes; ``None`` when it is over."""
        return None if self.done(now) else self.created + self.duration - now

    def _settle(self, now: float) -> float:
        if self.fails_with and not self.ended:
            longest = max(range(len(self.stages)), key=lambda i: self.stages[i].seconds)
            start = self.created + sum(stage.seconds for stage in self.stages[:longest])
            self.ended = "FAILED", start + self.stages[longest].seconds / 2
            self.reason = self.fails_with
        return now
