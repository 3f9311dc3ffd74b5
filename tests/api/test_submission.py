"""Which of the jobs that a service lists is this task's: adopt one for certain, or name those that may be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.api.nugen import models, submissions
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.seekr import models as seekr_models
from airflow_provider_nugen.api.seekr import submissions as seekr_submissions
from airflow_provider_nugen.api.submission import (
    CLOCK_SKEW,
    PROCESSING_TIME,
    JobList,
    ListCall,
    ListedJob,
    ListReader,
    Sent,
    Submission,
    epoch_of_date,
    match_job,
    same_inputs_key,
)

T0 = datetime(2026, 3, 5, 5, tzinfo=UTC).timestamp()
EVALUATED = {"model_id": "m-1", "benchmark_id": "k-1"}


def job(job_id: str, status: str = "PROCESSING", after: float | None = 1.0, **fields: Any) -> ListedJob:
    created = None if after is None else datetime.fromtimestamp(T0 + after, UTC)
    return ListedJob(job_id, status, created, **{"inputs": EVALUATED, **fields})


KEY = "0123456789abcdef0123"
#: A request of which all is known.
SENT = Sent(T0, T0, ())


def match(
    submission: Submission[Any],
    listed: list[ListedJob],
    inputs: dict[str, Any],
    *,
    name_key: str | None = None,
    sent: Sent | None = SENT,
    incomplete: str = "",
    **more: Any,
) -> tuple[str | None, list[str]]:
    """Return the adopted job and the candidates."""
    found = match_job(submission, JobList(listed, incomplete), inputs, name_key=name_key, sent=sent, **more)
    assert found.doubt == ("" if found.job_id else incomplete)
    return found.job_id, [job.job_id for job in found.candidates]


@pytest.mark.parametrize(
    ("listed", "adopted", "candidates"),
    [
        ([], None, []),
        ([job("a", name=f"{KEY}-dag.task")], "a", []),
        ([job("a", name=KEY.upper())], "a", []),
        ([job("a", name=f"Copy of {KEY}-dag (2)")], "a", []),
        ([job("a", name=f"{KEY}-dag.task"), job("b", name="another")], "a", []),
        ([job("a", name="another")], None, []),
        ([job("a", name=KEY), job("b", name=KEY)], None, ["a", "b"]),
        ([job("a", "FAILED", name=KEY)], None, []),
        ([job("a", "stopped", name=KEY), job("b", name=KEY)], "b", []),
        # A list that shows less than the whole key proves nothing.
        ([job("a", name=KEY[:10])], None, ["a"]),
        ([job("a", name=f"{KEY[:10].upper()}...")], None, ["a"]),
        ([job("a", name=None)], None, ["a"]),
        ([job("a", name=" ")], None, ["a"]),
        ([job("a", name="0")], None, []),
        # But one from before the run is not the task's own, and one that is named is certain.
        ([job("a", name=None, after=-CLOCK_SKEW - 1)], None, []),
        ([job("a", name=None, after=None)], None, ["a"]),
        ([job("a", name=None), job("b", name=KEY)], "b", []),
    ],
)
def test_a_job_with_a_generated_name_is_the_tasks_own(
    listed: list[ListedJob], adopted: str | None, candidates: list[str]
) -> None:
    assert match(submissions.ALIGNMENT, listed, {}, name_key=KEY) == (adopted, candidates)


@pytest.mark.parametrize(
    ("listed", "sent", "adopted", "candidates"),
    [
        ([], SENT, None, []),
        ([job("a")], SENT, "a", []),
        ([job("a", after=0)], Sent(T0 + 0.9, T0 + 0.9, ()), "a", []),
        # It was there before, or it was not when the request was.
        ([job("a")], Sent(T0, T0, ("a",)), None, []),
        ([job("a"), job("b")], Sent(T0, T0, ("a",)), "b", []),
        ([job("a", after=-1)], SENT, None, ["a"]),
        ([job("a", after=-CLOCK_SKEW)], SENT, None, ["a"]),
        ([job("a", after=-CLOCK_SKEW - 1)], SENT, None, []),
        ([job("a", after=PROCESSING_TIME + 1)], SENT, None, ["a"]),
        ([job("a", after=PROCESSING_TIME + 1)], Sent(T0, T0 + 60, ()), "a", []),
        ([job("a"), job("b")], SENT, None, ["a", "b"]),
        ([job("a", "FAILED"), job("b")], SENT, "b", []),
        ([job("a", inputs={"model_id": "m-2", "benchmark_id": "k-1"})], SENT, None, []),
        ([job("a", inputs={})], SENT, None, ["a"]),
        ([job("a", after=None)], SENT, None, ["a"]),
        # Nothing, or not all, is known of the request.
        ([job("a")], None, None, ["a"]),
        ([job("a")], Sent(T0, T0, None), None, ["a"]),
        ([job("a")], Sent(None, None, ()), None, ["a"]),
    ],
)
def test_a_job_without_a_name_is_the_tasks_own_if_it_is_the_only_new_one_like_it(
    listed: list[ListedJob], sent: Sent | None, adopted: str | None, candidates: list[str]
) -> None:
    assert match(submissions.EVALUATION, listed, EVALUATED, sent=sent) == (adopted, candidates)


def test_without_inputs_nothing_is_like_the_tasks_own() -> None:
    # As after a change of the inputs.
    assert match(submissions.EVALUATION, [job("a")], {}) == (None, ["a"])


def test_an_incomplete_list_is_doubt() -> None:
    assert match(submissions.EVALUATION, [job("a")], EVALUATED, incomplete="half") == (None, ["a"])
    assert match(submissions.EVALUATION, [], EVALUATED, incomplete="half") == (None, [])
    assert match(submissions.ALIGNMENT, [], {}, name_key=KEY, incomplete="half") == (None, [])
    assert match(submissions.ALIGNMENT, [job("a", name=KEY)], {}, name_key=KEY, incomplete="half") == ("a", [])


@pytest.mark.parametrize("shown", ["Mine", "mine", "MIN...", "mine (2)", None])
def test_a_name_that_the_user_chose_is_never_used_to_adopt(shown: str | None) -> None:
    listed = [job("a", name=shown), job("b", name="other")]
    assert match(submissions.ALIGNMENT, listed, {"name": "mine"}) == (None, ["a"])


def test_a_job_from_before_a_clear_is_not_the_tasks_own() -> None:
    listed = [job("a", name=KEY), job("b", name=KEY)]
    assert match(submissions.ALIGNMENT, listed, {}, name_key=KEY, previous_job_ids=["a"]) == ("b", [])


def test_before_the_run_there_was_no_job_of_its_own() -> None:
    assert match(submissions.EVALUATION, [job("a")], EVALUATED, sent=None, not_before=T0 + 200) == (None, [])
    assert match(submissions.EVALUATION, [job("a")], EVALUATED, sent=None, not_before=T0) == (None, ["a"])


# Lists in pages.


def read(submission: Submission[Any], *pages: dict[str, Any]) -> tuple[list[str], str, list[int | None]]:
    """Read pages; return the ids, why the list is incomplete, and the offsets asked for."""
    reader, offsets = ListReader(submission), []
    for page in pages:
        offsets.append(reader.next_offset)
        response = RawResponse(200, json.dumps(page).encode(), date="Thu, 05 Mar 2026 05:00:00 GMT")
        assert submission.listing is not None
        reader.add(ListCall.of(submission.listing.call()).read(response, "c"))
    result = reader.result()
    assert result.now == T0
    return [job.job_id for job in result.jobs], result.incomplete, [*offsets[1:], reader.next_offset]


def evaluations(*numbers: int, **about: Any) -> dict[str, Any]:
    return {"evaluations": [{"evaluation_id": str(n), "status": "READY"} for n in numbers], **about}


@pytest.mark.parametrize(
    ("pages", "count", "incomplete", "offsets"),
    [
        ([evaluations()], 0, "", [None]),
        ([evaluations(1, 2)], 2, "", [None]),
        ([evaluations(1, 2, total=2)], 2, "", [None]),
        ([evaluations(*range(100)), evaluations()], 100, "", [100, None]),
        ([evaluations(*range(100), total=100)], 100, "", [None]),
        ([evaluations(*range(100)), evaluations(*range(100))], 100, "one page of several", [100, None]),
        # A service that gives less than it is asked for, and says so.
        ([evaluations(1, 2, total=3), evaluations(3, total=3)], 3, "", [2, None]),
        ([evaluations(1, 2, limit=2), evaluations(3, limit=2)], 3, "", [2, None]),
        ([evaluations(1, 2, total=3), evaluations(1, 2, total=3)], 2, "shows 2 of 3", [2, None]),
        (
            [evaluations(1, 2, pagination={"next": "x"}), evaluations(1, 2, has_more=True)],
            2,
            "more than the 2",
            [2, None],
        ),
    ],
)
def test_a_list_is_whole_only_if_it_says_so(
    pages: list[dict[str, Any]], count: int, incomplete: str, offsets: list[int | None]
) -> None:
    ids, why, asked = read(submissions.EVALUATION, *pages)
    assert (len(ids), asked) == (count, offsets)
    assert incomplete in why
    assert bool(why) == bool(incomplete)


@pytest.mark.parametrize(
    ("about", "count", "incomplete"),
    [
        ({}, 3, ""),
        ({}, 11, ""),
        ({}, 10, "one page"),
        ({}, 25, "one page"),
        ({}, 100, "one page"),
        ({"total": 10}, 10, ""),
        ({"total": 9}, 3, "shows 3 of 9"),
        ({"limit": 3}, 3, "one page"),
        ({"limit": 50}, 10, ""),
    ],
)
def test_a_list_that_has_no_pages_may_be_one(about: dict[str, Any], count: int, incomplete: str) -> None:
    page = {"alignment_projects": [{"id": str(n), "status": "READY"} for n in range(count)], **about}
    ids, why, asked = read(submissions.ALIGNMENT, page)
    assert (len(ids), asked) == (count, [None])
    assert incomplete in why
    assert bool(why) == bool(incomplete)


@pytest.mark.parametrize("header", [None, "", "yesterday", "Thu, 99 Mar 2026 05:00:00 GMT"])
def test_a_service_without_a_clock(header: str | None) -> None:
    assert epoch_of_date(header) is None


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text())))
def test_equal_inputs_have_equal_keys(inputs: dict[str, Any]) -> None:
    again = dict(reversed(inputs.items())) | {"left out": None}
    assert same_inputs_key(inputs) == same_inputs_key(again)


# What a refusal says about a model.


@pytest.mark.parametrize(
    ("problem", "word"),
    [
        ("HTTP 409: Model cannot be redeployed. Current status: UNDEPLOYING.", "UNDEPLOYING"),
        ("model is busy, current status 'deploying'", "DEPLOYING"),
        ("Model not found", None),
    ],
)
def test_the_status_in_a_refusal(problem: str, word: str | None) -> None:
    assert submissions.current_status(problem) == word


def task(status: str | None) -> models.TaskStatus | None:
    return None if status is None else models.TaskStatus.read({"model_id": "m-1", "status": status})


@pytest.mark.parametrize(
    ("undeployment", "deployment", "deployed", "undeployed"),
    [
        (None, None, False, True),
        (None, "PENDING", True, False),
        (None, "COMPLETED", True, False),
        (None, "FAILED", False, True),
        ("FAILED", "COMPLETED", True, False),
        ("PENDING", "COMPLETED", False, True),
        # Which of the two was last is not known: times tell nothing.
        ("COMPLETED", "COMPLETED", False, False),
        ("COMPLETED", "PENDING", False, False),
        # Revision C: one status for both.
        ("DEPLOYED", "DEPLOYED", True, False),
        ("PENDING", "PENDING", True, False),
        ("DEPLOYING", "DEPLOYING", True, False),
        ("UNDEPLOYED", "UNDEPLOYED", False, True),
        ("UNDEPLOYING", "UNDEPLOYING", False, True),
    ],
)
def test_a_model_is_deployed_or_not_or_that_is_not_known(
    undeployment: str | None, deployment: str | None, deployed: bool, undeployed: bool
) -> None:
    assert submissions.is_deployed(task(undeployment), task(deployment)) is deployed
    assert submissions.is_undeployed(task(undeployment), task(deployment)) is undeployed


@pytest.mark.parametrize(
    ("submission", "answer", "expected"),
    [
        (
            submissions.ALIGNMENT,
            [
                models.AlignmentStatus.read({"id": "a-1", "status": "READY", "name": "n", "documents": ["d"]}),
                models.AlignmentStatus.read({"status": "READY"}),
            ],
            [("a-1", "READY", "n", {"name": "n", "base_model": None, "document_ids": ["d"]})],
        ),
        (
            submissions.EVALUATION,
            [models.ListedEvaluation.read({"evaluation_id": "e-1", "status": "READY", **EVALUATED})],
            [("e-1", "READY", None, EVALUATED)],
        ),
        (
            seekr_submissions.ALIGNMENT,
            [seekr_models.AlignmentJobCreated.read({"id": "j-1", "status": "running"})],
            [("j-1", "running", None, {})],
        ),
        (
            seekr_submissions.DATA_JOB,
            [seekr_models.DataJobCreated.read({"id": "j-1", "status": "running", "name": "n", "job_type": "t"})],
            [("j-1", "running", "n", {"name": "n", "job_type": "t"})],
        ),
        (
            submissions.BENCHMARK,
            [models.ListedBenchmark.read({"id": "b-1", "status": "READY", "documents": ["d"], "num_questions": 3})],
            [("b-1", "READY", None, {"name": None, "document_ids": ["d"], "document_id": "d", "num_questions": 3})],
        ),
    ],
)
def test_a_listing_tells_ids_words_names_and_inputs(submission: Submission[Any], answer: Any, expected: Any) -> None:
    listed = [(job.job_id, job.status, job.name, dict(job.inputs)) for job in submission.listed(answer)]
    assert listed == expected


@pytest.mark.parametrize(
    ("submission", "payload", "job_id"),
    [
        (submissions.ALIGNMENT, {"id": "x-1"}, "x-1"),
        (submissions.EVALUATION, {"evaluation_id": "x-1"}, "x-1"),
        (submissions.BENCHMARK, {"id": "x-1"}, "x-1"),
        (submissions.BENCHMARK_UPLOAD, {"benchmark_id": "x-1"}, "x-1"),
        (seekr_submissions.ALIGNMENT, {"id": "x-1", "status": "pending"}, "x-1"),
        (seekr_submissions.DATA_JOB, {"id": "x-1", "status": "pending"}, "x-1"),
    ],
)
def test_a_started_job_has_an_id_to_wait_for(submission: Submission[Any], payload: Any, job_id: str) -> None:
    assert submission.created_id(submission.create.read(payload), {"model_id": "m-1"}) == job_id
