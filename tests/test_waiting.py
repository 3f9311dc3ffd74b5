"""Every rule of a wait, as (events, times) -> decisions: no mock, no loop, no clock."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from airflow.sdk import BaseSensorOperator
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.endpoint import RawResponse
from airflow_provider_nugen.api.errors import retry_after_seconds
from airflow_provider_nugen.api.job import RUNNING, JobKind, JobStatus
from airflow_provider_nugen.api.nugen import endpoints, jobs
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.api.seekr import jobs as seekr
from airflow_provider_nugen.waiting.result import Decision, Outcome, WaitResult
from airflow_provider_nugen.waiting.schedule import (
    FIRST_RETRY,
    MAX_RETRY_INTERVAL,
    MIN_INTERVAL,
    estimate,
    eta_interval,
)
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.waiter import (
    MAX_FAILURES,
    MAX_OUTAGE,
    NOT_FOUND_GRACE,
    STALL_TIMEOUT,
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
    Feed one event: a status word, a payload, an error, or whether the connection changed.

    :param after: seconds since the wait began.
    """
    now = T0 + after
    if isinstance(event, bool):
        return wait.on_reread(event, now)
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


# --- how a wait ends


@pytest.mark.parametrize(
    ("kind", "payload", "outcome", "says"),
    [
        (jobs.ALIGNMENT, {"status": "READY", "model_id": "m-1"}, Outcome.SUCCEEDED, "alignment 'a-1' is done: READY."),
        (jobs.ALIGNMENT, {"status": "FAILED", "error": "no GPU."}, Outcome.FAILED, "failed (status 'FAILED'): no GPU."),
        (jobs.ALIGNMENT, {"status": "FAILED"}, Outcome.FAILED, "the service gives no reason."),
        (
            jobs.ALIGNMENT,
            {"status": "FAILED", "stage_failures": ["training: no GPU"]},
            Outcome.FAILED,
            "training: no GPU.",
        ),
        (jobs.ALIGNMENT, {"status": "STOPPED"}, Outcome.CANCELLED, "was stopped (status 'STOPPED')"),
        (
            jobs.ALIGNMENT,
            {"status": "FAILED", "gpu_training_completed": True, "model_id": "m-1", "error": "no benchmark"},
            Outcome.SUCCEEDED,
            "what came after it failed: no benchmark",
        ),
        (jobs.EVALUATION, {"status": "READY"}, Outcome.SUCCEEDED, "evaluation 'a-1' is done"),
        (jobs.EVALUATION, {"status": "FAILED", "error": "broke"}, Outcome.FAILED, "broke."),
        (jobs.UNDEPLOYMENT, {"status": "COMPLETED"}, Outcome.SUCCEEDED, "undeployment of model 'a-1' is done"),
        (jobs.UNDEPLOYMENT, {"status": "FAILED", "result": {"message": "busy"}}, Outcome.FAILED, "busy."),
        (seekr.ALIGNMENT, {"status": "failed", "status_message": "bad file"}, Outcome.FAILED, "bad file."),
        (seekr.ALIGNMENT, {"status": "cancelled"}, Outcome.CANCELLED, "was stopped"),
    ],
)
def test_a_finished_job_ends_the_wait_with_its_status_and_the_services_reason(
    kind: JobKind[Any], payload: dict[str, Any], outcome: Outcome, says: str
) -> None:
    ending = end_of(feed(waiter(kind), (0, payload)))
    assert ending.outcome is outcome
    assert f"{kind.service.name} (connection 'my_conn'): {kind.subject('a-1')}" in ending.message
    assert says in ending.message
    assert ending.result is not None
    assert ending.result["status"] == payload["status"]
    assert ending.result["state"] in ("SUCCEEDED", "FAILED", "CANCELLED")


def test_a_success_after_a_later_failure_warns() -> None:
    payload = {"status": "FAILED", "gpu_training_completed": True, "model_id": "m-1", "error": "no benchmark"}
    assert "no benchmark" in texts(feed(waiter(), (0, payload)), logging.WARNING)[0]


