"""
SeekrFlow: the service, its endpoints, models and kinds of job.

Source of every fact here: the OpenAPI contract 5.87.1 and the vendor's reference and Python client, as written
down in the project's SeekrFlow facts.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobKind, Reading
from airflow_provider_nugen.api.models import Progress, ServiceModel, Timestamp, list_of, read_any
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.api.submission import Listed, Submission

SEEKR = Service(
    name="SeekrFlow",
    conn_type="seekr",
    base_url="https://flow.seekr.com",
    authorization=lambda key: key,
    header_extras={"team_id": "x-team-id"},
    hints={
        400: "Check the arguments against what the service says.",
        401: "Check the API key (password) of the connection: the bare key, without 'Bearer'.",
        402: "Check the credit of the SeekrFlow account that the key belongs to.",
        403: "Check the extra 'team_id' of the connection: the key must belong to a member of that team.",
        404: "Check the id, and the extra 'team_id' of the connection: a job is visible only to its own team.",
        422: "Correct the argument that the service names.",
    },
    wrong_route_hint="The service has no such path: check the base URL (Host) of the connection.",
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


class DataJobFile(ServiceModel):
    """A file of a data job."""

    file_id: str


class DataJob(ServiceModel):
    """A data job, the successor of the alignment job; ``alignment_job`` is there once it was started."""

    what: ClassVar[str] = "data job"

    id: str | None = None
    status: str
    name: str | None = None
    job_type: str | None = None
    status_message: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    alignment_job_id: str | None = None
    alignment_job: Annotated[AlignmentJob, BeforeValidator(AlignmentJob.read)] | None = None
    files: list[DataJobFile] | None = None


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
LIST_ALIGNMENTS = Endpoint(SEEKR, "list alignments", "GET", f"{_V1}/alignment", list_of(AlignmentJobCreated, "data"))
#: Cancelling twice is the same as cancelling once.
CANCEL_ALIGNMENT = Endpoint(
    SEEKR,
    "cancel alignment",
    "POST",
    f"{_V1}/alignment/{{alignment_job_id}}/cancel",
    AlignmentJob.read,
    repeatable=True,
)
ALIGNMENT_OUTPUTS = Endpoint(
    SEEKR,
    "get alignment outputs",
    "GET",
    f"{_V1}/alignment/{{alignment_job_id}}/outputs",
    read_outputs,
)
CREATE_DATA_JOB = Endpoint(
    SEEKR,
    "create data job",
    "POST",
    f"{_V1}/data-jobs",
    DataJobCreated.read,
    body={
        "name": "name",
        "job_type": "job_type",
        "system_prompt": "system_prompt",
        "instructions": "instructions",
        "vector_database_id": "vector_database_id",
    },
)
LIST_DATA_JOBS = Endpoint(
    SEEKR,
    "list data jobs",
    "GET",
    f"{_V1}/data-jobs",
    list_of(DataJobCreated, "data"),
    query={"job_type": "job_type", "limit": "limit", "offset": "offset"},
)
DATA_JOB_STATUS = Endpoint(SEEKR, "get data job", "GET", f"{_V1}/data-jobs/{{data_job_id}}", DataJob.read)
ADD_FILES = Endpoint(
    SEEKR,
    "add files to data job",
    "POST",
    f"{_V1}/data-jobs/{{data_job_id}}/add-files",
    read_any,
    body={"file_ids": "file_ids", "method": "method"},
)
START_DATA_JOB = Endpoint(SEEKR, "start data job", "POST", f"{_V1}/data-jobs/{{data_job_id}}/start", read_any)
CANCEL_DATA_JOB = Endpoint(
    SEEKR,
    "cancel data job",
    "POST",
    f"{_V1}/data-jobs/{{data_job_id}}/cancel",
    read_any,
    repeatable=True,
)


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
    cancel=CANCEL_ALIGNMENT,
    refine=_read_job,
)


def _read_data_job(answer: DataJob, reading: Reading, previous: str | None) -> None:
    if answer.alignment_job is not None:
        _read_job(answer.alignment_job, reading, previous)
    reading.reason = answer.status_message or reading.reason
    word = answer.status.upper()
    if word == "NEEDS_REVIEW":
        said = f" ({reading.reason})" if reading.reason else ""
        reading.held = True
        reading.reason = f"its files need a review{said}: a person must look at the data job in SeekrFlow"
    elif word == "READY_TO_START" and reading.state is RUNNING:
        reading.stall = "nobody has started it. Start it, for example with SeekrCreateDataJobOperator"


#: The files of a data job are processed before it can be started.
DATA_JOB_FILES = JobKind(
    key="seekr.data_job_files",
    label="files of data job",
    id_name="data_job_id",
    status=DATA_JOB_STATUS,
    words=dict.fromkeys(_WORDS, SUCCEEDED)
    | {"FILE_PROCESSING": RUNNING, "READY_TO_START": SUCCEEDED, "NEEDS_REVIEW": FAILED}
    | {"FAILED": FAILED, "CANCELLED": CANCELLED, "STOPPED": CANCELLED},
    cancel=CANCEL_DATA_JOB,
    refine=_read_data_job,
)

DATA_JOB = JobKind(
    key="seekr.data_job",
    label="data job",
    id_name="data_job_id",
    status=DATA_JOB_STATUS,
    words=_WORDS | {"FILE_PROCESSING": RUNNING, "READY_TO_START": RUNNING, "NEEDS_REVIEW": FAILED},
    ids=("alignment_job_id",),
    cancel=CANCEL_DATA_JOB,
    refine=_read_data_job,
)

#: The list does not show what a job was created with: one that may be ours can be named, but not adopted.
ALIGNMENT_SUBMISSION = Submission(
    kind=ALIGNMENT,
    create=CREATE_ALIGNMENT,
    created_id=lambda answer, inputs: answer.id,
    listing=LIST_ALIGNMENTS,
    listed=lambda answer: [Listed(item.id, item.status, item.created_at) for item in answer],
)

DATA_JOB_SUBMISSION = Submission(
    kind=DATA_JOB,
    create=CREATE_DATA_JOB,
    created_id=lambda answer, inputs: answer.id,
    listing=LIST_DATA_JOBS,
    listed=lambda answer: [
        Listed(item.id, item.status, item.created_at, item.name, {"name": item.name, "job_type": item.job_type}, item)
        for item in answer
    ],
    name="name",
    filters={"job_type": "job_type"},
    page=100,
)
