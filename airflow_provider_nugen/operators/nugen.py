"""Operators for Nugen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.operators.base import ServiceOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class NugenOperator(ServiceOperator):
    """
    Calls Nugen.

    :param nugen_conn_id: the Airflow connection.
    """

    hook_class = NugenHook

    def __init__(self, *, nugen_conn_id: str = NugenHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nugen_conn_id = nugen_conn_id


class CreateAlignmentOperator(NugenOperator):
    """
    Start the alignment of a base model with documents. Costs money; wait for it with ``AlignmentStatusSensor``.

    XComs: ``return_value`` = ``{"alignment_id": ...}``, and ``alignment_id``.

    :param name: what to call the alignment.
    :param base_model: the model to align.
    :param document_ids: documents that were uploaded and are ``READY``.
    :param benchmark_id: a benchmark to evaluate the model with after its training.
    :param description: free text.
    :param workflow_id: a workflow of the service; API revision B only.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = (
        "name",
        "base_model",
        "document_ids",
        "benchmark_id",
        "description",
        "workflow_id",
        "nugen_conn_id",
    )

    def __init__(
        self,
        *,
        name: str,
        base_model: str,
        document_ids: Sequence[str],
        benchmark_id: str | None = None,
        description: str | None = None,
        workflow_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.base_model = base_model
        self.document_ids = document_ids
        self.benchmark_id = benchmark_id
        self.description = description
        self.workflow_id = workflow_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the alignment; return its id."""
        call = endpoints.CREATE_ALIGNMENT.call(
            name=self.name,
            base_model=self.base_model,
            document_ids=list(self.document_ids),
            benchmark_id=self.benchmark_id,
            description=self.description,
            workflow_id=self.workflow_id,
        )
        created = self.send(call, check=f"look whether the service lists an alignment named {self.name!r}.")
        return self.hand_on(context, {"alignment_id": created.alignment_id})


class DeployModelOperator(NugenOperator):
    """
    Deploy an aligned model. Costs money until it is undeployed; wait for it with ``DeployStatusSensor``.

    XComs: ``return_value`` = ``{"model_id": ...}``, and ``model_id``.

    :param model_id: the model, as ``AlignmentStatusSensor`` returned it.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("model_id", "nugen_conn_id")

    def __init__(self, *, model_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the deployment; return the model's id."""
        self.send(
            endpoints.DEPLOY_MODEL.call(model_id=self.model_id),
            check=f"look whether the service is deploying the model {self.model_id!r}.",
        )
        return self.hand_on(context, {"model_id": self.model_id})


class CreateEvaluationOperator(NugenOperator):
    """
    Start the evaluation of a deployed model. Costs money; wait for it with ``EvaluationStatusSensor``.

    XComs: ``return_value`` = ``{"evaluation_id": ..., "model_id": ...}``, and both as keys.

    :param model_id: the model.
    :param benchmark_id: the benchmark to evaluate it with.
    :param model_id_2: another model to compare it with.
    :param custom_metrics: metrics of your own, as the service documents them.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("model_id", "benchmark_id", "model_id_2", "custom_metrics", "nugen_conn_id")

    def __init__(
        self,
        *,
        model_id: str,
        benchmark_id: str,
        model_id_2: str | None = None,
        custom_metrics: dict[str, Any] | list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id
        self.benchmark_id = benchmark_id
        self.model_id_2 = model_id_2
        self.custom_metrics = custom_metrics

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the evaluation; return its id."""
        call = endpoints.CREATE_EVALUATION.call(
            model_id=self.model_id,
            benchmark_id=self.benchmark_id,
            model_id_2=self.model_id_2,
            custom_metrics=self.custom_metrics,
        )
        created = self.send(call, check=f"look whether the service lists an evaluation of model {self.model_id!r}.")
        return self.hand_on(context, {"evaluation_id": created.evaluation_id, "model_id": self.model_id})


class UndeployModelOperator(NugenOperator):
    """
    Undeploy a model, which ends its costs; wait for it with ``UndeployStatusSensor``.

    XComs: ``return_value`` = ``{"model_id": ...}``, and ``model_id``.

    :param model_id: the model.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("model_id", "nugen_conn_id")

    def __init__(self, *, model_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the undeployment; return the model's id."""
        self.send(endpoints.UNDEPLOY_MODEL.call(model_id=self.model_id))
        return self.hand_on(context, {"model_id": self.model_id})
