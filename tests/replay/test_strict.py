"""The reference pipeline against the simulator that does all that the services may do, in B, in C, and over a move."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from operators.support import Life

from airflow_provider_nugen.operators.nugen import (
    CreateAlignmentOperator,
    CreateEvaluationOperator,
    DeployModelOperator,
    EvaluationGateOperator,
    UndeployModelOperator,
    UploadBenchmarkOperator,
    UploadDocumentsOperator,
)
from airflow_provider_nugen.simulator import Simulator, run_simulator

#: Quick enough that a whole pipeline takes seconds.
SPEED = 500.0
BASE_MODEL = "nugen-flash-instruct"
CONDITIONS = ["binary_correctness_mean >= baseline + 0.05"]
WAITS = {"wait_for_completion": True, "poke_interval": 0.05, "timeout": 30, "retries": 3}
ITEMS = {"B": {"question": "What is it?", "answer": "It."}, "C": {"sample_num": 1, "instruction": "?", "response": "!"}}


@pytest.fixture
def strict(connection: Callable[..., str], key: str) -> Iterator[Callable[..., Simulator]]:
    """Run a strict simulator, and make the default connection to it, which says nothing of a revision."""
    running = []

    def start(**options: Any) -> Simulator:
        context = run_simulator(profile="strict", speed=SPEED, api_key=key, **options)
        running.append(context)
        simulator = context.__enter__()
        connection("nugen", host=simulator.url)
        return simulator

    yield start
    for context in running:
        context.__exit__(None, None, None)


def pipeline(simulator: Simulator, key: str, folder: Path, switch: dict[str, str], **waits: Any) -> dict[str, Any]:
    """
    Run the steps of the example pipeline one by one.

    :param switch: before which step the service moves to which revision.
    :return: what the gate decided.
    """
    waits = {**WAITS, **waits}

    def step(name: str, cls: Any, /, **arguments: Any) -> Any:
        if name in switch:
            simulator.switch_revision(switch[name])
        return Life(lambda: cls(task_id=name, **arguments), key).run()

    (folder / "handbook.txt").write_text("text")
    documents = step("documents", UploadDocumentsOperator, files=[str(folder / "handbook.txt")], **waits)
    (document_id,) = documents.xcoms["document_ids"]
    (folder / "benchmark.json").write_text(json.dumps([ITEMS[simulator.revision]] * 5))
    benchmark = step(
        "benchmark",
        UploadBenchmarkOperator,
        file=str(folder / "benchmark.json"),
        name="mine",
        document_id=document_id,
        **waits,
    ).xcoms["benchmark_id"]
    model = step(
        "align",
        CreateAlignmentOperator,
        base_model=BASE_MODEL,
        document_ids=[document_id],
        benchmark_id=benchmark,
        # Before, its model is deployed and torn down by the service itself.
        wait_for="evaluation",
        **waits,
    ).xcoms["model_id"]
    assert step("deploy", DeployModelOperator, model_id=model, **waits).value["state"] == "SUCCEEDED"
    evaluation = step(
        "evaluate", CreateEvaluationOperator, model_id=model, model_id_2=BASE_MODEL, benchmark_id=benchmark, **waits
    ).xcoms["evaluation_id"]
    verdict = step("gate", EvaluationGateOperator, evaluation_id=evaluation, conditions=CONDITIONS).value
    assert step("undeploy", UndeployModelOperator, model_id=model, **waits).value["state"] == "SUCCEEDED"
    assert (verdict["model_id"], verdict["baseline_model_id"]) == (model, BASE_MODEL)
    return dict(verdict)


def deployed(simulator: Simulator) -> list[str]:
    """Return the models that are deployed."""
    now = simulator.now()
    undeployed = {job.id for job in simulator.all("undeployment") if job.done(now)}
    return [job.id for job in simulator.all("deployment") if job.id not in undeployed]


@pytest.mark.parametrize("deferrable", [True, False], ids=["deferrable", "poke"])
@pytest.mark.parametrize(
    ("revision", "switch"),
    [
        ("B", {}),
        ("C", {}),
        ("B", {"align": "C"}),
        ("C", {"align": "B"}),
        ("B", {"deploy": "C", "undeploy": "B"}),
    ],
)
@pytest.mark.usefixtures("quick_retries")
def test_the_reference_pipeline(
    strict: Callable[..., Simulator], key: str, tmp_path: Path, revision: str, switch: dict[str, str], deferrable: bool
) -> None:
    simulator = strict(nugen_revision=revision)
    assert pipeline(simulator, key, tmp_path, switch, deferrable=deferrable)["passed"] is True
    for kind in ("alignment", "deployment", "evaluation", "undeployment"):
        assert len(simulator.all(kind)) == 1, kind
    assert deployed(simulator) == []


@pytest.mark.parametrize("slots", ["recorded", "swapped", "without_ids"])
def test_the_gate_whatever_the_slots(strict: Callable[..., Simulator], key: str, slots: str) -> None:
    simulator = strict(comparison_slots=slots)
    simulator.add_job("alignment", "a", [("READY", 0)])
    for model, other, passes in (("a-model", BASE_MODEL, True), (BASE_MODEL, "a-model", False)):
        inputs = {"model_id": model, "model_id_2": other, "benchmark_id": "benchmark-demo-1"}
        simulator.add_job("evaluation", "e", [("READY", 0)], inputs=inputs)
        gate = Life(lambda: EvaluationGateOperator(task_id="gate", evaluation_id="e", conditions=CONDITIONS), key).run()
        verdict = gate.xcoms["return_value"]
        assert (verdict["passed"], verdict["model_id"]) == (passes, model)
