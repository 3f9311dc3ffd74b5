"""
Asking a model: one endpoint that both services have in the OpenAI shape.

What a completion says, and which errors mean that the model does not answer *yet*. How answers are judged is in
:mod:`airflow_provider_nugen.expectations`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.errors import ApiError, ResponseError, WrongRouteError
from airflow_provider_nugen.api.lazy import LazyModule
from airflow_provider_nugen.api.service import Service

if TYPE_CHECKING:
    from airflow_provider_nugen.api import completion
else:
    completion = LazyModule("airflow_provider_nugen.api.completion")

#: The fields that both services take, beside those of each (source: the page of each service in the documentation).
_FIELDS = ("model", "messages", "max_tokens", "temperature", "top_p", "top_k", "n", "tools")
#: What a service says of a model that exists but does not answer. Nugen says "Model not deployed"; SeekrFlow's words
#: are not established.
_NOT_READY = re.compile(r"\bnot\b.{0,20}\b(deployed|active|ready|available|running)\b|\binactive\b", re.IGNORECASE)


def chat_endpoint(service: Service, path: str, *fields: str) -> Endpoint[completion.ChatCompletion]:
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
        completion.ChatCompletion.read,
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
