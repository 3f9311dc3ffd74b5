"""The kinds of job that SeekrFlow runs; every word and rule is in ``docs/seekr-api.rst``."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobKind, JobStatus
from airflow_provider_nugen.api.seekr import endpoints
from airflow_provider_nugen.api.seekr.models import AlignmentJob, DataJob


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
    cancel=endpoints.CANCEL_ALIGNMENT,
    interpret=_read_job,
)


def _read_data_job(answer: DataJob, job_status: JobStatus, previous: str | None) -> JobStatus:
    if answer.alignment_job is not None:
        job_status = _read_job(answer.alignment_job, job_status, previous)
    job_status = replace(job_status, reason=answer.status_message or job_status.reason)
    word = answer.status.upper()
    if word == "NEEDS_REVIEW":
        said = f" ({job_status.reason})" if job_status.reason else ""
        reason = f"{_what_needs_review(answer)}{said}: a person must act on the data job in SeekrFlow"
        return replace(job_status, needs_action=True, reason=reason)
    if word == "READY_TO_START" and job_status.state is RUNNING:
        return replace(
            job_status,
            stall_reason="nobody has started it. Start it, for example with SeekrCreateDataJobOperator",
        )
    return job_status


def _what_needs_review(answer: DataJob) -> str:
    """Return what a person must see to: the service's word is the same for all of these."""
    if answer.files is None:
        return "its files need a review, or it has no files or no system prompt"
    if not answer.files:
        return "it has no files yet"
    failed = [file for file in answer.files if (file.status or "").upper() == "FAILED" or file.suggested_fix]
    if failed:
        return "files need a review: " + "; ".join(
            f"{file.name or file.file_id!r} is {file.status or 'not usable'}"
            + (f" ({file.suggested_fix})" if file.suggested_fix else "")
            for file in failed
        )
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
    cancel=endpoints.CANCEL_DATA_JOB,
    interpret=_read_data_job,
)
