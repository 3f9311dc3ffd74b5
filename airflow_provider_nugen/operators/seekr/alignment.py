"""Alignment jobs of SeekrFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.seekr import endpoints, jobs, submissions
from airflow_provider_nugen.operators.base import id_list, one_id, text
from airflow_provider_nugen.operators.seekr.base import SeekrOperator, SeekrStartOperator
from airflow_provider_nugen.ui import Color

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_nugen.arguments import ListArg, TextArg

#: Characters of a data job's name at the most.
MAX_NAME = 255


class SeekrCreateAlignmentOperator(SeekrStartOperator):
    """
    Start an alignment job; wait for it with ``SeekrAlignmentSensor``.

    The service marks these routes as deprecated since its API 5.108: ``SeekrCreateDataJobOperator`` is the successor.
    One job per attempt is guaranteed on Airflow 3.3 and later, where its id is stored. The service's list does not
    show what a job was created with: when a crash came between sending and the answer, the task fails and lists the
    jobs that may be its own.

    XComs: ``return_value`` and ``alignment_job_id``.

    :param instructions: what the aligned data shall teach; must not be blank.
    :param files: ids of uploaded files.
    :param system_prompt: the system prompt of the data.
    :param type: ``"principle"`` (the service's default) or ``"context_data"``.
    :param vector_database_id: a vector database to take context from.
    :param seekr_conn_id: the Airflow connection.
    """

    submission = submissions.ALIGNMENT
    template_fields: Sequence[str] = (
        "instructions",
        "files",
        "system_prompt",
        "type",
        "vector_database_id",
        "seekr_conn_id",
        "poke_interval",
    )

    def __init__(
        self,
        *,
        instructions: TextArg,
        files: ListArg,
        system_prompt: TextArg | None = None,
        type: TextArg | None = None,
        vector_database_id: TextArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instructions = instructions
        self.files = files
        self.system_prompt = system_prompt
        self.type = type
        self.vector_database_id = vector_database_id

    def inputs(self) -> dict[str, Any]:
        """Return what is submitted."""
        vector_database_id = one_id(self.vector_database_id, "vector_database_id", optional=True)
        return {
            "instructions": text(self.instructions, "instructions", number=True),
            # A vector database can take their place.
            "files": id_list(self.files, "files", optional=vector_database_id is not None),
            "system_prompt": text(self.system_prompt, "system_prompt", optional=True, number=True),
            "type": text(self.type, "type", optional=True),
            "vector_database_id": vector_database_id,
        }


class SeekrCancelAlignmentOperator(SeekrOperator):
    """
    Cancel an alignment job. One that is over stays as it is.

    XComs: ``return_value`` (the job) and ``alignment_job_id``.

    :param alignment_job_id: the job.
    :param seekr_conn_id: the Airflow connection.
    """

    ui_color = Color.CLEANING.value

    template_fields: Sequence[str] = ("alignment_job_id", "seekr_conn_id")

    def __init__(self, *, alignment_job_id: TextArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alignment_job_id = alignment_job_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Cancel the job."""
        job_id = one_id(self.alignment_job_id, "alignment_job_id")
        job = self.send(endpoints.CANCEL_ALIGNMENT.call(alignment_job_id=job_id))
        self.log.info("%s is %s.", jobs.ALIGNMENT.subject(job_id), job.status)
        self.push_xcoms(context, {"alignment_job_id": job_id})
        return job.model_dump(mode="json")


class SeekrGetAlignmentOutputsOperator(SeekrOperator):
    """
    List the files that an alignment job, or the alignment inside a data job, made.

    XComs: ``return_value`` (the list of files), and ``fine_tune_file_id``: the file that feeds fine-tuning.

    :param alignment_job_id: the alignment job.
    :param data_job_id: the data job, which has the same list; it is asked first if both are given.
    :param seekr_conn_id: the Airflow connection.
    :raises ValueError: if neither is given.
    """

    template_fields: Sequence[str] = ("alignment_job_id", "data_job_id", "seekr_conn_id")

    def __init__(
        self, *, alignment_job_id: TextArg | None = None, data_job_id: TextArg | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if alignment_job_id is None and data_job_id is None:
            raise ValueError("pass alignment_job_id or data_job_id")
        self.alignment_job_id = alignment_job_id
        self.data_job_id = data_job_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """List the files."""
        job_id, files = one_id(self.alignment_job_id, "alignment_job_id", optional=True), None
        if (data_job_id := one_id(self.data_job_id, "data_job_id", optional=True)) is not None:
            job = self.send(endpoints.DATA_JOB_STATUS.call(data_job_id=data_job_id))
            files = job.outputs
            job_id = job_id or job.alignment_job_id
        if files is None:
            # The route is deprecated, but the only one where a data job does not show its files.
            files = self.send(endpoints.ALIGNMENT_OUTPUTS.call(alignment_job_id=job_id))
        feeding = [file.get("id") for file in files if file.get("purpose") == "fine-tune"]
        self.push_xcoms(context, {"fine_tune_file_id": feeding[0] if feeding else None})
        return files
