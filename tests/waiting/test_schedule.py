"""How long a wait sleeps between two polls."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from airflow.sdk import BaseSensorOperator

from airflow_provider_nugen.api.job import RUNNING, JobStatus
from airflow_provider_nugen.waiting.schedule import (
    FIRST_RETRY,
    MIN_INTERVAL,
    estimate,
    eta_interval,
)
from airflow_provider_nugen.waiting.state import WaitState

from .support import T0, tell, texts, waiter


@pytest.mark.parametrize(("poke_interval", "sleep"), [(60, 60), (0.5, 0.5), (0, MIN_INTERVAL), (86400, 86400)])
def test_a_running_job_is_polled_every_poke_interval(poke_interval: float, sleep: float) -> None:
    wait = waiter(poke_interval=poke_interval)
    assert [tell(wait, "PROCESSING", after).sleep for after in (0, 100, 100_000)] == [sleep] * 3


@pytest.mark.parametrize("poke_interval", [5, 60, 300])
def test_exponential_backoff_is_airflows(poke_interval: int) -> None:
    sensor = BaseSensorOperator(task_id="wait", poke_interval=poke_interval, exponential_backoff=True)
    started = datetime.fromtimestamp(T0, UTC)
    wait, after = waiter(poke_interval=poke_interval, exponential_backoff=True, rand=0.5), 0.0
    for poll in range(1, 12):
        sleep = tell(wait, "PROCESSING", after).sleep
        shortest = max(int(poke_interval * 2 ** (poll - 2)), 1)
        assert shortest <= sleep <= 2 * shortest + 2
        assert shortest <= sensor._get_next_poke_interval(started, float, poll) <= 2 * shortest
        after += sleep


@pytest.mark.parametrize("rand", [0.0, 0.5, 0.999])
def test_exponential_backoff_grows_up_to_max_wait_with_jitter(rand: float) -> None:
    wait, after, sleeps = waiter(exponential_backoff=True, max_wait=900, rand=rand), 0.0, []
    for _ in range(20):
        sleeps.append(tell(wait, "PROCESSING", after).sleep)
        after += sleeps[-1]
    assert sleeps[0] == pytest.approx(30 * (1 + rand))
    assert all(1.3 < later / earlier < 4 or later == 900 for earlier, later in pairwise(sleeps))
    assert sleeps[-1] == 900


def test_exponential_backoff_never_asks_more_than_once_a_second_and_survives_a_clock_set_back() -> None:
    wait = waiter(exponential_backoff=True, poke_interval=0, rand=0.0)
    assert tell(wait, "PROCESSING", 0).sleep == 1
    assert tell(wait, "PROCESSING", -5000).sleep == 1


def test_without_exponential_backoff_max_wait_means_nothing() -> None:
    assert tell(waiter(poke_interval=600, max_wait=60), "PROCESSING", 0).sleep == 600


@pytest.mark.parametrize(
    ("state", "wanted", "rand", "sleep"),
    [
        (WaitState(T0, seen=True), {}, 0.5, 30),
        (WaitState(T0, seen=True), {}, 0.0, 0),
        (WaitState(T0, seen=True), {"deadline": T0 + 10}, 0.5, 10),
        (WaitState(T0, seen=True), {"deadline": T0 - 10}, 0.5, 0),
        (WaitState(T0, seen=True), {"execution_deadline": T0 + 5}, 0.5, 5),
        (WaitState(T0), {}, 1.0, FIRST_RETRY),
        (WaitState(T0), {"poke_interval": 1}, 0.5, 0.5),
    ],
)
def test_waits_that_are_taken_over_spread_their_first_poll(
    state: WaitState, wanted: dict[str, Any], rand: float, sleep: float
) -> None:
    assert waiter(state=state, rand=rand, **wanted).first_sleep(T0) == sleep


@pytest.mark.parametrize(
    ("reading", "eta"),
    [
        ({}, None),
        ({"eta_seconds": 90}, T0 + 90),
        ({"eta_seconds": 0}, T0),
        ({"eta_seconds": -1}, None),
        ({"eta_seconds": 1e12}, None),
        ({"eta_seconds": float("inf")}, None),
        ({"eta_seconds": float("nan")}, None),
        ({"eta": datetime.fromtimestamp(T0 + 90, UTC)}, T0 + 90),
        ({"eta": datetime.fromtimestamp(T0 - 90, UTC)}, None),
        ({"eta": datetime(9999, 12, 31, tzinfo=UTC)}, None),
        ({"eta": datetime(1, 1, 1, tzinfo=UTC)}, None),
        ({"eta_seconds": 90, "eta": datetime.fromtimestamp(T0 + 5, UTC)}, T0 + 90),
    ],
)
def test_an_estimate_that_makes_no_sense_is_none(reading: dict[str, Any], eta: float | None) -> None:
    seconds = estimate(JobStatus(RUNNING, "PROCESSING", **reading), T0)
    assert (None if seconds is None else T0 + seconds) == eta


@pytest.mark.parametrize(
    ("first", "second", "after", "seconds"),
    [
        # 51 % at the most: at the fastest 41 in two minutes, and 49 to go.
        (10, 50, 120, 120 * 49 / 41),
        ("1/10 questions", "4/10 questions", 120, 120 * 5 / 4),
        (0, "25 %", 60, 60 * 74 / 26),
        (0, 99, 6000, 0),
        (10, 100, 120, 0),
        (10, 10, 120, None),
        (50, 10, 120, None),
        (10, 50, 0, None),
        (10.0, 10.000000001, 1e6, 600),
        ("soon", "sooner", 120, None),
    ],
)
def test_without_an_estimate_the_progress_tells_what_remains(
    first: Any, second: Any, after: float, seconds: float | None
) -> None:
    wait = waiter(rand=0.0)
    assert tell(wait, {"status": "PROCESSING", "progress": first}, 0).sleep == 60
    decision = tell(wait, {"status": "PROCESSING", "progress": second}, after)
    assert decision.sleep == pytest.approx(seconds or 60)
    assert not any("expected to end" in text for text in texts(decision))


@pytest.mark.parametrize(
    ("interval", "seconds", "rand", "sleep"),
    [
        (60, None, 1.0, 60),
        (60, 30, 1.0, 60),
        (60, 60, 1.0, 60),
        (60, 300, 0.0, 300),
        (60, 300, 1.0, 318),
        (60, 10_000, 0.0, 600),
        (60, 10_000, 1.0, 540),
    ],
)
def test_a_long_job_is_polled_just_after_its_expected_end_but_after_ten_intervals_at_the_latest(
    interval: float, seconds: float | None, rand: float, sleep: float
) -> None:
    wait = waiter(poke_interval=interval, rand=rand)
    assert tell(wait, {"status": "PROCESSING", "eta_seconds": seconds}, 0).sleep == sleep
    assert eta_interval(interval, seconds, lambda: rand) == sleep


@pytest.mark.parametrize(
    ("wanted", "sleep"),
    [({"use_eta": False}, 60), ({"deadline": T0 + 200}, 200), ({"exponential_backoff": True, "max_wait": 50}, 50)],
)
def test_an_estimate_changes_nothing_if_unwanted_and_nothing_about_the_deadline(
    wanted: dict[str, Any], sleep: float
) -> None:
    assert tell(waiter(**wanted), {"status": "PROCESSING", "eta_seconds": 300}, 0).sleep == sleep
