"""Whatever a service answers: a result or an ``ApiError``, never another exception."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.completion import ChatCompletion
from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.job import JobState
from airflow_provider_nugen.api.nugen import endpoints, models
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.seekr import endpoints as seekr_endpoints
from airflow_provider_nugen.api.seekr import models as seekr

#: The endpoints, and the kinds of jobs, share most of their code: fewer examples for each of them.
few_examples = settings(max_examples=settings.default.max_examples // 4)

ENDPOINTS = [e for module in (endpoints, seekr_endpoints) for e in vars(module).values() if isinstance(e, Endpoint)]
MODELS: list[Any] = [
    models.AlignmentStatus,
    models.TaskStatus,
    models.EvaluationStatus,
    seekr.AlignmentJob,
    seekr.File,
    seekr.FineTune,
    seekr.Deployment,
    ChatCompletion,
]
NAMES = sorted(
    {
        "data",
        "status",
        "id",
        "detail",
        "message",
        "documents",
        "aligned_model_id",
        "base_model_id",
        "performanceMetrics",
        "choices",
        "content",
    }
    | {name for model in MODELS for name in model.model_fields}
    | set(models.PerformanceMetrics.model_fields)
)
WORDS = sorted({word for kind in KINDS.values() for word in kind.status_map} | {"", "MYSTERY", "ready", "ß"})

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())  # lone surrogates too: JSON can carry them
    | st.sampled_from(
        [*WORDS, "2026-03-05 05:16:01.986524", "2026-03-05T05:16:01Z", 10**400, "5/10 questions", "1e999"]
    )
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(st.characters()), inner, max_size=6)
    ),
    max_leaves=25,
)
jobs = st.dictionaries(st.sampled_from(NAMES), json_values, max_size=8)
answers = st.builds(lambda word, rest: {**rest, "status": word}, st.sampled_from(WORDS), jobs)
bodies = st.one_of(
    answers,
    json_values,
    st.builds(lambda outer, inner: {**outer, "data": inner}, answers, answers),
).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)
statuses = st.sampled_from([200, 200, 200, 201, 204]) | st.integers(100, 999)


def call_of(endpoint: Endpoint[Any]) -> Any:
    path = endpoint.path if isinstance(endpoint.path, str) else endpoint.path.first()
    return endpoint.call(**dict.fromkeys(re.findall(r"{(\w+)}", path), "x"))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.service.name} {endpoint.operation}")
@few_examples
@given(body=bodies, status=statuses, retry_after=st.none() | st.text())
@example(body=b"[" * 100_000, status=200, retry_after=None)
@example(body=b"9" * 10_000, status=200, retry_after=None)
def test_any_body_with_any_status_gives_a_result_or_an_api_error(
    endpoint: Endpoint[Any], body: bytes, status: int, retry_after: str | None
) -> None:
    error = None
    try:
        call_of(endpoint).read(RawResponse(status, body, retry_after), "c")
    except errors.ApiError as e:
        error = e
    if error is None:
        assert 200 <= status < 300
    else:
        assert str(error).startswith(endpoint.service.name)
        assert isinstance(error, errors.UnreadableResponseError) == (200 <= status < 300)


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud83d", "\\uDFFF"])
def test_what_no_database_can_hold_is_replaced_where_an_answer_is_read(escape: str) -> None:
    body = f'{{"a{escape}": ["b{escape}c"]}}'.encode()
    assert RawResponse(200, body).json() == {"a\ufffd": ["b\ufffdc"]}


def nested(depth: int) -> bytes:
    return b'{"status":"FAILED","result":{"message":' + b"[" * depth + b"]" * depth + b"}}"


@pytest.mark.parametrize("key", KINDS)
@few_examples
@given(body=bodies, detail=st.booleans(), previous=st.none() | st.sampled_from(WORDS))
@example(body=nested(95), detail=False, previous=None)
@example(body=nested(300), detail=False, previous=None)
@example(body=b'{"status":"FAILED","result":{"x":NaN,"y":-Infinity,"\\ud800":"\\ud800"}}', detail=False, previous=None)
@example(body=b'{"status":"FAILED","result":{"message":{"a":1}}}', detail=False, previous="DEPLOYING")
def test_any_answer_that_can_be_read_means_something_and_gives_a_json_result(
    key: str, body: bytes, detail: bool, previous: str | None
) -> None:
    kind = KINDS[key]
    with contextlib.suppress(errors.ApiError):
        answer = kind.call("x", detail=detail).read(RawResponse(200, body), "c")
        reading = kind.read_status(answer, previous)
        assert reading.state in JobState
        assert all(
            isinstance(text, str) for text in (reading.status, reading.reason, reading.warning, reading.stall_reason)
        )
        result = kind.result(answer, reading)
        assert json.loads(json.dumps(result, allow_nan=False)) == result
        assert (result["status"], result["state"]) == (reading.status, reading.state.value)


@pytest.mark.parametrize("key", KINDS)
@few_examples
@given(rest=jobs)
def test_no_field_but_the_status_can_make_an_answer_unreadable(key: str, rest: dict[str, Any]) -> None:
    rest.pop("data", None)
    answer = KINDS[key].call("x").read(RawResponse(200, json.dumps({**rest, "status": "READY"}).encode()), "c")
    assert answer.status == "READY"
