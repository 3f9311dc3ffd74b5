"""The endpoints of SeekrFlow."""

from __future__ import annotations

from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.models import list_of, read_any
from airflow_provider_nugen.api.seekr import models
from airflow_provider_nugen.api.seekr.service import SEEKR

_V1 = "/v1/flow"

ALIGNMENT_JOB = Endpoint(
    SEEKR, "get alignment", "GET", f"{_V1}/alignment/{{alignment_job_id}}", models.AlignmentJob.read
)
CREATE_ALIGNMENT = Endpoint(
    SEEKR,
    "create alignment",
    "POST",
    f"{_V1}/alignment/generate",
    models.AlignmentJobCreated.read,
    body={
        "instructions": "instructions",
        "files": "files",
        "system_prompt": "system_prompt",
        "type": "type",
        "vector_database_id": "vector_database_id",
    },
)
LIST_ALIGNMENTS = Endpoint(
    SEEKR, "list alignments", "GET", f"{_V1}/alignment", list_of(models.AlignmentJobCreated, "data")
)
#: Cancelling twice is the same as cancelling once.
CANCEL_ALIGNMENT = Endpoint(
    SEEKR,
    "cancel alignment",
    "POST",
    f"{_V1}/alignment/{{alignment_job_id}}/cancel",
    models.AlignmentJob.read,
    idempotent=True,
)
ALIGNMENT_OUTPUTS = Endpoint(
    SEEKR,
    "get alignment outputs",
    "GET",
    f"{_V1}/alignment/{{alignment_job_id}}/outputs",
    models.read_outputs,
)
CREATE_DATA_JOB = Endpoint(
    SEEKR,
    "create data job",
    "POST",
    f"{_V1}/data-jobs",
    models.DataJobCreated.read,
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
    list_of(models.DataJobCreated, "data"),
    query={"job_type": "job_type", "limit": "limit", "offset": "offset"},
)
DATA_JOB_STATUS = Endpoint(SEEKR, "get data job", "GET", f"{_V1}/data-jobs/{{data_job_id}}", models.DataJob.read)
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
    idempotent=True,
)
