"""Each 4xx that the services document ends in an error that says what to do next; none is retried in vain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen.operators.nugen import (
    CreateAlignmentOperator,
    CreateBenchmarkOperator,
    CreateEvaluationOperator,
    DeployModelOperator,
    EvaluationGateOperator,
    GetEvaluationResultsOperator,
    UndeployModelOperator,
    UploadBenchmarkOperator,
    UploadDocumentsOperator,
)
from airflow_provider_nugen.operators.seekr import (
    SeekrCancelAlignmentOperator,
    SeekrCreateAlignmentOperator,
    SeekrCreateDataJobOperator,
    SeekrGetAlignmentOutputsOperator,
)
from airflow_provider_nugen.simulator.timeline import Stage

from .support import ALIGNMENT, BENCHMARK, DOCUMENTS, Life, Service, is_final, is_retryable

#: Operator, arguments, and the operation that it calls first.
CALLS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "upload documents": (UploadDocumentsOperator, {"files": "{tmp}/a.txt"}, "upload_documents"),
    "create benchmark": (
        CreateBenchmarkOperator,
        {"document_ids": DOCUMENTS, "num_questions": 3},
        "create_benchmark",
    ),
    "upload benchmark": (
        UploadBenchmarkOperator,
        {"file": "{tmp}/b.json", "name": "n", "document_id": DOCUMENTS[0]},
        "upload_benchmark",
    ),
    "create alignment": (CreateAlignmentOperator, ALIGNMENT, "create_alignment"),
    "deploy": (DeployModelOperator, {"model_id": "m-1"}, "deploy"),
    "create evaluation": (
        CreateEvaluationOperator,
        {"model_id": "m-1", "benchmark_id": BENCHMARK},
        "create_evaluation",
    ),
    "results": (GetEvaluationResultsOperator, {"evaluation_id": "e-1"}, "evaluation_results"),
    "gate": (EvaluationGateOperator, {"evaluation_id": "e-1", "conditions": "accuracy > 0"}, "evaluation_results"),
    "undeploy": (UndeployModelOperator, {"model_id": "m-1"}, "undeploy"),
    "seekr alignment": (
        SeekrCreateAlignmentOperator,
        {"instructions": "Be kind.", "files": ["f-1"]},
        "seekr_generate",
    ),
    "seekr cancel": (SeekrCancelAlignmentOperator, {"alignment_job_id": "j-1"}, "seekr_cancel"),
    "seekr outputs": (SeekrGetAlignmentOutputsOperator, {"alignment_job_id": "j-1"}, "seekr_outputs"),
    "seekr data job": (
        SeekrCreateDataJobOperator,
        {"job_type": "principle_files", "file_ids": ["f-1"]},
        "seekr_create_data_job",
    ),
}


def life(operator: str, key: str, tmp_path: Any, **arguments: Any) -> Life:
    """Make a task instance of an operator."""
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.json").write_text('[{"question_num": 1, "question": "q", "answer": "a"}]')
    cls, own, _ = CALLS[operator]
    own = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in own.items()}
    return Life(lambda: cls(task_id="t", retries=3, **{**own, **arguments}), key)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 410, 413, 422])
@pytest.mark.parametrize("name", CALLS)
def test_what_the_service_refuses_is_not_asked_again(
    service: Service, key: str, tmp_path: Any, name: str, status: int
) -> None:
    operation = CALLS[name][2]
    service.fault("status", operation, status=status, times=None)
    run = life(name, key, tmp_path).run()
    assert is_final(run)
    message = str(run.error)
    assert f"HTTP {status}: Simulated {status}." in message
    assert "_default'" in message, "the connection"
    if status not in (410, 413):
        assert "check" in message.lower() or "Correct" in message, "what to do next"
    # The key may have changed meanwhile, so the connection is read again, once.
    assert service.asked(operation) == (2 if status == 401 else 1)


@pytest.mark.parametrize("name", CALLS)
def test_what_passes_is_sent_again_and_then_left_to_a_retry(
    service: Service, key: str, tmp_path: Any, name: str
) -> None:
    operation = CALLS[name][2]
    service.fault("status", operation, status=429, retry_after="0", times=None)
    run = life(name, key, tmp_path).run()
    assert is_retryable(run)
    assert service.asked(operation) == 4


#: Calls whose path is the same in both revisions.
SAME_PATH = {"results", "gate"}


@pytest.mark.parametrize("name", [name for name in CALLS if "seekr" not in name and name not in SAME_PATH])
def test_the_wrong_revision_is_told_from_a_missing_thing(
    make_service: Callable[..., Service], connection: Callable[..., str], key: str, tmp_path: Any, name: str
) -> None:
    service = make_service()
    connection("nugen", host=service.url, extra={"api_revision": "C"})
    if name == "upload benchmark":
        (tmp_path / "c.json").write_text('[{"sample_num": 1, "instruction": "q", "response": "a"}]')
        run = life(name, key, tmp_path, file=tmp_path / "c.json").run()
    else:
        run = life(name, key, tmp_path).run()
    assert is_final(run)
    assert "api_revision" in str(run.error)
    # The call itself is named, not one that was made to find out more.
    assert f"): {CALLS[name][2].replace('_', ' ')}" in str(run.error)


def test_a_missing_connection(key: str, tmp_path: Any) -> None:
    for name in CALLS:
        conn = {"seekr_conn_id" if "seekr" in name else "nugen_conn_id": "nowhere"}
        run = life(name, key, tmp_path, **conn).run()
        assert is_final(run)
        assert "'nowhere'" in str(run.error)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("create alignment", {"base_model": "nugen-frozen"}, "Nugen can align: 'nugen-flash-instruct'"),
        ("create alignment", {"document_ids": ["doc-new"]}, "DocumentStatusSensor"),
        ("create alignment", {"document_ids": None}, "document_ids is None"),
        ("create alignment", {"document_ids": "['doc-demo-1']"}, "render_template_as_native_obj=True"),
        ("create benchmark", {"document_ids": ["doc-new"]}, "DocumentStatusSensor"),
        ("create benchmark", {"document_ids": "[1]"}, "render_template_as_native_obj=True"),
        ("upload benchmark", {"document_id": "doc-new"}, "DocumentStatusSensor"),
        ("deploy", {}, "AlignmentStatusSensor"),
        ("deploy", {"early": True}, "API revision B has no field for 'early'"),
        ("deploy", {"model_id": " "}, "not blank"),
        ("deploy", {"model_id": {"model_id": "m-1"}}, "model_id is a dict, not one id"),
        ("undeploy", {"model_id": ["m-1"]}, "model_id is a list, not one id"),
        ("create evaluation", {}, "BenchmarkStatusSensor"),
        ("create evaluation", {"name": "n"}, "API revision B has no field for 'name'"),
        ("results", {}, "Evaluation not found"),
        ("gate", {}, "Evaluation not found"),
        ("gate", {"evaluation_id": {"evaluation_id": "e-1"}}, "for example task.output['evaluation_id']"),
        ("undeploy", {}, "Model not found"),
        ("seekr alignment", {"instructions": " "}, "not blank"),
        ("seekr alignment", {"files": "['f-1']"}, "render_template_as_native_obj=True"),
        ("seekr alignment", {"type": "wrong"}, "principle"),
        ("seekr cancel", {}, "team_id"),
        ("seekr outputs", {}, "team_id"),
        ("seekr data job", {"job_type": "wrong"}, "principle_files"),
    ],
)
def test_what_the_services_themselves_refuse(
    service: Service, key: str, tmp_path: Any, name: str, arguments: dict[str, Any], says: str
) -> None:
    run = life(name, key, tmp_path, **arguments).run()
    assert is_final(run)
    assert says in str(run.error)


def test_results_of_an_evaluation_that_is_not_done(service: Service, key: str, tmp_path: Any) -> None:
    service.world.add_job("evaluation", "e-1", [Stage("PROCESSING")], inputs={"model_id": "m-1"})
    for name in ("results", "gate"):
        run = life(name, key, tmp_path).run()
        assert is_retryable(run), "it may be done later"
        assert "wait for it with EvaluationStatusSensor" in str(run.error)
        assert service.asked("evaluation_results") == 1
        service.world.clear_requests()


def test_one_id_is_as_good_as_a_list_of_one(service: Service, key: str, tmp_path: Any) -> None:
    life("create alignment", key, tmp_path, document_ids="doc-demo-1").run()
    assert service.jobs()[0].inputs["document_ids"] == ["doc-demo-1"]
