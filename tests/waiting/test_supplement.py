"""What is asked for beside the status of a job: it adds to the log, and never decides anything."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from airflow_provider_nugen.api.errors import CertificateError
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.seekr import endpoints, jobs
from airflow_provider_nugen.waiting.result import Decision, Outcome
from airflow_provider_nugen.waiting.waiter import Waiter

from .support import T0, TRANSPORT, end_of, http, respond, texts, waiter

EVENTS = [{"epoch": 0.5, "loss": 2.0}]


def tuning() -> Waiter[Any]:
    return waiter(jobs.FINE_TUNE, poke_interval=60)


def answer(wait: Waiter[Any], payload: Any, after: float = 0, status: int = 200) -> Decision:
    return respond(wait, RawResponse(status, json.dumps(payload).encode()), T0 + after)


def job(status: str = "running", **fields: Any) -> dict[str, Any]:
    return {"id": "ft-1", "status": status, "n_epochs": 2, **fields}


def test_it_is_asked_at_once_after_the_status_and_then_the_wait_sleeps() -> None:
    wait = tuning()
    first = answer(wait, job())
    assert (first.sleep, first.result, first.messages) == (0, None, ())
    call = wait.next_call()
    assert (call.endpoint, call.ids) == (endpoints.FINE_TUNE_EVENTS, {"fine_tune_id": "a-1"})
    second = answer(wait, {"data": EVENTS})
    assert second.sleep >= 60
    assert "running, progress 0.5/2 epochs, loss 2" in texts(second)[0]
    assert wait.next_call().endpoint is endpoints.FINE_TUNE


def test_each_change_is_said_once_although_the_status_stays_the_same() -> None:
    wait, said = tuning(), []
    for number, loss in enumerate((2.0, 2.0, 1.5)):
        answer(wait, job(), 60 * number)
        said += texts(answer(wait, {"data": [{"epoch": 0.5, "loss": loss}]}, 60 * number))
    assert ["loss 2" in text for text in said] == [True, False]


@pytest.mark.parametrize("payload", [job("pending"), job("queued"), job(events=EVENTS), job("cancelled")])
def test_it_is_not_asked_when_it_is_not_wanted(payload: Any) -> None:
    wait = tuning()
    decision = answer(wait, payload)
    assert decision.sleep or decision.result
    assert wait.next_call().endpoint is endpoints.FINE_TUNE


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502])
def test_that_it_cannot_be_read_does_not_matter(status: int) -> None:
    wait = tuning()
    answer(wait, job())
    decision = answer(wait, {"message": "no"}, status=status)
    assert decision.sleep >= 60
    assert wait.state.failures == 0
    assert wait.state.refused_since is None
    assert texts(decision, logging.WARNING) == []
    assert texts(decision, logging.DEBUG) != []


@pytest.mark.parametrize("error", [TRANSPORT, CertificateError("expired"), http(500)])
def test_nor_that_it_cannot_be_reached(error: Any) -> None:
    wait = tuning()
    answer(wait, job("completed"))
    decision = wait.on_error(wait.next_call(), error, T0)
    assert end_of(decision).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("payload", [{}, [], {"data": "x"}, {"data": ["x", None, 5]}, "x", None])
def test_nor_what_it_says(payload: Any) -> None:
    wait = tuning()
    answer(wait, job())
    assert answer(wait, payload).sleep >= 60


def test_a_failure_waits_for_what_it_adds_to_the_reason() -> None:
    wait = tuning()
    assert answer(wait, job("failed", error_analysis="Out of memory.")).result is None
    end = end_of(answer(wait, {"data": EVENTS}))
    assert end.outcome is Outcome.FAILED
    assert "Out of memory." in end.message
    assert "it had trained 0.5/2 epochs, loss 2" in end.message


def test_the_status_that_fails_is_a_failure_as_ever() -> None:
    wait = tuning()
    answer(wait, job())
    answer(wait, {"data": EVENTS})
    answer(wait, {"message": "no"}, 60, status=500)
    assert wait.state.failures == 1
    assert wait.next_call().endpoint is endpoints.FINE_TUNE
