"""Asking a model at SeekrFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.seekr import endpoints
from airflow_provider_nugen.operators.base import one_id, text
from airflow_provider_nugen.operators.chat import AskModelOperator
from airflow_provider_nugen.operators.seekr.base import SeekrOperator

if TYPE_CHECKING:
    from airflow_provider_nugen.arguments import TextArg


class SeekrChatCompletionOperator(SeekrOperator, AskModelOperator):
    """
    Ask a model at SeekrFlow, and check what it answers; see
    :class:`~airflow_provider_nugen.operators.chat.AskModelOperator` for the questions, the checks and the XComs.

    :param deployment_id: the deployment of a model, as ``SeekrCreateDeploymentOperator`` returned it.
    :param model: a base model instead.
    :param seekr_conn_id: the Airflow connection.
    """

    chat = endpoints.CHAT_COMPLETION
    template_fields: Sequence[str] = (
        "deployment_id",
        "model",
        *AskModelOperator.template_fields,
        "seekr_conn_id",
    )

    def __init__(self, *, deployment_id: TextArg | None = None, model: TextArg | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deployment_id = deployment_id
        self.model = model
        if (deployment_id is None) == (model is None):
            raise ValueError("pass either deployment_id or model")

    def asked_model(self) -> str:
        """Return the model, as the request names it: a deployment's own id."""
        if self.model is not None:
            return text(self.model, "model")
        return one_id(self.deployment_id, "deployment_id")
