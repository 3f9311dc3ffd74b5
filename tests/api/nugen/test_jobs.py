"""What an answer of Nugen means: the words, and what they alone do not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobKind, JobState, JobStatus
from airflow_provider_nugen.api.models import ServiceModel
from airflow_provider_nugen.api.nugen import jobs
from airflow_provider_nugen.api.nugen.models import AlignmentStatus, EvaluationStatus, TaskStatus
from airflow_provider_nugen.api.response import RawResponse

RECORDED = Path(__file__).parents[2] / "recorded"
UNKNOWN = None
KINDS: list[JobKind[Any]] = [
    *(jobs.ALIGNMENT, jobs.EVALUATED_ALIGNMENT, jobs.EVALUATION),
    *(jobs.DEPLOYMENT, jobs.UNDEPLOYMENT),
]
#: The table "Status words" of the Nugen page of the documentation: is an alignment trained, is it evaluated too, is an
#: evaluation done, is a deployment, is an undeployment.
TABLE: dict[str, tuple[JobState | None, ...]] = {
    "CREATED": (UNKNOWN, UNKNOWN, RUNNING, UNKNOWN, UNKNOWN),
    "PENDING": (RUNNING, RUNNING, RUNNING, RUNNING, RUNNING),
    "QUEUED": (RUNNING, RUNNING, RUNNING, UNKNOWN, UNKNOWN),
    "PROCESSING": (RUNNING, RUNNING, RUNNING, UNKNOWN, UNKNOWN),
    "READY": (SUCCEEDED, RUNNING, SUCCEEDED, UNKNOWN, UNKNOWN),
    "COMPLETED": (SUCCEEDED, RUNNING, SUCCEEDED, SUCCEEDED, SUCCEEDED),
    "DEPLOYING": (SUCCEEDED, RUNNING, RUNNING, RUNNING, RUNNING),
    "EVALUATING": (SUCCEEDED, RUNNING, RUNNING, UNKNOWN, UNKNOWN),
    "UNDEPLOYED": (SUCCEEDED, RUNNING, UNKNOWN, RUNNING, SUCCEEDED),
    "EVALUATED": (SUCCEEDED, SUCCEEDED, SUCCEEDED, UNKNOWN, UNKNOWN),
    "DEPLOYED": (UNKNOWN, UNKNOWN, UNKNOWN, SUCCEEDED, RUNNING),
    "UNDEPLOYING": (UNKNOWN, UNKNOWN, UNKNOWN, RUNNING, RUNNING),
    "FAILED": (FAILED,) * 5,
    "STOPPED": (CANCELLED,) * 5,
    "SOMETHING_NEW": (UNKNOWN,) * 5,
}


def answered(kind: JobKind[Any], payload: dict[str, Any], revision: str = "B", *, detail: bool = False) -> Any:
    response = RawResponse(200, json.dumps(payload).encode(), revision=revision)
    return kind.call("x", detail=detail).read(response, "c")


def reading(kind: JobKind[Any], payload: dict[str, Any], previous: str | None = None, **how: Any) -> JobStatus:
    return kind.read_status(answered(kind, payload, **how), previous)


def alignment(kind: JobKind[Any] = jobs.ALIGNMENT, **fields: Any) -> JobStatus:
    return reading(kind, {"model_id": "m-1", **fields})


@pytest.mark.parametrize(
    ("kind", "word", "state"),
    [(kind, word, states[column]) for word, states in TABLE.items() for column, kind in enumerate(KINDS)],
    ids=lambda value: getattr(value, "key", value and str(value)),
)
@pytest.mark.parametrize("write", [str.upper, str.lower, str.title])
def test_every_word_means_what_the_facts_say_in_any_case(
    kind: JobKind[Any], word: str, state: JobState | None, write: Any
) -> None:
    read = reading(kind, {"status": write(word), "model_id": "m-1", "evaluation_id": "e-1"})
    assert (read.state, read.is_known_status) == (state or RUNNING, state is not UNKNOWN)
    assert read.status == write(word)


def test_there_is_no_word_in_a_table_that_the_facts_do_not_have() -> None:
    for column, kind in enumerate(KINDS):
        assert dict(kind.status_map) == {word: row[column] for word, row in TABLE.items() if row[column]}


@pytest.mark.parametrize(
    ("outer", "inner", "state"),
    [
        ("pending", "COMPLETED", SUCCEEDED),
        ("PROCESSING", "READY", SUCCEEDED),
        ("READY", "PROCESSING", RUNNING),
        ("COMPLETED", "PROCESSING", RUNNING),
        ("EVALUATED", "QUEUED", RUNNING),
        ("SOMETHING_NEW", "READY", SUCCEEDED),
        ("READY", "SOMETHING_NEW", RUNNING),
        (None, "READY", SUCCEEDED),
        ("READY", None, SUCCEEDED),
        ("failed", "READY", FAILED),
        ("FAILED", "PROCESSING", FAILED),
        ("READY", "FAILED", FAILED),
        ("STOPPED", "PROCESSING", CANCELLED),
        ("stopped", "READY", CANCELLED),
        ("READY", "STOPPED", CANCELLED),
        ("FAILED", "STOPPED", FAILED),
        ("STOPPED", "FAILED", FAILED),
    ],
)
def test_trained_is_what_the_project_says_and_failed_what_either_says(
    outer: str | None, inner: str | None, state: JobState
) -> None:
    payload = {"status": outer, "data": {"status": inner, "model_id": "m-1"}}
    assert reading(jobs.ALIGNMENT, payload).state is state


@pytest.mark.parametrize("inner", [None, {}, "nonsense"])
def test_without_a_project_the_envelopes_word_is_the_only_one(inner: Any) -> None:
    assert reading(jobs.ALIGNMENT, {"status": "PROCESSING", "data": inner}).state is RUNNING
    read = reading(jobs.ALIGNMENT, {"status": "READY", "data": inner})
    assert (read.state, read.missing_field) == (SUCCEEDED, "model_id")


@pytest.mark.parametrize("kind", [jobs.ALIGNMENT, jobs.EVALUATED_ALIGNMENT], ids=lambda kind: kind.key)
@pytest.mark.parametrize(
    ("word", "completed", "state"),
    [
        ("PROCESSING", False, FAILED),
        ("READY", False, FAILED),
        ("EVALUATED", False, FAILED),
        ("SOMETHING_NEW", False, FAILED),
        ("STOPPED", False, CANCELLED),
        ("FAILED", False, FAILED),
        ("PROCESSING", None, RUNNING),
        ("PROCESSING", True, RUNNING),
        ("EVALUATED", None, SUCCEEDED),
        ("EVALUATED", True, SUCCEEDED),
        ("EVALUATED", "perhaps", SUCCEEDED),
    ],
)
def test_gpu_training_completed_false_means_failed_whatever_the_word(
    kind: JobKind[Any], word: str, completed: Any, state: JobState
) -> None:
    read = alignment(kind, status=word, gpu_training_completed=completed)
    assert read.state is state
    assert bool(read.reason) == (completed is False)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"error": "out of memory"}, "out of memory"),
        ({"stage_failures": ["training: no GPU", "upload: late"]}, "training: no GPU; upload: late"),
        ({"error": "broke", "stage_failures": ["training: no GPU"]}, "broke; training: no GPU"),
        ({"error": "broke", "gpu_training_completed": False}, "broke"),
        (
            {"gpu_training_completed": False},
            "training failed or was cancelled (gpu_training_completed is false)",
        ),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("word", ["FAILED", "STOPPED"])
def test_a_failure_carries_the_services_own_reason(word: str, fields: dict[str, Any], reason: str) -> None:
    assert alignment(status=word, **fields).reason == reason


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"status": "FAILED", "gpu_training_completed": True, "model_id": "m-1"}, SUCCEEDED),
        ({"status": "failed", "gpu_training_completed": True, "model_id": "m-1"}, SUCCEEDED),
        (
            {"status": "FAILED", "data": {"status": "READY", "gpu_training_completed": True, "model_id": "m-1"}},
            SUCCEEDED,
        ),
        ({"status": "FAILED", "gpu_training_completed": True, "model_id": None}, FAILED),
        ({"status": "FAILED", "gpu_training_completed": None, "model_id": "m-1"}, FAILED),
        ({"status": "FAILED", "gpu_training_completed": False, "model_id": "m-1"}, FAILED),
        ({"status": "STOPPED", "gpu_training_completed": True, "model_id": "m-1"}, CANCELLED),
    ],
)
def test_failed_after_training_with_a_model_counts_as_trained_with_a_warning(
    fields: dict[str, Any], state: JobState
) -> None:
    read = reading(jobs.ALIGNMENT, {"error": "evaluation: no benchmark", **fields})
    assert read.state is state
    assert ("evaluation: no benchmark" in read.warning) == (state is SUCCEEDED)
    assert read.missing_field == ""


def test_failed_after_training_is_failed_for_one_who_waits_for_the_evaluation() -> None:
    read = alignment(jobs.EVALUATED_ALIGNMENT, status="FAILED", gpu_training_completed=True, error="no benchmark")
    assert (read.state, read.reason, read.warning) == (FAILED, "no benchmark", "")


@pytest.mark.parametrize(
    ("kind", "fields", "lacks"),
    [
        (jobs.ALIGNMENT, {"status": "READY"}, "model_id"),
        (jobs.ALIGNMENT, {"status": "READY", "model_id": ""}, "model_id"),
        (jobs.ALIGNMENT, {"status": "READY", "model_id": "m-1"}, ""),
        (jobs.ALIGNMENT, {"status": "PROCESSING"}, ""),
        (jobs.ALIGNMENT, {"status": "FAILED"}, ""),
        (jobs.EVALUATED_ALIGNMENT, {"status": "EVALUATED"}, "model_id"),
        (jobs.EVALUATED_ALIGNMENT, {"status": "READY"}, ""),
        (jobs.EVALUATED_ALIGNMENT, {"status": "READY", "performance_metrics": {"accuracy_after": 1}}, "model_id"),
    ],
)
def test_trained_without_a_model_id_lacks_it(kind: JobKind[Any], fields: dict[str, Any], lacks: str) -> None:
    assert reading(kind, fields).missing_field == lacks


@pytest.mark.parametrize(
    ("fields", "state", "stalls"),
    [
        ({"status": "EVALUATED"}, SUCCEEDED, False),
        ({"status": "UNDEPLOYED", "performance_metrics": {"accuracy_after": 0.9}}, SUCCEEDED, False),
        ({"status": "READY", "performance_metrics": {"accuracyAfter": 0}}, SUCCEEDED, False),
        ({"status": "READY", "performance_metrics": {}}, RUNNING, True),
        ({"status": "READY", "performance_metrics": {"accuracy_after": None}}, RUNNING, True),
        ({"status": "PROCESSING", "performance_metrics": {"accuracy_after": 0.9}}, RUNNING, False),
        ({"status": "FAILED", "performance_metrics": {"accuracy_after": 0.9}}, FAILED, False),
        ({"status": "READY"}, RUNNING, True),
        ({"status": "completed"}, RUNNING, True),
        ({"status": "READY", "evaluation_id": "e-1"}, RUNNING, False),
        ({"status": "DEPLOYING"}, RUNNING, False),
        ({"status": "EVALUATING"}, RUNNING, False),
        ({"status": "UNDEPLOYED"}, RUNNING, False),
        ({"status": "PROCESSING"}, RUNNING, False),
    ],
)
def test_evaluated_is_the_word_or_a_trained_word_with_metrics(
    fields: dict[str, Any], state: JobState, stalls: bool
) -> None:
    read = alignment(jobs.EVALUATED_ALIGNMENT, **fields)
    assert (read.state, "benchmark" in read.stall_reason) == (state, stalls)


def test_waiting_for_the_training_never_stalls() -> None:
    assert alignment(status="READY").stall_reason == ""


@pytest.mark.parametrize(
    ("fields", "previous", "state", "reason"),
    [
        ({"status": "UNDEPLOYED"}, None, RUNNING, ""),
        ({"status": "UNDEPLOYED"}, "PENDING", RUNNING, ""),
        ({"status": "UNDEPLOYED"}, "UNDEPLOYED", RUNNING, ""),
        ({"status": "UNDEPLOYED"}, "DEPLOYING", FAILED, "the model is undeployed again"),
        ({"status": "undeployed"}, "deploying", FAILED, "the model is undeployed again"),
        ({"status": "UNDEPLOYED", "error": "no GPU"}, None, FAILED, "no GPU"),
        ({"status": "UNDEPLOYED", "result": {"message": "no GPU"}}, "DEPLOYING", FAILED, "no GPU"),
        ({"status": "DEPLOYED"}, "DEPLOYING", SUCCEEDED, ""),
        ({"status": "FAILED", "result": {"message": "no GPU"}}, "DEPLOYING", FAILED, "no GPU"),
    ],
)
def test_undeployed_means_not_yet_deployed_or_not_any_more(
    fields: dict[str, Any], previous: str | None, state: JobState, reason: str
) -> None:
    read = reading(jobs.DEPLOYMENT, fields, previous)
    assert (read.state, read.reason) == (state, reason)


def test_a_deployment_that_never_begins_stalls() -> None:
    assert "Deploy the model again" in reading(jobs.DEPLOYMENT, {"status": "UNDEPLOYED"}).stall_reason
    assert reading(jobs.DEPLOYMENT, {"status": "DEPLOYING"}).stall_reason == ""


@pytest.mark.parametrize(
    ("inner", "state"),
    [
        ("DEPLOYED", SUCCEEDED),
        ("deployed", SUCCEEDED),
        ("DEPLOYING", RUNNING),
        ("UNDEPLOYING", RUNNING),
        ("UNDEPLOYED", RUNNING),
        ("FAILED", FAILED),
        ("SOMETHING_NEW", SUCCEEDED),
        (5, SUCCEEDED),
        (None, SUCCEEDED),
    ],
)
def test_a_deployment_task_is_over_but_its_result_tells_what_became_of_it(inner: Any, state: JobState) -> None:
    read = reading(jobs.DEPLOYMENT, {"status": "COMPLETED", "result": {"deployment_status": inner}})
    assert (read.state, read.status) == (state, "COMPLETED")


@pytest.mark.parametrize(
    ("payload", "state", "stalls"),
    [
        ({"status": "UNDEPLOYED"}, SUCCEEDED, False),
        ({"status": "undeployed"}, SUCCEEDED, False),
        ({"status": "UNDEPLOYING"}, RUNNING, False),
        ({"status": "PENDING"}, RUNNING, False),
        ({"status": "DEPLOYING"}, RUNNING, True),
        ({"status": "DEPLOYED"}, RUNNING, True),
        ({"status": "COMPLETED"}, RUNNING, True),
        ({"status": "completed", "result": {"deployment_status": "DEPLOYED"}}, RUNNING, True),
        ({"status": "COMPLETED", "result": {"deployment_status": "UNDEPLOYED"}}, SUCCEEDED, False),
        ({"status": "FAILED", "error": "broke"}, FAILED, False),
    ],
)
def test_in_revision_c_an_undeployment_is_what_the_deployment_says(
    payload: dict[str, Any], state: JobState, stalls: bool
) -> None:
    read = reading(jobs.UNDEPLOYMENT, {"model_id": "m-1", **payload}, revision="C")
    assert (read.state, "still deployed" in read.stall_reason) == (state, stalls)
    # In revision B the undeployment has a status of its own.
    assert reading(jobs.UNDEPLOYMENT, {"status": "COMPLETED"}).state is SUCCEEDED


@pytest.mark.parametrize(
    ("kind", "word", "state"),
    [
        (jobs.DEPLOYMENT, "DEPLOYED", SUCCEEDED),
        (jobs.DEPLOYMENT, "DEPLOYING", RUNNING),
        (jobs.UNDEPLOYMENT, "DEPLOYED", RUNNING),
        (jobs.UNDEPLOYMENT, "UNDEPLOYED", SUCCEEDED),
    ],
)
def test_in_revision_c_the_detail_of_the_model_tells_as_much(kind: JobKind[Any], word: str, state: JobState) -> None:
    detail = {"model_id": "m-1", "model_name": "n", "alignment_id": "a-1", "deployment_status": word, "progress": 100}
    assert reading(kind, detail, revision="C", detail=True).state is state
    assert answered(kind, detail, "C", detail=True).model_id == "m-1"
    # Revision B has no such route: the status is asked for again.
    assert kind.call("x", detail=True).request("B", "c") == kind.call("x").request("B", "c")
    assert kind.call("x", detail=True).request("C", "c").target == "/api/v3/models/x"


@pytest.mark.parametrize("word", ["UNDEPLOYED", "FAILED"])
def test_the_detail_of_a_model_says_why_its_deployment_failed(word: str) -> None:
    detail = {"model_id": "m", "deployment_status": word, "error": "no GPU left"}
    failed = reading(jobs.DEPLOYMENT, detail, revision="C", detail=True)
    assert (failed.state, failed.reason) == (FAILED, "no GPU left")
    undeployed = reading(jobs.UNDEPLOYMENT, detail, revision="C", detail=True)
    assert undeployed.state is (SUCCEEDED if word == "UNDEPLOYED" else FAILED)


def test_the_recorded_detail_of_an_evaluation_tells_its_status() -> None:
    recorded = json.loads((RECORDED / "nugen-c-2026-09.json").read_text())["calls"]
    (detail,) = [call["body"] for call in recorded if call["path"].endswith("/evaluation_01m0eva00000001")]
    answer = answered(jobs.EVALUATION, detail, "C", detail=True)
    assert (answer.evaluation_id, answer.questions_completed, answer.total_questions) == (detail["evaluation_id"], 0, 0)
    assert (jobs.EVALUATION.read_status(answer).state, jobs.EVALUATION.read_status(answer).is_known_status) == (
        RUNNING,
        True,
    )


#: What the recorded answers of revision B mean.
MEANINGS: dict[str, tuple[JobKind[Any], JobState]] = {
    "/documents/01K0TASK0000001": (jobs.DOCUMENT, SUCCEEDED),
    "/benchmark/status/01K0BEN00000000000000UP001": (jobs.BENCHMARK, SUCCEEDED),
    "/alignment-project/status/alignment_01K0ALI0000001": (jobs.ALIGNMENT, SUCCEEDED),
    "/models/deploy-model/-support-2026-07-alignment-01k0b0c0d0e0f0g/status": (jobs.DEPLOYMENT, SUCCEEDED),
    "/evaluations/eval_01K0EVA0000001/status": (jobs.EVALUATION, SUCCEEDED),
}


@pytest.mark.parametrize("path", MEANINGS)
def test_the_recorded_answers_mean_what_became_of_the_jobs(path: str) -> None:
    kind, state = MEANINGS[path]
    recorded = json.loads((RECORDED / "nugen-b-2026-07.json").read_text())["calls"]
    (body,) = [call["body"] for call in recorded if call["path"] == f"/api/v3{path}"]
    read = reading(kind, body)
    assert (read.state, read.is_known_status, read.missing_field) == (state, True, "")
    job_id = path.removesuffix("/status").rsplit("/", 1)[1]
    assert kind.call(job_id).request("B", "c").target == f"/api/v3{path}"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"result": {"message": "no GPU", "code": 5}}, "no GPU"),
        ({"result": {"error": "no GPU"}}, "no GPU"),
        ({"result": {"code": 5}}, "{'code': 5}"),
        ({"result": {"message": "late"}, "error": "broke"}, "broke"),
        ({"result": {}}, ""),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("word", ["FAILED", "STOPPED"])
def test_a_failed_undeployment_carries_the_reason_in_its_result(word: str, fields: dict[str, Any], reason: str) -> None:
    assert reading(jobs.UNDEPLOYMENT, {"status": word, **fields}).reason == reason


def test_the_result_of_a_success_is_no_reason() -> None:
    assert reading(jobs.UNDEPLOYMENT, {"status": "COMPLETED", "result": {"message": "done"}}).reason == ""


def test_progress_and_estimate_are_read() -> None:
    read = alignment(status="PROCESSING", progress=45, eta_seconds=90, estimated_completion="2026-03-05 05:16:01")
    assert (read.progress, read.eta_seconds, str(read.eta)) == (45, 90.0, "2026-03-05 05:16:01+00:00")
    read = reading(jobs.EVALUATION, {"status": "PROCESSING", "progress": "5/10 questions", "eta_seconds": 300})
    assert (read.progress, read.eta_seconds) == ("5/10 questions", 300.0)
    assert reading(jobs.EVALUATION, {"status": "FAILED", "error": "broke"}).reason == "broke"


@pytest.mark.parametrize(
    ("kind", "model", "ids"),
    [
        (jobs.ALIGNMENT, AlignmentStatus, ("model_id", "evaluation_id")),
        (jobs.EVALUATED_ALIGNMENT, AlignmentStatus, ("model_id", "evaluation_id")),
        (jobs.EVALUATION, EvaluationStatus, ("evaluation_id",)),
        (jobs.DEPLOYMENT, TaskStatus, ("model_id",)),
        (jobs.UNDEPLOYMENT, TaskStatus, ("model_id",)),
    ],
    ids=lambda value: getattr(value, "key", None),
)
def test_a_result_has_all_fields_of_the_status_with_nulls_and_the_ids_to_push(
    kind: JobKind[Any], model: type[ServiceModel], ids: tuple[str, ...]
) -> None:
    answer = answered(kind, {"status": "completed"})
    result = kind.result(answer, kind.read_status(answer))
    assert result.keys() == {*model.model_fields, "state"}
    assert {name for name, value in result.items() if value is not None} == {"status", "state"}
    assert result["status"] == "completed"
    assert kind.xcom_keys == ids
    assert set(ids) <= result.keys()


@pytest.mark.parametrize("kind", [jobs.DOCUMENT, jobs.BENCHMARK], ids=lambda kind: kind.key)
@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PENDING", RUNNING),
        ("PROCESSING", RUNNING),
        ("READY", SUCCEEDED),
        ("COMPLETED", SUCCEEDED),
        ("FAILED", FAILED),
        ("STOPPED", CANCELLED),
    ],
)
def test_a_document_or_benchmark_is_ready_or_has_failed_with_a_reason(
    kind: JobKind[Any], word: str, state: JobState
) -> None:
    read = reading(kind, {"status": word.lower(), "error": "empty"})
    assert (read.state, read.is_known_status, read.reason) == (state, True, "empty")


def test_an_alignment_is_waited_for_until_it_is_trained_or_evaluated() -> None:
    assert jobs.alignment_kind("alignment") is jobs.ALIGNMENT
    assert jobs.alignment_kind("evaluation") is jobs.EVALUATED_ALIGNMENT
    with pytest.raises(ValueError, match="wait_for must be one of"):
        jobs.alignment_kind("deployment")


def test_reading_an_answer_changes_nothing() -> None:
    answer = AlignmentStatus.read({"status": "READY", "gpu_training_completed": False})
    word = jobs.ALIGNMENT.status_from_word("READY")
    assert jobs.ALIGNMENT.interpret is not None
    assert jobs.ALIGNMENT.interpret(answer, word, None).state is FAILED
    assert word == JobStatus(SUCCEEDED, "READY")
