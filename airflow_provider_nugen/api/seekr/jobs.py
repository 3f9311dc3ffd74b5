"""The kinds of job that SeekrFlow runs; every word and rule is in ``docs/seekr-api.rst``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobKind, JobStatus, Supplement
from airflow_provider_nugen.api.seekr import endpoints

if TYPE_CHECKING:
    from airflow_provider_nugen.api.seekr.models import AlignmentJob, DataJob, Deployment, FineTune


def _read_job(answer: AlignmentJob, job_status: JobStatus, previous: str | None) -> JobStatus:
    return replace(
        job_status,
        progress=answer.progress,
        eta=answer.estimated_completion_at,
        eta_seconds=None if answer.eta_minutes is None else answer.eta_minutes * 60,
        reason=answer.status_message or "",
    )


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
    fact_keys=("output_files",),
    time_keys=("created_at", "completed_at"),
    cancel=endpoints.CANCEL_ALIGNMENT,
    interpret=_read_job,
)


def _read_data_job(answer: DataJob, job_status: JobStatus, previous: str | None) -> JobStatus:
    if answer.alignment_job is not None:
        job_status = _read_job(answer.alignment_job, job_status, previous)
    job_status = replace(job_status, reason=answer.status_message or job_status.reason)
    word = answer.status.upper()
    if word == "NEEDS_REVIEW":
        reason = f"{_what_needs_review(answer, job_status.reason)}: a person must act on the data job in SeekrFlow"
        return replace(job_status, needs_action=True, reason=reason)
    if word == "READY_TO_START" and job_status.state is RUNNING:
        return replace(
            job_status,
            stall_reason="nobody has started it. Start it, for example with SeekrCreateDataJobOperator",
        )
    return job_status


def _what_needs_review(answer: DataJob, reason: str) -> str:
    """
    Return what a person must see to: the service's word is the same for all of these.

    :param answer: the data job. That it has no files, or which of them failed, is stated.
    :param reason: the service's own reason, if it gives one: it goes before what can only be guessed.
    """
    said = f" ({reason})" if reason else ""
    if answer.files is not None and not answer.files:
        return f"it has no files yet{said}"
    failed = [file for file in answer.files or () if (file.status or "").upper() == "FAILED" or file.suggested_fix]
    if failed:
        return (
            "files need a review: "
            + "; ".join(
                f"{file.name or file.file_id!r} is {file.status or 'not usable'}"
                + (f" ({file.suggested_fix})" if file.suggested_fix else "")
                for file in failed
            )
            + said
        )
    if reason:
        return reason
    if answer.files is None:
        return "its files need a review, or it has no files or no system prompt"
    if answer.system_prompt:
        return "its files need a review"
    seen = all(file.status for file in answer.files)
    return "it has no system prompt" if seen else "its files need a review, or it has no system prompt"


#: The files of a data job are processed before it can be started. What is in hand or done was started already.
DATA_JOB_FILES = JobKind(
    key="seekr.data_job_files",
    label="files of data job",
    id_name="data_job_id",
    status=endpoints.DATA_JOB_STATUS,
    status_map={word: SUCCEEDED if state is RUNNING else state for word, state in _STATUS_MAP.items()}
    | {"FILE_PROCESSING": RUNNING, "READY_TO_START": SUCCEEDED, "NEEDS_REVIEW": FAILED},
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
    fact_keys=("job_type",),
    name_key="name",
    cancel=endpoints.CANCEL_DATA_JOB,
    interpret=_read_data_job,
)


def _read_fine_tune(answer: FineTune, job_status: JobStatus, previous: str | None) -> JobStatus:
    epoch, loss = answer.epoch, answer.loss
    done = "" if epoch is None else f"{epoch:g}/{answer.n_epochs} epochs" if answer.n_epochs else f"epoch {epoch:g}"
    trained = ", ".join(filter(None, [done, "" if loss is None else f"loss {loss:g}"]))
    reason = "; ".join(filter(None, [answer.error_analysis, trained and f"it had trained {trained}"]))
    return replace(job_status, progress=trained or None, reason=reason if job_status.state is FAILED else "")


#: A fine-tune has no progress of its own: how the training goes stands in its events.
FINE_TUNE = JobKind(
    key="seekr.fine_tune",
    label="fine-tune",
    id_name="fine_tune_id",
    status=endpoints.FINE_TUNE,
    status_map={word: state for word, state in _STATUS_MAP.items() if word != "STOPPED"} | {"DELETED": CANCELLED},
    xcom_keys=("fine_tune_id",),
    fact_keys=("model", "training_files", "epoch", "loss", "inference_available"),
    name_key="experiment_name",
    time_keys=("created_at", "completed_at"),
    cancel=endpoints.CANCEL_FINE_TUNE,
    interpret=_read_fine_tune,
    supplement=Supplement(
        endpoints.FINE_TUNE_EVENTS,
        is_wanted=lambda answer: not answer.events and answer.status.upper() in ("RUNNING", "COMPLETED", "FAILED"),
        add=lambda answer, events: answer.model_copy(update={"events": events}),
    ),
)


def _read_deployment(answer: Deployment, job_status: JobStatus, previous: str | None) -> JobStatus:
    if answer.status.upper() != "INACTIVE":
        return job_status
    if (previous or "INACTIVE").upper() == "INACTIVE":
        stall_reason = "nobody has promoted it: promote it, as SeekrCreateDeploymentOperator does"
        return replace(job_status, stall_reason=stall_reason)
    return replace(job_status, state=CANCELLED, reason="it was demoted while it started")


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
    stands=True,
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
