"""The kinds of job that SeekrFlow runs."""

from __future__ import annotations

from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobKind, JobStatus, Supplement
from airflow_provider_nugen.api.seekr import endpoints
from airflow_provider_nugen.api.seekr.models import AlignmentJob, DataJob, Deployment, FineTune


def _read_job(answer: AlignmentJob, reading: JobStatus, previous: str | None) -> None:
    reading.progress = answer.progress
    reading.eta = answer.estimated_completion_at
    if answer.eta_minutes is not None:
        reading.eta_seconds = answer.eta_minutes * 60
    reading.reason = answer.status_message or ""


#: Compared in upper case, like all status words.
_STATUS_MAP = {
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
    status=endpoints.ALIGNMENT_JOB,
    status_map=_STATUS_MAP,
    cancel=endpoints.CANCEL_ALIGNMENT,
    interpret=_read_job,
)


def _read_data_job(answer: DataJob, reading: JobStatus, previous: str | None) -> None:
    if answer.alignment_job is not None:
        _read_job(answer.alignment_job, reading, previous)
    reading.reason = answer.status_message or reading.reason
    word = answer.status.upper()
    if word == "NEEDS_REVIEW":
        said = f" ({reading.reason})" if reading.reason else ""
        reading.needs_action = True
        reading.reason = f"its files need a review{said}: a person must look at the data job in SeekrFlow"
    elif word == "READY_TO_START" and reading.state is RUNNING:
        reading.stall_reason = "nobody has started it. Start it, for example with SeekrCreateDataJobOperator"


#: The files of a data job are processed before it can be started.
DATA_JOB_FILES = JobKind(
    key="seekr.data_job_files",
    label="files of data job",
    id_name="data_job_id",
    status=endpoints.DATA_JOB_STATUS,
    status_map=dict.fromkeys(_STATUS_MAP, SUCCEEDED)
    | {"FILE_PROCESSING": RUNNING, "READY_TO_START": SUCCEEDED, "NEEDS_REVIEW": FAILED}
    | {"FAILED": FAILED, "CANCELLED": CANCELLED, "STOPPED": CANCELLED},
    cancel=endpoints.CANCEL_DATA_JOB,
    interpret=_read_data_job,
)

DATA_JOB = JobKind(
    key="seekr.data_job",
    label="data job",
    id_name="data_job_id",
    status=endpoints.DATA_JOB_STATUS,
    status_map=_STATUS_MAP | {"FILE_PROCESSING": RUNNING, "READY_TO_START": RUNNING, "NEEDS_REVIEW": FAILED},
    xcom_keys=("alignment_job_id",),
    cancel=endpoints.CANCEL_DATA_JOB,
    interpret=_read_data_job,
)


def _read_fine_tune(answer: FineTune, reading: JobStatus, previous: str | None) -> None:
    epoch, loss = answer.epoch, answer.loss
    done = "" if epoch is None else f"{epoch:g}/{answer.n_epochs} epochs" if answer.n_epochs else f"epoch {epoch:g}"
    trained = ", ".join(filter(None, [done, "" if loss is None else f"loss {loss:g}"]))
    reading.progress = trained or None
    if reading.state is FAILED:
        reading.reason = "; ".join(filter(None, [answer.error_analysis, trained and f"it had trained {trained}"]))


#: A fine-tune has no progress of its own: how the training goes stands in its events.
FINE_TUNE = JobKind(
    key="seekr.fine_tune",
    label="fine-tune",
    id_name="fine_tune_id",
    status=endpoints.FINE_TUNE,
    status_map={word: state for word, state in _STATUS_MAP.items() if word != "STOPPED"} | {"DELETED": CANCELLED},
    xcom_keys=("fine_tune_id",),
    cancel=endpoints.CANCEL_FINE_TUNE,
    interpret=_read_fine_tune,
    supplement=Supplement(
        endpoints.FINE_TUNE_EVENTS,
        is_wanted=lambda answer: not answer.events and answer.status.upper() in ("RUNNING", "COMPLETED", "FAILED"),
        add=lambda answer, events: answer.model_copy(update={"events": events}),
    ),
)


def _read_deployment(answer: Deployment, reading: JobStatus, previous: str | None) -> None:
    if answer.status.upper() != "INACTIVE":
        return
    if (previous or "INACTIVE").upper() == "INACTIVE":
        reading.stall_reason = "nobody has promoted it: promote it, as SeekrCreateDeploymentOperator does"
    else:
        reading.state, reading.reason = CANCELLED, "it was demoted while it started"


#: ``Started`` and ``Success`` are words of the vendor's client whose meaning is not established.
DEPLOYMENT = JobKind(
    key="seekr.deployment",
    label="deployment",
    id_name="deployment_id",
    status=endpoints.DEPLOYMENT,
    status_map={
        "INACTIVE": RUNNING,
        "PENDING": RUNNING,
        "STARTED": RUNNING,
        "ACTIVE": SUCCEEDED,
        "SUCCESS": SUCCEEDED,
        "FAILED": FAILED,
    },
    xcom_keys=("deployment_id", "model_id"),
    cancel=endpoints.DEMOTE_DEPLOYMENT,
    interpret=_read_deployment,
)

#: A deployment that is demoted, which ends its cost. One that failed costs nothing either.
DEMOTION = JobKind(
    key="seekr.demotion",
    label="demotion of deployment",
    id_name="deployment_id",
    status=endpoints.DEPLOYMENT,
    status_map={
        "INACTIVE": SUCCEEDED,
        "FAILED": SUCCEEDED,
        "PENDING": RUNNING,
        "STARTED": RUNNING,
        "ACTIVE": RUNNING,
        "SUCCESS": RUNNING,
    },
    xcom_keys=("deployment_id",),
)
