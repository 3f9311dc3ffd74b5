"""
What Nugen answers.

Every field is in ``docs/nugen-api.rst``, "Shapes", and those of the status endpoints in the OpenAPI contract 25.4.20.
The answers of API revisions A, B and C and of the older camelCase form are all read; the names are revision B's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, AliasGenerator, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from airflow_provider_nugen.api.models import Progress, ServiceModel, Timestamp


class NugenModel(ServiceModel):
    """Reads snake_case and the older camelCase names."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=lambda name: AliasChoices(name, to_camel(name)))
    )


def _names(*names: str) -> Any:
    """Declare a nullable field that the revisions call differently."""
    return Field(default=None, validation_alias=AliasChoices(*names))


class PerformanceMetrics(NugenModel):
    """What the automatic evaluation of an alignment measured, before and after."""

    accuracy_before: float | None = None
    accuracy_after: float | None = None
    uncertainty_before: float | None = None
    uncertainty_after: float | None = None
    domain_violations_before: int | None = None
    domain_violations_after: int | None = None


class AlignmentStatus(NugenModel):
    """
    The status or the detail of an alignment, in revision B's names.

    ``status`` is the project's word; ``task_status`` is the envelope's, where there is one: the two can differ.
    """

    what: ClassVar[str] = "alignment status"

    status: str
    task_status: str | None = None
    alignment_id: str | None = _names("alignment_id", "id", "alignmentId")
    alignment_name: str | None = _names("alignment_name", "name", "alignmentName")
    base_model: str | None = _names("base_model", "base_model_id", "baseModel", "baseModelId")
    document_ids: list[str] | None = _names("document_ids", "documents", "documentIds")
    document_count: int | None = None
    creator: str | None = None
    created_date: Timestamp | None = _names("created_date", "created_at", "createdDate", "createdAt")
    completed_date: Timestamp | None = _names("completed_date", "completed_at", "completedDate", "completedAt")
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    estimated_completion: Timestamp | None = None
    eta_seconds: float | None = None
    progress: Progress | None = None
    queue_position: int | None = None
    performance_metrics: Annotated[PerformanceMetrics, BeforeValidator(PerformanceMetrics.read)] | None = None
    gpu_training_completed: bool | None = None
    early_deployable: bool | None = None
    degraded: bool | None = None
    stage_failures: list[str] | None = None
    error: str | None = None
    model_id: str | None = _names("model_id", "aligned_model_id", "modelId", "alignedModelId")
    evaluation_id: str | None = None

    @classmethod
    def flatten(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """
        Take the project out of its envelope ``{status, data, start_time, end_time, gpu_training_completed}``.

        Both the envelope and the flat project occur. ``false`` in either ``gpu_training_completed`` means that
        training failed or was cancelled.
        """
        if "data" not in payload:
            return payload
        data = payload.pop("data")
        inner = dict(data) if isinstance(data, dict) else {}
        outer = {name: value for name, value in payload.items() if value is not None}
        flat = outer | {name: value for name, value in inner.items() if value is not None or name not in outer}
        if outer.get("gpu_training_completed") is False:
            flat["gpu_training_completed"] = False
        flat["task_status"] = payload.get("status")
        return flat


class TaskStatus(NugenModel):
    """The status of a deployment or an undeployment."""

    status: str
    model_id: str | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None

    @property
    def deployment_status(self) -> str | None:
        """The deployment's own word, where ``result`` tells it beside the word of the task."""
        word = (self.result or {}).get("deployment_status")
        return word if isinstance(word, str) and word.strip() else None


def read_undeployment(payload: object) -> TaskStatus:
    """
    Read revision C's status of a deployment as the progress of an undeployment.

    A deployment that is ``COMPLETED`` is deployed, so its undeployment is not over.

    :raises ValueError: if it is not an object, or has no status.
    """
    answer = TaskStatus.read(payload)
    word = answer.deployment_status or answer.status
    return answer.model_copy(update={"status": "DEPLOYED" if word.upper() == "COMPLETED" else word})


def read_model_detail(payload: object) -> TaskStatus:
    """
    Read revision C's detail of a model as the status of its deployment.

    :raises ValueError: if it is not an object, or has no deployment status.
    """
    if isinstance(payload, Mapping):
        named = {name: payload.get(name) for name in ("model_id", "error")}
        payload = {"status": payload.get("deployment_status"), **named}
    return read_undeployment(payload)


def read_alignment_id(payload: object) -> str | None:
    """Return the alignment that a model comes from, where revision C's detail of the model names it."""
    alignment_id = payload.get("alignment_id") if isinstance(payload, Mapping) else None
    return alignment_id if isinstance(alignment_id, str) and alignment_id.strip() else None


class EvaluationStatus(NugenModel):
    """The status or the detail of an evaluation, in revision B's names."""

    what: ClassVar[str] = "evaluation status"

    status: str
    evaluation_id: str | None = _names("evaluation_id", "id", "evaluationId")
    benchmark_id: str | None = None
    progress: Progress | None = None
    questions_completed: int | None = _names("questions_completed", "n_samples_completed", "questionsCompleted")
    total_questions: int | None = _names("total_questions", "n_samples", "totalQuestions")
    avg_time_per_question: float | None = _names("avg_time_per_question", "avg_time_per_sample", "avgTimePerQuestion")
    eta_seconds: float | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    error: str | None = None


class CreateAlignmentResponse(NugenModel):
    """The answer to a request for an alignment."""

    alignment_id: str = Field(validation_alias=AliasChoices("alignment_id", "id", "alignmentId"))
    status: str | None = None


class CreateEvaluationResponse(NugenModel):
    """The answer to a request for an evaluation."""

    evaluation_id: str = Field(validation_alias=AliasChoices("evaluation_id", "id", "evaluationId"))
    model_id: str | None = None
    benchmark_id: str | None = None
    status: str | None = None
    created_at: Timestamp | None = None
    message: str | None = None


def read_model_id(payload: object) -> str | None:
    """
    Read the answer to deploy and undeploy: a bare JSON string, or ``{"model_id": "..."}``; both occur.

    Anything else does not justify sending again what the service has accepted.
    """
    model_id = payload.get("model_id") if isinstance(payload, dict) else payload
    return model_id if isinstance(model_id, str) else None


class DocumentStatus(NugenModel):
    """The status of an uploaded document; ``document_id`` is the id that alignments and benchmarks take."""

    status: str
    document_id: str | None = None
    error: str | None = None
    #: The status may be that of a task, whose id is not the document's.
    may_be_task: bool = Field(default=False, exclude=True)


def read_document_task(payload: object) -> DocumentStatus:
    """
    Read revision B's status of a document, whose id is that of a task, or perhaps the document's.

    :raises ValueError: if it is not an object, or has no status.
    """
    return DocumentStatus.read(payload).model_copy(update={"may_be_task": True})


def read_document(payload: object) -> DocumentStatus:
    """
    Read revision C's status of a document, whose id may be called ``id``.

    In revision B such a field would be the id of the task.

    :raises ValueError: if it is not an object, or has no status.
    """
    answer = DocumentStatus.read(payload)
    document_id = payload.get("id") if isinstance(payload, Mapping) and not answer.document_id else None
    return answer.model_copy(update={"document_id": document_id}) if isinstance(document_id, str) else answer


class ListedDocument(NugenModel):
    """A document as the list shows it."""

    document_id: str = Field(validation_alias=AliasChoices("document_id", "id", "documentId"))
    filename: str | None = _names("filename", "name", "fileName")
    status: str = ""


class BenchmarkStatus(NugenModel):
    """The status of a benchmark."""

    status: str
    benchmark_id: str | None = _names("benchmark_id", "id", "benchmarkId")
    error: str | None = None


class CreateBenchmarkResponse(NugenModel):
    """The answer to a new benchmark."""

    benchmark_id: str = Field(validation_alias=AliasChoices("benchmark_id", "id", "benchmarkId"))
    status: str | None = None
    num_questions: int | None = _names("num_questions", "n_samples", "numQuestions")


class ListedBenchmark(NugenModel):
    """A benchmark as revision B's list shows it."""

    benchmark_id: str = Field(validation_alias=AliasChoices("benchmark_id", "id", "benchmarkId"))
    benchmark_name: str | None = _names("benchmark_name", "name", "benchmarkName")
    status: str = ""
    document_ids: list[str] | None = _names("document_ids", "documents", "documentIds")
    num_questions: int | None = _names("num_questions", "n_samples", "numQuestions")
    created_at: Timestamp | None = None


class BaseModelInfo(NugenModel):
    """A base model; ``alignment_ready`` is null where the list does not say whether it can be aligned."""

    model_id: str = Field(validation_alias=AliasChoices("model_id", "id", "modelId"))
    model_name: str | None = _names("model_name", "name", "modelName")
    alignment_ready: bool | None = None


def read_base_models(payload: object) -> list[BaseModelInfo]:
    """
    Read the list of base models: bare, or as ``{"models": [...]}``.

    What cannot be read is left out, since the list only ever helps: an empty one says that nothing is known.
    """
    items = payload.get("models") if isinstance(payload, dict) else payload
    models = []
    for item in items if isinstance(items, list) else ():
        try:
            models.append(BaseModelInfo.read(item))
        except ValueError:
            continue
    return models


class ListedEvaluation(NugenModel):
    """An evaluation as the list shows it."""

    evaluation_id: str
    model_id: str | None = None
    benchmark_id: str | None = None
    status: str = ""
    created_at: Timestamp | None = None
