"""The wait for several jobs at once."""

from __future__ import annotations

import json
import logging
import tracemalloc
from typing import Any

import pytest

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.nugen import jobs
from airflow_provider_nugen.waiting.result import Outcome, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings
from airflow_provider_nugen.waiting.wait import JobWait
from airflow_provider_nugen.waiting.waiter import MAX_FAILURES, MAX_OUTAGE

from .support import T0, TRANSPORT, http, response, tell, texts

RUNNING: dict[str, Any] = {"status": "PROCESSING"}
READY: dict[str, Any] = {"status": "READY"}
FAILED: dict[str, Any] = {"status": "FAILED", "error": "no GPU"}


def many(
    *ids: str, kind: JobKind[Any] = jobs.EVALUATION, stored: dict[str, Any] | None = None, **wanted: Any
) -> JobWait[Any]:
    return JobWait(kind, list(ids), "my_conn", WaitSettings(**wanted), {"began": T0, **(stored or {})}, lambda: 1.0)


def poll(wait: JobWait[Any], after: float = 0.0, **events: Any) -> WaitResult | None:
    """Feed an event to the waiter of each job."""
    for job_id, event in events.items():
        tell(wait.waiters[job_id], event, after)
    return wait.result()


def end_of(result: WaitResult | None) -> WaitResult:
    assert result is not None
    return result


def test_all_must_be_over_and_the_statuses_come_in_the_order_of_the_ids() -> None:
    wait = many("c", "a", "b")
    assert poll(wait, a=READY) is None
    assert poll(wait, b={**READY, "progress": 100}) is None
    result = end_of(poll(wait, c=READY))
    assert result.outcome is Outcome.SUCCEEDED
    assert isinstance(result.result, list)
    assert [status["progress"] for status in result.result] == [None, None, 100]
    assert result.message == "Nugen (connection 'my_conn'): 3 x evaluation: 3 READY."


def test_nothing_to_wait_for_is_done() -> None:
    result = end_of(many().result())
    assert (result.outcome, result.result) == (Outcome.SUCCEEDED, [])


def test_a_list_of_one_is_a_list_and_an_id_that_comes_twice_is_polled_once() -> None:
    assert end_of(poll(many("a"), a=READY)).result == [end_of(poll(many("a"), a=READY)).result[0]]
    wait = many("a", "b", "a")
    assert len(wait.waiters) == 2
    result = end_of(poll(wait, a=READY, b=READY)).result
    assert isinstance(result, list)
    assert len(result) == 3


def test_a_failure_names_each_job_that_did_not_succeed_with_its_reason_and_those_that_did() -> None:
    wait = many("a", "b", "c", "d", "e")
    poll(wait, a=READY, b=FAILED, c={"status": "STOPPED"}, d=FAILED)
    result = end_of(poll(wait, e=READY))
    assert result.outcome is Outcome.FAILED
    assert result.message == (
        "Nugen (connection 'my_conn'): 5 x evaluation: 3 of 5 did not succeed. "
        "evaluation 'b', 'd': failed (status 'FAILED'): no GPU. "
        "evaluation 'c': was stopped (status 'STOPPED'): the service gives no reason. "
        "Succeeded: 'a', 'e'."
    )


def test_a_job_that_failed_is_in_the_log_at_once_and_the_others_are_waited_for() -> None:
    wait = many("a", "b")
    decision = tell(wait.waiters["a"], FAILED, 0)
    assert "evaluation 'a' failed" in texts(decision, logging.WARNING)[0]
    assert wait.result() is None
    assert [waiter.job_id for waiter in wait.open()] == ["b"]


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([READY, http(403)], Outcome.REJECTED),
        ([FAILED, http(403)], Outcome.FAILED),
        ([{"status": "STOPPED"}, http(403)], Outcome.CANCELLED),
        ([http(403), RUNNING], Outcome.REJECTED),
        ([READY, RUNNING], Outcome.TIMEOUT),
        ([FAILED, RUNNING], Outcome.FAILED),
    ],
)
def test_what_a_retry_cannot_help_comes_first(events: list[Any], outcome: Outcome) -> None:
    for pair in (events, events[::-1]):
        wait = many("a", "b", deadline=T0 + 60)
        assert end_of(poll(wait, 60, a=pair[0], b=pair[1])).outcome is outcome


def test_the_deadline_ends_all_and_names_what_succeeded() -> None:
    wait = many("a", "b", "c", deadline=T0 + 60)
    poll(wait, a=READY, b=RUNNING, c=RUNNING)
    result = end_of(poll(wait, 60, b=RUNNING, c=RUNNING))
    assert result.outcome is Outcome.TIMEOUT
    assert "evaluation 'b', 'c': was not done when its timeout of 1 min was over" in result.message
    assert result.message.endswith("Succeeded: 'a'.")


def test_one_that_cannot_be_read_does_not_end_the_others() -> None:
    wait, after = many("a", "b"), 0.0
    while wait.waiters["a"].result is None:
        tell(wait.waiters["a"], TRANSPORT, after)
        after += MAX_OUTAGE / (MAX_FAILURES - 2)
    assert poll(wait, after, b=RUNNING) is None
    result = end_of(poll(wait, after, b=READY))
    assert result.outcome is Outcome.UNREACHABLE
    assert "evaluation 'a': its status could not be read 10 times" in result.message