@pytest.mark.parametrize("status", [300, 302, 400, 402, 403, 404, 405, 409, 410, 413, 422])
def test_a_final_status_ends_a_wait_that_has_seen_the_job_at_once(status: int) -> None:
    decision = feed(waiter(), (0, "PROCESSING"), (60, http(status, {"detail": "The words."})))
    ending = end_of(decision)
    assert (ending.outcome, ending.result) == (Outcome.REJECTED, None)
    assert "the status of alignment 'a-1' could not be read" in ending.message
    assert "The words." in ending.message
    assert "failed" not in ending.message


@pytest.mark.parametrize(
    "error",
    [
        errors.CertificateError("the TLS certificate of https://x does not verify."),
        errors.InvalidInputError("alignment_id is '', so there is nothing to ask for."),
        errors.ConnectionSettingsError("there is no such connection."),
        http(404, {"detail": "Not Found"}),
    ],
)
def test_what_asking_again_cannot_help_ends_a_wait_at_its_first_look(error: errors.ApiError) -> None:
    ending = end_of(feed(waiter(), (0, error)))
    assert ending.outcome is Outcome.REJECTED
    assert error.advice in ending.message


def test_the_routers_404_names_the_setting_to_change() -> None:
    assert "api_revision" in end_of(feed(waiter(), (0, http(404, {"detail": "Not Found"})))).message


# --- 404 of a fresh id


def test_a_404_is_not_final_while_the_id_is_fresh_and_final_within_a_minute() -> None:
    wait, after, looks = waiter(poke_interval=3600), 0.0, 0
    while (decision := feed(wait, (after, http(404, {"detail": "Alignment not found"})))).result is None:
        assert decision.sleep > 0
        after, looks = after + decision.sleep, looks + 1
    assert end_of(decision).outcome is Outcome.REJECTED
    assert "Alignment not found" in end_of(decision).message
    assert 30 < after <= 60
    assert 3 <= looks <= 20


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


# --- 401


def test_a_401_asks_for_the_connection_and_ends_the_wait_if_it_is_unchanged() -> None:
    wait = waiter()
    assert tell(wait, http(401, {"detail": "bad key"}), 0) == Decision(reread=True)
    ending = end_of(tell(wait, False, 0))
    assert ending.outcome is Outcome.REJECTED
    assert "bad key" in ending.message
    assert "API key (password)" in ending.message


def test_a_key_that_was_accepted_before_is_refused_only_by_a_second_401() -> None:
    wait = waiter()
    decision = feed(wait, (0, "PROCESSING"), (60, http(401, {"detail": "bad key"})), (60, False))
    assert (decision.result, decision.reread, decision.sleep) == (None, False, FIRST_RETRY)
    ending = end_of(tell(wait, http(401, {"detail": "bad key"}), 65))
    assert ending.outcome is Outcome.REJECTED
    assert "bad key" in ending.message
    wait = waiter()
    feed(wait, (0, "PROCESSING"), (60, http(401)), (60, False), (65, "PROCESSING"))
    assert tell(wait, http(401), 125).reread


def test_a_changed_connection_is_tried_at_once_and_a_second_401_is_final() -> None:
    wait = waiter()
    decision = feed(wait, (0, http(401)), (0, True))
    assert (decision.result, decision.sleep, decision.reread) == (None, 0, False)
    assert "connection has changed" in texts(decision, logging.INFO)[0]
    assert end_of(tell(wait, http(401), 0)).outcome is Outcome.REJECTED


def test_each_run_of_401s_may_ask_for_the_connection_again() -> None:
    wait = waiter()
    feed(wait, (0, http(401)), (0, True), (0, "PROCESSING"))
    assert tell(wait, http(401), 3600).reread


