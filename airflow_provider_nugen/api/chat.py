"""
Asking a model: one endpoint that both services have in the OpenAI shape.

What a completion says, and which errors mean that the model does not answer *yet*. How answers are judged is in
:mod:`airflow_provider_nugen.expectations`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.errors import ApiError, ResponseError, WrongRouteError
from airflow_provider_nugen.api.models import ServiceModel
from airflow_provider_nugen.api.service import Service

#: The fields that both services take, beside those of each (source: the page of each service in the documentation).
_FIELDS = ("model", "messages", "max_tokens", "temperature", "top_p", "top_k", "n", "tools")
#: What a service says of a model that exists but does not answer. Nugen says "Model not deployed"; SeekrFlow's words
#: are not established.
_NOT_READY = re.compile(r"\bnot\b.{0,20}\b(deployed|active|ready|available|running)\b|\binactive\b", re.IGNORECASE)


class ChatCompletion(ServiceModel):
    """
    What a model answered.

    ``confidence_score`` (0 to 100) is there for Nugen's aligned models only; beside the choices, in the choice or in
    its message.
    """

    what: ClassVar[str] = "chat completion"

    id: str | None = None
    model: str | None = None
    content: str
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    confidence_score: float | None = None

    @classmethod
    def flatten(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Take the first choice: one answer is asked for."""
        choices = payload.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        choice = choice if isinstance(choice, Mapping) else {}
        message = choice.get("message")
        message = message if isinstance(message, Mapping) else {}
        scores = (where.get("confidence_score") for where in (payload, choice, message))
        return {
            **payload,
            "content": _text(message.get("content")),
            "finish_reason": choice.get("finish_reason"),
            "confidence_score": next((score for score in scores if score is not None), None),
        }


def _text(content: object) -> object:
    """Join the text parts of a content that comes in parts."""
    if not isinstance(content, list):
        return content
    return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))


def chat_endpoint(service: Service, path: str, *fields: str) -> Endpoint[ChatCompletion]:
    """
    Declare the chat endpoint of a service.

    :param service: the service.
    :param path: its path.
    :param fields: what the service takes beside the common fields.
    """
    return Endpoint(
        service,
        "ask model",
        "POST",
        path,
        ChatCompletion.read,
        body={name: name for name in (*_FIELDS, *fields)},
        # The same question twice costs tokens, but changes nothing.
        idempotent=True,
    )


def is_not_ready(error: ApiError) -> bool:
    """
    Decide whether the same question can be answered later without anybody changing anything.

    True for a service that is unwell (connection errors, 408, 429, 5xx), and for a 4xx that says that the model is not
    deployed: right after a deployment it can take half a minute until the model answers. A 404 that names the model
    counts, too: a fresh id is not visible everywhere at once.
    """
    if error.transient:
        return True
    if not isinstance(error, ResponseError) or isinstance(error, WrongRouteError):
        return False
    return error.status in (404, 409) or (error.status in (400, 403, 422) and bool(_NOT_READY.search(error.problem)))
