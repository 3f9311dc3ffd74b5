"""The endpoints of SeekrFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_nugen.api.chat import chat_endpoint
from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.lazy import LazyModule
from airflow_provider_nugen.api.response import list_of, read_any
from airflow_provider_nugen.api.seekr.service import SEEKR

if TYPE_CHECKING:
    from airflow_provider_nugen.api.seekr import models
else:
    models = LazyModule("airflow_provider_nugen.api.seekr.models")

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

#: The service knows no duplicates: the same file again makes a second file. So this is not idempotent.
UPLOAD_FILE = Endpoint(
    SEEKR,
    "upload file",
    "PUT",
    f"{_V1}/files",
    models.read_files,
    body={"purpose": "purpose", "vector_database_id": "vector_database_id"},
    multipart=True,
)
UPLOAD_FILES = Endpoint(
    SEEKR,
    "upload files",
    "PUT",
    f"{_V1}/bulk_files",
    models.read_files,
    body={"purpose": "purpose"},
    multipart=True,
)
#: The most files of a page.
FILES_PAGE = 1000
LIST_FILES = Endpoint(
    SEEKR,
    "list files",
    "GET",
    f"{_V1}/files",
    list_of(models.File, "data"),
    query={
        "purpose": "purpose",
        "sort_by": "sort_by",
        "sort_order": "sort_order",
        "limit": "limit",
        "offset": "offset",
    },
)
FILE = Endpoint(SEEKR, "get file", "GET", f"{_V1}/files/{{file_id}}", models.File.read)
DELETE_FILE = Endpoint(SEEKR, "delete file", "DELETE", f"{_V1}/files/{{file_id}}", read_any)

CREATE_FINE_TUNE = Endpoint(
    SEEKR,
    "create fine-tune",
    "POST",
    f"{_V1}/fine-tune",
    models.CreateFineTuneResponse.read,
    body={
        "project_id": "project_id",
        "description": "description",
        # What has no name of its own here, first: a field of its own wins.
        "training_config_extra": "training_config",
        "infrastructure_config_extra": "infrastructure_config",
        **{
            name: f"training_config.{name}"
            for name in (
                "training_files",
                "model",
                "n_epochs",
                "learning_rate",
                "n_checkpoints",
                "batch_size",
                "experiment_name",
                "max_length",
                "pre_train",
                "fine_tune_type",
                "lora_config",
                "validation_files",
                "reward_components",
                "beta",
                "loss_type",
                "gradient_checkpointing",
            )
        },
        **{name: f"infrastructure_config.{name}" for name in ("accel_type", "n_accel", "n_node")},
    },
    hints={404: "Check project_id, model and training_files."},
)
LIST_FINE_TUNES = Endpoint(
    SEEKR,
    "list fine-tunes",
    "GET",
    f"{_V1}/fine-tunes",
    list_of(models.CreateFineTuneResponse, "data"),
    query={"project_id": "project_id"},
)
FINE_TUNE = Endpoint(SEEKR, "get fine-tune", "GET", f"{_V1}/fine-tunes/{{fine_tune_id}}", models.FineTune.read)
FINE_TUNE_EVENTS = Endpoint(
    SEEKR,
    "get events of fine-tune",
    "GET",
    f"{_V1}/fine-tunes/{{fine_tune_id}}/events",
    models.read_events,
)
#: The verb is PUT. Cancelling twice is the same as cancelling once.
CANCEL_FINE_TUNE = Endpoint(
    SEEKR,
    "cancel fine-tune",
    "PUT",
    f"{_V1}/fine-tunes/{{fine_tune_id}}/cancel",
    models.FineTune.read,
    idempotent=True,
)
DELETE_FINE_TUNE = Endpoint(SEEKR, "delete fine-tune", "DELETE", f"{_V1}/fine-tunes/{{fine_tune_id}}", read_any)

CREATE_DEPLOYMENT = Endpoint(
    SEEKR,
    "create deployment",
    "POST",
    f"{_V1}/deployments",
    models.CreateDeploymentResponse.read,
    body={
        "model_type": "model_type",
        "model_id": "model_id",
        "name": "name",
        "description": "description",
        "n_instances": "n_instances",
    },
    hints={404: "Check model_id: a fine-tune can be deployed when it is completed, so wait with SeekrFineTuneSensor."},
)
LIST_DEPLOYMENTS = Endpoint(
    SEEKR,
    "list deployments",
    "GET",
    f"{_V1}/deployments",
    list_of(models.CreateDeploymentResponse, "data"),
    query={
        "deployment_status": "deployment_status",
        "fine_tune_id": "fine_tune_id",
        "limit": "limit",
        "offset": "skip",
    },
)
DEPLOYMENT = Endpoint(SEEKR, "get deployment", "GET", f"{_V1}/deployments/{{deployment_id}}", models.Deployment.read)
PROMOTE_DEPLOYMENT = Endpoint(
    SEEKR,
    "promote deployment",
    "PUT",
    f"{_V1}/deployments/{{deployment_id}}/promote",
    models.Deployment.read,
    idempotent=True,
)
#: There is no DELETE: this is what ends the cost.
DEMOTE_DEPLOYMENT = Endpoint(
    SEEKR,
    "demote deployment",
    "PUT",
    f"{_V1}/deployments/{{deployment_id}}/demote",
    models.Deployment.read,
    idempotent=True,
)

#: ``model`` is the id of a deployment, or that of a base model.
CHAT_COMPLETION = chat_endpoint(
    SEEKR,
    "/v1/inference/chat/completions",
    "max_completion_tokens",
    "stop",
    "repetition_penalty",
    "response_format",
    "tool_choice",
)
#: Needs no key; says the version, and how long jobs queue on average.
HEALTH = Endpoint(SEEKR, "get health", "GET", f"{_V1}/health", read_any)
