"""The queue of all polls through one connection."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_nugen.api.errors import TransportError
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks import request_queue
from airflow_provider_nugen.hooks.request_queue import RequestQueue


async def test_only_so_many_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_queue, "MAX_IN_FLIGHT", 2)
    queue, under_way = RequestQueue(), 0

    async def request() -> int:
        nonlocal under_way
        await queue.acquire(None)
        under_way += 1
        at_once = under_way
        await asyncio.sleep(0)
        under_way -= 1
        queue.release()
        return at_once

    assert max(await asyncio.gather(*(request() for _ in range(20)))) == 2


async def test_who_waits_too_long_is_told_so_and_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_queue, "MAX_IN_FLIGHT", 1)
    queue = RequestQueue()
    await queue.acquire(None)
    with pytest.raises(TransportError, match="waited 0 s in this connection's rate-limit queue") as caught:
        await queue.acquire(None, 0.01)
    assert not caught.value.maybe_processed
    queue.release()
    queue.on_response(RawResponse(429, b"", "3600"), 0.0)
    with pytest.raises(TransportError):
        await queue.acquire(None, 0.01)
    # The place that it had while it waited is free again.
    assert not queue._in_flight.locked()


async def test_a_request_in_the_place_of_another_counts(sleeps: list[float]) -> None:
    queue = RequestQueue()
    await queue.acquire(0.01)
    queue.release()
    queue.repeat()
    await queue.acquire(0.01)
    assert sum(sleeps) == pytest.approx(200, abs=1)


@pytest.mark.parametrize(("status", "slept"), [(429, True), (200, False), (401, False), (502, False)])
async def test_only_a_429_slows_down(sleeps: list[float], status: int, slept: bool) -> None:
    queue = RequestQueue()
    queue.on_response(RawResponse(status, b"", "5"), 0.0)
    await queue.acquire(None)
    assert bool(sleeps) is slept
