"""
The kinds of job that Nugen runs: status words, and what the words alone do not say.

Source of every word and rule: the Nugen facts, sections "Status words" and "Shapes".
"""

from __future__ import annotations

from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobKind, JobState, JobStatus
from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.api.nugen.models import (
    AlignmentStatus,
    BenchmarkStatus,
    DocumentStatus,
    EvaluationStatus,
    TaskStatus,
)


def _read_alignment(answer: AlignmentStatus, reading: JobStatus, previous: str | None) -> None:
    reading.progress = answer.progress
    reading.eta_seconds, reading.eta = answer.eta_seconds, answer.estimated_completion
    # The envelope's word can only make it worse: trained is what the project itself says.
    outer = ALIGNMENT.state(answer.task_status)
    if FAILED in (outer, reading.state):
        reading.state = FAILED
    elif CANCELLED in (outer, reading.state):
        reading.state = CANCELLED
    elif answer.gpu_training_completed is False:
        reading.state = FAILED
    if reading.state in (FAILED, CANCELLED):
        reading.reason = "; ".join(filter(None, [answer.error, *(answer.stage_failures or ())])) or (
            "training failed or was cancelled (gpu_training_completed is false)"
            if answer.gpu_training_completed is False
            else ""
        )
    elif reading.state is SUCCEEDED and not answer.model_id:
        reading.missing_field = "model_id"


def _read_training(answer: AlignmentStatus, reading: JobStatus, previous: str | None) -> None:
    _read_alignment(answer, reading, previous)
    if reading.state is FAILED and answer.gpu_training_completed and answer.model_id:
        # Training had succeeded before something later failed; a look between the two would have said so.
        reading.state = SUCCEEDED
        reading.warning = f"training succeeded, but what came after it failed: {reading.reason or 'no reason given'}"


def _read_evaluated_alignment(answer: AlignmentStatus, reading: JobStatus, previous: str | None) -> None:
    _read_alignment(answer, reading, previous)
    if reading.state is not RUNNING or ALIGNMENT.state(answer.status) is not SUCCEEDED:
        return
    metrics = answer.performance_metrics
    if metrics and any(value is not None for value in metrics.__dict__.values()):
        reading.state = SUCCEEDED
        reading.missing_field = "" if answer.model_id else "model_id"
    elif answer.status.upper() in ("READY", "COMPLETED") and not answer.evaluation_id:
        reading.stall_reason = (
            "the alignment is trained, but no evaluation has begun: it was created without a benchmark. Pass "
            "benchmark_id when creating it, or wait with wait_for='alignment'"
        )


def _read_task(answer: TaskStatus, reading: JobStatus, previous: str | None) -> None:
    if reading.state in (FAILED, CANCELLED):
        result = answer.result or {}
        message = result.get("message") or result.get("error") or result
        reading.reason = answer.error or (str(message) if message else reading.reason)


def _read_deployment(answer: TaskStatus, reading: JobStatus, previous: str | None) -> None:
    # Revision C says UNDEPLOYED both before a deployment starts and after one failed.
    if answer.status.upper() == "UNDEPLOYED" and (answer.error or (previous or "").upper() == "DEPLOYING"):
        reading.state = FAILED
        reading.reason = "the model is undeployed again"
    _read_task(answer, reading, previous)


def _read_evaluation(answer: EvaluationStatus, reading: JobStatus, previous: str | None) -> None:
    reading.progress, reading.eta_seconds = answer.progress, answer.eta_seconds
    reading.reason = answer.error or ""


def _read_simple_status(answer: DocumentStatus | BenchmarkStatus, reading: JobStatus, previous: str | None) -> None:
    reading.reason = answer.error or ""


def _words(**words: JobState) -> dict[str, JobState]:
    return words


_TRAINING = dict.fromkeys(("PENDING", "QUEUED", "PROCESSING"), RUNNING)
_TRAINED = ("READY", "COMPLETED", "DEPLOYING", "EVALUATING", "UNDEPLOYED")
_ENDED = {"FAILED": FAILED, "STOPPED": CANCELLED}

