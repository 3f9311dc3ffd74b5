"""Fixtures of the replay tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import pytest
from operators.support import unhurried
from sensors.support import hurry, logs, no_scheduler, quick_polls, quick_retries

from airflow_provider_nugen.operators.model import ModelOperator

from .recordings import Call
from .server import Replay, serve

__all__ = ["hurry", "logs", "no_scheduler", "quick_polls", "quick_retries", "unhurried"]


@pytest.fixture(autouse=True)
def quick_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again soon after a deployment was refused because its turn has not come."""
    monkeypatch.setattr(ModelOperator, "turn_interval", 0.05)


@pytest.fixture
def replay(connection: Callable[..., str]) -> Iterator[Callable[[Sequence[Call]], Replay]]:
    """Serve a recording, and make the default connection to it: without extras, as a user does who knows no letter."""
    with contextlib.ExitStack() as stack:

        def start(calls: Sequence[Call]) -> Replay:
            served = stack.enter_context(serve(calls))
            connection("nugen", host=served.url)
            return served

        yield start
