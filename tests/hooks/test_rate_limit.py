"""How fast one process may ask: no clock, no sleeping."""

from __future__ import annotations

import pytest

from airflow_provider_nugen.hooks.rate_limit import (
    FIRST_GAP,
    FIRST_THROTTLE_WAIT,
    MAX_GAP,
    MAX_THROTTLE_WAIT,
    PAUSE,
    RateLimiter,
)


def test_without_a_limit_nobody_waits() -> None:
    pace = RateLimiter()
    for _ in range(100):
        assert pace.delay(5.0) == 0
        pace.acquire(5.0)


def test_a_limit_spaces_requests_and_saves_nothing_up() -> None:
    pace = RateLimiter(per_second=10)
    pace.acquire(100.0)
    assert pace.delay(100.0) == pytest.approx(0.1)
    # A little late: the next one is not later for that. Much later: no burst.
    pace.acquire(100.13)
    assert pace.delay(100.13) == pytest.approx(0.07)
    pace.acquire(200.0)
    assert pace.delay(200.0) == pytest.approx(0.1)


def test_a_429_holds_everybody_back_and_a_burst_of_them_counts_once() -> None:
    pace = RateLimiter(per_second=10)
    for number in range(10):
        pace.slow_down(50.0 + number / 200, 49.9, 3.0)
    assert pace.delay(50.05) == pytest.approx(3.0, abs=0.01)
    pace.acquire(81.0)
    assert pace.delay(81.0) == pytest.approx(0.1)
    unlimited = RateLimiter()
    for sent_at, gap in ((0.0, FIRST_GAP), (2.0, 2 * FIRST_GAP)):
        unlimited.slow_down(sent_at + 0.1, sent_at, 0.0)
        unlimited.acquire(sent_at + 1)
        assert unlimited.delay(sent_at + 1) == pytest.approx(gap)


def test_one_job_that_is_refused_holds_the_others_back_for_seconds_only() -> None:
    pace, now = RateLimiter(), 0.0
    for _ in range(20):
        pace.slow_down(now, now, 3600.0)
        assert pace.delay(now) == FIRST_THROTTLE_WAIT
        now += FIRST_THROTTLE_WAIT
        pace.speed_up()


def test_the_longer_nobody_is_answered_the_longer_everybody_pauses() -> None:
    pace, now, pauses = RateLimiter(), 0.0, []
    while now < 3600:
        pace.slow_down(now, now, 3600 - now)
        pauses.append(pace.delay(now))
        now += pauses[-1]
    assert pauses[:4] == [FIRST_THROTTLE_WAIT * factor for factor in (1, 2, 4, 8)]
    assert len(pauses) < 15


def test_no_pause_and_no_gap_grows_without_end_and_answers_end_them() -> None:
    pace = RateLimiter()
    pace.slow_down(0.0, 0.0, None)
    assert pace.delay(0.0) == PAUSE
    for second in range(1, 20):
        pace.slow_down(second, second, 1e9)
    assert pace.delay(19.0) == MAX_THROTTLE_WAIT
    pace.acquire(10_000.0)
    assert pace.delay(10_000.0) == MAX_GAP
    for _ in range(200):
        pace.speed_up()
    pace.acquire(20_000.0)
    assert pace.delay(20_000.0) == 0
