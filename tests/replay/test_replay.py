"""Sensors, operators and the gate against the answers that the live service gave, with the connection's defaults."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from operators.support import Life
from sensors.harness import MODES, Run

from airflow_provider_nugen.compat import AirflowException, AirflowFailException, AirflowSkipException
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
from airflow_provider_nugen.sensors.nugen import (
    AlignmentStatusSensor,
    DeployStatusSensor,
    DocumentStatusSensor,
    EvaluationStatusSensor,
    UndeployStatusSensor,
)

from .recordings import V3, B, C, Call, revision_b, revision_c
from .server import Replay

#: What starts a job, and waits for it.
WAITS = {"wait_for_completion": True, "poke_interval": 0.05, "timeout": 20, "retries": 3}
IN_BOTH_MODES = pytest.mark.parametrize("deferrable", [True, False], ids=["deferrable", "poke"])

Start = Callable[[Sequence[Call]], Replay]


def run(cls: Any, key: str, **arguments: Any) -> Run:
    """Run an operator or a sensor to its end."""
    arguments = (
        {"poke_interval": 0.05, "timeout": 20, "retries": 3, **arguments} if "Sensor" in cls.__name__ else arguments
    )
    return Life(lambda: cls(task_id="t", **arguments), key).run()


def upload(key: str, tmp_path: Path, **arguments: Any) -> Run:
    (tmp_path / "handbook.txt").write_text("text")
    return run(UploadDocumentsOperator, key, files=[str(tmp_path / "handbook.txt")], **{**WAITS, **arguments})


@IN_BOTH_MODES
@pytest.mark.parametrize("refusal", [400, 409])
def test_a_pipeline_in_revision_b(replay: Start, key: str, tmp_path: Path, deferrable: bool, refusal: int) -> None:
    server, waits = replay(revision_b(refusal)), {**WAITS, "deferrable": deferrable}
    documents = upload(key, tmp_path, deferrable=deferrable).xcoms["document_ids"]
    assert documents == [B.DOCUMENT]
    # Five questions as users write them: without numbers.
    (tmp_path / "benchmark.json").write_text(json.dumps([{"question": "What is it?", "answer": "It."}] * 5))
    file = str(tmp_path / "benchmark.json")
    benchmark = run(UploadBenchmarkOperator, key, file=file, name="uploaded", document_id=documents[0], **waits)
    assert benchmark.xcoms["benchmark_id"] == B.BENCHMARK
    align = run(
        CreateAlignmentOperator,
        key,
        base_model=B.BASE,
        document_ids=documents,
        benchmark_id=benchmark.xcoms["benchmark_id"],
        **waits,
    )
    assert (align.value["status"], align.xcoms["model_id"]) == ("READY", B.MODEL)
    assert align.xcoms["evaluation_id"] == B.EVALUATION
    (sent,) = server.bodies("POST /alignment-project/create")
    assert (sent["document_ids"], sent["benchmark_id"]) == ([B.DOCUMENT], B.BENCHMARK)
    # READY, and yet its model is still being torn down.
    deploy = run(DeployModelOperator, key, model_id=align.xcoms["model_id"], **waits)
    assert (deploy.value["status"], deploy.xcoms["model_id"]) == ("COMPLETED", B.MODEL)
    assert server.asked(f"POST /models/deploy-model/{B.MODEL}") == 2
    undeploy = run(UndeployModelOperator, key, model_id=deploy.xcoms["model_id"], **waits)
    assert undeploy.value["status"] == "COMPLETED"
    assert server.asked(f"DELETE /models/undeploy-model/{B.MODEL}") == 1
    assert [request for request in server.requests if request.status not in (200, refusal)] == []


@pytest.mark.parametrize("mode", MODES)
def test_sensors_in_revision_b(replay: Start, key: str, mode: str) -> None:
    replay(revision_b())
    for cls, own, status, xcoms in (
        (DocumentStatusSensor, {"document_id": B.TASK}, "READY", {"document_id": B.DOCUMENT}),
        (AlignmentStatusSensor, {"alignment_id": B.ALIGNMENT}, "READY", {"model_id": B.MODEL}),
        (DeployStatusSensor, {"model_id": B.MODEL}, "COMPLETED", {"model_id": B.MODEL}),
        (EvaluationStatusSensor, {"evaluation_id": B.EVALUATION}, "READY", {"evaluation_id": B.EVALUATION}),
        (UndeployStatusSensor, {"model_id": B.MODEL}, "COMPLETED", {"model_id": B.MODEL}),
    ):
        done = run(cls, key, **own, **MODES[mode])
        assert (done.value["status"], done.value["state"]) == (status, "SUCCEEDED")
        assert done.value.items() >= xcoms.items()


def test_a_sensor_takes_what_an_upload_returned(replay: Start, key: str, tmp_path: Path) -> None:
    replay(revision_b())
    uploaded = upload(key, tmp_path, wait_for_completion=False).value
    assert run(DocumentStatusSensor, key, document_id=uploaded).xcoms["document_ids"] == [B.DOCUMENT]


# The gate: what it decides hangs on the models' own metrics, whatever the slots are called and filled with.

#: Condition, whether the recorded models meet it.
VERDICTS = {
    # The aligned model has 1.0, its base 0.8.
    "binary_correctness_mean >= baseline + 0.05": True,
    "binary_correctness_mean >= 0.9": True,
    # 0.84, and 0.86.
    "answer_relevance_mean >= baseline": False,
    "answer_relevance_mean >= 0.85": False,
}


def with_results(change: Callable[[dict[str, Any]], None]) -> list[Call]:
    """Change the recorded results of the comparison."""
    calls = revision_b()
    for index, call in enumerate(calls):
        if call.path == f"{V3}/evaluations/{B.EVALUATION}/results":
            results = json.loads(json.dumps(call.body))
            change(results)
            calls[index] = replace(call, body=results)
    return calls


def as_recorded(results: dict[str, Any]) -> None:
    """Change nothing."""


def swap(results: dict[str, Any]) -> None:
    """Put each model into the other's slot."""
    results["base_model"], results["eval_model"] = results["eval_model"], results["base_model"]


