"""What a model answered, and which errors pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_nugen.api.chat import is_not_ready
from airflow_provider_nugen.api.completion import ChatCompletion
from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.errors import ApiError, CertificateError, InvalidInputError, TransportError
from airflow_provider_nugen.api.nugen.endpoints import CHAT_COMPLETION as NUGEN
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.seekr.endpoints import CHAT_COMPLETION as SEEKR

MESSAGES = [{"role": "user", "content": "Why?"}]


def payload(**fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Because."}
    return {"model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": message}], **fields}


def error(endpoint: Endpoint[Any], status: int, body: Any, retry_after: str | None = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        endpoint.call(model="m", messages=MESSAGES).read(
            RawResponse(status, json.dumps(body).encode(), retry_after), "c"
        )
    return caught.value


def test_the_first_choice_is_the_answer() -> None:
    usage = {"total_tokens": 3}
    answer = ChatCompletion.read(payload(usage=usage))
    assert (answer.content, answer.finish_reason, answer.usage) == ("Because.", "stop", usage)
    assert answer.confidence_score is None


def test_a_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "Be"}, {"type": "image_url"}, {"type": "text", "text": "cause."}]
    answer = ChatCompletion.read(payload(choices=[{"message": {"content": parts}}]))
    assert answer.content == "Because."


@pytest.mark.parametrize(
    "fields",
    [
        payload(confidence_score=87.5),
        payload(choices=[{"message": {"content": "Because."}, "confidence_score": 87.5}]),
        payload(choices=[{"message": {"content": "Because.", "confidence_score": 87.5}}]),
    ],
)
def test_confidence_is_found_wherever_it_stands(fields: dict[str, Any]) -> None:
    assert ChatCompletion.read(fields).confidence_score == 87.5


@pytest.mark.parametrize("choices", [None, [], ["x"], [{}], [{"message": None}], [{"message": {"content": None}}]])
def test_an_answer_without_content_cannot_be_read(choices: Any) -> None:
    with pytest.raises(ValueError, match="content"):
        ChatCompletion.read(payload(choices=choices))


@pytest.mark.parametrize(
    ("endpoint", "path", "field"),
    [
        (NUGEN, "/api/v3/inference/chat/completions", "prompt_truncate_len"),
        (SEEKR, "/v1/inference/chat/completions", "repetition_penalty"),
    ],
)
def test_the_request_of_each_service(endpoint: Endpoint[Any], path: str, field: str) -> None:
    request = endpoint.call(model="m", messages=MESSAGES, max_tokens=5, **{field: 1}).request("B", "c")
    assert (request.method, request.target) == ("POST", path)
    assert request.json == {"model": "m", "messages": MESSAGES, "max_tokens": 5, field: 1}
    assert endpoint.is_idempotent


@pytest.mark.parametrize(
    ("status", "body", "waits"),
    [
        (400, {"detail": "Model not deployed"}, True),
        (400, {"message": "Model not deployed: deployment d is Pending"}, True),
        (403, {"detail": "The model is not yet available"}, True),
        (400, {"detail": "max_tokens is not a number"}, False),
        (401, {"detail": "Invalid key: not active"}, False),
        (402, {"detail": "No credit"}, False),
        (404, {"detail": "Model not found"}, True),
        (404, {"detail": "Not Found"}, False),
        (409, {"detail": "busy"}, True),
        (422, {"detail": [{"loc": ["body", "model"], "msg": "Field required"}]}, False),
        (429, {}, True),
        (502, {}, True),
        (504, {}, True),
    ],
)
def test_which_answers_can_be_others_later(status: int, body: Any, waits: bool) -> None:
    assert is_not_ready(error(NUGEN, status, body)) is waits


def test_which_other_errors_pass() -> None:
    assert is_not_ready(TransportError("reset"))
    assert not is_not_ready(CertificateError("expired"))
    assert not is_not_ready(InvalidInputError("no model"))