def test_a_401_after_a_failure_that_passes_asks_for_the_connection_again() -> None:
    wait = waiter()
    assert feed(wait, (0, http(401)), (0, True), (0, http(502))).sleep > 0
    assert tell(wait, http(401), 5).reread
    assert end_of(tell(wait, False, 5)).outcome is Outcome.REJECTED


def test_a_401_while_the_connection_cannot_be_read_asks_for_it_again_later() -> None:
    wait = waiter()
    unreadable = errors.TransportError("the connection could not be read (OperationalError).")
    decision = feed(wait, (0, http(401)), (0, unreadable))
    assert decision.sleep > 0
    assert tell(wait, http(401), 5).reread
    assert end_of(tell(wait, False, 5)).outcome is Outcome.REJECTED


def test_a_connection_that_stays_unreadable_after_a_401_ends_the_wait_as_an_outage() -> None:
    wait, after = waiter(), 0.0
    while (decision := feed(wait, (after, http(401)), (after, TRANSPORT))).result is None:
        after += decision.sleep
    assert end_of(decision).outcome is Outcome.UNREACHABLE
    assert after > MAX_OUTAGE


def test_a_connection_that_is_gone_after_a_401_ends_the_wait() -> None:
    gone = errors.ConnectionSettingsError("there is no such connection.")
    assert "no such connection" in end_of(feed(waiter(), (0, http(401)), (0, gone))).message


# --- failed looks

PASSING = [
    TRANSPORT,
    errors.UnreadableResponseError("HTTP 200, but the body cannot be used: it is no JSON."),
    *map(http, (408, 425, 429, 500, 502, 503, 504)),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: f"{type(error).__name__} {getattr(error, 'status', '')}")
@pytest.mark.parametrize("poke_interval", [1, 60, 3600])
def test_an_outage_of_ten_minutes_is_survived_and_a_longer_one_ends_the_wait(
    error: errors.ApiError, poke_interval: float
) -> None:
    wait, after, looks = waiter(poke_interval=poke_interval), 60.0, 0
    tell(wait, "PROCESSING", 0)
    while (decision := tell(wait, error, after)).result is None:
        assert 0 < decision.sleep <= max(MAX_RETRY_INTERVAL, poke_interval)
        after, looks = after + decision.sleep, looks + 1
    ending = end_of(decision)
    outage = after - 60
    assert outage > MAX_OUTAGE
    assert looks >= MAX_FAILURES - 1
    assert outage <= MAX_OUTAGE + MAX_RETRY_INTERVAL or looks == MAX_FAILURES - 1
    assert (ending.outcome, ending.result) == (Outcome.UNREACHABLE, None)
    assert f"the status of alignment 'a-1' could not be read {looks + 1} times" in ending.message
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


def test_the_first_failed_look_is_a_warning_and_the_others_are_not() -> None:
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
def test_failed_looks_back_off(poke_interval: float, rand: float, sleeps: list[float]) -> None:
    wait, after, slept = waiter(poke_interval=poke_interval, rand=rand), 0.0, []
    for _ in sleeps:
        slept.append(tell(wait, http(502), after).sleep)
        after += slept[-1]
    assert slept == sleeps


def test_a_thousand_failures_later_the_sleep_is_still_finite() -> None:
    wait = waiter(state=WaitState(T0, failures=100_000, failing_since=T0), ignore_failures=True)
    assert tell(wait, TRANSPORT, 1).sleep == MAX_RETRY_INTERVAL


# --- Retry-After


def http_date(after: float) -> str:
    return format_datetime(datetime.fromtimestamp(T0 + after, UTC), usegmt=True)


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


# --- intervals


@pytest.mark.parametrize(("poke_interval", "sleep"), [(60, 60), (0.5, 0.5), (0, MIN_INTERVAL), (86400, 86400)])
def test_a_running_job_is_looked_at_every_poke_interval(poke_interval: float, sleep: float) -> None:
    wait = waiter(poke_interval=poke_interval)
    assert [tell(wait, "PROCESSING", after).sleep for after in (0, 100, 100_000)] == [sleep] * 3


