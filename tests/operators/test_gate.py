"""The gate: goes on, skips, or says why it cannot decide."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_nugen.compat import AirflowSkipException
from airflow_provider_nugen.operators.nugen import EvaluationGateOperator
from airflow_provider_nugen.simulator.timeline import Stage

from .support import BENCHMARK, Life, Service, is_final

METRICS = {"accuracy": 0.92, "uncertainty": 0.08, "note": "text"}
BASE = {"accuracy": 0.7, "uncertainty": 0.3}


def gate(service: Service, key: str, *conditions: str, compared: bool = True, **arguments: Any) -> Life:
    inputs = {"model_id": service.trained(), "benchmark_id": BENCHMARK}
    if compared:
        inputs["model_id_2"] = "nugen-flash-instruct"
    service.world.add_job("evaluation", "e-1", [Stage("READY")], inputs=inputs)
    return Life(
        lambda: EvaluationGateOperator(task_id="gate", evaluation_id="e-1", conditions=list(conditions), **arguments),
        key,
    )


@pytest.fixture(autouse=True)
def _metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_nugen.simulator.nugen import Nugen

    monkeypatch.setattr(
        Nugen, "_metrics", lambda self, model_id, benchmark_id: BASE if model_id.startswith("nugen-") else METRICS
    )
    monkeypatch.setattr("airflow_provider_nugen.simulator.nugen.round", lambda value, digits: value, raising=False)


@pytest.fixture(autouse=True)
def _numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    # The simulator subtracts all metrics from each other.
    monkeypatch.setitem(METRICS, "note", 0.5)
    monkeypatch.setitem(BASE, "note", 0.5)


def test_an_open_gate(service: Service, key: str, logs: Any) -> None:
    run = gate(service, key, "accuracy >= 0.9", "accuracy >= baseline + 0.2", "uncertainty < baseline").run()
    assert run.value["passed"] is True
    assert [verdict["met"] for verdict in run.value["verdicts"]] == [True, True, True]
    assert run.value["verdicts"][1] == {
        "condition": "accuracy >= baseline + 0.2",
        "value": 0.92,
        "threshold": 0.9,
        "met": True,
    }
    table = "\n".join(logs.at("info"))
    for text in ("metric", "value", "condition", "verdict", "accuracy >= baseline + 0.2", "0.92", "0.9", "met"):
        assert text in table
    assert "NOT met" not in table


def test_a_closed_gate_skips_and_says_why(service: Service, key: str, logs: Any) -> None:
    run = gate(service, key, "accuracy >= 0.9", "accuracy >= baseline + 0.3").run()
    assert run.ending is AirflowSkipException
    assert "does not meet: accuracy >= baseline + 0.3." in str(run.error)
    assert run.xcoms["return_value"]["passed"] is False
    assert "NOT met" in "\n".join(logs.at("info"))


@pytest.mark.parametrize(
    ("conditions", "compared", "says"),
    [
        (["recall >= 0.9"], True, "has no metric 'recall' that is a number (there are: accuracy, note, uncertainty)"),
        (["recall != 0.9"], False, "has no metric 'recall'"),
        (["accuracy >= baseline"], False, "needs a baseline: evaluate with model_id_2"),
    ],
)
def test_what_cannot_be_decided_is_no_pass(
    service: Service, key: str, conditions: list[str], compared: bool, says: str
) -> None:
    run = gate(service, key, *conditions, compared=compared).run()
    assert is_final(run)
    assert says in str(run.error)


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        (["accuracy > 0.9", "accuracy >= high"], "'accuracy >= high' cannot be read"),
        ("accuracy", "'accuracy' cannot be read"),
        ([], "conditions is empty"),
    ],
)
def test_a_typo_is_known_before_anything_runs(service: Service, key: str, conditions: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EvaluationGateOperator(task_id="gate", evaluation_id="e-1", conditions=conditions)

    # A template is read when the task runs, and then once more.
    life = gate(service, key, "{{ params.condition }}")
    make = life.make

    def rendered() -> Any:
        task = make()
        task.conditions = conditions
        return task

    life.make = rendered
    run = life.run()
    assert is_final(run)
    assert says in str(run.error)


def test_one_condition_needs_no_list(service: Service, key: str) -> None:
    life = gate(service, key, "accuracy > 0.9")
    life.make = lambda: EvaluationGateOperator(task_id="gate", evaluation_id="e-1", conditions="accuracy > 0.9")
    assert life.run().value["passed"] is True


def test_a_closed_gate_pushes_nothing_if_told_so(service: Service, key: str) -> None:
    run = gate(service, key, "accuracy >= 1", do_xcom_push=False).run()
    assert run.ending is AirflowSkipException
    assert run.xcoms == {}