def test_each_job_is_due_at_its_own_time() -> None:
    wait = many("a", "b", "c")
    assert [waiter.job_id for waiter in wait.due(T0)] == ["a", "b", "c"]
    poll(wait, a=RUNNING, b={**RUNNING, "eta_seconds": 300}, c=READY)
    assert wait.due(T0) == []
    assert wait.sleep(T0) == 60
    assert [waiter.job_id for waiter in wait.due(T0 + 60)] == ["a"]
    assert [waiter.job_id for waiter in wait.due(T0 + 400)] == ["a", "b"]
    assert wait.sleep(T0 + 400) == 0


def test_jobs_that_are_due_at_about_the_same_time_can_be_polled_together() -> None:
    wait = many("a", "b", "c")
    poll(wait, a=RUNNING)
    poll(wait, 8, b=RUNNING)
    poll(wait, 30, c=RUNNING)
    assert wait.sleep(T0 + 30, spread=10.0) == 38


def test_what_is_known_of_each_job_survives_a_hand_over() -> None:
    wait = many("a", "b", "c")
    poll(wait, a={**RUNNING, "progress": 7}, b=TRANSPORT)
    stored = json.loads(json.dumps(wait.to_json()))
    again = many("a", "b", "c", stored=stored)
    assert {one: waiter.state for one, waiter in again.waiters.items()} == {
        one: waiter.state for one, waiter in wait.waiters.items()
    }
    assert set(stored) == {"began", "jobs"}


@pytest.mark.parametrize("jobs_", [None, 5, [], [{}], [{}] * 4])
def test_strange_states_of_several_jobs_do_no_harm(jobs_: Any) -> None:
    wait = many("a", "b", "c", stored={"jobs": jobs_})
    assert end_of(poll(wait, a=READY, b=READY, c=READY)).outcome is Outcome.SUCCEEDED


def test_jobs_that_were_over_are_polled_last_and_once() -> None:
    wait = many("a", "b")
    poll(wait, a=READY, b=RUNNING)
    again = many("a", "b", stored=wait.to_json())
    assert [waiter.job_id for waiter in again.open()] == ["b"]
    assert poll(again, 60, b=READY) is None
    (last,) = again.due(T0 + 60)
    assert (last.job_id, last.first_sleep(T0 + 60)) == ("a", 0)
    assert end_of(poll(again, 60, a=READY)).outcome is Outcome.SUCCEEDED


def test_a_job_that_was_over_and_runs_again_is_waited_for() -> None:
    again = many("a", "b", stored={"jobs": [{"over": True}, {"over": True}]})
    assert poll(again, a=RUNNING, b=READY) is None
    assert [waiter.job_id for waiter in again.open()] == ["a"]
    assert not again.waiters["a"].state.over


def test_of_several_jobs_only_changed_words_are_logged() -> None:
    wait = many("a", "b")
    told = [
        texts(tell(wait.waiters["a"], event, 60.0 * number))
        for number, event in enumerate(
            [
                {"status": "QUEUED"},
                {"status": "PROCESSING", "progress": 1},
                {"status": "PROCESSING", "progress": 2},
                READY,
            ]
        )
    ]
    subject = "Nugen (connection 'my_conn'): evaluation 'a'"
    assert told == [[], [f"{subject}: PROCESSING (was QUEUED)"], [], [f"{subject}: READY (was PROCESSING)"]]
    assert wait.summary() == "Nugen (connection 'my_conn'): 2 x evaluation: 1 READY, 1 not read yet"


def test_a_thousand_jobs_take_little_memory() -> None:
    ids = [f"evaluation-{number:04}" for number in range(1000)]
    same = response({**RUNNING, "progress": 7})
    tracemalloc.start()
    wait = many(*ids)
    for waiter in wait.waiters.values():
        waiter.on_response(waiter.next_call(), same, T0)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 1000 * 3000
    assert len(json.dumps(wait.to_json())) < 1000 * 130


def test_the_message_about_a_thousand_jobs_names_each_and_is_limited() -> None:
    ids = [f"evaluation-{number:04}" for number in range(1000)]
    wait = many(*ids)
    result = end_of(poll(wait, **{one: {"status": "FAILED", "error": "x" * 10_000} for one in ids}))
    assert all(repr(one) in result.message for one in ids)
    assert len(result.message) < 100_000


def test_the_expected_end_is_that_of_the_last_job() -> None:
    wait = many("a", "b")
    poll(wait, a={**RUNNING, "eta_seconds": 3}, b={**RUNNING, "eta_seconds": 5})
    assert wait.seconds_left(T0) == 5
    poll(wait, b=READY)
    assert wait.seconds_left(T0) == 3
    poll(wait, a=RUNNING)
    assert wait.seconds_left(T0) is None
    wait = many("a", use_eta=False)
    poll(wait, a={**RUNNING, "eta_seconds": 3})
    assert wait.seconds_left(T0) is None