def drop_ids(results: dict[str, Any]) -> None:
    """Leave the ids out of the slots, which then are as recorded."""
    for slot in ("base_model", "eval_model"):
        del results[slot]["model_id"]


def contradict(results: dict[str, Any]) -> None:
    """Let neither slot name the evaluation's model."""
    results["base_model"]["model_id"] = "another-model"


def gate(key: str, condition: str) -> Run:
    return run(EvaluationGateOperator, key, evaluation_id=B.EVALUATION, conditions=[condition])


@pytest.mark.parametrize("slots", [as_recorded, swap, drop_ids])
@pytest.mark.parametrize("condition", VERDICTS)
def test_the_gate_over_the_recorded_comparison(
    replay: Start, key: str, condition: str, slots: Callable[[dict[str, Any]], None]
) -> None:
    replay(with_results(slots))
    decided = gate(key, condition)
    assert decided.ending is (None if VERDICTS[condition] else AirflowSkipException)
    assert decided.xcoms["return_value"]["passed"] is VERDICTS[condition]


def test_the_gate_fails_if_the_models_contradict_the_evaluation(replay: Start, key: str) -> None:
    replay(with_results(contradict))
    for condition in VERDICTS:
        failed = gate(key, condition)
        assert isinstance(failed.error, AirflowFailException)
        for model in ("another-model", B.MODEL, B.BASE):
            assert model in str(failed.error)


def test_the_names_of_the_demos_do_not_exist(replay: Start, key: str) -> None:
    replay(revision_b())
    failed = gate(key, "accuracy >= 0.5")
    assert isinstance(failed.error, AirflowFailException)
    assert "binary_correctness_mean" in str(failed.error)


