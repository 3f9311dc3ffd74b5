"""
SeekrFlow: the service, its endpoints, models and kinds of job.

Source of every fact here: the OpenAPI contract 5.87.1 and the vendor's reference and Python client, as written
down in the project's SeekrFlow facts.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobKind, Reading
from airflow_provider_nugen.api.models import Progress, ServiceModel, Timestamp
from airflow_provider_nugen.api.service import Service

SEEKR = Service(
    name="SeekrFlow",
    conn_type="seekr",
    base_url="https://flow.seekr.com",
    authorization=lambda key: key,
    header_extras={"team_id": "x-team-id"},
    hints={
        400: "Check the arguments against what the service says.",
        401: "Check the API key in the Password field of the connection (the bare key, without 'Bearer').",
        402: "Check the credit of the SeekrFlow account that the key belongs to.",
        403: "Check the extra 'team_id' of the connection: the key must belong to a member of that team.",
        404: "Check the id, and the extra 'team_id' of the connection: a job is visible only to its own team.",
        422: "Correct the argument that the service names.",
    },
    wrong_route_hint="The service has no such path: check the Host of the connection.",
)


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


_V1 = "/v1/flow"

ALIGNMENT_JOB = Endpoint(SEEKR, "get alignment", "GET", f"{_V1}/alignment/{{alignment_job_id}}", AlignmentJob.read)
CREATE_ALIGNMENT = Endpoint(
    SEEKR,
    "create alignment",
    "POST",
    f"{_V1}/alignment/generate",
    AlignmentJobCreated.read,
    body={
        "instructions": "instructions",
        "files": "files",
        "system_prompt": "system_prompt",
        "type": "type",
        "vector_database_id": "vector_database_id",
    },
)
LIST_ALIGNMENTS = Endpoint(SEEKR, "list alignments", "GET", f"{_V1}/alignment", lambda payload: payload)


def _read_job(answer: AlignmentJob, reading: Reading, previous: str | None) -> None:
    reading.progress = answer.progress
    reading.eta = answer.estimated_completion_at
    if answer.eta_minutes is not None:
        reading.eta_seconds = answer.eta_minutes * 60
    reading.reason = answer.status_message or ""


#: Compared in upper case, like all status words.
_WORDS = {
    "PENDING": RUNNING,
    "QUEUED": RUNNING,
    "RUNNING": RUNNING,
    "COMPLETED": SUCCEEDED,
    "FAILED": FAILED,
    "CANCELLED": CANCELLED,
    "STOPPED": CANCELLED,
}

ALIGNMENT = JobKind(
    key="seekr.alignment",
    label="alignment job",
    id_name="alignment_job_id",
    status=ALIGNMENT_JOB,
    words=_WORDS,
    refine=_read_job,
)
