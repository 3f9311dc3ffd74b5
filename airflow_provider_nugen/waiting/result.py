"""
What a wait decides, and how it ends.

What leaves the provider towards Airflow is made safe where it is made: a :class:`WaitResult` becomes a trigger's
event, an XCom or the message of an exception, and a :class:`LogMessage` a log line; neither can hold what Airflow
cannot carry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_nugen.api.safe import safe_json, safe_text

#: The most characters of each text of a status; a longer one is cut, and says so.
MAX_TEXT = 10_000
#: The most characters of a field of a status as JSON; a larger one is left out, and says so.
MAX_FIELD = 100_000
#: The most characters of a message; what names a thousand jobs is long.
MAX_MESSAGE = 100_000
#: The most characters of a log line.
MAX_LINE = 20_000
#: How much longer a text may be that says that it was cut.
_CUT_NOTE = 50


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
    The end of a wait. Consists of JSON values that Airflow can carry, and are limited in size.

    :param outcome: how it ended.
    :param message: what happened, to which job, through which connection, and what to do next.
    :param result: the final status if the job ended; for several jobs the list of them, in the order of the ids.
    """

    outcome: Outcome
    message: str
    result: dict[str, Any] | list[Any] | None = None

    def __post_init__(self) -> None:
        """Make safe what comes from the service."""
        object.__setattr__(self, "message", cut(safe_text(self.message), MAX_MESSAGE))
        object.__setattr__(self, "result", _limited(safe_json(self.result)))

    def to_event(self) -> dict[str, Any]:
        """Return the payload of a trigger event."""
        return {**asdict(self), "outcome": str(self.outcome)}

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> WaitResult:
        """Read the payload of a trigger event."""
        return cls(Outcome(event["outcome"]), event["message"], event.get("result"))


@dataclass(frozen=True, slots=True)
class LogMessage:
    """
    A line for the log.

    :param level: a level of :mod:`logging`.
    :param text: the line.
    """

    level: int
    text: str

    def __post_init__(self) -> None:
        """Make safe what comes from the service."""
        object.__setattr__(self, "text", cut(safe_text(self.text), MAX_LINE))


@dataclass(slots=True)
class Decision:
    """
    What to do next: sleep and then poll again, or stop.

    :param sleep: seconds before the next poll.
    :param result: the wait is over.
    :param messages: for the log.
    """

    sleep: float = 0.0
    result: WaitResult | None = None
    messages: tuple[LogMessage, ...] = ()


def cut(text: str, limit: int) -> str:
    """
    Cut a long text, and say in it how long it was; one that was cut already stays as it is.

    :param text: any text.
    :param limit: the most characters to keep.
    """
    return text if len(text) <= limit + _CUT_NOTE else safe_text(text, limit)


def _limited(value: Any) -> Any:
    if isinstance(value, list):
        return [_limited(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {cut(name, MAX_TEXT): _limited_field(field) for name, field in value.items()}


def _limited_field(value: Any) -> Any:
    value = _cut_texts(value)
    if isinstance(value, (dict, list)) and (size := len(json.dumps(value))) > MAX_FIELD:
        return f"(left out: {size} characters of JSON)"
    return value


def _cut_texts(value: Any) -> Any:
    if isinstance(value, str):
        return cut(value, MAX_TEXT)
    if isinstance(value, Mapping):
        return {cut(name, MAX_TEXT): _cut_texts(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_cut_texts(item) for item in value]
    return value