@pytest.mark.parametrize("poke_interval", [5, 60, 300])
def test_exponential_backoff_is_airflows(poke_interval: int) -> None:
    sensor = BaseSensorOperator(task_id="wait", poke_interval=poke_interval, exponential_backoff=True)
    started = datetime.fromtimestamp(T0, UTC)
    wait, after = waiter(poke_interval=poke_interval, exponential_backoff=True, rand=0.5), 0.0
    for look in range(1, 12):
        sleep = tell(wait, "PROCESSING", after).sleep
        shortest = max(int(poke_interval * 2 ** (look - 2)), 1)
        assert shortest <= sleep <= 2 * shortest + 2
        assert shortest <= sensor._get_next_poke_interval(started, float, look) <= 2 * shortest
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
def test_waits_that_are_taken_over_spread_their_first_look(
    state: WaitState, wanted: dict[str, Any], rand: float, sleep: float
) -> None:
    assert waiter(state=state, rand=rand, **wanted).first_sleep(T0) == sleep


# --- deadlines


def test_before_the_deadline_the_sleep_ends_at_it_and_then_there_is_a_last_look() -> None:
    wait = waiter(deadline=T0 + 90)
    assert tell(wait, "PROCESSING", 0).sleep == 60
    assert tell(wait, "PROCESSING", 60).sleep == 30
    assert end_of(tell(wait, "PROCESSING", 90)).outcome is Outcome.TIMEOUT


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ("READY", Outcome.SUCCEEDED),
        ("FAILED", Outcome.FAILED),
        ("STOPPED", Outcome.CANCELLED),
        ("PROCESSING", Outcome.TIMEOUT),
        ("SOMETHING_NEW", Outcome.TIMEOUT),
        (http(502), Outcome.TIMEOUT),
        (http(403), Outcome.REJECTED),
    ],
)
def test_the_last_look_at_the_deadline_counts(event: Any, outcome: Outcome) -> None:
    assert end_of(feed(waiter(deadline=T0 + 60), (0, "PROCESSING"), (60, event))).outcome is outcome


@pytest.mark.parametrize(
    ("wanted", "outcome", "budget"),
    [
        ({"deadline": T0 + 5400}, Outcome.TIMEOUT, "its timeout of 1 h 30 min"),
        ({"deadline": T0 + 86400 * 2}, Outcome.TIMEOUT, "its timeout of 2 d "),
        ({"deadline": T0 + 45.5}, Outcome.TIMEOUT, "its timeout of 45.5 s"),
        ({"execution_deadline": T0 + 600}, Outcome.EXECUTION_TIMEOUT, "its execution_timeout of 10 min"),
        (
            {"deadline": T0 + 900, "execution_deadline": T0 + 600},
            Outcome.EXECUTION_TIMEOUT,
            "its execution_timeout of 10 min",
        ),
        ({"deadline": T0 + 600, "execution_deadline": T0 + 900}, Outcome.TIMEOUT, "its timeout of 10 min"),
    ],
)
def test_a_timeout_names_job_budget_deadline_and_last_status(
    wanted: dict[str, Any], outcome: Outcome, budget: str
) -> None:
    end = min(wanted.values())
    ending = end_of(feed(waiter(**wanted), (0, "PROCESSING"), (end - T0, "PROCESSING")))
    assert (ending.outcome, ending.result) == (outcome, None)
    deadline = datetime.fromtimestamp(end, UTC).isoformat(timespec="seconds")
    for words in ("alignment 'a-1'", "'my_conn'", budget, deadline, "last status 'PROCESSING'", "The job continues"):
        assert words in ending.message


def test_a_timeout_says_if_the_last_look_failed_and_if_no_look_succeeded() -> None:
    message = end_of(feed(waiter(deadline=T0 + 60), (60, TRANSPORT))).message
    assert "its status was never read" in message
    assert "the final poll failed: https://x could not be reached" in message