#: Trained: true in every state after PROCESSING, since READY can be gone by the next look.
ALIGNMENT = JobKind(
    key="nugen.alignment",
    label="alignment",
    id_name="alignment_id",
    status=endpoints.ALIGNMENT_STATUS,
    detail=endpoints.ALIGNMENT_DETAIL,
    status_map=_TRAINING | dict.fromkeys((*_TRAINED, "EVALUATED"), SUCCEEDED) | _ENDED,
    xcom_keys=("model_id", "evaluation_id"),
    interpret=_read_training,
)

#: Trained, and evaluated with the benchmark it was created with.
EVALUATED_ALIGNMENT = JobKind(
    key="nugen.evaluated_alignment",
    label="alignment",
    id_name="alignment_id",
    status=endpoints.ALIGNMENT_STATUS,
    detail=endpoints.ALIGNMENT_DETAIL,
    status_map=_TRAINING | dict.fromkeys(_TRAINED, RUNNING) | {"EVALUATED": SUCCEEDED} | _ENDED,
    xcom_keys=("model_id", "evaluation_id"),
    interpret=_read_evaluated_alignment,
)

EVALUATION = JobKind(
    key="nugen.evaluation",
    label="evaluation",
    id_name="evaluation_id",
    status=endpoints.EVALUATION_STATUS,
    status_map=_TRAINING
    | _words(DEPLOYING=RUNNING, EVALUATING=RUNNING, READY=SUCCEEDED, COMPLETED=SUCCEEDED, EVALUATED=SUCCEEDED)
    | _ENDED,
    xcom_keys=("evaluation_id",),
    interpret=_read_evaluation,
)

DEPLOYMENT = JobKind(
    key="nugen.deployment",
    label="deployment of model",
    id_name="model_id",
    status=endpoints.DEPLOYMENT_STATUS,
    status_map=_words(
        PENDING=RUNNING,
        DEPLOYING=RUNNING,
        UNDEPLOYED=RUNNING,
        COMPLETED=SUCCEEDED,
        DEPLOYED=SUCCEEDED,
    )
    | _ENDED,
    xcom_keys=("model_id",),
    interpret=_read_deployment,
)

UNDEPLOYMENT = JobKind(
    key="nugen.undeployment",
    label="undeployment of model",
    id_name="model_id",
    status=endpoints.UNDEPLOYMENT_STATUS,
    status_map=_words(PENDING=RUNNING, UNDEPLOYING=RUNNING, COMPLETED=SUCCEEDED, UNDEPLOYED=SUCCEEDED) | _ENDED,
    xcom_keys=("model_id",),
    interpret=_read_task,
)

DOCUMENT = JobKind(
    key="nugen.document",
    label="document",
    id_name="document_id",
    status=endpoints.DOCUMENT_STATUS,
    status_map=_TRAINING | _words(READY=SUCCEEDED, COMPLETED=SUCCEEDED) | _ENDED,
    xcom_keys=("document_id",),
    interpret=_read_simple_status,
)

BENCHMARK = JobKind(
    key="nugen.benchmark",
    label="benchmark",
    id_name="benchmark_id",
    status=endpoints.BENCHMARK_STATUS,
    status_map=_TRAINING | _words(READY=SUCCEEDED, COMPLETED=SUCCEEDED) | _ENDED,
    xcom_keys=("benchmark_id",),
    interpret=_read_simple_status,
)


#: What the wait for an alignment can be for.
ALIGNMENT_KINDS = {"alignment": ALIGNMENT, "evaluation": EVALUATED_ALIGNMENT}


def alignment_kind(wait_for: str) -> JobKind[AlignmentStatus]:
    """
    Choose what to wait for.

    :raises ValueError: for anything but ``"alignment"`` and ``"evaluation"``.
    """
    if wait_for not in ALIGNMENT_KINDS:
        raise ValueError(f"wait_for must be one of {list(ALIGNMENT_KINDS)}, not {wait_for!r}")
    return ALIGNMENT_KINDS[wait_for]
