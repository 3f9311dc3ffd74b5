"""Values that Airflow can carry: what is found in an answer before it is parsed, and what is made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.safe import is_suspicious, safe_json

SIGNS, DIGITS = st.sampled_from(["", "-"]), st.text("0123456789", min_size=1, max_size=25)
numbers = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{int(whole)}{fraction}{exponent}",
    SIGNS,
    DIGITS,
    st.just("") | DIGITS.map(lambda digits: f".{digits}"),
    st.just("")
    | st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 400)),
) | st.sampled_from(["NaN", "Infinity", "-Infinity", "null", "true"])
texts = st.text(st.characters() | st.sampled_from("\0\ud83d\udfff\ud83d\ude00e+1")).map(json.dumps)
values = st.recursive(
    numbers | texts,
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
    | st.builds('{{{}: {}}}'.format, texts, inner)
    | st.builds("[\n{} ,{}]".format, inner, inner),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=settings.default.max_examples * 10)
@given(text=values, mark=st.sampled_from([b"", b"\xef\xbb\xbf", b" "]))
def test_what_is_not_suspicious_is_safe(text: str, mark: bytes) -> None:
    body = mark + text.encode()
    parsed = json.loads(text)
    if not is_suspicious(body):
        assert safe_json(parsed) == parsed
    # NaN is not equal to itself, null is.
    assert RawResponse(200, body).json() == safe_json(parsed)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"1e20", "1e+20"),
        (b"\xef\xbb\xbf1e20", "1e+20"),
        (b'{"a":-1.5E+300}', {"a": "-1.5e+300"}),
        (b"[ 9223372036854775808]", ["9.223372036854776e+18"]),
        (b"[9223372036854775807,1e-20, 1e2]", [2**63 - 1, 1e-20, 100.0]),
        (b'["\\u0000\\uD83D", 1e999]', ["\ufffd\ufffd", None]),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
    ],
)
def test_a_number_that_no_column_holds_is_text_in_an_answer(body: bytes, value: Any) -> None:
    assert RawResponse(200, body).json() == value
