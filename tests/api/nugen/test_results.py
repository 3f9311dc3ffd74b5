"""The gate's verdict over any comparison is the one that the two models' own metrics give."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.api.nugen.results import EvaluationResults
from airflow_provider_nugen.gating import Condition, judge

MODEL, OTHER = "-support-2026-07-model", "base-model"
OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
METRICS = st.fixed_dictionaries(
    {name: st.integers(0, 100).map(lambda share: share / 100) for name in ("binary_correctness_mean", "loss")}
)
NUMBERS = st.integers(-30, 130).map(lambda share: share / 100)


@st.composite
def conditions(draw: Any, baseline: bool) -> tuple[str, str, str, float, bool]:
    """Draw a condition: as text, and its metric, operator and number, and whether that is relative to the baseline."""
    metric, op = draw(st.sampled_from(["binary_correctness_mean", "loss"])), draw(st.sampled_from(sorted(OPERATORS)))
    number, relative = draw(NUMBERS), baseline and draw(st.booleans())
    sign = "-" if number < 0 else "+"
    return (
        f"{metric} {op} baseline {sign} {abs(number)}" if relative else f"{metric} {op} {number}",
        metric,
        op,
        number,
        relative,
    )


def verdict(results: dict[str, Any], text: str) -> bool:
    model, baseline = EvaluationResults.read(results).compared()
    assert model.model_id == results["model_id"]
    assert baseline is None or baseline.model_id == results["model_id_2"]
    (judged,) = judge(Condition.parse_all([text]), model, baseline)
    return judged.met


def expected(own: dict[str, float], other: dict[str, float], condition: tuple[str, str, str, float, bool]) -> bool:
    _, metric, op, number, relative = condition
    # In hundredths, which are exact.
    threshold = round(100 * number) + (round(100 * other[metric]) if relative else 0)
    return bool(OPERATORS[op](round(100 * own[metric]), threshold))


def comparison(model: str, other: str, slots: tuple[dict[str, Any], dict[str, Any]], **fields: Any) -> dict[str, Any]:
    base, evaluated = slots
    answer = {"evaluation_id": "e-1", "model_id": model, "model_id_2": other, "method": "eval-compare", "metrics": None}
    return {**answer, "base_model": base, "eval_model": evaluated, **fields}


@given(
    own=METRICS,
    other=METRICS,
    names=st.sampled_from([(MODEL, OTHER), (OTHER, MODEL)]),
    swapped=st.booleans(),
    named=st.sampled_from([(True, True), (True, False), (False, True)]),
    condition=conditions(baseline=True),
)
def test_a_comparison_whose_slots_are_named(
    own: dict[str, float],
    other: dict[str, float],
    names: tuple[str, str],
    swapped: bool,
    named: tuple[bool, bool],
    condition: tuple[str, str, str, float, bool],
) -> None:
    slots = [
        {"metrics": metrics, "model_id": name} if has_id else {"metrics": metrics}
        for metrics, name, has_id in zip((own, other), names, named, strict=True)
    ]
    first, second = reversed(slots) if swapped else slots
    assert verdict(comparison(*names, (first, second)), condition[0]) == expected(own, other, condition)


@pytest.mark.parametrize("swapped", [True, False])
@pytest.mark.parametrize(
    ("field", "names"),
    [("model_id", (1, 2)), ("modelId", (MODEL, OTHER)), ("id", (MODEL, OTHER)), ("model", (MODEL, OTHER))],
)
def test_a_slot_names_its_model_in_any_form(field: str, names: tuple[Any, Any], swapped: bool) -> None:
    slots = [{"metrics": {"loss": loss}, field: name} for name, loss in zip(names, (0.2, 0.7), strict=True)]
    first, second = reversed(slots) if swapped else slots
    model, baseline = EvaluationResults.read(comparison(*names, (first, second))).compared()
    assert (model.model_id, model.metrics["loss"]) == (str(names[0]), 0.2)
    assert baseline is not None
    assert (baseline.model_id, baseline.metrics["loss"]) == (str(names[1]), 0.7)


@given(own=METRICS, other=METRICS, condition=conditions(baseline=True))
def test_slots_without_ids_are_as_recorded(
    own: dict[str, float], other: dict[str, float], condition: tuple[str, str, str, float, bool]
) -> None:
    results = comparison(MODEL, OTHER, ({"metrics": own}, {"metrics": other}))
    assert verdict(results, condition[0]) == expected(own, other, condition)


@given(
    own=METRICS,
    other=METRICS,
    ids=st.sampled_from(
        [(MODEL, "x"), ("x", MODEL), (OTHER, "x"), ("x", OTHER), ("x", "y"), (MODEL, MODEL), (OTHER, OTHER)]
    ),
)
def test_ids_that_contradict_the_evaluation_give_no_verdict(
    own: dict[str, float], other: dict[str, float], ids: tuple[str, str]
) -> None:
    results = comparison(MODEL, OTHER, ({"metrics": own, "model_id": ids[0]}, {"metrics": other, "model_id": ids[1]}))
    with pytest.raises(ValueError, match="not certain which metrics are whose") as caught:
        EvaluationResults.read(results).compared()
    assert all(one in str(caught.value) for one in (*ids, MODEL))


@given(
    own=METRICS,
    place=st.sampled_from(["metrics", "base_model", "eval_model"]),
    has_id=st.booleans(),
    condition=conditions(baseline=False),
)
def test_a_single_evaluation_wherever_its_metrics_are(
    own: dict[str, float], place: str, has_id: bool, condition: tuple[str, str, str, float, bool]
) -> None:
    slot = {"metrics": own, "model_id": MODEL} if has_id else {"metrics": own}
    results = {"evaluation_id": "e-1", "model_id": MODEL, "method": "eval"}
    results[place] = own if place == "metrics" else slot  # type: ignore[assignment]
    assert verdict(results, condition[0]) == expected(own, {}, condition)
