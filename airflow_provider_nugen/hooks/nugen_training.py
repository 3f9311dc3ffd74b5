"""What the hook for Nugen does with alignments and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.hooks.methods import asends, sends

if TYPE_CHECKING:
    from airflow_provider_nugen.api.completion import ChatCompletion
    from airflow_provider_nugen.api.nugen.models import (
        AlignmentStatus,
        BaseModelInfo,
        CreateAlignmentResponse,
        TaskStatus,
    )


class NugenModelHook(ServiceHook):
    """Trains, deploys and asks models: alignments, deployments, chat."""

    # Alignments.

    @sends
    def get_alignment_status(self, alignment_id: str) -> Call[AlignmentStatus]:
        """
        Read the status of an alignment.

        :param alignment_id: the id that creating the alignment returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.ALIGNMENT_STATUS.call(alignment_id=alignment_id)

    aget_alignment_status = asends(get_alignment_status)

    @sends
    def get_alignment(self, alignment_id: str) -> Call[AlignmentStatus]:
        """
        Read the detail of an alignment, which has its status, too.

        :param alignment_id: the id that creating the alignment returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.ALIGNMENT_DETAIL.call(alignment_id=alignment_id)

    aget_alignment = asends(get_alignment)

    @sends
    def list_alignments(self) -> Call[list[AlignmentStatus]]:
        """
        List the alignments of the account.

        :raises ApiError: if the service does not answer it.
        """
        return endpoints.LIST_ALIGNMENTS.call()

    alist_alignments = asends(list_alignments)

    @sends
    def create_alignment(
        self,
        *,
        base_model: str,
        document_ids: Sequence[str],
        name: str,
        benchmark_id: str | None = None,
        workflow_id: str | None = None,
        description: str | None = None,
    ) -> Call[CreateAlignmentResponse]:
        """
        Start an alignment, which costs money.

        In a DAG use ``CreateAlignmentOperator``: it finds its job again after a lost answer or a crash.

        :param base_model: the model to align.
        :param document_ids: the documents to align it with.
        :param name: what to call the alignment.
        :param benchmark_id: a benchmark, for an automatic evaluation after the training.
        :param workflow_id: the workflow; API revision B only.
        :param description: a description.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CREATE_ALIGNMENT.call(
            base_model=base_model,
            document_ids=document_ids,
            name=name,
            benchmark_id=benchmark_id,
            workflow_id=workflow_id,
            description=description,
        )

    acreate_alignment = asends(create_alignment)

    # Models.

    @sends
    def list_base_models(self) -> Call[list[BaseModelInfo]]:
        """
        List the base models.

        :raises ApiError: if the service does not answer it.
        """
        return endpoints.BASE_MODELS.call()

    alist_base_models = asends(list_base_models)

    @sends
    def get_model_alignment(self, model_id: str) -> Call[str | None]:
        """
        Read the id of the alignment that a model comes from; API revision C only.

        :param model_id: the model.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.MODEL_ALIGNMENT.call(model_id=model_id)

    aget_model_alignment = asends(get_model_alignment)

    @sends
    def get_deployment_status(self, model_id: str) -> Call[TaskStatus]:
        """
        Read the status of the deployment of a model.

        :param model_id: the model.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.DEPLOYMENT_STATUS.call(model_id=model_id)

    aget_deployment_status = asends(get_deployment_status)

    @sends
    def get_deployment(self, model_id: str) -> Call[TaskStatus]:
        """
        Read how a model is, from its detail where there is one (API revision C).

        :param model_id: the model.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.DEPLOYMENT_DETAIL.call(model_id=model_id)

    aget_deployment = asends(get_deployment)

    @sends
    def deploy_model(self, model_id: str, *, early: bool | None = None) -> Call[str | None]:
        """
        Deploy a model, which costs money until it is undeployed.

        Wait with ``wait_for_job("nugen.deployment", model_id)``.

        :param model_id: the model.
        :param early: deploy the newest checkpoint of a training that still runs; API revision C only.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.DEPLOY_MODEL.call(model_id=model_id, early=early)

    adeploy_model = asends(deploy_model)

    @sends
    def get_undeploy_status(self, model_id: str) -> Call[TaskStatus]:
        """
        Read the status of the undeployment of a model.

        :param model_id: the model.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.UNDEPLOYMENT_STATUS.call(model_id=model_id)

    aget_undeploy_status = asends(get_undeploy_status)

    @sends
    def undeploy_model(self, model_id: str) -> Call[str | None]:
        """
        Undeploy a model, which ends its costs.

        :param model_id: the model.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.UNDEPLOY_MODEL.call(model_id=model_id)

    aundeploy_model = asends(undeploy_model)

    @sends
    def chat(self, /, model: str, messages: Sequence[Mapping[str, Any]], **parameters: Any) -> Call[ChatCompletion]:
        """
        Ask a model.

        :param model: the id of a model that is deployed, or of a base model.
        :param messages: the conversation: dicts with ``role`` and ``content``.
        :param parameters: further fields of the request: ``max_tokens``, ``temperature``, ``top_p``, ``top_k``,
            ``tools``, ``prompt_truncate_len``.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CHAT_COMPLETION.call(model=model, messages=messages, **parameters)

    achat = asends(chat)
