"""Is an answer of a model as expected?"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.expectations import Expectation, shortfall

ANSWER = "Refunds take 14 days."


@pytest.mark.parametrize(
    ("expected", "is_met"),
    [
        (None, True),
        ("14 DAYS", True),
        ("14.days", False),
        ("re:14.days", True),
        ("re:14.Days", False),
        ("re:(?i)14.Days", True),
        (re.compile(r"\d+ days"), True),
        (re.compile(r"weeks"), False),
    ],
)
def test_a_text_occurs_in_any_case_and_a_regular_expression_is_found(expected: Any, is_met: bool) -> None:
    assert (shortfall(ANSWER, None, Expectation.parse(expected), None) == "") is is_met


@given(st.text(min_size=1).filter(str.strip))
def test_a_text_is_taken_as_it_is(text: str) -> None:
    if not text.startswith("re:"):
        assert shortfall(f"a {text} b", None, Expectation.parse(text), None) == ""


@pytest.mark.parametrize("expected", ["", "  ", 5, "re:(", ["a"]])
def test_what_is_no_expectation(expected: Any) -> None:
    with pytest.raises(ValueError, match="expect"):
        Expectation.parse(expected)


def test_one_for_all_or_one_each() -> None:
    texts = [[e and e.text for e in Expectation.parse_all(given, 2)] for given in ("a", None, ["a", None])]
    assert texts == [["a", "a"], [None, None], ["a", None]]
    for wrong in (["a"], ["a", "b", "c"], 5):
        with pytest.raises(ValueError, match="expect"):
            Expectation.parse_all(wrong, 2)


@pytest.mark.parametrize(
    ("confidence", "least", "reason"),
    [
        (80.0, 80, ""),
        (79.9, 80, "confidence 79.9 is less than 80"),
        (None, 80, "it has no confidence_score, which only aligned models of Nugen have"),
        (None, None, ""),
    ],
)
def test_confidence(confidence: float | None, least: float | None, reason: str) -> None:
    assert shortfall(ANSWER, confidence, None, least) == reason


def test_all_reasons_are_told() -> None:
    reason = shortfall(ANSWER, 10.0, Expectation.parse("weeks"), 20)
    assert reason == "'weeks' is not in it; confidence 10 is less than 20"
