"""The gate: continues, skips, or says why it cannot decide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from requests_mock import Mocker

from airflow_provider_nugen.compat import AirflowFailException, AirflowSkipException
from airflow_provider_nugen.exceptions import InvalidArgumentError, JobFailedError
from airflow_provider_nugen.operators.nugen import EvaluationGateOperator

from .support import Life

HOST = "https://nugen.example"
RECORDED = json.loads((Path(__file__).parents[1] / "recorded" / "nugen-b-2026-07.json").read_text())
RESULTS: dict[str, Any] = RECORDED["calls"][-1]["body"]
#: The evaluated model of the recorded comparison, and what it was compared with.
MODEL, BASE = RESULTS["model_id"], RESULTS["model_id_2"]
SINGLE = {
    "evaluation_id": "e-1",
    "model_id": "m-1",
    "method": "eval",
    "metrics": {"answer_relevance_mean": 0.92, "binary_correctness_mean": 0.8, "note": "text"},
}

Gate = Callable[..., Life]


@pytest.fixture
def gate(connection: Callable[..., str], requests_mock: Mocker, key: str) -> Gate:
    """Make a gate over an evaluation with certain results."""
    connection("nugen", host=HOST, extra={"api_revision": "B"})

    def make(results: dict[str, Any], *conditions: Any, **arguments: Any) -> Life:
        requests_mock.get(f"{HOST}/api/v3/evaluations/e-1/results", json=results)
        arguments = {"conditions": list(conditions), **arguments}
        return Life(lambda: EvaluationGateOperator(task_id="gate", evaluation_id="e-1", **arguments), key)

    return make


def test_an_open_gate(gate: Gate, logs: Any) -> None:
    run = gate(RESULTS, "binary_correctness_mean >= 0.9", "binary_correctness_mean >= baseline + 0.2").run()
    assert run.value == {
        "passed": True,
        "model_id": MODEL,
        "baseline_model_id": BASE,
        "verdicts": [
            {"condition": "binary_correctness_mean >= 0.9", "value": 1.0, "threshold": 0.9, "met": True},
            {"condition": "binary_correctness_mean >= baseline + 0.2", "value": 1.0, "threshold": 1.0, "met": True},
        ],
    }
    table = "\n".join(logs.at("info"))
    for text in ("metric", "value", "condition", "verdict", "binary_correctness_mean >= baseline + 0.2", "0.8", MODEL):
        assert text in table
    assert f"against baseline {BASE!r}" in table
    assert "NOT met" not in table


def test_a_closed_gate_skips_and_says_why(gate: Gate, logs: Any) -> None:
    run = gate(RESULTS, "binary_correctness_mean >= 0.9", "answer_relevance_mean >= baseline").run()
    assert run.ending is AirflowSkipException
    assert f"model {MODEL!r} against baseline {BASE!r} does not meet: answer_relevance_mean >= baseline." in str(
        run.error
    )
    assert run.xcoms["return_value"]["passed"] is False
    assert "NOT met" in "\n".join(logs.at("info"))


#: The recorded slots, and what each says of the two models.
SLOTS = {"base_model": RESULTS["base_model"], "eval_model": RESULTS["eval_model"]}
SWAPPED = {"base_model": RESULTS["eval_model"], "eval_model": RESULTS["base_model"]}


@pytest.mark.parametrize("slots", [SLOTS, SWAPPED, dict(reversed(SLOTS.items()))], ids=["recorded", "swapped", "order"])
@pytest.mark.parametrize("reverse", [False, True], ids=["as evaluated", "models swapped"])
def test_the_verdict_is_that_of_the_two_models_own_metrics(gate: Gate, slots: Any, reverse: bool) -> None:
    # Of the recorded models one answers correctly more often, the other one more relevantly.
    first, second = (BASE, MODEL) if reverse else (MODEL, BASE)
    results = {**RESULTS, **slots, "model_id": first, "model_id_2": second}
    better = gate(results, "binary_correctness_mean > baseline").run()
    assert (better.ending is None) is not reverse
    other = gate(results, "answer_relevance_mean > baseline").run()
    assert (other.ending is None) is reverse


@pytest.mark.parametrize(
    ("model_id", "model_id_2"), [("m-3", BASE), (MODEL, "m-3"), ("m-3", "m-4"), ("m-3", None), (None, None)]
)
def test_ids_that_contradict_each_other_are_no_pass(gate: Gate, model_id: Any, model_id_2: Any) -> None:
    results = {**RESULTS, "model_id": model_id, "model_id_2": model_id_2}
    run = gate(results, "binary_correctness_mean >= 0").run()
    assert isinstance(run.error, AirflowFailException)
    for text in (repr(MODEL), repr(BASE), repr(model_id), "'e-1'", "'nugen_default'"):
        assert text in str(run.error)


@pytest.mark.parametrize(
    ("results", "conditions", "says"),
    [
        (RESULTS, ["recall >= 0.9"], f"the evaluated model {MODEL!r} has no metric 'recall' that is a number"),
        (RESULTS, ["answer_relevance >= 0.9"], "did you mean 'answer_relevance_"),
        (RESULTS, ["accuracy >= baseline"], "There are: answer_relevance_max, answer_relevance_mean"),
        (SINGLE, ["note != 0.9"], "has no metric 'note'"),
        (SINGLE, ["answer_relevance_mean >= baseline"], "needs a baseline: evaluate with model_id_2"),
    ],
)
def test_what_cannot_be_decided_is_no_pass(gate: Gate, results: Any, conditions: list[str], says: str) -> None:
    run = gate(results, *conditions).run()
    assert isinstance(run.error, InvalidArgumentError)
    assert isinstance(run.error, AirflowFailException)
    assert says in str(run.error)


def test_a_metric_with_blanks_is_quoted(gate: Gate) -> None:
    results = {**SINGLE, "metrics": {"tone of voice": 0.9}}
    assert gate(results, '"tone of voice" >= 0.9').run().value["passed"] is True


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        (["accuracy > 0.9", "accuracy >= high"], "'accuracy >= high' cannot be read"),
        (["accuracy > {{ params.least }}", "accuracy >= high"], "'accuracy >= high' cannot be read"),
        ([0.9], "0.9 cannot be read"),
        ("accuracy", "'accuracy' cannot be read"),
        ([], "conditions is empty"),
    ],
)
def test_a_typo_is_known_before_anything_runs(gate: Gate, conditions: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EvaluationGateOperator(task_id="gate", evaluation_id="e-1", conditions=conditions)

    # A template is read when the task runs, and then once more.
    life = gate(SINGLE, "{{ params.condition }}")
    make = life.make

    def rendered() -> Any:
        task = make()
        task.conditions = conditions if "{" not in str(conditions) else conditions[1:]
        return task

    life.make = rendered
    run = life.run()
    assert isinstance(run.error, AirflowFailException)
    assert says in str(run.error)


def test_what_another_task_brings_is_not_read_before() -> None:
    with DAG("gates", schedule=None):
        other = EvaluationGateOperator(task_id="before", evaluation_id="e-1", conditions="a > 1").output
        for number, conditions in enumerate([other, [other, "a > 1"], ["{{ one }}"], "{% if a %}a > 1{% endif %}"]):
            EvaluationGateOperator(task_id=f"gate_{number}", evaluation_id="e-1", conditions=conditions)
        with pytest.raises(ValueError, match="cannot be read"):
            EvaluationGateOperator(task_id="gate", evaluation_id="e-1", conditions=[other, "a > high"])


def test_one_condition_needs_no_list(gate: Gate) -> None:
    assert gate(SINGLE, conditions="answer_relevance_mean > 0.9").run().value["passed"] is True


def test_a_closed_gate_pushes_nothing_if_told_so(gate: Gate) -> None:
    run = gate(SINGLE, "answer_relevance_mean >= 1", do_xcom_push=False).run()
    assert run.ending is AirflowSkipException
    assert run.xcoms == {}


@pytest.mark.parametrize(
    ("status", "retried", "error"),
    [("FAILED", False, JobFailedError), ("PROCESSING", True, None), ("CREATED", True, None)],
)
def test_a_failed_evaluation_never_has_results(
    gate: Gate, requests_mock: Mocker, status: str, retried: bool, error: Any
) -> None:
    life = gate(SINGLE, "answer_relevance_mean >= 1")
    body = {"detail": {"evaluation_id": "e-1", "message": "Evaluation is not completed yet"}}
    requests_mock.get(f"{HOST}/api/v3/evaluations/e-1/results", status_code=400, json=body)
    requests_mock.get(f"{HOST}/api/v3/evaluations/e-1/status", json={"status": status, "error": "no GPU"})
    run = life.run()
    assert isinstance(run.error, AirflowFailException) is not retried
    if error is not None:
        assert isinstance(run.error, error)
        assert "no GPU" in str(run.error)
    else:
        assert "not completed yet" in str(run.error)
