"""What a model answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_provider_nugen.api.models import ServiceModel


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
