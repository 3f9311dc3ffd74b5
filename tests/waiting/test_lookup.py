"""A document whose id the status endpoint does not know, or whose answer lacks the id, is searched for in the list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_nugen.api.nugen import endpoints, jobs
from airflow_provider_nugen.api.nugen.documents import describe
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.waiting.result import Decision, Outcome
from airflow_provider_nugen.waiting.state import WaitState
from airflow_provider_nugen.waiting.waiter import MAX_FAILURES, MAX_OUTAGE, NOT_FOUND_GRACE, Waiter

from .support import T0, end_of, respond, waiter

UPLOADED = {"name": "a.txt", "task_id": "a-1", "document_id": None, "ready": False}
RUNS, GONE = {"status": "PROCESSING", "document_id": None}, {"detail": "Document not found"}
LISTED = {"documents": [{"id": "d-1", "filename": "a.txt", "status": "READY"}, {"id": "d-2", "filename": "b.txt"}]}


def document(*known: dict[str, Any], state: WaitState | None = None) -> Waiter[Any]:
    wait = waiter(jobs.DOCUMENT, state)
    for item in known:
        wait.describe(describe(item))
    return wait


def say(wait: Waiter[Any], revision: str, payload: Any, status: int = 200, after: float = 0) -> Decision:
    return respond(wait, RawResponse(status, json.dumps(payload).encode(), revision=revision), T0 + after)


def test_after_a_move_it_is_found_by_its_files_name() -> None:
    wait = document(UPLOADED)
    say(wait, "B", RUNS)
    assert say(wait, "C", GONE, 404, 60) == Decision()
    assert wait.next_call().endpoint is endpoints.LIST_DOCUMENTS
    end = end_of(say(wait, "C", LISTED, after=60))
    assert (end.outcome, (end.result or {})["document_id"]) == (Outcome.SUCCEEDED, "d-1")  # type: ignore[call-overload]


def test_while_the_list_says_that_it_is_processed_the_wait_goes_on_with_its_status() -> None:
    wait = document(UPLOADED)
    say(wait, "C", GONE, 404)
    running = {"documents": [{**LISTED["documents"][0], "status": "PROCESSING"}]}
    assert say(wait, "C", running).sleep > 0
    assert wait.next_call().endpoint is endpoints.DOCUMENT_STATUS
    # It moves back.
    assert end_of(say(wait, "B", {"status": "READY", "document_id": "d-1"})).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("known", "revision"),
    [({"name": "x.txt", "task_id": None, "document_id": "d-1", "ready": False}, "B"), ({"document_id": "d-1"}, "B")],
)
def test_a_document_id_is_found_in_the_list_by_itself(known: dict[str, Any], revision: str) -> None:
    wait = document(known)
    wait.job_id = "d-1"
    say(wait, revision, GONE, 404)
    assert end_of(say(wait, revision, LISTED)).outcome is Outcome.SUCCEEDED


def test_the_id_that_an_answer_has_named_is_remembered_over_a_move_and_another_process() -> None:
    wait = document()
    say(wait, "B", {**RUNS, "document_id": "d-1"})
    wait = document(state=WaitState.from_json(json.loads(json.dumps(wait.state.to_json()))))
    say(wait, "C", GONE, 404, 60)
    assert end_of(say(wait, "C", LISTED, after=60)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("answer", [(200, {"documents": []}), (404, {"detail": "Not Found"}), (403, {"detail": "no"})])
def test_after_a_move_nothing_proves_that_it_is_gone(answer: tuple[int, Any]) -> None:
    wait = document()
    say(wait, "B", RUNS)
    for number in range(MAX_FAILURES):
        say(wait, "C", GONE, 404, 60 + number)
        assert say(wait, "C", answer[1], answer[0], 60 + number).sleep > 0
    say(wait, "C", GONE, 404, 61 + MAX_OUTAGE)
    end = end_of(say(wait, "C", answer[1], answer[0], 61 + MAX_OUTAGE))
    # A retry can help.
    assert end.outcome is Outcome.UNREACHABLE
    assert "upload.output" in end.message


@pytest.mark.parametrize("seen", [True, False])
def test_in_the_revision_that_knew_it_a_404_is_final(seen: bool) -> None:
    wait = document(UPLOADED)
    if seen:
        say(wait, "B", RUNS)
    after = NOT_FOUND_GRACE + 1
    say(wait, "B", GONE, 404, after)
    assert end_of(say(wait, "B", {"documents": []}, after=after)).outcome is Outcome.REJECTED


@pytest.mark.parametrize("status", [500, 502, 429])
def test_a_list_that_is_unwell_is_asked_later(status: int) -> None:
    wait = document(UPLOADED)
    say(wait, "B", RUNS)
    say(wait, "B", GONE, 404, 60)
    assert say(wait, "B", {}, status, 60).sleep > 0
    assert wait.next_call().endpoint is endpoints.DOCUMENT_STATUS


def test_two_files_of_one_name_are_not_told_apart() -> None:
    wait = document(UPLOADED)
    say(wait, "C", GONE, 404)
    twice = {"documents": [{"id": f"d-{n}", "filename": "a.txt", "status": "READY"} for n in (1, 2)]}
    assert say(wait, "C", twice).sleep > 0


READY = {"status": "READY", "document_id": None}


def test_a_document_that_is_ready_without_an_id_gets_it_from_the_list() -> None:
    for wait, document_id in ((document(UPLOADED), "d-1"), (document(), "a-1")):
        assert say(wait, "B", READY).result is None
        listed = {"documents": [{"id": document_id, "filename": "a.txt", "status": "READY"}]}
        assert end_of(say(wait, "B", listed)).result["document_id"] == document_id  # type: ignore[index, call-overload]


@pytest.mark.parametrize("answer", [(200, {"documents": []}), (403, {"detail": "no"})])
def test_an_id_that_may_be_a_tasks_is_not_handed_on_as_a_documents(answer: tuple[int, Any]) -> None:
    wait = document()
    say(wait, "B", READY)
    end = end_of(say(wait, "B", answer[1], answer[0]))
    assert end.outcome is Outcome.FAILED
    assert "document_id" in end.message


def test_in_revision_c_the_id_that_is_asked_for_is_the_documents() -> None:
    assert end_of(say(document(), "C", READY)).outcome is Outcome.SUCCEEDED
