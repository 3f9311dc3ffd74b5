"""How a wait for one job ends, at its deadline or before."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.nugen import endpoints, jobs
from airflow_provider_nugen.api.seekr import jobs as seekr
from airflow_provider_nugen.waiting.result import Decision, Outcome
from airflow_provider_nugen.waiting.schedule import (
    FIRST_RETRY,
)
from airflow_provider_nugen.waiting.state import WaitState
from airflow_provider_nugen.waiting.waiter import (
    STALL_TIMEOUT,
)

from .support import T0, TRANSPORT, end_of, feed, http, respond, response, tell, texts, waiter


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
def test_what_asking_again_cannot_help_ends_a_wait_at_its_first_poll(error: errors.ApiError) -> None:
    ending = end_of(feed(waiter(), (0, error)))
    assert ending.outcome is Outcome.REJECTED
    assert error.advice in ending.message


def test_the_routers_404_names_the_setting_to_change() -> None:
    assert "api_revision" in end_of(feed(waiter(), (0, http(404, {"detail": "Not Found"})))).message


def test_before_the_deadline_the_sleep_ends_at_it_and_then_there_is_a_last_poll() -> None:
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
def test_the_last_poll_at_the_deadline_counts(event: Any, outcome: Outcome) -> None:
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


def test_a_timeout_says_if_the_last_poll_failed_and_if_no_poll_succeeded() -> None:
    message = end_of(feed(waiter(deadline=T0 + 60), (60, TRANSPORT))).message
    assert "its status was never read" in message
    assert "the final poll failed: https://x could not be reached" in message


def test_a_wait_that_is_taken_over_keeps_its_deadline_and_its_last_status() -> None:
    state = WaitState(T0, seen=True, status="PROCESSING")
    ending = end_of(feed(waiter(state=state, deadline=T0 + 600), (1200, TRANSPORT)))
    assert ending.outcome is Outcome.TIMEOUT
    assert "timeout of 10 min" in ending.message
    assert "last status 'PROCESSING'" in ending.message


def test_without_deadlines_a_wait_continues() -> None:
    assert tell(waiter(), "PROCESSING", 10 * 365 * 86400).result is None


def test_trained_without_a_model_id_is_read_in_the_detail_once() -> None:
    wait = waiter()
    decision = tell(wait, {"status": "READY"}, 0)
    assert (decision.result, decision.sleep) == (None, 0)
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


def test_a_401_of_the_detail_ends_the_wait_only_after_a_minute_of_them() -> None:
    wait = waiter()
    assert feed(wait, (0, {"status": "READY"}), (1, http(401))).sleep == FIRST_RETRY
    assert end_of(tell(wait, "READY", 6)).outcome is Outcome.SUCCEEDED
    ended = feed(waiter(), (0, {"status": "READY"}), (1, http(401)), (61, http(401, {"detail": "bad key"})))
    assert "reading it failed: HTTP 401: bad key" in end_of(ended).message


def test_a_detail_that_is_not_there_for_a_kind_is_not_asked_for() -> None:
    kind = replace(jobs.ALIGNMENT, detail=None)
    assert end_of(tell(waiter(kind), {"status": "READY"}, 0)).outcome is Outcome.SUCCEEDED


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


def test_polls_that_fail_say_nothing_about_being_stuck() -> None:
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
    assert (wait.state.failures, wait.state.failing_since) == (0, None)


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
