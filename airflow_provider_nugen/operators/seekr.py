"""Operators for SeekrFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_nugen.api import seekr
from airflow_provider_nugen.hooks.seekr import SeekrHook
from airflow_provider_nugen.operators.base import ServiceOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class SeekrOperator(ServiceOperator):
    """
    Calls SeekrFlow.

    :param seekr_conn_id: the Airflow connection.
    """

    hook_class = SeekrHook

    def __init__(self, *, seekr_conn_id: str = SeekrHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seekr_conn_id = seekr_conn_id


class SeekrCreateAlignmentOperator(SeekrOperator):
    """
    Start an alignment job. Costs money; wait for it with ``SeekrAlignmentSensor``.

    XComs: ``return_value`` = ``{"alignment_job_id": ...}``, and ``alignment_job_id``.

    :param instructions: what the aligned data shall teach; must not be blank.
    :param files: ids of uploaded files.
    :param system_prompt: the system prompt of the data.
    :param type: ``"principle"`` (the service's default) or ``"context_data"``.
    :param vector_database_id: a vector database to take context from.
    :param seekr_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = (
        "instructions",
        "files",
        "system_prompt",
        "type",
        "vector_database_id",
        "seekr_conn_id",
    )

    def __init__(
        self,
        *,
        instructions: str,
        files: Sequence[str],
        system_prompt: str | None = None,
        type: Literal["principle", "context_data"] | None = None,
        vector_database_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instructions = instructions
        self.files = files
        self.system_prompt = system_prompt
        self.type = type
        self.vector_database_id = vector_database_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the job; return its id."""
        call = seekr.CREATE_ALIGNMENT.call(
            instructions=self.instructions,
            files=list(self.files),
            system_prompt=self.system_prompt,
            type=self.type,
            vector_database_id=self.vector_database_id,
        )
        created = self.send(call, check="look whether the service lists a new alignment job of these files.")
        return self.hand_on(context, {"alignment_job_id": created.id})
