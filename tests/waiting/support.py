"""Waits as (events, times) -> decisions: no mock, no loop, no clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.nugen import endpoints, jobs
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.waiting.result import Decision, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.waiter import (
    Waiter,
)

#: When every wait of this module begins: 2026-03-05T05:00:00Z.
T0 = datetime(2026, 3, 5, 5, tzinfo=UTC).timestamp()
TRANSPORT = errors.TransportError("https://x could not be reached (reset).")


def waiter(
    kind: JobKind[Any] = jobs.ALIGNMENT, state: WaitState | None = None, rand: float = 1.0, **wanted: Any
) -> Waiter[Any]:
    return Waiter(kind, "a-1", "my_conn", WaitSettings(**wanted), state or WaitState(T0), lambda: rand)


def http(status: int, body: Any = None, retry_after: str | None = None) -> errors.ApiError:
    """The error that a status makes, as a transport would get it."""
    call = endpoints.ALIGNMENT_STATUS.call(alignment_id="a-1")
    try:
        call.read(RawResponse(status, json.dumps(body).encode(), retry_after), "my_conn")
    except errors.ApiError as e:
        return e
    raise AssertionError(status)


def tell(wait: Waiter[Any], event: Any, after: float) -> Decision:
    """
    Feed one event: a status word, a payload or an error.

    :param after: seconds since the wait began.
    """
    now = T0 + after
    if isinstance(event, errors.ApiError):
        return wait.on_error(wait.next_call(), event, now)
    payload = {"model_id": "m-1", "status": event} if isinstance(event, str) else event
    return respond(wait, RawResponse(200, json.dumps(payload).encode()), now)


def respond(wait: Waiter[Any], response: RawResponse, now: float) -> Decision:
    """Feed a response to what the waiter wants to ask."""
    return wait.on_response(wait.next_call(), response, now)


def feed(wait: Waiter[Any], *events: tuple[float, Any]) -> Decision:
    """Feed (seconds since the wait began, event) in turn; only the last may end the wait."""
    decision = Decision()
    for after, event in events:
        assert decision.result is None, decision.result
        decision = tell(wait, event, after)
    return decision


def end_of(decision: Decision) -> WaitResult:
    assert decision.result is not None, decision
    return decision.result


def texts(decision: Decision, *levels: int) -> list[str]:
    return [message.text for message in decision.messages if not levels or message.level in levels]


def http_date(after: float) -> str:
    return format_datetime(datetime.fromtimestamp(T0 + after, UTC), usegmt=True)


def response(payload: Any, status: int = 200) -> RawResponse:
    return RawResponse(status, json.dumps(payload).encode())
