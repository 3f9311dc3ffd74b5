"""Asking models of both services: what they answer depends on the model."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import Request

from airflow_provider_nugen.simulator.http import Kinds, check, invalid, json_object
from airflow_provider_nugen.simulator.state import SimulatorState

ROLES = ("system", "user", "assistant", "tool")
#: Fields of a request that both services take, and their types.
OPTIONS: Kinds = {
    "max_tokens": int,
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": int,
    "n": int,
    "stream": bool,
    "tools": object,
}


async def question(request: Request, **more: type | tuple[type, ...]) -> tuple[str, str]:
    """
    Read a request for a chat completion.

    :param request: the request.
    :param more: further fields that the service takes, and their types.
    :return: the model, and the last message.
    :raises RequestValidationError: naming each field that is missing or of the wrong type.
    """
    body = await json_object(request)
    check(body, {"model": str, "messages": object}, {**OPTIONS, **more})
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        raise invalid((("body", "messages"), "List should have at least 1 item", "too_short"))
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise invalid((("body", "messages", str(index), "role"), f"Input should be one of {ROLES}", "enum"))
        if not isinstance(message.get("content"), (str, list)):
            raise invalid((("body", "messages", str(index), "content"), "Input should be a valid string", "str_type"))
    if body.get("stream"):
        raise invalid((("body", "stream"), "Streams are not simulated", "value_error"))
    content = messages[-1]["content"]
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return body["model"], content


def completion(world: SimulatorState, model: str, prompt: str, *, aligned: bool, **more: Any) -> dict[str, Any]:
    """
    Write an answer in the OpenAI shape.

    :param world: tells the time.
    :param model: the model, as it was asked for.
    :param prompt: the last message.
    :param aligned: whether the model has learned something.
    :param more: further fields.
    """
    answer = f"As I was taught: {prompt}" if aligned else f"I do not know. You asked: {prompt}"
    used, made = len(prompt.split()), len(answer.split())
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex[:12]}",
        "object": "chat.completion",
        "created": int(world.now()),
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}],
        "usage": {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made},
        **more,
    }
