"""The settings and the state of a wait."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


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
class WaitState:
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
    def from_json(cls, stored: dict[str, Any]) -> WaitState:
        """Read it back; what another version stored beside it is ignored."""
        names = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in names})