def test_a_wait_that_is_taken_over_keeps_its_deadline_and_its_last_status() -> None:
    state = WaitState(T0, seen=True, status="PROCESSING")
    ending = end_of(feed(waiter(state=state, deadline=T0 + 600), (1200, TRANSPORT)))
    assert ending.outcome is Outcome.TIMEOUT
    assert "timeout of 10 min" in ending.message
    assert "last status 'PROCESSING'" in ending.message


def test_without_deadlines_a_wait_goes_on() -> None:
    assert tell(waiter(), "PROCESSING", 10 * 365 * 86400).result is None


# --- the detail


def test_trained_without_a_model_id_is_looked_up_in_the_detail_once() -> None:
    wait = waiter()
    decision = tell(wait, {"status": "READY"}, 0)
    assert (decision.result, decision.sleep, decision.reread) == (None, 0, False)
    assert wait.next_call().endpoint is endpoints.ALIGNMENT_DETAIL
    ending = end_of(tell(wait, {"status": "READY", "aligned_model_id": "m-1"}, 1))
    assert ending.outcome is Outcome.SUCCEEDED
    assert ending.result is not None
    assert ending.result["model_id"] == "m-1"


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"status": "READY"}, "neither its status nor its detail names a model_id"),
        ({"status": "PROCESSING"}, "neither its status nor its detail names a model_id"),
        (http(404, {"detail": "no detail"}), "reading it failed: HTTP 404: no detail"),
    ],
)
def test_a_detail_that_has_no_model_id_either_fails_the_wait_naming_it(event: Any, says: str) -> None:
    ending = end_of(feed(waiter(), (0, {"status": "READY"}), (1, event)))
    assert ending.outcome is Outcome.FAILED
    assert "is 'READY'" in ending.message
    assert says in ending.message
    assert ending.result is not None
    assert ending.result["status"] == "READY"


def test_a_detail_that_cannot_be_read_now_is_asked_for_again() -> None:
    wait = waiter()
    assert feed(wait, (0, {"status": "READY"}), (1, http(502))).sleep == FIRST_RETRY
    assert wait.next_call().endpoint is endpoints.ALIGNMENT_DETAIL
    assert end_of(tell(wait, "READY", 6)).outcome is Outcome.SUCCEEDED


def test_a_401_of_the_detail_asks_for_the_connection_too() -> None:
    wait = waiter()
    assert feed(wait, (0, {"status": "READY"}), (1, http(401))).reread
    tell(wait, True, 1)
    assert end_of(tell(wait, "READY", 1)).outcome is Outcome.SUCCEEDED


def test_a_detail_that_is_not_there_for_a_kind_is_not_asked_for() -> None:
    kind = replace(jobs.ALIGNMENT, detail=None)
    assert end_of(tell(waiter(kind), {"status": "READY"}, 0)).outcome is Outcome.SUCCEEDED


# --- the stall


def test_ready_without_an_evaluation_for_ten_minutes_has_no_benchmark() -> None:
    wait = waiter(jobs.EVALUATED_ALIGNMENT)
    for after in (0, 300, STALL_TIMEOUT):
        assert tell(wait, "READY", after).result is None
    ending = end_of(tell(wait, "READY", STALL_TIMEOUT + 60))
    assert ending.outcome is Outcome.FAILED
    for words in ("has been 'READY' for 11 min", "without a benchmark", "wait_for='alignment'"):
        assert words in ending.message


@pytest.mark.parametrize(
    "between",
    ["DEPLOYING", "PROCESSING", {"status": "READY", "evaluation_id": "e-1"}],
)
def test_a_job_that_moves_on_is_not_stuck(between: Any) -> None:
    wait = waiter(jobs.EVALUATED_ALIGNMENT)
    assert (
        feed(
            wait, (0, "READY"), (STALL_TIMEOUT, between), (STALL_TIMEOUT + 60, "READY"), (2 * STALL_TIMEOUT, "READY")
        ).result
        is None
    )


