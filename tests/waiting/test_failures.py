"""What a wait survives: failed polls, refused keys, fresh ids."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.errors import retry_after_seconds
from airflow_provider_nugen.api.nugen import endpoints, jobs
from airflow_provider_nugen.waiting.result import Outcome
from airflow_provider_nugen.waiting.schedule import (
    FIRST_RETRY,
    MAX_RETRY_INTERVAL,
    MIN_INTERVAL,
)
from airflow_provider_nugen.waiting.state import WaitState
from airflow_provider_nugen.waiting.waiter import (
    MAX_FAILURES,
    MAX_OUTAGE,
    NOT_FOUND_GRACE,
    REFUSAL_HOLD,
    REFUSAL_RETRY,
    Waiter,
)

from .support import T0, TRANSPORT, end_of, feed, http, http_date, tell, texts, waiter


def test_a_404_is_not_final_while_the_id_is_fresh_and_final_within_a_minute() -> None:
    wait, after, polls = waiter(poke_interval=3600), 0.0, 0
    while (decision := feed(wait, (after, http(404, {"detail": "Alignment not found"})))).result is None:
        assert decision.sleep > 0
        after, polls = after + decision.sleep, polls + 1
    assert end_of(decision).outcome is Outcome.REJECTED
    assert "Alignment not found" in end_of(decision).message
    assert 30 < after <= 60
    assert 3 <= polls <= 20


@pytest.mark.parametrize(("after", "ends"), [(0, False), (NOT_FOUND_GRACE - 1, False), (NOT_FOUND_GRACE, True)])
def test_the_grace_of_a_404_is_measured_from_the_beginning_of_the_wait(after: float, ends: bool) -> None:
    decision = feed(waiter(), (after, http(404, {"detail": "gone"})))
    assert (decision.result is not None) is ends
    assert after + decision.sleep <= NOT_FOUND_GRACE + MIN_INTERVAL


def test_a_job_that_was_seen_and_is_gone_is_gone_even_in_the_first_minute() -> None:
    gone = http(404, {"detail": "gone"})
    assert end_of(feed(waiter(), (0, "PROCESSING"), (5, gone))).outcome is Outcome.REJECTED
    assert end_of(feed(waiter(state=WaitState(T0, seen=True)), (5, gone))).outcome is Outcome.REJECTED


def test_a_fresh_id_that_becomes_visible_is_waited_for() -> None:
    decision = feed(waiter(), (0, http(404, {"detail": "not yet"})), (5, "PROCESSING"))
    assert (decision.result, decision.sleep) == (None, 60)


def test_a_401_ends_a_wait_for_a_job_that_was_never_seen() -> None:
    ending = end_of(tell(waiter(), http(401, {"detail": "bad key"}), 0))
    assert ending.outcome is Outcome.REJECTED
    assert "bad key" in ending.message
    assert "API key (password)" in ending.message


def test_a_wait_that_has_not_seen_its_job_ends_at_the_first_401_also_after_others_failed() -> None:
    wait = waiter()
    feed(wait, (0, TRANSPORT), (5, http(404, {"detail": "fresh"})))
    assert end_of(tell(wait, http(401), 10)).outcome is Outcome.REJECTED


@pytest.mark.parametrize("poke_interval", [0.5, 10, 60, 3600])
@pytest.mark.parametrize("rand", [0.0, 1.0])
def test_a_key_that_was_accepted_before_is_refused_only_by_a_minute_of_401s(poke_interval: float, rand: float) -> None:
    wait, after, polls = waiter(poke_interval=poke_interval, rand=rand), 100.0, 1
    tell(wait, "PROCESSING", 0)
    while (decision := tell(wait, http(401, {"detail": "bad key"}), after)).result is None:
        assert decision.sleep >= REFUSAL_RETRY
        after, polls = after + decision.sleep, polls + 1
    assert end_of(decision).outcome is Outcome.REJECTED
    assert "bad key" in end_of(decision).message
    assert REFUSAL_HOLD <= after - 100 <= REFUSAL_HOLD + REFUSAL_RETRY
    assert polls >= 4


@pytest.mark.parametrize("hiccup", [1, 5, REFUSAL_HOLD - 1])
def test_a_hiccup_of_401s_ends_no_wait_that_has_seen_its_job(hiccup: float) -> None:
    wait, after = waiter(), 100.0
    tell(wait, "PROCESSING", 0)
    while after < 100 + hiccup:
        decision = tell(wait, http(401), after)
        assert decision.result is None
        after += decision.sleep
    assert end_of(tell(wait, "READY", after)).outcome is Outcome.SUCCEEDED


def test_a_wait_for_a_job_that_was_seen_by_somebody_else_survives_a_401_too() -> None:
    assert tell(waiter(state=WaitState(T0, seen=True)), http(401), 0).result is None


def test_whoever_takes_a_wait_over_knows_of_the_first_401() -> None:
    wait = waiter()
    feed(wait, (0, "PROCESSING"), (60, http(401)))
    stored = json.loads(json.dumps(wait.state.to_json()))
    assert tell(waiter(state=WaitState.from_json(stored)), http(401), 60 + REFUSAL_HOLD - 1).result is None
    assert end_of(tell(waiter(state=WaitState.from_json(stored)), http(401), 60 + REFUSAL_HOLD)).result is None


def test_the_deadline_ends_a_wait_whose_key_is_refused_for_a_moment() -> None:
    wait = waiter(deadline=T0 + 70)
    feed(wait, (0, "PROCESSING"), (60, http(401)))
    ending = end_of(tell(wait, http(401), 70))
    assert ending.outcome is Outcome.TIMEOUT
    assert "the final poll failed: HTTP 401" in ending.message


@pytest.mark.parametrize("between", ["PROCESSING", TRANSPORT, http(502)], ids=["answer", "no answer", "502"])
def test_a_401_after_something_else_is_a_first_one(between: Any) -> None:
    wait = waiter()
    decision = feed(wait, (0, "PROCESSING"), (60, http(401)), (65, between), (125, http(401)))
    assert (decision.result, decision.sleep > 0) == (None, True)
    assert tell(wait, http(401), 130).result is None
    assert end_of(tell(wait, http(401), 125 + REFUSAL_HOLD)).outcome is Outcome.REJECTED


def test_a_key_that_is_refused_now_and_then_ends_the_wait_as_an_outage() -> None:
    wait, after = waiter(), 0.0
    decision = tell(wait, "PROCESSING", after)
    for event in [http(401), TRANSPORT] * 50:
        after += decision.sleep
        if (decision := tell(wait, event, after)).result is not None:
            break
    assert end_of(decision).outcome is Outcome.UNREACHABLE
    assert after > MAX_OUTAGE


def test_a_connection_that_is_gone_ends_a_wait_for_a_job_that_was_never_seen() -> None:
    gone = errors.ConnectionSettingsError("there is no such connection.")
    assert "no such connection" in end_of(tell(waiter(), gone, 0)).message


PASSING = [
    TRANSPORT,
    errors.UnreadableResponseError("HTTP 200, but the body cannot be used: it is not JSON."),
    *map(http, (408, 425, 429, 500, 502, 503, 504)),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: f"{type(error).__name__} {getattr(error, 'status', '')}")
@pytest.mark.parametrize("poke_interval", [1, 60, 3600])
def test_an_outage_of_ten_minutes_is_survived_and_a_longer_one_ends_the_wait(
    error: errors.ApiError, poke_interval: float
) -> None:
    wait, after, polls = waiter(poke_interval=poke_interval), 60.0, 0
    tell(wait, "PROCESSING", 0)
    while (decision := tell(wait, error, after)).result is None:
        assert 0 < decision.sleep <= max(MAX_RETRY_INTERVAL, poke_interval)
        after, polls = after + decision.sleep, polls + 1
    ending = end_of(decision)
    outage = after - 60
    assert outage > MAX_OUTAGE
    assert polls >= MAX_FAILURES - 1
    assert outage <= MAX_OUTAGE + MAX_RETRY_INTERVAL or polls == MAX_FAILURES - 1
    assert (ending.outcome, ending.result) == (Outcome.UNREACHABLE, None)
    assert f"the status of alignment 'a-1' could not be read {polls + 1} times" in ending.message
    assert "whether the job still runs is not known" in ending.message
    assert error.problem in ending.message


def test_many_quick_failures_are_not_yet_an_outage() -> None:
    decision = feed(waiter(poke_interval=1), *((after, TRANSPORT) for after in range(0, int(MAX_OUTAGE) + 1, 5)))
    assert decision.result is None


def test_few_slow_failures_are_not_yet_an_outage() -> None:
    events = [(after * 3600.0, TRANSPORT) for after in range(MAX_FAILURES)]
    assert feed(waiter(), *events[:-1]).result is None
    assert end_of(feed(waiter(), *events)).outcome is Outcome.UNREACHABLE


def test_one_answer_ends_a_run_of_failures() -> None:
    events = [(after * 100.0, TRANSPORT) for after in range(MAX_FAILURES - 1)]
    wait = waiter()
    decision = feed(wait, *events, (900, "PROCESSING"))
    assert f"can be read again after {MAX_FAILURES - 1} failed polls" in texts(decision, logging.INFO)[-1]
    assert feed(wait, *((1000 + after, error) for after, error in events)).result is None
    assert texts(feed(waiter(), (0, "PROCESSING"), (60, "PROCESSING"))) == []


def test_with_ignore_failures_no_outage_ends_the_wait_but_a_final_status_does() -> None:
    wait = waiter(ignore_failures=True)
    assert feed(wait, *((after * 60.0, TRANSPORT) for after in range(1000))).result is None
    assert end_of(tell(wait, http(403), 60000)).outcome is Outcome.REJECTED


def test_the_first_failed_poll_is_a_warning_and_the_others_are_not() -> None:
    wait = waiter()
    first, second = tell(wait, TRANSPORT, 0), tell(wait, TRANSPORT, 5)
    (warning,) = texts(first, logging.WARNING)
    assert "the status of alignment 'a-1' could not be read (1 in a row)" in warning
    assert "could not be reached (reset)" in warning
    assert texts(second, logging.WARNING) == []
    assert "(2 in a row)" in texts(second, logging.INFO)[0]


@pytest.mark.parametrize(
    ("poke_interval", "rand", "sleeps"),
    [
        (60, 1.0, [5, 10, 20, 40, 60, 60]),
        (60, 0.0, [3.75, 7.5, 15, 30, 45, 45]),
        (2, 1.0, [2, 4, 8, 16, 32, 60, 60]),
        (600, 1.0, [5, 10, 20, 40, 80, 160, 320, 600, 600]),
        (0, 1.0, [MIN_INTERVAL] * 3),
    ],
)
def test_failed_polls_back_off(poke_interval: float, rand: float, sleeps: list[float]) -> None:
    wait, after, slept = waiter(poke_interval=poke_interval, rand=rand), 0.0, []
    for _ in sleeps:
        slept.append(tell(wait, http(502), after).sleep)
        after += slept[-1]
    assert slept == sleeps


def test_a_thousand_failures_later_the_sleep_is_still_finite() -> None:
    wait = waiter(state=WaitState(T0, failures=100_000, failing_since=T0), ignore_failures=True)
    assert tell(wait, TRANSPORT, 1).sleep == MAX_RETRY_INTERVAL


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("00120", 120),
        (http_date(90), 90),
        (http_date(-90), 0),
        ("Thu, 05 Mar 2026 05:01:30 -0000", 90),
        ("Thu, 05 Mar 2026 06:01:30 +0100", 90),
        ("Thursday, 05-Mar-26 05:01:30 GMT", 90),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("1e3", None),
        ("١٢", None),  # digits, but not those of HTTP
        ("²", None),
        ("Thu, 99 Mar 2026 05:01:30 GMT", None),
        ("Thu, 05 Mar 2026 05:01:30 +9999999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, T0) == seconds


def test_a_huge_retry_after_is_a_number_all_the_same() -> None:
    assert 1e9 < (retry_after_seconds("9" * 5000, T0) or 0) < 1e15


@given(st.text() | st.from_regex(r"\w{3}, \d{1,3} \w{3} \d{1,5} \d\d:\d\d:\d\d [+-]?\w{1,6}"))
def test_no_retry_after_header_breaks_a_wait(header: str) -> None:
    assert (retry_after_seconds(header, T0) or 0) >= 0


@pytest.mark.parametrize("status", [429, 503, 500])
@pytest.mark.parametrize(("header", "asked"), [("120", 120), (http_date(120), 120), ("7200", 7200)])
def test_retry_after_is_obeyed_and_not_by_all_at_the_same_moment(status: int, header: str, asked: float) -> None:
    sleeps = {tell(waiter(rand=rand), http(status, None, header), 0).sleep for rand in (0.0, 0.5, 1.0)}
    assert len(sleeps) == 3
    assert asked == min(sleeps)
    assert max(sleeps) <= asked + FIRST_RETRY


@pytest.mark.parametrize("header", ["0", http_date(-90)])
def test_a_retry_after_of_nothing_does_not_spin(header: str) -> None:
    assert tell(waiter(rand=0.0), http(429, None, header), 0).sleep == 1
    assert tell(waiter(rand=0.0, poke_interval=0), http(429, None, header), 0).sleep == MIN_INTERVAL


@pytest.mark.parametrize("header", ["soon", ""])
def test_an_unreadable_retry_after_is_none(header: str) -> None:
    assert tell(waiter(), http(429, None, header), 0).sleep == FIRST_RETRY


@pytest.mark.parametrize("header", ["3600", "9" * 5000, http_date(86400)])
def test_retry_after_is_obeyed_only_up_to_the_deadline(header: str) -> None:
    wait = waiter(deadline=T0 + 600)
    assert tell(wait, http(503, None, header), 0).sleep == 600
    assert end_of(tell(wait, http(503, None, header), 600)).outcome is Outcome.TIMEOUT


# --- the router's 404, and a connection that is not found


@pytest.mark.parametrize(
    "error",
    [http(404, {"detail": "Not Found"}), errors.ConnectionSettingsError("there is no such connection.")],
    ids=["router's 404", "no connection"],
)
def test_what_is_final_for_a_job_never_seen_passes_for_one_that_was(error: errors.ApiError) -> None:
    wait, after, polls = waiter(), 60.0, 0
    tell(wait, "PROCESSING", 0)
    while (decision := tell(wait, error, after)).result is None:
        after, polls = after + decision.sleep, polls + 1
    assert (end_of(decision).outcome, polls >= MAX_FAILURES - 1) == (Outcome.UNREACHABLE, True)
    assert after > MAX_OUTAGE
    assert feed(waiter(), (0, "PROCESSING"), (60, error), (65, "PROCESSING")).result is None


# --- a status route that keeps failing


def asked(wait: Waiter[Any]) -> str:
    """Return which route is next."""
    return "detail" if wait.next_call().endpoint is endpoints.ALIGNMENT_DETAIL else "status"


def test_after_three_5xx_in_a_row_the_detail_is_asked_in_turn_and_counts() -> None:
    wait, routes, after = waiter(), [], 0.0
    for _ in range(8):
        routes.append(asked(wait))
        decision = tell(wait, http(500) if routes[-1] == "status" else "PROCESSING", after)
        assert decision.result is None
        after += decision.sleep
    assert routes == ["status", "status", "status", "detail", "status", "detail", "status", "detail"]
    assert wait.state.failures == 0
    assert (asked(wait), asked(wait)) == ("status", "status")
    tell(wait, http(500), after)
    assert end_of(tell(wait, "READY", after + 5)).outcome is Outcome.SUCCEEDED


def test_when_both_routes_fail_they_take_turns_until_the_outage_is_over() -> None:
    wait, routes, after = waiter(), [], 0.0
    tell(wait, "PROCESSING", after)
    while (decision := tell(wait, http(500), after)).result is None:
        routes.append(asked(wait))
        after += decision.sleep
    assert routes[2:8] == ["detail", "status"] * 3
    assert end_of(decision).outcome is Outcome.UNREACHABLE
    assert after > MAX_OUTAGE


def test_a_status_route_that_recovers_is_the_only_one_again() -> None:
    wait = waiter()
    feed(wait, (0, http(500)), (5, http(500)), (10, http(500)), (15, "PROCESSING"))
    decision = tell(wait, "PROCESSING", 75)
    assert any("can be read again" in text for text in texts(decision, logging.INFO))
    feed(wait, (135, http(500)), (140, http(500)))
    assert asked(wait) == "status"


def test_what_the_detail_makes_up_for_is_told_once() -> None:
    wait, told, after = waiter(), [], 0.0
    for _ in range(12):
        decision = tell(wait, http(500) if asked(wait) == "status" else "PROCESSING", after)
        told += texts(decision, logging.WARNING, logging.INFO)
        after += decision.sleep
    assert sum("could not be read" in text for text in told) == 3
    assert sum("can be read again by its detail" in text for text in told) == 1


@pytest.mark.parametrize("error", [TRANSPORT, http(429), http(408)])
def test_only_5xx_of_the_status_route_count(error: errors.ApiError) -> None:
    wait = waiter()
    feed(wait, *((after * 5.0, error) for after in range(5)))
    assert asked(wait) == "status"


def test_a_kind_without_a_detail_has_no_other_route() -> None:
    wait = waiter(jobs.DOCUMENT)
    feed(wait, *((after * 5.0, http(500)) for after in range(5)))
    assert wait.next_call().endpoint is endpoints.DOCUMENT_STATUS


def test_a_detail_route_that_does_not_exist_ends_nothing_but_a_job_that_is_gone_does() -> None:
    failed = [(after * 5.0, http(500)) for after in range(3)]
    wait = waiter()
    assert feed(wait, *failed, (15, http(404, {"detail": "Not Found"}))).result is None
    assert asked(wait) == "status"
    wait = waiter()
    ended = feed(wait, (0, "PROCESSING"), *failed, (15, http(404, {"detail": "Alignment not found"})))
    assert end_of(ended).outcome is Outcome.REJECTED


# --- what was asked for before the wait was taken over


@pytest.mark.parametrize("rand", [0.0, 1.0])
def test_a_retry_after_is_obeyed_by_one_who_takes_the_wait_over(rand: float) -> None:
    wait = waiter(rand=rand)
    tell(wait, http(429, None, "3600"), 0)
    again = waiter(state=WaitState.from_json(json.loads(json.dumps(wait.state.to_json()))), rand=rand)
    assert again.state == wait.state
    assert again.first_sleep(T0 + 100) >= 3500
    assert again.first_sleep(T0 + 4000) <= 60


def test_a_failure_count_continues_where_it_was() -> None:
    wait = waiter()
    feed(wait, *((after * 100.0, TRANSPORT) for after in range(MAX_FAILURES - 1)))
    again = waiter(state=WaitState.from_json(json.loads(json.dumps(wait.state.to_json()))))
    assert end_of(tell(again, TRANSPORT, 900)).outcome is Outcome.UNREACHABLE
