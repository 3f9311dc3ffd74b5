"""Sensors for Nugen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.nugen import jobs
from airflow_provider_nugen.api.nugen.documents import final_statuses, is_ready
from airflow_provider_nugen.arguments import check_conn_id
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.sensors.base import JobSensor
from airflow_provider_nugen.waiting.result import Outcome, WaitResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_nugen.arguments import JobIds


class NugenSensor(JobSensor):
    """
    Waits for a job at Nugen.

    :param nugen_conn_id: the Airflow connection.
    """

    hook_class = NugenHook

    def __init__(self, *, nugen_conn_id: str = NugenHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_conn_id(nugen_conn_id, "nugen_conn_id")
        self.nugen_conn_id = nugen_conn_id


class AlignmentStatusSensor(NugenSensor):
    """
    Waits until an alignment is trained, or trained and evaluated.

    Succeeds in every state after training, since ``READY`` can be gone by the next poke. An alignment that failed
    after its training had succeeded counts as trained, with the error as a warning in the log.

    XComs: ``return_value`` (the final status), ``model_id``, ``evaluation_id``.

    :param alignment_id: the alignment, as ``CreateAlignmentOperator`` returned it, or a list of them.
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

    :param evaluation_id: the evaluation, as ``CreateEvaluationOperator`` returned it, or a list of them.
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

    :param model_id: the model that is being deployed, or a list of them.
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

    :param model_id: the model that is being undeployed, or a list of them.
    :param nugen_conn_id: the Airflow connection.
    """

    kind = jobs.UNDEPLOYMENT
    template_fields: Sequence[str] = ("model_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, model_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id


class DocumentStatusSensor(NugenSensor):
    """
    Waits until uploaded documents can be used: before that the service does not find them.

    XComs: ``return_value`` (the final status), ``document_id``: the final id of the document, which in API revision B
    is another one than the id that its upload returned. For a list: the list of final statuses, and ``document_ids``.

    :param document_id: what ``UploadDocumentsOperator`` returned (``document_id=upload.output``), an item of it, an id,
        or a list of ids.
    :param nugen_conn_id: the Airflow connection.
    """

    kind = jobs.DOCUMENT
    template_fields: Sequence[str] = ("document_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, document_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.document_id = document_id

    def job_id(self, context: Context) -> object:
        """Return the documents to wait for: those that were not ready before."""
        given: Any = self.document_id
        if _is_list(given):
            return [item for item in given if not is_ready(item)]
        return [] if is_ready(given) else given

    def finish(self, kind: JobKind[Any], result: WaitResult, context: Context) -> Any:
        """End the task, with the final status of each document."""
        if result.outcome is Outcome.SUCCEEDED:
            given: Any = self.document_id
            statuses = result.result
            items = given if _is_list(given) else [given]
            final = list(final_statuses(items, statuses if isinstance(statuses, list) else [statuses or {}]))
            result = replace(result, result=final if _is_list(given) else final[0])
        return super().finish(kind, result, context)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


class BenchmarkStatusSensor(NugenSensor):
    """
    Waits until a benchmark can be used.

    XComs: ``return_value`` (the final status), ``benchmark_id``.

    :param benchmark_id: the benchmark, as the operator that made it returned it, or a list of them.
    :param nugen_conn_id: the Airflow connection.
    """

    kind = jobs.BENCHMARK
    template_fields: Sequence[str] = ("benchmark_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, benchmark_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.benchmark_id = benchmark_id