def test_looks_that_fail_say_nothing_about_being_stuck() -> None:
    wait = waiter(jobs.EVALUATED_ALIGNMENT)
    assert end_of(feed(wait, (0, "READY"), (60, TRANSPORT), (STALL_TIMEOUT + 1, "READY"))).outcome is Outcome.FAILED


def test_waiting_for_the_training_ends_where_waiting_for_the_evaluation_would_be_stuck() -> None:
    assert end_of(tell(waiter(jobs.ALIGNMENT), "READY", 0)).outcome is Outcome.SUCCEEDED


def test_an_alignment_with_a_benchmark_is_waited_for_through_all_its_states() -> None:
    wait = waiter(jobs.EVALUATED_ALIGNMENT)
    run = ["QUEUED", "PROCESSING", "READY", "DEPLOYING", "EVALUATING", "UNDEPLOYED", "EVALUATED"]
    assert end_of(feed(wait, *((at * 60.0, word) for at, word in enumerate(run)))).outcome is Outcome.SUCCEEDED


def test_a_deployment_that_is_undeployed_again_has_failed() -> None:
    ending = end_of(feed(waiter(jobs.DEPLOYMENT), (0, "UNDEPLOYED"), (60, "DEPLOYING"), (120, "UNDEPLOYED")))
    assert (ending.outcome, "undeployed again" in ending.message) == (Outcome.FAILED, True)


# --- what is said


def test_an_unknown_word_is_waited_on_and_said_once() -> None:
    wait = waiter()
    decisions = [tell(wait, "SOMETHING_NEW", after) for after in (0, 60, 120)]
    assert [decision.sleep for decision in decisions] == [60] * 3
    assert [len(texts(decision, logging.WARNING)) for decision in decisions] == [1, 0, 0]
    assert "unknown status 'SOMETHING_NEW'" in texts(decisions[0], logging.WARNING)[0]


def test_an_unknown_word_is_not_said_again_by_one_who_takes_the_wait_over() -> None:
    wait = waiter(state=WaitState(T0, seen=True, status="SOMETHING_NEW"))
    assert texts(tell(wait, "SOMETHING_NEW", 60), logging.WARNING) == []


def test_only_changes_are_said() -> None:
    wait = waiter()
    said = [
        texts(tell(wait, {"status": word, "progress": progress}, 60.0 * look))
        for look, (word, progress) in enumerate(
            [
                ("QUEUED", None),
                ("QUEUED", None),
                ("PROCESSING", 10),
                ("PROCESSING", 10),
                ("PROCESSING", "5/10 questions"),
            ]
        )
    ]
    start = "Nugen (connection 'my_conn'): alignment 'a-1': "
    assert said == [
        [start + "QUEUED"],
        [],
        [start + "PROCESSING (was QUEUED), progress 10 %"],
        [],
        [start + "PROCESSING, progress 5/10 questions"],
    ]


