"""Revisions A, B and C and the older camelCase form, enveloped or flat: one model, in revision B's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen.api.nugen.endpoints import (
    BASE_MODELS,
    DOCUMENT_STATUS,
    LIST_ALIGNMENTS,
    LIST_BENCHMARKS,
    LIST_EVALUATIONS,
)
from airflow_provider_nugen.api.nugen.models import (
    AlignmentStatus,
    CreateAlignmentResponse,
    CreateBenchmarkResponse,
    CreateEvaluationResponse,
    EvaluationStatus,
    TaskStatus,
    read_model_id,
)
from airflow_provider_nugen.api.nugen.results import EvaluationResults, ModelMetrics
from airflow_provider_nugen.api.nugen.uploads import (
    UploadedDocument,
    existing_document_id,
    read_document_ids,
    read_task_ids,
)
from airflow_provider_nugen.api.response import RawResponse

METRICS = {
    "accuracy_before": 0.75,
    "accuracy_after": 0.92,
    "uncertainty_before": 0.35,
    "uncertainty_after": 0.15,
    "domain_violations_before": 12,
    "domain_violations_after": 2,
}
CAMEL_METRICS = {
    "accuracyBefore": 0.75,
    "accuracyAfter": 0.92,
    "uncertaintyBefore": 0.35,
    "uncertaintyAfter": 0.15,
    "domainViolationsBefore": 12,
    "domainViolationsAfter": 2,
}
#: The same alignment, as each revision writes it.
WRITTEN = {
    "A": {
        "id": "a-1",
        "name": "Support",
        "base_model": "base",
        "status": "READY",
        "documents": ["d-1"],
        "created_date": "2026-03-05T05:16:01Z",
        "completed_date": "2026-03-05T06:16:01Z",
        "model_id": "m-1",
        "performance_metrics": METRICS,
    },
    "B": {
        "alignment_id": "a-1",
        "alignment_name": "Support",
        "base_model": "base",
        "status": "READY",
        "document_ids": ["d-1"],
        "created_date": "2026-03-05T05:16:01Z",
        "completed_date": "2026-03-05T06:16:01Z",
        "model_id": "m-1",
        "performance_metrics": METRICS,
    },
    "B's prose": {
        "alignment_id": "a-1",
        "alignment_name": "Support",
        "base_model": "base",
        "status": "READY",
        "document_ids": ["d-1"],
        "created_date": "2026-03-05 05:16:01",
        "completed_date": "2026-03-05 06:16:01",
        "model_id": None,
        "aligned_model_id": "m-1",
        "performance_metrics": METRICS,
    },
    "C": {
        "alignment_id": "a-1",
        "alignment_name": "Support",
        "base_model_id": "base",
        "status": "READY",
        "document_ids": ["d-1"],
        "created_at": "2026-03-05T05:16:01Z",
        "completed_at": "2026-03-05T06:16:01Z",
        "model_id": "m-1",
        "performance_metrics": METRICS,
    },
    "camelCase": {
        "id": "a-1",
        "name": "Support",
        "baseModel": "base",
        "status": "READY",
        "documents": ["d-1"],
        "createdDate": "2026-03-05T05:16:01Z",
        "completedDate": "2026-03-05T06:16:01Z",
        "modelId": "m-1",
        "performanceMetrics": CAMEL_METRICS,
    },
}
READ = {
    "alignment_id": "a-1",
    "alignment_name": "Support",
    "base_model": "base",
    "status": "READY",
    "document_ids": ["d-1"],
    "created_date": "2026-03-05T05:16:01Z",
    "completed_date": "2026-03-05T06:16:01Z",
    "model_id": "m-1",
    "performance_metrics": METRICS,
}


def dump(model: AlignmentStatus) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


@pytest.mark.parametrize("revision", WRITTEN)
def test_every_revision_reads_the_same_flat(revision: str) -> None:
    assert dump(AlignmentStatus.read(WRITTEN[revision])) == READ


@pytest.mark.parametrize("revision", WRITTEN)
def test_every_revision_reads_the_same_in_an_envelope(revision: str) -> None:
    envelope = {"status": "pending", "data": WRITTEN[revision], "start_time": None, "end_time": None}
    assert dump(AlignmentStatus.read(envelope)) == {**READ, "task_status": "pending"}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        # the envelope's word stays the task's; it is the status only where there is no other
        ({"status": "pending", "data": {"status": "COMPLETED"}}, {"status": "COMPLETED", "task_status": "pending"}),
        ({"status": "READY", "data": None}, {"status": "READY", "task_status": "READY"}),
        ({"status": "READY", "data": {}}, {"status": "READY", "task_status": "READY"}),
        ({"status": "READY", "data": "nonsense"}, {"status": "READY", "task_status": "READY"}),
        ({"status": "READY", "data": {"status": None}}, {"status": "READY", "task_status": "READY"}),
        ({"data": {"status": "READY"}}, {"status": "READY"}),
        ({"status": None, "data": {"status": "READY"}}, {"status": "READY"}),
        ({"status": {}, "data": {"status": "READY"}}, {"status": "READY"}),
        # what only one of them says is kept
        (
            {"status": "S", "data": {"status": "S", "error": None}, "error": "e", "start_time": "2026-01-01T00:00:00Z"},
            {"status": "S", "task_status": "S", "error": "e", "start_time": "2026-01-01T00:00:00Z"},
        ),
        # false means that training failed, whoever says it
        (
            {"status": "S", "gpu_training_completed": False, "data": {"status": "S", "gpu_training_completed": True}},
            {"status": "S", "task_status": "S", "gpu_training_completed": False},
        ),
        (
            {"status": "S", "gpu_training_completed": True, "data": {"status": "S", "gpu_training_completed": False}},
            {"status": "S", "task_status": "S", "gpu_training_completed": False},
        ),
        (
            {"status": "S", "gpu_training_completed": True, "data": {"status": "S", "gpu_training_completed": None}},
            {"status": "S", "task_status": "S", "gpu_training_completed": True},
        ),
        (
            {"status": "S", "gpu_training_completed": None, "data": {"status": "S", "gpu_training_completed": True}},
            {"status": "S", "task_status": "S", "gpu_training_completed": True},
        ),
    ],
)
def test_an_envelope_is_taken_off(payload: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(payload)
    assert dump(AlignmentStatus.read(payload)) == expected
    assert repr(payload) == before


@pytest.mark.parametrize("payload", [{"data": None}, {"data": {}}, {"data": {"alignment_id": "a"}}, {"status": []}])
def test_an_alignment_without_a_status_is_unreadable(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="field 'status'"):
        AlignmentStatus.read(payload)


@pytest.mark.parametrize(
    ("payload", "field", "value"),
    [
        ({"alignment_id": None, "id": "a-1"}, "alignment_id", "a-1"),
        ({"alignment_id": {}, "id": "a-1"}, "alignment_id", "a-1"),
        ({"alignment_id": {}, "id": []}, "alignment_id", None),
        ({"alignment_id": "a-1", "id": "task-9"}, "alignment_id", "a-1"),
        ({"model_id": "m-1", "aligned_model_id": "m-2"}, "model_id", "m-1"),
    ],
)
def test_of_several_names_the_first_that_says_something_counts(
    payload: dict[str, Any], field: str, value: str | None
) -> None:
    assert getattr(AlignmentStatus.read({"status": "READY", **payload}), field) == value


def test_revision_c_says_more() -> None:
    more = {
        "queue_position": 3,
        "eta_seconds": 900,
        "early_deployable": True,
        "stage_failures": ["evaluation: out of memory"],
        "degraded": False,
        "progress": 45,
        "estimated_completion": "2026-03-05T07:16:01Z",
    }
    assert dump(AlignmentStatus.read({"status": "PROCESSING", **more})) == {"status": "PROCESSING", **more}


def test_one_metric_that_contradicts_the_contract_does_not_take_the_others_away() -> None:
    metrics = {"accuracy_after": 0.92, "domain_violations_after": 2.5, "unknown": "x"}
    answer = AlignmentStatus.read({"status": "READY", "performance_metrics": metrics})
    assert dump(answer)["performance_metrics"] == {"accuracy_after": 0.92}
    assert AlignmentStatus.read({"status": "READY", "performance_metrics": "none"}).performance_metrics is None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            {
                "evaluation_id": "e-1",
                "status": "PROCESSING",
                "benchmark_id": "k-1",
                "progress": "5/10 questions",
                "questions_completed": 5,
                "total_questions": 10,
                "avg_time_per_question": 15.5,
                "eta_seconds": 78,
            },
            {},
        ),
        ({"id": "e-1", "status": "done"}, {"evaluation_id": "e-1"}),
        ({"evaluationId": "e-1", "status": "done", "benchmarkId": "k"}, {"evaluation_id": "e-1", "benchmark_id": "k"}),
        ({"evaluation_id": "e-1", "status": "READY", "questions_completed": "some"}, {"questions_completed": None}),
    ],
)
def test_an_evaluation_is_read(payload: dict[str, Any], expected: dict[str, Any]) -> None:
    read = EvaluationStatus.read(payload).model_dump(mode="json")
    expected = expected or payload
    assert {name: read[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            {"model_id": "m-1", "status": "FAILED", "result": {"message": "no GPU", "code": 5}, "error": "e"},
            {"model_id": "m-1", "status": "FAILED", "result": {"message": "no GPU", "code": 5}, "error": "e"},
        ),
        ({"modelId": "m-1", "status": "PENDING", "result": "text"}, {"model_id": "m-1", "status": "PENDING"}),
    ],
)
def test_a_deployment_or_undeployment_is_read(payload: dict[str, Any], expected: dict[str, Any]) -> None:
    assert TaskStatus.read(payload).model_dump(mode="json", exclude_none=True) == expected


@pytest.mark.parametrize("name", ["alignment_id", "id", "alignmentId"])
def test_a_created_alignment_has_an_id(name: str) -> None:
    assert CreateAlignmentResponse.read({name: "a-1", "status": "PROCESSING"}).alignment_id == "a-1"


@pytest.mark.parametrize("name", ["evaluation_id", "id", "evaluationId"])
def test_a_created_evaluation_has_an_id(name: str) -> None:
    assert CreateEvaluationResponse.read({name: "e-1", "status": "PROCESSING"}).evaluation_id == "e-1"


@pytest.mark.parametrize("model", [CreateAlignmentResponse, CreateEvaluationResponse])
@pytest.mark.parametrize("payload", [{"status": "PROCESSING"}, {"id": None}, {"id": {}}])
def test_a_creation_without_an_id_is_unreadable_rather_than_a_wait_for_nothing(
    model: type[CreateAlignmentResponse] | type[CreateEvaluationResponse], payload: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"field '\w*id'"):
        model.read(payload)


@pytest.mark.parametrize(
    ("payload", "model_id"),
    [("m-1", "m-1"), ({"model_id": "m-1"}, "m-1"), ({}, None), (None, None), (["m-1"], None), ({"model_id": 5}, None)],
)
def test_deploying_answers_a_bare_id_or_an_object(payload: object, model_id: str | None) -> None:
    assert read_model_id(payload) == model_id


@pytest.mark.parametrize(
    ("payload", "ids"),
    [(["d-1", "d-2"], ["d-1", "d-2"]), ({"document_ids": ["d-1"]}, ["d-1"]), ([], []), ({"document_ids": []}, [])],
)
def test_an_upload_answers_a_bare_list_or_an_object(payload: object, ids: list[str]) -> None:
    # In revision B the ids are those of tasks, whatever the answer calls them.
    assert read_task_ids(payload) == [UploadedDocument(task_id, None) for task_id in ids]
    assert read_document_ids(payload) == [UploadedDocument(document_id, document_id) for document_id in ids]


@pytest.mark.parametrize("payload", [None, "d-1", {}, {"document_ids": None}, [1], [" "], [{"id": "d-1"}]])
@pytest.mark.parametrize("read", [read_task_ids, read_document_ids])
def test_an_upload_that_names_no_documents_is_unreadable(read: Any, payload: object) -> None:
    with pytest.raises(ValueError, match="list of document ids"):
        read(payload)


@pytest.mark.parametrize(
    ("payload", "b", "c"),
    [
        ({"status": "READY", "document_id": "d-1"}, "d-1", "d-1"),
        ({"status": "READY", "document_id": "d-1", "id": "t-1"}, "d-1", "d-1"),
        ({"status": "READY", "id": "x-1"}, None, "x-1"),
        ({"status": "READY", "id": 5}, None, None),
        ({"status": "READY"}, None, None),
    ],
)
def test_the_id_of_a_document_is_not_that_of_its_task(payload: Any, b: str | None, c: str | None) -> None:
    for revision, expected in (("B", b), ("C", c), ("", b)):
        response = RawResponse(200, json.dumps(payload).encode(), revision=revision)
        assert DOCUMENT_STATUS.call(document_id="x-1").read(response, "c").document_id == expected


@pytest.mark.parametrize(
    ("payload", "document_id"),
    [
        ({"detail": {"message": "exists", "document_id": "d-1"}}, "d-1"),
        ({"detail": [{"name": "a.txt", "document_id": "d-1"}]}, "d-1"),
        ({"detail": {"existing": {"document_id": "d-1"}}}, "d-1"),
        ({"detail": {"document_id": " "}}, None),
        ({"detail": {"document_id": 5}}, None),
        ({"detail": "exists"}, None),
        ({"document_id": "d-1"}, None),
        ([], None),
        (None, None),
    ],
)
def test_a_conflict_names_the_document_that_exists_already(payload: object, document_id: str | None) -> None:
    assert existing_document_id(payload) == document_id


@pytest.mark.parametrize("name", ["benchmark_id", "id", "benchmarkId"])
def test_a_created_benchmark_has_an_id(name: str) -> None:
    created = CreateBenchmarkResponse.read({name: "k-1", "status": "PROCESSING", "n_samples": 5})
    assert (created.benchmark_id, created.num_questions) == ("k-1", 5)


@pytest.mark.parametrize(
    ("payload", "models"),
    [
        (
            {"models": [{"model_id": "b-1", "alignment_ready": True}, {"id": "b-2", "alignment_ready": False}]},
            [("b-1", True), ("b-2", False)],
        ),
        ([{"modelId": "b-1"}, {"model_id": "b-2", "alignment_ready": "perhaps"}], [("b-1", None), ("b-2", None)]),
        ({"models": ["b-1", {}, {"model_id": "b-2"}]}, [("b-2", None)]),
        ({"models": None}, []),
        ({}, []),
        (None, []),
    ],
)
def test_base_models_say_whether_they_can_be_aligned(payload: object, models: list[tuple[str, bool | None]]) -> None:
    assert [(model.model_id, model.alignment_ready) for model in BASE_MODELS.read(payload)] == models


def test_the_lists_are_taken_out_of_their_objects() -> None:
    alignments = LIST_ALIGNMENTS.read({"alignment_projects": [WRITTEN["A"], WRITTEN["B"]]})
    assert [alignment.alignment_id for alignment in alignments] == ["a-1", "a-1"]
    evaluations = LIST_EVALUATIONS.read({"evaluations": [{"evaluation_id": "e-1"}], "total": 1})
    assert [evaluation.evaluation_id for evaluation in evaluations] == ["e-1"]
    item = {"id": "k-1", "benchmark_name": "mine", "status": "READY", "documents": ["d-1"], "num_questions": 5}
    (benchmark,) = LIST_BENCHMARKS.read({"benchmarks": [item]})
    assert (benchmark.benchmark_id, benchmark.benchmark_name, benchmark.document_ids) == ("k-1", "mine", ["d-1"])


RECORDED = json.loads((Path(__file__).parents[2] / "recorded" / "nugen-b-2026-07.json").read_text())["calls"]
COMPARISON: dict[str, Any] = RECORDED[-1]["body"]
ALIGNED, BASE = COMPARISON["model_id"], COMPARISON["model_id_2"]
#: The metrics of each model of the recorded comparison.
OF_MODEL = {COMPARISON[slot]["model_id"]: COMPARISON[slot]["metrics"] for slot in ("base_model", "eval_model")}


def results(**fields: Any) -> EvaluationResults:
    return EvaluationResults.read({"evaluation_id": "e-1", **fields})


def test_a_single_evaluation_compares_nothing() -> None:
    assert results(method="eval", model_id="m-1", metrics={"a": 0.9}).compared() == (
        ModelMetrics("m-1", {"a": 0.9}),
        None,
    )
    assert results(method="eval").compared() == (ModelMetrics(None, {}), None)


def test_the_recorded_comparison_is_told_by_its_ids_in_either_order() -> None:
    expected = ModelMetrics(ALIGNED, OF_MODEL[ALIGNED]), ModelMetrics(BASE, OF_MODEL[BASE])
    swapped = {"base_model": COMPARISON["eval_model"], "eval_model": COMPARISON["base_model"]}
    for slots in ({}, swapped):
        assert results(**{**COMPARISON, **slots}).compared() == expected
        assert results(**{**COMPARISON, **slots, "model_id": BASE, "model_id_2": ALIGNED}).compared() == expected[::-1]
    assert "slots" not in results(**COMPARISON).model_dump()


def slot(value: float, model_id: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"metrics": {"a": value}, "model_id": model_id, **fields}


@pytest.mark.parametrize(
    ("fields", "of_model", "of_other"),
    [
        # Without ids: as recorded.
        ({"base_model": slot(1), "eval_model": slot(2)}, 1, 2),
        ({"base_model": {"a": 1}, "eval_model": {"a": 2}}, 1, 2),
        ({"base_model": slot(1), "eval_model": slot(2), "model_id_2": None}, 1, 2),
        # One id tells the other slot, too.
        ({"base_model": slot(1, "m-1"), "eval_model": slot(2)}, 1, 2),
        ({"base_model": slot(1), "eval_model": slot(2, "m-1")}, 2, 1),
        ({"base_model": slot(1, "m-0"), "eval_model": slot(2)}, 2, 1),
        ({"base_model": slot(1), "eval_model": slot(2, "m-0")}, 1, 2),
        ({"base_model": slot(1, "m-0"), "eval_model": slot(2, "m-1"), "model_id_2": None}, 2, 1),
        ({"base_model": slot(1, "m-0"), "eval_model": slot(2, "m-1"), "model_id": None}, 2, 1),
        # A model compared with itself.
        ({"base_model": slot(1, "m-1"), "eval_model": slot(2, "m-1"), "model_id_2": "m-1"}, 1, 2),
        # Shapes of revision C are not known: what holds metrics and names a model is a slot.
        ({"model_id_2": None, "baseline_model_id": "m-0", "one": slot(1, "m-0"), "two": slot(2, "m-1")}, 2, 1),
        ({"models": [slot(1, "m-0"), slot(2, "m-1")]}, 2, 1),
        ({"metrics": {"a": 3}, "baseline": slot(1, "m-0")}, 3, 1),
        ({"answers": [{"model_id": "m-1"}, {"model_id": "m-1"}], "metrics": {"a": 3}, "model_id_2": None}, 3, None),
        ({"base_model": slot(1, "m-1")}, 1, None),
    ],
)
def test_the_metrics_of_each_model_are_found(fields: dict[str, Any], of_model: float, of_other: float | None) -> None:
    evaluated, other = results(**{"model_id": "m-1", "model_id_2": "m-0", **fields}).compared()
    assert evaluated.metrics["a"] == of_model
    assert (other and other.metrics["a"]) == of_other


@pytest.mark.parametrize(
    "fields",
    [
        {"base_model": slot(1, "m-2"), "eval_model": slot(2, "m-0")},
        {"base_model": slot(1, "m-1"), "eval_model": slot(2, "m-2")},
        {"base_model": slot(1, "m-2"), "eval_model": slot(2, "m-3")},
        {"base_model": slot(1, "m-1"), "eval_model": slot(2, "m-1")},
        {"base_model": slot(1, "m-0"), "eval_model": slot(2, "m-0")},
        {"base_model": slot(1, "m-2"), "eval_model": slot(2)},
        {"base_model": slot(1, "m-1"), "eval_model": slot(2, "m-0"), "model_id": None, "model_id_2": None},
        {"models": [slot(1, "m-0"), slot(2, "m-1"), slot(3, "m-2")]},
    ],
)
def test_ids_that_contradict_each_other_are_an_error_that_shows_them(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not certain which metrics are whose") as caught:
        results(**{"model_id": "m-1", "model_id_2": "m-0", **fields}).compared()
    for part in fields.get("models", [fields.get("base_model"), fields.get("eval_model")]):
        assert part["model_id"] is None or repr(part["model_id"]) in str(caught.value)
