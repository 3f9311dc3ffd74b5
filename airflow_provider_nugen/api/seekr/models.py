"""What SeekrFlow answers; every field is in ``docs/seekr-api.rst``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, computed_field

from airflow_provider_nugen.api.models import Progress, ServiceModel, Timestamp


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
    """A file of a data job, and what became of its ingestion."""

    file_id: str
    name: str | None = None
    status: str | None = None
    suggested_fix: str | None = None


class DataJob(ServiceModel):
    """A data job, the successor of the alignment job; ``alignment_job`` is there once it was started."""

    what: ClassVar[str] = "data job"

    id: str | None = None
    status: str
    name: str | None = None
    job_type: str | None = None
    system_prompt: str | None = None
    status_message: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    alignment_job_id: str | None = None
    alignment_job: Annotated[AlignmentJob, BeforeValidator(AlignmentJob.read)] | None = None
    files: list[DataJobFile] | None = None

    @property
    def outputs(self) -> list[dict[str, Any]] | None:
        """The files that its alignment made; ``None`` if it does not show them."""
        files = self.alignment_job.output_files if self.alignment_job else None
        return files if files and all(isinstance(file, dict) for file in files) else None


class DataJobCreated(DataJob):
    """The answer to a new data job: the job, with an id."""

    id: str


def read_outputs(payload: object) -> list[dict[str, Any]]:
    """
    Read the output files of an alignment job.

    :raises ValueError: if it is not a list of objects.
    """
    if not isinstance(payload, list) or not all(isinstance(item, dict) for item in payload):
        raise ValueError("expected a list of files")
    return payload


class File(ServiceModel):
    """A file at the service."""

    what: ClassVar[str] = "file"

    id: str
    filename: str | None = None
    bytes: int | None = None
    purpose: str | None = None
    type: str | None = None
    created_at: Timestamp | None = None


def read_files(payload: object) -> list[File]:
    """
    Read the files of a bulk upload: a list, or a single file.

    :raises ValueError: if one of them is not a file.
    """
    return [File.read(item) for item in (payload if isinstance(payload, list) else [payload])]


class FineTuneEvent(ServiceModel):
    """An event of a fine-tune; the metrics are those of the training at that moment."""

    what: ClassVar[str] = "fine-tune event"

    created_at: Timestamp | None = None
    loss: float | None = None
    epoch: float | None = None
    reward: float | None = None


class FineTune(ServiceModel):
    """A fine-tune. It has neither progress nor an estimate; its events say how the training goes."""

    what: ClassVar[str] = "fine-tune"

    id: str | None = None
    status: str
    model: str | None = None
    experiment_name: str | None = None
    project_id: int | None = None
    fine_tune_type: str | None = None
    training_files: list[str] | None = None
    n_epochs: int | None = None
    accel_type: str | None = None
    n_accel: int | None = None
    created_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    inference_available: bool | None = None
    description: str | None = None
    error_analysis: str | None = None
    #: In the order of the service. Not part of a result, since there can be many.
    events: list[Any] | None = Field(None, exclude=True)

    @property
    def latest_event(self) -> FineTuneEvent | None:
        """The event that tells how far the training is: of those with metrics the newest."""
        readable = [FineTuneEvent.read(event) for event in self.events or () if isinstance(event, Mapping)]
        telling = [event for event in readable if event.loss is not None or event.epoch is not None]
        # The order is nowhere stated: by epoch, else by time.
        return max(
            telling, key=lambda e: (e.epoch or 0.0, e.created_at.timestamp() if e.created_at else 0.0), default=None
        )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def epoch(self) -> float | None:
        """How many epochs the training has done, where the events are known."""
        return self.latest_event.epoch if self.latest_event else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def loss(self) -> float | None:
        """The loss at that moment."""
        return self.latest_event.loss if self.latest_event else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fine_tune_id(self) -> str | None:
        """The id, by the name of the XCom."""
        return self.id


class CreateFineTuneResponse(FineTune):
    """The answer to a new fine-tune: the job, with an id to wait for."""

    id: str


def read_events(payload: object) -> list[Any]:
    """
    Read the events of a fine-tune: a list, or an object with one in ``data``.

    :raises ValueError: if there is none.
    """
    events = payload.get("data") if isinstance(payload, Mapping) else payload
    if not isinstance(events, list):
        raise ValueError("expected a list of events")
    return events


class Deployment(ServiceModel):
    """A deployment of a model. Its status words are capitalised."""

    what: ClassVar[str] = "deployment"

    id: str | None = None
    status: str
    name: str | None = None
    description: str | None = None
    model_type: str | None = None
    model_id: str | None = None
    n_instances: int | None = None
    hardware_type: str | None = None
    processor: str | None = None
    created_at: Timestamp | None = None
    last_deployed_at: Timestamp | None = None
    updated_at: Timestamp | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def deployment_id(self) -> str | None:
        """The id, by the name of the XCom."""
        return self.id


class CreateDeploymentResponse(Deployment):
    """The answer to a new deployment, with an id to wait for."""

    id: str