@pytest.mark.parametrize(
    ("first", "second", "after", "said"),
    [
        # what remains is said again when it moved by more than a minute, and more than a tenth of what remained
        (7200, 7140, 60, False),
        (7200, 7200, 60, False),
        (7200, 7800, 60, False),
        (7200, 9000, 60, True),
        (7200, 5000, 60, True),
        (120, 119, 60, False),
        (120, 240, 60, True),
        (None, 7200, 60, True),
        (7200, None, 60, True),
        (None, None, 60, False),
    ],
)
def test_an_estimate_is_said_when_it_moves(first: Any, second: Any, after: float, said: bool) -> None:
    wait = waiter()
    tell(wait, {"status": "PROCESSING", "eta_seconds": first}, 0)
    notes = texts(tell(wait, {"status": "PROCESSING", "eta_seconds": second}, after))
    assert bool(notes) is said
    if said and second:
        end = datetime.fromtimestamp(T0 + after + second, UTC).isoformat(timespec="seconds")
        assert f"expected to end {end}" in notes[0]


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
def test_a_long_job_is_looked_at_just_after_its_expected_end_but_after_ten_intervals_at_the_latest(
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


# --- responses


def response(payload: Any, status: int = 200) -> RawResponse:
    return RawResponse(status, json.dumps(payload).encode())


def test_a_response_is_read_and_decided_on() -> None:
    wait = waiter()
    assert respond(wait, response({"status": "PROCESSING"}), T0).sleep == 60
    assert respond(wait, response({"detail": "busy"}, 503), T0 + 60).sleep == FIRST_RETRY
    assert respond(wait, response(["nonsense"]), T0 + 65).sleep == 2 * FIRST_RETRY
    ending = end_of(respond(wait, response({"status": "READY", "model_id": "m-1"}), T0 + 75))
    assert ending.outcome is Outcome.SUCCEEDED


def test_the_same_text_again_means_the_same_and_says_nothing_new() -> None:
    wait = waiter()
    same = response({"status": "PROCESSING", "progress": 10})
    assert len(respond(wait, same, T0).messages) == 1
    assert respond(wait, same, T0 + 60) == Decision(60)
    assert respond(wait, response({"status": "PROCESSING", "progress": 20}), T0 + 120).messages != ()


def test_the_same_text_with_another_status_is_another_answer() -> None:
    wait = waiter()
    respond(wait, response({"status": "PROCESSING"}), T0)
    assert respond(wait, response({"status": "PROCESSING"}, 502), T0 + 60).sleep == FIRST_RETRY
    assert wait.state.failures == 1


def test_the_same_text_ends_a_run_of_failures() -> None:
    wait = waiter()
    same = response({"status": "PROCESSING"})
    respond(wait, same, T0)
    wait.on_error(wait.next_call(), TRANSPORT, T0 + 60)
    assert "can be read again" in texts(respond(wait, same, T0 + 65))[0]
    assert (wait.state.failures, wait.state.failing_since, wait.state.reread) == (0, None, False)


def test_the_same_text_does_not_hide_the_deadline_or_that_a_job_is_stuck() -> None:
    ready = response({"status": "READY", "model_id": "m-1"})
    wait = waiter(jobs.EVALUATED_ALIGNMENT)
    assert respond(wait, ready, T0).result is None
    assert end_of(respond(wait, ready, T0 + STALL_TIMEOUT + 1)).outcome is Outcome.FAILED
    wait = waiter(jobs.EVALUATED_ALIGNMENT, deadline=T0 + 90)
    assert respond(wait, ready, T0).result is None
    assert end_of(respond(wait, ready, T0 + 90)).outcome is Outcome.TIMEOUT


def test_the_detail_is_read_even_if_it_says_the_same_as_the_status() -> None:
    wait = waiter()
    ready = response({"status": "READY"})
    assert respond(wait, ready, T0).result is None
    assert end_of(respond(wait, ready, T0)).outcome is Outcome.FAILED


# --- what is kept


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


# --- any wait at all

words = st.sampled_from(sorted({word for kind in KINDS.values() for word in kind.status_map} | {"SOMETHING_NEW", ""}))
payloads = st.fixed_dictionaries(
    {"status": words | st.sampled_from(["PROCESSING", "PENDING", "running"])},
    optional={
        "model_id": st.sampled_from(["m-1", None]),
        "evaluation_id": st.just("e-1"),
        "gpu_training_completed": st.sampled_from([True, None]),
        "performance_metrics": st.just({"accuracy_after": 0.9}),
        "eta_seconds": st.floats(),
        "progress": st.integers(0, 100)
        | st.floats()
        | st.sampled_from([10.0, 10.000000001, "5/10 questions", "7 %", "0/0"]),
        "error": st.just("broke"),
    },
)
headers = st.sampled_from([None, "0", "7", "100000", "soon", "9" * 50, http_date(500), http_date(-500)])
failures = st.one_of(
    st.just(TRANSPORT),
    st.builds(http, st.sampled_from([401, 401, 404, 404, 408, 429, 500, 502, 503]), st.just({"detail": "x"}), headers),
    st.builds(http, st.sampled_from([302, 400, 403, 404]), st.sampled_from([{"detail": "Not Found"}, {"detail": "x"}])),
)
events = st.tuples(payloads | failures, st.booleans() | failures, st.floats(0, 120))
wanted = st.builds(
    WaitSettings,
    poke_interval=st.sampled_from([0.0, 1.0, 60.0, 3600.0]) | st.floats(0, 100_000),
    deadline=st.none() | st.floats(-100, 10_000).map(lambda after: T0 + after),
    execution_deadline=st.none() | st.floats(-100, 10_000).map(lambda after: T0 + after),
    exponential_backoff=st.booleans(),
    use_eta=st.booleans(),
    max_wait=st.none() | st.floats(0, 1000),
    ignore_failures=st.booleans(),
)


@settings(max_examples=300)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    wanted=wanted,
    rand=st.floats(0, 1, exclude_max=True),
    seen=st.booleans(),
    events=st.lists(events, min_size=1, max_size=40),
)
def test_any_wait_sleeps_no_longer_than_its_deadline_never_spins_and_ends_once(
    kind: str, wanted: WaitSettings, rand: float, seen: bool, events: list[Any]
) -> None:
    wait = waiter(KINDS[kind], WaitState(T0, seen), rand, **asdict(wanted))
    ends = [end for end in (wanted.deadline, wanted.execution_deadline) if end is not None]
    now = T0 + wait.first_sleep(T0)
    assert not ends or now <= max(T0, min(ends))
    decision, rereads, looks = Decision(), 0, 0
    for event, reread, took in events:
        if decision.reread:
            rereads += 1
            happened = reread
        else:
            looks += 1
            happened = event
        now += took
        decision = tell(wait, happened, now - T0)
        if decision.result:
            assert WaitResult.from_event(json.loads(json.dumps(decision.result.to_event()))) == decision.result
            assert not decision.reread
            assert not decision.sleep
            return
        assert not (decision.reread and decision.sleep)
        if decision.sleep == 0:
            # At once: the connection, then the look with it, then the detail, once each and once more for the detail.
            assert rereads + decision.reread <= 2
            assert looks <= 4
        else:
            rereads = looks = 0
            assert decision.sleep > 0
            assert not ends or now + decision.sleep <= min(ends) + 1e-6
        assert WaitState.from_json(json.loads(json.dumps(wait.state.to_json()))) == wait.state
        now += decision.sleep
    if ends:
        # Whatever the last look says, it is the last.
        now = max(now, min(ends))
        for happened in (True, "PENDING") if decision.reread else ("PENDING",):
            decision = tell(wait, happened, now - T0)
        assert decision.result is not None


@given(wanted=wanted, event=failures | payloads, late=st.floats(0, 1e6))
def test_after_its_deadline_a_wait_goes_on_only_to_read_the_connection_or_the_detail_once(
    wanted: WaitSettings, event: Any, late: float
) -> None:
    end = min(filter(None, (wanted.deadline, wanted.execution_deadline)), default=T0)
    wait = waiter(jobs.ALIGNMENT, WaitState(min(T0, end)), **{**asdict(wanted), "deadline": end})
    decision, after, looks = Decision(), end - T0 + late, 0
    while decision.result is None:
        assert decision.sleep == 0
        decision = tell(wait, True if decision.reread else event, after)
        looks += 1
        assert looks <= 4


def test_a_budget_is_written_for_people() -> None:
    budgets = {0: "0 s", 59: "59 s", 60: "1 min", 3600: "1 h", 90061: "1 d 1 h 1 min", 7 * 86400: "7 d"}
    for seconds, text in budgets.items():
        end = T0 + seconds
        assert f"timeout of {text} was over" in end_of(feed(waiter(deadline=end), (seconds, "PROCESSING"))).message
