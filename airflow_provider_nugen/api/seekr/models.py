"""What SeekrFlow answers; every field is in ``docs/seekr-api.rst``."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from airflow_provider_nugen.api.models import Progress, ServiceModel, Timestamp


class AlignmentJob(ServiceModel):
    """An alignment job."""

    what: ClassVar[str] = "alignment job"

    id: str | None = None
    status: str
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    stopped_at: Timestamp | None = None
    current_step: str | None = None
    step_progress: Progress | None = None
    progress: Progress | None = None
    estimated_completion_at: Timestamp | None = None
    eta_minutes: float | None = None
    status_message: str | None = None
    output_files: list[Any] | None = None


class AlignmentJobCreated(AlignmentJob):
    """The answer to a request for an alignment: the job, with an id to wait for."""

    id: str


class DataJobFile(ServiceModel):
    """A file of a data job, and what became of its ingestion."""

    file_id: str
    name: str | None = None
    status: str | None = None
    suggested_fix: str | None = None


class DataJob(ServiceModel):
    """A data job, the successor of the alignment job; ``alignment_job`` is there once it was started."""

    what: ClassVar[str] = "data job"

    id: str | None = None
    status: str
    name: str | None = None
    job_type: str | None = None
    system_prompt: str | None = None
    status_message: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    alignment_job_id: str | None = None
    alignment_job: Annotated[AlignmentJob, BeforeValidator(AlignmentJob.read)] | None = None
    files: list[DataJobFile] | None = None

    @property
    def outputs(self) -> list[dict[str, Any]] | None:
        """The files that its alignment made; ``None`` if it does not show them."""
        files = self.alignment_job.output_files if self.alignment_job else None
        return files if files and all(isinstance(file, dict) for file in files) else None


class DataJobCreated(DataJob):
    """The answer to a new data job: the job, with an id."""

    id: str


def read_outputs(payload: object) -> list[dict[str, Any]]:
    """
    Read the output files of an alignment job.

    :raises ValueError: if it is no list of objects.
    """
    if not isinstance(payload, list) or not all(isinstance(item, dict) for item in payload):
        raise ValueError("expected a list of files")
    return payload
