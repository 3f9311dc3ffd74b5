"""Conditions over metrics: what can be written, what is met, and what is no answer at all."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.api.nugen.results import ModelMetrics
from airflow_provider_nugen.gating import Condition, Verdict, judge, markdown, table


def judged(texts: list[str], metrics: dict[str, Any], baseline: dict[str, Any] | None = None) -> list[Verdict]:
    """Judge the metrics of the model ``m-1``, and of the baseline ``m-0``."""
    other = None if baseline is None else ModelMetrics("m-0", baseline)
    return judge(Condition.parse_all(texts), ModelMetrics("m-1", metrics), other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy >= 0.9", ("accuracy", ">=", 0.9, False)),
        ("accuracy>=.9", ("accuracy", ">=", 0.9, False)),
        ("  loss <  1e-3 ", ("loss", "<", 0.001, False)),
        ("delta > -0.5", ("delta", ">", -0.5, False)),
        ("f1-score == 1", ("f1-score", "==", 1.0, False)),
        ("rouge.l != 0", ("rouge.l", "!=", 0.0, False)),
        ("accuracy > baseline", ("accuracy", ">", 0.0, True)),
        ("accuracy >= baseline + 0.02", ("accuracy", ">=", 0.02, True)),
        ("uncertainty <= baseline-0.1", ("uncertainty", "<=", -0.1, True)),
        ("baseline > 1", ("baseline", ">", 1.0, False)),
        ('"answer relevance mean" >= 0.8', ("answer relevance mean", ">=", 0.8, False)),
        ('"a >= b" >= baseline + 1', ("a >= b", ">=", 1.0, True)),
        ('"it\'s"<2', ("it's", "<", 2.0, False)),
    ],
)
def test_a_condition_is_read(text: str, expected: tuple[Any, ...]) -> None:
    condition = Condition.parse(text)
    assert (condition.metric, condition.op, condition.number, condition.baseline) == expected
    assert condition.text == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accuracy",
        "accuracy >= ",
        "accuracy => 0.9",
        "accuracy = 0.9",
        ">= 0.9",
        "accuracy >= 0.9 and loss < 1",
        "0.8 < accuracy < 0.9",
        "accuracy >= high",
        "accuracy >= baseline * 2",
        "accuracy >= baseline +",
        "accuracy >= nan",
        "accuracy >= 1e",
        "answer relevance mean >= 0.8",
        '"answer relevance mean >= 0.8',
        'answer" >= 0.8',
        '"" >= 0.8',
        None,
        0.9,
    ],
)
def test_what_is_no_condition_is_refused_with_an_example(text: Any) -> None:
    with pytest.raises(ValueError, match=r"for example 'answer_relevance_mean >= 0\.8'"):
        Condition.parse(text)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("a >= 0.5", True),
        ("a > 0.5", False),
        ("a <= 0.5", True),
        ("a < 0.5", False),
        ("a == 0.5", True),
        ("a != 0.5", False),
        ("a > baseline", True),
        ("a >= baseline + 0.2", True),
        ("a >= baseline + 0.21", False),
        ("a < baseline - 0.1", False),
        ("whole >= baseline", True),
    ],
)
def test_a_condition_is_judged(text: str, met: bool) -> None:
    metrics, baseline = {"a": 0.5, "whole": 3}, {"a": 0.3, "whole": 2}
    (verdict,) = judged([text], metrics, baseline)
    assert verdict.met is met


def test_margins_are_added_as_people_write_them() -> None:
    # In binary 0.1 + 0.2 is a little more than 0.3.
    (verdict,) = judged(["a >= baseline + 0.2"], {"a": 0.3}, {"a": 0.1})
    assert verdict.met
    assert verdict.threshold == 0.3


@pytest.mark.parametrize("value", [None, True, "0.9", math.nan, math.inf, [0.9], {"value": 0.9}])
@pytest.mark.parametrize("where", ["the evaluated model 'm-1'", "the baseline 'm-0'"])
@pytest.mark.parametrize("op", [">=", "!=", "<"])
def test_what_is_no_number_is_an_error_and_not_a_pass(value: Any, where: str, op: str) -> None:
    good, bad = {"a": 0.5, "b": 1}, {"a": value, "b": 1}
    metrics, baseline = (good, bad) if where.startswith("the baseline") else (bad, good)
    with pytest.raises(ValueError, match=rf"{where} has no metric 'a' that is a number\. There are: b$"):
        judged([f"a {op} baseline"], metrics, baseline)


def test_there_may_be_no_metrics_at_all() -> None:
    with pytest.raises(ValueError, match="There are: none"):
        judged(["a > 1"], {})


@pytest.mark.parametrize(
    ("metric", "near"),
    [
        ("answer_relevance", "'answer_relevance_mean'"),
        ('"Answer Relevance Mean"', "'answer_relevance_mean'"),
        ("answer-relevance-maen", "'answer_relevance_mean'"),
        ("accuracy", None),
    ],
)
def test_a_missing_metric_names_those_that_there_are_and_the_near_ones(metric: str, near: str | None) -> None:
    metrics = {"answer_relevance_mean": 0.84, "binary_correctness_mean": 1.0}
    with pytest.raises(ValueError, match="has no metric") as caught:
        judged([f"{metric} >= 0.8"], metrics)
    assert str(caught.value).endswith("There are: answer_relevance_mean, binary_correctness_mean")
    assert (f"did you mean {near}" in str(caught.value)) is (near is not None)
    assert ("did you mean" in str(caught.value)) is (near is not None)


def test_a_baseline_is_needed() -> None:
    with pytest.raises(ValueError, match="needs a baseline"):
        judged(["a > baseline"], {"a": 1})


NUMBERS = st.floats(-1e6, 1e6)


@given(NUMBERS, NUMBERS)
def test_opposites_never_agree(value: float, number: float) -> None:
    for one, other in ((">=", "<"), (">", "<="), ("==", "!=")):
        first, second = judged([f"a {op} {number!r}" for op in (one, other)], {"a": value})
        assert first.met is not second.met


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        condition = Condition.parse(text)
    except ValueError:
        return
    assert condition.metric in text


def test_the_table_names_the_models_and_shows_each_condition_with_its_verdict() -> None:
    model, baseline = ModelMetrics("m-1", {"accuracy": 0.93, "loss": 0.25}), ModelMetrics("m-0", {"accuracy": 0.9})
    conditions = Condition.parse_all(["accuracy >= baseline + 0.02", "loss < 0.1"])
    text = table(judge(conditions, model, baseline), model, baseline)
    models, head, *rows = [line for line in text.splitlines() if any(char.isalnum() for char in line)]
    assert models == "model 'm-1' against baseline 'm-0'"
    for name in ("metric", "value", "baseline", "condition", "threshold", "verdict"):
        assert name in head
    assert all(
        part in rows[0] for part in ("accuracy", "0.93", " 0.9 ", "accuracy >= baseline + 0.02", "0.92", " met ")
    )
    assert all(part in rows[1] for part in ("loss", "0.25", "loss < 0.1", "0.1", "NOT met"))
    assert "\x1b" not in text, "no colours in a log"
    assert table(judge(conditions[1:], model, None), model, None).startswith("model 'm-1'\n")


def test_the_report_is_the_same_table_in_markdown() -> None:
    model, baseline = ModelMetrics("m-1", {"accuracy": 0.93, "a|b*": 0.25}), ModelMetrics("m-0", {"accuracy": 0.9})
    conditions = Condition.parse_all(["accuracy >= baseline + 0.02", '"a|b*" < 0.1'])
    assert markdown(judge(conditions, model, baseline), model, baseline) == (
        "**Not passed**: model 'm-1' against baseline 'm-0'\n"
        "\n"
        "| metric | value | baseline | condition | threshold | verdict |\n"
        "| --- | ---: | ---: | --- | ---: | --- |\n"
        "| accuracy | 0.93 | 0.9 | accuracy >= baseline + 0.02 | 0.92 | met |\n"
        '| a\\|b\\* | 0.25 |  | "a\\|b\\*" \\< 0.1 | 0.1 | NOT met |'
    )
    assert markdown(judge(conditions[:1], model, baseline), model, baseline).startswith("**Passed**: model 'm-1'")
