"""
The settings and the state of a wait: declared here, and passed through everywhere else.

Both are flat JSON: a trigger carries them as arguments, and a sensor in reschedule mode stores the state. Unknown names
are ignored when they are read, and a missing name has its default, so that another version can read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from airflow_provider_nugen.api.safe import safe_json


@dataclass(frozen=True, slots=True)
class WaitSettings:
    """
    What the user asked for.

    :param poke_interval: seconds between two polls.
    :param deadline: when the wait times out, in epoch seconds.
    :param execution_deadline: when the task's ``execution_timeout`` is over, in epoch seconds.
    :param exponential_backoff: let the interval grow with the time waited.
    :param max_wait: the longest interval then, in seconds.
    :param ignore_failures: never give up because the status cannot be read (``silent_fail``).
    :param use_eta: poll less often while the service says that the job takes long.
    """

    poke_interval: float = 60.0
    deadline: float | None = None
    execution_deadline: float | None = None
    exponential_backoff: bool = False
    max_wait: float | None = None
    ignore_failures: bool = False
    use_eta: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> WaitSettings:
        """Read settings from a JSON object that may hold more."""
        return cls(**{name: stored[name] for name in _SETTINGS if name in stored})


@dataclass(slots=True)
class WaitState:
    """
    What the wait for one job knows of its past.

    :param began: when the wait began, in epoch seconds.
    :param seen: whether the service has ever said anything about the job.
    :param status: the last status word as sent.
    :param progress: the last progress as logged.
    :param eta: the last estimated end as logged, in epoch seconds.
    :param failures: failed polls in a row.
    :param failing_since: when the first of them was, in epoch seconds.
    :param stalled_since: since when the job leads nowhere, in epoch seconds.
    :param refused_since: when the first of the 401s in a row was, each in spite of a fresh connection, in epoch
        seconds.
    :param due: when the next poll is due, in epoch seconds; no earlier than the service asked for.
    :param server_errors: 5xx in a row of the status route.
    :param progress_began: when progress was first seen, in epoch seconds.
    :param first_progress: how far the job was then, from 0 to 1.
    :param polled_before: another process has polled before, as in reschedule mode; what it found may not be known.
    :param over: the job is over; its status is read once more when those that are waited for with it are over, too.
    """

    began: float
    seen: bool = False
    status: str | None = None
    progress: float | str | None = None
    eta: float | None = None
    failures: int = 0
    failing_since: float | None = None
    stalled_since: float | None = None
    refused_since: float | None = None
    due: float | None = None
    server_errors: int = 0
    progress_began: float | None = None
    first_progress: float | None = None
    polled_before: bool = False
    over: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the state as a JSON object that Airflow can carry, without what has its default value."""
        values = {name: getattr(self, name) for name in _STATE}
        return {"began": self.began} | {
            name: safe_json(value) for name, value in values.items() if name != "began" and value != _STATE[name]
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> WaitState:
        """Read a state from a JSON object that may hold more, but has ``began``."""
        return cls(**{name: stored[name] for name in _STATE if name in stored})


_SETTINGS = tuple(field.name for field in fields(WaitSettings))
_STATE = {field.name: field.default for field in fields(WaitState)}
