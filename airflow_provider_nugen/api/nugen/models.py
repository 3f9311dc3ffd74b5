"""
What Nugen answers.

Every field is in ``docs/nugen-api.rst``, "Shapes", and those of the status endpoints in the OpenAPI contract 25.4.20.
The answers of API revisions A, B and C and of the older camelCase form are all read; the names are revision B's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

    :raises ValueError: if it is no object, or has no status.
    """
    answer = TaskStatus.read(payload)
    word = answer.deployment_status or answer.status
    return answer.model_copy(update={"status": "DEPLOYED" if word.upper() == "COMPLETED" else word})


def read_model_detail(payload: object) -> TaskStatus:
    """
    Read revision C's detail of a model as the status of its deployment.

    :raises ValueError: if it is no object, or has no deployment status.
    """
    if isinstance(payload, Mapping):
        payload = {"status": payload.get("deployment_status"), "model_id": payload.get("model_id")}
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

    Anything else is no reason to send again what the service has accepted.
    """
    model_id = payload.get("model_id") if isinstance(payload, dict) else payload
    return model_id if isinstance(model_id, str) else None


class DocumentStatus(NugenModel):
    """The status of an uploaded document; ``document_id`` is the id that alignments and benchmarks take."""

    status: str
    document_id: str | None = None
    error: str | None = None


def read_document(payload: object) -> DocumentStatus:
    """
    Read revision C's status of a document, whose id may be called ``id``.

    In revision B such a field would be the id of the task.

    :raises ValueError: if it is no object, or has no status.
    """
    answer = DocumentStatus.read(payload)
    document_id = payload.get("id") if isinstance(payload, Mapping) and not answer.document_id else None
    return answer.model_copy(update={"document_id": document_id}) if isinstance(document_id, str) else answer


class ListedDocument(NugenModel):
    """A document as the list shows it."""

    document_id: str = Field(validation_alias=AliasChoices("document_id", "id", "documentId"))
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


@dataclass(frozen=True)
class ModelMetrics:
    """
    What an evaluation measured of one model.

    :param model_id: the model, where the answer names it.
    :param metrics: its metrics.
    """

    model_id: str | None
    metrics: Mapping[str, Any]


class EvaluationResults(NugenModel):
    """
    What an evaluation measured.

    A single evaluation (``method: "eval"``) has ``metrics``. A comparison (``"eval-compare"``) has two slots,
    ``base_model`` and ``eval_model``, and ``comparison``. The names of the slots say nothing about which model is in
    which: :meth:`compared` tells.
    """

    evaluation_id: str | None = None
    model_id: str | None = None
    benchmark_id: str | None = None
    status: str | None = None
    method: str | None = None
    raw_answers_count: int | None = None
    completed_at: Timestamp | None = None
    metrics: dict[str, Any] | None = None
    model_id_2: str | None = _names("model_id_2", "baseline_model_id", "modelId2", "baselineModelId")
    base_model: dict[str, Any] | None = None
    eval_model: dict[str, Any] | None = None
    comparison: dict[str, Any] | None = None
    #: The parts of the answer that hold the metrics of one model, in recorded order.
    slots: list[dict[str, Any]] = Field(default_factory=list, exclude=True)

    @classmethod
    def flatten(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Gather the slots of a comparison. Revision C's names of them are not known, so what they hold tells."""
        slots = [slot for name in ("base_model", "eval_model") if isinstance(slot := payload.get(name), dict)]
        if not slots:
            parts = [part for value in payload.values() for part in (value if isinstance(value, list) else [value])]
            slots = [p for p in parts if isinstance(p, dict) and _slot_id(p) and isinstance(p.get("metrics"), dict)]
        return {**payload, "slots": slots}

    def compared(self) -> tuple[ModelMetrics, ModelMetrics | None]:
        """
        Return what was measured of the evaluated model, and of the model that it was compared with, if it was.

        The evaluated model is in the slot that names ``model_id``, the other one in the slot that names
        ``model_id_2``. Only slots without ids are told by their recorded order: in ``base_model`` is the evaluated
        model, in ``eval_model`` the other one (``docs/nugen-api.rst``, "Evaluation results").

        :raises ValueError: if the ids of the slots contradict those of the evaluation.
        """
        ours, theirs = self._slots_of_models()
        evaluated = ModelMetrics(self.model_id, self.metrics or {} if ours is None else _metrics(ours))
        if theirs is None:
            return evaluated, None
        return evaluated, ModelMetrics(_slot_id(theirs) or self.model_id_2, _metrics(theirs))

    def _slots_of_models(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Return the slot of the evaluated model, and that of the other one."""
        named = [slot for slot in self.slots if _slot_id(slot)]
        if not named:
            compared = self.base_model is not None or self.eval_model is not None
            return (self.base_model or {}, self.eval_model or {}) if compared else (None, None)
        ours = [slot for slot in named if _slot_id(slot) == self.model_id]
        if len(ours) == 2 and self.model_id == self.model_id_2:
            return ours[0], ours[1]  # a model compared with itself
        if len(ours) > 1:
            raise self._contradiction(named)
        rest = [slot for slot in self.slots if slot not in ours]
        # Without ids of its own a slot can be either model's; with ids it must be the one that they name.
        theirs = [slot for slot in rest if _slot_id(slot) and _slot_id(slot) == self.model_id_2]
        if not theirs and ours:
            theirs = [slot for slot in rest if not (_slot_id(slot) and self.model_id_2)]
        if not ours and theirs:
            left = [slot for slot in rest if slot not in theirs]
            ours = [slot for slot in left if not (_slot_id(slot) and self.model_id)]
            if not left and self.metrics:
                return None, theirs[0]
        if len(ours) != 1 or len(theirs) > 1 or len(ours) + len(theirs) < len(self.slots):
            raise self._contradiction(named)
        return ours[0], theirs[0] if theirs else None

    def _contradiction(self, named: list[dict[str, Any]]) -> ValueError:
        other = f" and compares it with {self.model_id_2!r}" if self.model_id_2 else ""
        return ValueError(
            f"the results hold metrics of {' and '.join(repr(_slot_id(slot)) for slot in named)}, but the evaluation "
            f"is of model {self.model_id!r}{other}, so it is not certain which metrics are whose"
        )


def _slot_id(slot: Mapping[str, Any]) -> str | None:
    """Return the model that a slot names."""
    found = slot.get("model_id") or slot.get("modelId")
    return found if isinstance(found, str) and found.strip() else None


def _metrics(slot: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metrics of a slot: under ``metrics``, or bare."""
    nested = slot.get("metrics")
    return nested if isinstance(nested, Mapping) else slot


@dataclass(frozen=True)
class UploadedDocument:
    """
    What an upload answered about one file.

    :param id: the id that the status endpoint takes.
    :param document_id: the document's id, if it is known already.
    """

    id: str
    document_id: str | None


def _read_ids(payload: object) -> list[str]:
    """Read the answer to an upload: a bare list of ids, or ``{"document_ids": [...]}``; both occur."""
    ids = payload.get("document_ids") if isinstance(payload, dict) else payload
    if not isinstance(ids, list) or not all(isinstance(item, str) and item.strip() for item in ids):
        raise ValueError("expected a list of document ids")
    return ids


def read_task_ids(payload: object) -> list[UploadedDocument]:
    """
    Read revision B's answer to an upload: ids of tasks, whatever the answer calls them.

    :raises ValueError: if there is no list of ids.
    """
    return [UploadedDocument(task_id, None) for task_id in _read_ids(payload)]


def read_document_ids(payload: object) -> list[UploadedDocument]:
    """
    Read revision C's answer to an upload: ids of documents.

    :raises ValueError: if there is no list of ids.
    """
    return [UploadedDocument(document_id, document_id) for document_id in _read_ids(payload)]


def existing_document_id(payload: object) -> str | None:
    """Return the id of the document that exists already, from the answer 409 to its upload: anywhere in ``detail``."""
    todo = [payload.get("detail") if isinstance(payload, dict) else None]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            found = part.get("document_id")
            if isinstance(found, str) and found.strip():
                return found
            todo += part.values()
    return None