@pytest.mark.usefixtures("hurry")
def test_a_move_to_revision_c_that_knows_neither_the_task_nor_a_list(replay: Start, key: str, tmp_path: Path) -> None:
    (tmp_path / "handbook.txt").write_text("text")
    task = Life(lambda: UploadDocumentsOperator(task_id="t", files=[str(tmp_path / "handbook.txt")], **WAITS), key)
    # The answer to the upload is revision B's; C knows nothing of its task, but the name of the file.
    status = f"{V3}/documents/{C.DOCUMENT}/status"
    replay(
        [
            Call("POST", f"{V3}/documents", 200, {"document_ids": [B.TASK]}),
            Call("GET", f"{V3}/documents/{B.TASK}/status", 404, {"detail": "Document not found"}),
        ]
    )
    lost = task.run()
    assert isinstance(lost.error, AirflowException)
    assert not isinstance(lost.error, AirflowFailException)
    replay(
        [
            Call("POST", f"{V3}/documents/create", 409, {"detail": {"message": "exists", "document_id": C.DOCUMENT}}),
            Call("GET", status, 200, {"document_id": C.DOCUMENT, "status": "READY"}),
        ]
    )
    assert task.run().xcoms["document_ids"] == [C.DOCUMENT]


# Revision C, found out by itself.


@IN_BOTH_MODES
@pytest.mark.usefixtures("quick_retries")
def test_a_pipeline_in_revision_c(replay: Start, key: str, tmp_path: Path, deferrable: bool) -> None:
    server, waits = replay(revision_c()), {**WAITS, "deferrable": deferrable}
    documents = upload(key, tmp_path, deferrable=deferrable).xcoms["document_ids"]
    assert documents == [C.DOCUMENT]
    align = run(CreateAlignmentOperator, key, base_model=C.BASE, document_ids=documents, **waits)
    assert (align.value["status"], align.xcoms["model_id"]) == ("READY", C.MODEL)
    (sent,) = server.bodies("POST /alignment-projects/create")
    assert (sent["base_model_id"], sent["document_ids"]) == (C.BASE, [C.DOCUMENT])
    benchmark = run(CreateBenchmarkOperator, key, document_ids=documents, num_questions=10, **waits)
    assert benchmark.xcoms["benchmark_id"] == C.BENCHMARK
    (sent,) = server.bodies("POST /benchmarks/create")
    assert (sent["document_ids"], sent["n_samples"]) == ([C.DOCUMENT], 10)
    deploy = run(DeployModelOperator, key, model_id=align.xcoms["model_id"], **waits)
    assert (deploy.value["status"], deploy.xcoms["model_id"]) == ("DEPLOYED", C.MODEL)
    # Its status route breaks after the first answer; its detail lives.
    evaluate = run(CreateEvaluationOperator, key, model_id=C.MODEL, benchmark_id=C.BENCHMARK, **waits)
    assert (evaluate.value["status"], evaluate.value["state"]) == ("READY", "SUCCEEDED")
    assert server.asked(f"GET /evaluations/{C.EVALUATION}/status") > 1
    undeploy = run(UndeployModelOperator, key, model_id=deploy.xcoms["model_id"], **waits)
    assert undeploy.value["status"] == "UNDEPLOYED"
    assert server.asked(f"DELETE /models/{C.MODEL}/deployment") == 1
    # Nothing was processed twice on the way to finding out the revision.
    creates = [request.call for request in server.requests if "POST" in request.call and request.status == 200]
    assert len(creates) == len(set(creates))


