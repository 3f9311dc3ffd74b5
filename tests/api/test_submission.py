"""Which of the jobs that a service lists is ours: adopt one for certain, or name those that may be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_nugen.api.nugen import models, submissions
from airflow_provider_nugen.api.seekr import models as seekr_models
from airflow_provider_nugen.api.seekr import submissions as seekr_submissions
from airflow_provider_nugen.api.submission import CLOCK_SKEW, Choice, ListedJob, Submission, match_job

T0 = datetime(2026, 3, 5, 5, tzinfo=UTC).timestamp()
EVALUATED = {"model_id": "m-1", "benchmark_id": "k-1"}


def job(job_id: str, status: str = "PROCESSING", after: float | None = 1.0, **fields: Any) -> ListedJob:
    created = None if after is None else datetime.fromtimestamp(T0 + after, UTC)
    return ListedJob(job_id, status, created, **{"inputs": EVALUATED, **fields})


@pytest.mark.parametrize(
    ("listed", "adopted", "candidates"),
    [
        ([], None, []),
        ([job("a", name="ours")], "a", []),
        ([job("a", name="ours"), job("b", name="another")], "a", []),
        ([job("a", name="another")], None, []),
        ([job("a", name="ours"), job("b", name="ours")], None, ["a", "b"]),
        ([job("a", "FAILED", name="ours")], None, []),
        ([job("a", "stopped", name="ours"), job("b", name="ours")], "b", []),
    ],
)
def test_a_job_with_a_name_that_we_generated_is_ours(
    listed: list[ListedJob], adopted: str | None, candidates: list[str]
) -> None:
    choice = match_job(submissions.ALIGNMENT, listed, {}, generated_name="ours", submitted_at=T0)
    assert (choice.job_id, [job.job_id for job in choice.candidates]) == (adopted, candidates)


@pytest.mark.parametrize(
    ("listed", "since", "adopted", "candidates"),
    [
        ([], T0, None, []),
        ([job("a")], T0, "a", []),
        ([job("a", after=0)], T0 + 0.9, "a", []),
        ([job("a", after=-1)], T0, None, ["a"]),
        ([job("a", after=-CLOCK_SKEW)], T0, None, ["a"]),
        ([job("a", after=-CLOCK_SKEW - 1)], T0, None, []),
        ([job("a"), job("b")], T0, None, ["a", "b"]),
        ([job("a", "FAILED"), job("b")], T0, "b", []),
        ([job("a", inputs={"model_id": "m-2", "benchmark_id": "k-1"})], T0, None, []),
        ([job("a", inputs={})], T0, None, ["a"]),
        ([job("a", after=None)], T0, None, ["a"]),
        ([job("a")], None, None, ["a"]),
    ],
)
def test_a_job_without_a_name_is_ours_if_it_is_the_only_one_like_it_since_the_first_try(
    listed: list[ListedJob], since: float | None, adopted: str | None, candidates: list[str]
) -> None:
    choice = match_job(submissions.EVALUATION, listed, EVALUATED, generated_name=None, submitted_at=since)
    assert (choice.job_id, [job.job_id for job in choice.candidates]) == (adopted, candidates)


def test_a_name_that_the_user_chose_is_never_used_to_adopt() -> None:
    listed = [job("a", name="theirs", inputs={"name": "theirs"})]
    choice = match_job(submissions.ALIGNMENT, listed, {"name": "theirs"}, generated_name=None, submitted_at=T0)
    assert choice == Choice(candidates=tuple(listed))


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
            submissions.DEPLOYMENT,
            models.TaskStatus.read({"model_id": "m-1", "status": "DEPLOYING"}),
            [("m-1", "DEPLOYING", None, {"model_id": "m-1"})],
        ),
        (submissions.DEPLOYMENT, models.TaskStatus.read({"model_id": "m-1", "status": "undeployed"}), []),
        (submissions.DEPLOYMENT, models.TaskStatus.read({"status": "DEPLOYING"}), []),
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
        (submissions.BENCHMARK, None, []),
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
        (submissions.DEPLOYMENT, "m-1", "m-1"),
        (submissions.DEPLOYMENT, {"unexpected": 1}, "m-1"),
        (submissions.UNDEPLOYMENT, None, "m-1"),
        (seekr_submissions.ALIGNMENT, {"id": "x-1", "status": "pending"}, "x-1"),
        (seekr_submissions.DATA_JOB, {"id": "x-1", "status": "pending"}, "x-1"),
    ],
)
def test_a_started_job_has_an_id_to_wait_for(submission: Submission[Any], payload: Any, job_id: str) -> None:
    assert submission.created_id(submission.create.read(payload), {"model_id": "m-1"}) == job_id
