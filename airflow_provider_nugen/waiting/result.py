"""What a wait decides, and how it ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


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
class WaitResult:
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
    def from_event(cls, event: dict[str, Any]) -> WaitResult:
        """Read the payload of a trigger event."""
        return cls(Outcome(event["outcome"]), event["message"], event.get("result"))


@dataclass(frozen=True, slots=True)
class LogMessage:
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
    ending: WaitResult | None = None
    notes: tuple[LogMessage, ...] = ()
