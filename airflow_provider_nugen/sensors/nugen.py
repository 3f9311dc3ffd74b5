"""Sensors for Nugen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from airflow_provider_nugen.api.nugen import jobs
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.sensors.base import JobSensor
from airflow_provider_nugen.tasks import JobIds


class NugenSensor(JobSensor):
    """
    Waits for a job at Nugen.

    :param nugen_conn_id: the Airflow connection.
    """

    hook_class = NugenHook

    def __init__(self, *, nugen_conn_id: str = NugenHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nugen_conn_id = nugen_conn_id


class AlignmentStatusSensor(NugenSensor):
    """
    Waits until an alignment is trained, or trained and evaluated.

    Succeeds in every state after training, since ``READY`` can be gone by the next poke. An alignment that failed
    after its training had succeeded counts as trained, with the error as a warning in the log.

    XComs: ``return_value`` (the final status), ``model_id``, ``evaluation_id``.

    :param alignment_id: the alignment, as ``CreateAlignmentOperator`` returned it.
    :param wait_for: ``"alignment"``: until it is trained; ``"evaluation"``: until the automatic evaluation with the
        benchmark it was created with is done. An alignment without a benchmark is never evaluated: ten minutes after
        its training the wait for an evaluation fails, saying so.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("alignment_id", "nugen_conn_id", "poke_interval")

    def __init__(
        self, *, alignment_id: JobIds, wait_for: Literal["alignment", "evaluation"] = "alignment", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.alignment_id = alignment_id
        self.wait_for = wait_for
        self.kind = jobs.alignment_kind(wait_for)


class EvaluationStatusSensor(NugenSensor):
    """
    Waits until an evaluation is done.

    XComs: ``return_value`` (the final status), ``evaluation_id``.

    :param evaluation_id: the evaluation, as ``CreateEvaluationOperator`` returned it.
    :param nugen_conn_id: the Airflow connection.
    """

    kind = jobs.EVALUATION
    template_fields: Sequence[str] = ("evaluation_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, evaluation_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.evaluation_id = evaluation_id


class DeployStatusSensor(NugenSensor):
    """
    Waits until a model is deployed.

    XComs: ``return_value`` (the final status), ``model_id``.

    :param model_id: the model that is being deployed.
    :param nugen_conn_id: the Airflow connection.
    """

    kind = jobs.DEPLOYMENT
    template_fields: Sequence[str] = ("model_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, model_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id


class UndeployStatusSensor(NugenSensor):
    """
    Waits until a model is undeployed.

    XComs: ``return_value`` (the final status), ``model_id``.

    :param model_id: the model that is being undeployed.
    :param nugen_conn_id: the Airflow connection.
    """

    kind = jobs.UNDEPLOYMENT
    template_fields: Sequence[str] = ("model_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, model_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id


class DocumentStatusSensor(NugenSensor):
    """
    Waits until an uploaded document can be used: before that the service does not find it.

    XComs: ``return_value`` (the final status), ``document_id``.

    :param document_id: the document, as ``UploadDocumentsOperator`` returned it; expand over its list for several.
    :param nugen_conn_id: the Airflow connection.
    """

    kind = jobs.DOCUMENT
    template_fields: Sequence[str] = ("document_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, document_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.document_id = document_id


class BenchmarkStatusSensor(NugenSensor):
    """
    Waits until a benchmark can be used.

    XComs: ``return_value`` (the final status), ``benchmark_id``.

    :param benchmark_id: the benchmark, as the operator that made it returned it.
    :param nugen_conn_id: the Airflow connection.
    """

    kind = jobs.BENCHMARK
    template_fields: Sequence[str] = ("benchmark_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, benchmark_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.benchmark_id = benchmark_id