@pytest.mark.parametrize("mode", MODES)
def test_sensors_in_revision_c(replay: Start, key: str, mode: str) -> None:
    replay(revision_c())
    for cls, own, status in (
        (DocumentStatusSensor, {"document_id": C.DOCUMENT}, "READY"),
        (AlignmentStatusSensor, {"alignment_id": C.ALIGNMENT}, "READY"),
        (DeployStatusSensor, {"model_id": C.MODEL}, "DEPLOYED"),
    ):
        done = run(cls, key, **own, **MODES[mode])
        assert (done.value["status"], done.value["state"]) == (status, "SUCCEEDED")


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "no memory"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("quick_retries")
def test_an_evaluation_whose_status_route_is_broken(replay: Start, key: str, mode: str, memory: bool) -> None:
    server = replay([call for call in revision_c() if not (call.path.endswith("/status") and call.status == 200)])
    arguments = {"evaluation_id": C.EVALUATION, "poke_interval": 0.05, "timeout": 20, **MODES[mode]}
    wait = Life(lambda: EvaluationStatusSensor(task_id="t", **arguments), key, memory=memory).run()
    assert wait.value["status"] == "READY"
    assert server.asked(f"GET /evaluations/{C.EVALUATION}/status") > 1


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "no memory"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("quick_retries")
def test_a_gateway_that_has_lost_its_service_ends_no_wait(replay: Start, key: str, mode: str, memory: bool) -> None:
    path = f"{V3}/alignment-projects/{C.ALIGNMENT}/status"
    (ready,) = [call for call in revision_c() if call.path == path]
    running = replace(
        ready, body={**ready.body, "status": "QUEUED", "data": {**ready.body["data"], "status": "QUEUED"}}
    )
    lost = replace(ready, status=404, body={"detail": "Not Found"})
    server = replay([running, *[lost] * 12, ready])
    arguments = {"alignment_id": C.ALIGNMENT, "poke_interval": 0.05, "timeout": 20, **MODES[mode]}
    wait = Life(lambda: AlignmentStatusSensor(task_id="t", **arguments), key, memory=memory).run()
    assert wait.value["status"] == "READY"
    assert server.asked(f"GET /alignment-projects/{C.ALIGNMENT}/status") == 14


@pytest.mark.parametrize("cls", [CreateEvaluationOperator, UndeployModelOperator])
def test_a_gateway_that_has_lost_its_service_leaves_the_retries(replay: Start, key: str, cls: Any) -> None:
    replay([])
    more = {"benchmark_id": C.BENCHMARK} if cls is CreateEvaluationOperator else {}
    task = Life(lambda: cls(task_id="t", model_id=C.MODEL, retries=3, **more), key)
    for _ in range(2):
        failed = task.run()
        assert isinstance(failed.error, AirflowException)
        assert not isinstance(failed.error, AirflowFailException)
        assert "API revisions B and C were both tried" in str(failed.error)


def test_results_that_are_not_there_yet_can_be_fetched_by_a_retry(replay: Start, key: str) -> None:
    replay(revision_c())
    fetch = Life(lambda: GetEvaluationResultsOperator(task_id="t", evaluation_id=C.EVALUATION, retries=3), key)
    early = fetch.run()
    assert isinstance(early.error, AirflowException)
    assert not isinstance(early.error, AirflowFailException)
    assert "Evaluation is not completed yet" in str(early.error)
    assert fetch.run().value["metrics"]["binary_correctness_mean"] == 0.8


# The server itself.


def test_every_recorded_answer_is_served(replay: Start) -> None:
    for calls in (revision_b(), revision_c()):
        server = replay(calls)
        for call in calls:
            answer = server.answer(replace(call, status=None, body=None))
            assert (answer.status, answer.body) == (call.status, call.body)


def test_a_call_that_was_not_recorded_gets_the_routers_own_answer(replay: Start) -> None:
    server = replay(revision_b())
    for path, status, detail in (
        ("/documents/create", 404, "Not Found"),
        (f"/documents/{B.TASK}", 405, "Method Not Allowed"),
    ):
        answer = server.answer(Call("POST", f"{V3}{path}", None, None))
        assert (answer.status, answer.body) == (status, {"detail": detail})
