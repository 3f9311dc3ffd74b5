"""Fixtures of the trigger tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.sdk import BaseHook
from sensors.support import hurry, logs, make_service, no_scheduler, quick_polls, quick_retries, service, services

from airflow_provider_nugen.hooks import client as client_module
from airflow_provider_nugen.hooks.async_transport import AsyncTransport

__all__ = ["hurry", "logs", "make_service", "no_scheduler", "quick_polls", "quick_retries", "service", "services"]


@pytest.fixture(autouse=True)
def sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[AsyncTransport]]:
    """Collect all that is opened; after the test everything must be closed, and nothing registered."""
    opened: list[AsyncTransport] = []
    real = AsyncTransport.open

    async def opening(*args: Any) -> AsyncTransport:
        opened.append(await real(*args))
        return opened[-1]

    monkeypatch.setattr(AsyncTransport, "open", opening)
    yield opened
    assert all(transport.session.closed for transport in opened)
    assert client_module.clients.in_use() == []


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect which connections were read, in the only way that does not block the loop."""
    conn_ids: list[str] = []
    real: Callable[..., Any] = BaseHook.aget_connection

    async def looking_up(conn_id: str) -> Any:
        conn_ids.append(conn_id)
        return await real(conn_id)

    def blocking(conn_id: str) -> Any:
        raise AssertionError(f"connection {conn_id!r} was read in a way that blocks the loop")

    monkeypatch.setattr(BaseHook, "aget_connection", looking_up)
    monkeypatch.setattr(BaseHook, "get_connection", blocking)
    return conn_ids
