"""
The kinds of job that Nugen runs: status words, and what the words alone do not say.

Every word and rule is in ``docs/nugen-api.rst``, "Status words" and "Shapes".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobKind, JobState, JobStatus, Lookup
from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.api.nugen.documents import describe, find_listed

if TYPE_CHECKING:
    from airflow_provider_nugen.api.nugen.models import (
        AlignmentStatus,
        BenchmarkStatus,
        DocumentStatus,
        EvaluationStatus,
        TaskStatus,
    )


def _read_alignment(answer: AlignmentStatus, job_status: JobStatus, previous: str | None) -> JobStatus:
    state, reason, missing_field = job_status.state, "", ""
    # The envelope's word can only make it worse: trained is what the project itself says.
    outer = ALIGNMENT.state(answer.task_status)
    if FAILED in (outer, state):
        state = FAILED
    elif CANCELLED in (outer, state):
        state = CANCELLED
    elif answer.gpu_training_completed is False:
        state = FAILED
    if state in (FAILED, CANCELLED):
        reason = "; ".join(filter(None, [answer.error, *(answer.stage_failures or ())])) or (
            "training failed or was cancelled (gpu_training_completed is false)"
            if answer.gpu_training_completed is False
            else ""
        )
    elif state is SUCCEEDED and not answer.model_id:
        missing_field = "model_id"
    return replace(
        job_status,
        state=state,
        reason=reason,
        missing_field=missing_field,
        progress=answer.progress,
        eta_seconds=answer.eta_seconds,
        eta=answer.estimated_completion,
    )


def _read_training(answer: AlignmentStatus, job_status: JobStatus, previous: str | None) -> JobStatus:
    job_status = _read_alignment(answer, job_status, previous)
    if job_status.state is FAILED and answer.gpu_training_completed and answer.model_id:
        # Training had succeeded before something later failed; a poll between the two would have said so.
        reason = job_status.reason or "no reason given"
        return replace(
            job_status, state=SUCCEEDED, warning=f"training succeeded, but what came after it failed: {reason}"
        )
    return job_status


def _read_evaluated_alignment(answer: AlignmentStatus, job_status: JobStatus, previous: str | None) -> JobStatus:
    job_status = _read_alignment(answer, job_status, previous)
    if job_status.state is not RUNNING or ALIGNMENT.state(answer.status) is not SUCCEEDED:
        return job_status
    metrics = answer.performance_metrics
    if metrics and any(value is not None for value in metrics.__dict__.values()):
        return replace(job_status, state=SUCCEEDED, missing_field="" if answer.model_id else "model_id")
    if answer.status.upper() in ("READY", "COMPLETED") and not answer.evaluation_id:
        return replace(
            job_status,
            stall_reason="the alignment is trained, but no evaluation has begun: it was created without a benchmark. "
            "Pass benchmark_id when creating it, or wait with wait_for='alignment'",
        )
    return job_status


def _read_task(answer: TaskStatus, job_status: JobStatus, previous: str | None) -> JobStatus:
    if job_status.state not in (FAILED, CANCELLED):
        return job_status
    result = answer.result or {}
    message = result.get("message") or result.get("error") or result
    return replace(job_status, reason=answer.error or (str(message) if message else job_status.reason))


def _read_deployment(answer: TaskStatus, job_status: JobStatus, previous: str | None) -> JobStatus:
    word = answer.status
    if job_status.state is SUCCEEDED and (inner := answer.deployment_status) and DEPLOYMENT.state(inner):
        # The deployment task is over; what became of the deployment is in its result.
        word = inner
        job_status = replace(job_status, state=DEPLOYMENT.status_map[inner.upper()])
    if word.upper() == "UNDEPLOYED":
        # Revision C says UNDEPLOYED both before a deployment starts and after one failed.
        if answer.error or (previous or "").upper() == "DEPLOYING":
            job_status = replace(job_status, state=FAILED, reason="the model is undeployed again")
        else:
            job_status = replace(
                job_status,
                stall_reason="no deployment has begun, or one failed without saying so. Deploy the model again",
            )
    return _read_task(answer, job_status, previous)


def _read_undeployment(answer: TaskStatus, job_status: JobStatus, previous: str | None) -> JobStatus:
    if answer.status.upper() in ("DEPLOYED", "DEPLOYING"):
        return replace(
            job_status, stall_reason="the model is still deployed, and is billed. Undeploy it, and wait again"
        )
    return _read_task(answer, job_status, previous)


def _read_evaluation(answer: EvaluationStatus, job_status: JobStatus, previous: str | None) -> JobStatus:
    return replace(job_status, progress=answer.progress, eta_seconds=answer.eta_seconds, reason=answer.error or "")


def _read_document(answer: DocumentStatus, job_status: JobStatus, previous: str | None) -> JobStatus:
    lacks_id = job_status.state is SUCCEEDED and answer.may_be_task and not answer.document_id
    return replace(job_status, reason=answer.error or "", missing_field="document_id" if lacks_id else "")


def _read_benchmark(answer: BenchmarkStatus, job_status: JobStatus, previous: str | None) -> JobStatus:
    return replace(job_status, reason=answer.error or "")


def _words(**words: JobState) -> dict[str, JobState]:
    return words


_TRAINING = dict.fromkeys(("PENDING", "QUEUED", "PROCESSING"), RUNNING)
_TRAINED = ("READY", "COMPLETED", "DEPLOYING", "EVALUATING", "UNDEPLOYED")
_ENDED = {"FAILED": FAILED, "STOPPED": CANCELLED}

#: Trained: true in every state after PROCESSING, since READY can be gone by the next poll.
ALIGNMENT = JobKind(
    key="nugen.alignment",
    label="alignment",
    id_name="alignment_id",
    status=endpoints.ALIGNMENT_STATUS,
    detail=endpoints.ALIGNMENT_DETAIL,
    status_map=_TRAINING | dict.fromkeys((*_TRAINED, "EVALUATED"), SUCCEEDED) | _ENDED,
    xcom_keys=("model_id", "evaluation_id"),
    fact_keys=("base_model", "document_ids", "performance_metrics"),
    name_key="alignment_name",
    time_keys=("created_date", "completed_date"),
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
    fact_keys=("base_model", "document_ids", "performance_metrics"),
    name_key="alignment_name",
    time_keys=("created_date", "completed_date"),
    interpret=_read_evaluated_alignment,
)

EVALUATION = JobKind(
    key="nugen.evaluation",
    label="evaluation",
    id_name="evaluation_id",
    status=endpoints.EVALUATION_STATUS,
    detail=endpoints.EVALUATION_DETAIL,
    status_map=_TRAINING
    | _words(
        CREATED=RUNNING,
        DEPLOYING=RUNNING,
        EVALUATING=RUNNING,
        READY=SUCCEEDED,
        COMPLETED=SUCCEEDED,
        EVALUATED=SUCCEEDED,
    )
    | _ENDED,
    xcom_keys=("evaluation_id",),
    fact_keys=("benchmark_id", "total_questions"),
    interpret=_read_evaluation,
)

DEPLOYMENT = JobKind(
    key="nugen.deployment",
    label="deployment of model",
    id_name="model_id",
    status=endpoints.DEPLOYMENT_STATUS,
    detail=endpoints.DEPLOYMENT_DETAIL,
    status_map=_words(
        PENDING=RUNNING,
        DEPLOYING=RUNNING,
        UNDEPLOYING=RUNNING,
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
    detail=endpoints.UNDEPLOYMENT_DETAIL,
    status_map=_words(
        PENDING=RUNNING,
        DEPLOYED=RUNNING,
        DEPLOYING=RUNNING,
        UNDEPLOYING=RUNNING,
        COMPLETED=SUCCEEDED,
        UNDEPLOYED=SUCCEEDED,
    )
    | _ENDED,
    xcom_keys=("model_id",),
    interpret=_read_undeployment,
)

DOCUMENT = JobKind(
    key="nugen.document",
    label="document",
    id_name="document_id",
    status=endpoints.DOCUMENT_STATUS,
    status_map=_TRAINING | _words(READY=SUCCEEDED, COMPLETED=SUCCEEDED) | _ENDED,
    xcom_keys=("document_id",),
    lookup=Lookup(
        endpoint=endpoints.LIST_DOCUMENTS,
        find=find_listed,
        listed_id=lambda answer: answer.document_id,
        describe=describe,
        advice="The id was given out in another API revision than the service speaks now. Pass what "
        "UploadDocumentsOperator returned (document_id=upload.output): a document is found by its file's name, too.",
    ),
    interpret=_read_document,
)

BENCHMARK = JobKind(
    key="nugen.benchmark",
    label="benchmark",
    id_name="benchmark_id",
    status=endpoints.BENCHMARK_STATUS,
    status_map=_TRAINING | _words(READY=SUCCEEDED, COMPLETED=SUCCEEDED) | _ENDED,
    xcom_keys=("benchmark_id",),
    interpret=_read_benchmark,
)


#: What the wait for an alignment can be for.
ALIGNMENT_KINDS = {"alignment": ALIGNMENT, "evaluation": EVALUATED_ALIGNMENT}


def alignment_kind(wait_for: str) -> JobKind[AlignmentStatus]:
    """
    Return the kind of an alignment's wait.

    :raises ValueError: for anything but ``"alignment"`` and ``"evaluation"``.
    """
    if not isinstance(wait_for, str) or wait_for not in ALIGNMENT_KINDS:
        raise ValueError(f"wait_for must be one of {list(ALIGNMENT_KINDS)}, not {wait_for!r}")
    return ALIGNMENT_KINDS[wait_for]
