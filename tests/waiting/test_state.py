"""What is kept of a wait, and how it travels."""

from __future__ import annotations

import json

import pytest

from airflow_provider_nugen.api.nugen import jobs
from airflow_provider_nugen.waiting.result import Outcome, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.waiter import (
    Waiter,
)

from .support import T0, TRANSPORT, feed, waiter


def test_memory_survives_json_and_other_versions() -> None:
    wait = waiter(jobs.EVALUATED_ALIGNMENT)
    feed(wait, (0, {"status": "READY", "progress": "5/10", "eta_seconds": 900}), (60, TRANSPORT))
    state = wait.state
    assert state == WaitState(
        T0, True, "READY", "5/10", T0 + 900, failures=1, failing_since=T0 + 60, stalled_since=T0, due=T0 + 65
    )
    stored = json.loads(json.dumps({**state.to_json(), "of_a_later_version": [1]}))
    assert WaitState.from_json(stored) == state
    assert WaitState.from_json({"began": T0}) == WaitState(T0)


@pytest.mark.parametrize("outcome", Outcome)
def test_an_ending_survives_being_an_event(outcome: Outcome) -> None:
    ending = WaitResult(outcome, "It ended.", {"status": "READY", "model_id": None})
    event = json.loads(json.dumps(ending.to_event()))
    assert WaitResult.from_event(event) == ending
    assert type(ending.to_event()["outcome"]) is str
    assert WaitResult.from_event({**event, "of_a_later_version": 1}) == ending
    assert WaitResult.from_event({"outcome": outcome.value, "message": "m"}).result is None


def test_the_outcomes_are_the_words_that_events_in_the_database_carry() -> None:
    assert [outcome.value for outcome in Outcome] == [
        "succeeded",
        "failed",
        "cancelled",
        "rejected",
        "unreachable",
        "timeout",
        "execution_timeout",
    ]


def test_the_jitter_is_random_unless_told() -> None:
    sleeps = {Waiter(jobs.ALIGNMENT, "a", "c", WaitSettings(), WaitState(T0)).first_sleep(T0) for _ in range(50)}
    assert len(sleeps) > 10
    assert all(0 <= sleep <= 60 for sleep in sleeps)
