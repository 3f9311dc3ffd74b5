"""What the hook for SeekrFlow does with fine-tunes, deployments and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.seekr import endpoints
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.hooks.methods import Pages, asends, sends

if TYPE_CHECKING:
    from airflow_provider_nugen.api.completion import ChatCompletion
    from airflow_provider_nugen.api.seekr.models import (
        CreateDeploymentResponse,
        CreateFineTuneResponse,
        Deployment,
        FineTune,
    )

_DEPLOYMENTS = Pages(1000, "id")


class SeekrModelHook(ServiceHook):
    """Trains, deploys and asks models: fine-tunes, deployments, chat."""

    # Fine-tunes.

    @sends
    def get_fine_tune(self, fine_tune_id: str) -> Call[FineTune]:
        """
        Read a fine-tune.

        :param fine_tune_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.FINE_TUNE.call(fine_tune_id=fine_tune_id)

    aget_fine_tune = asends(get_fine_tune)

    @sends
    def get_fine_tune_events(self, fine_tune_id: str) -> Call[list[Any]]:
        """
        List the events of a fine-tune, which say how the training goes.

        :param fine_tune_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.FINE_TUNE_EVENTS.call(fine_tune_id=fine_tune_id)

    aget_fine_tune_events = asends(get_fine_tune_events)

    @sends
    def list_fine_tunes(self, *, project_id: int | None = None) -> Call[list[CreateFineTuneResponse]]:
        """
        List the fine-tunes.

        :param project_id: only those of this project.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.LIST_FINE_TUNES.call(project_id=project_id)

    alist_fine_tunes = asends(list_fine_tunes)

    @sends
    def create_fine_tune(
        self,
        /,
        *,
        project_id: int,
        model: str,
        training_files: Sequence[str],
        n_epochs: int,
        accel_type: str,
        n_accel: int,
        **config: Any,
    ) -> Call[CreateFineTuneResponse]:
        """
        Start a fine-tune, which costs money.

        In a DAG use ``SeekrCreateFineTuneOperator``: it finds its job again after a lost answer or a crash.

        :param project_id: the project.
        :param model: the base model.
        :param training_files: ids of uploaded files with a purpose of training.
        :param n_epochs: how many epochs to train.
        :param accel_type: the accelerator, such as ``GAUDI2`` or ``A100``.
        :param n_accel: how many accelerators.
        :param config: further fields, by the names of the arguments of ``SeekrCreateFineTuneOperator``.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CREATE_FINE_TUNE.call(
            project_id=project_id,
            model=model,
            training_files=training_files,
            n_epochs=n_epochs,
            accel_type=accel_type,
            n_accel=n_accel,
            **config,
        )

    acreate_fine_tune = asends(create_fine_tune)

    @sends
    def cancel_fine_tune(self, fine_tune_id: str) -> Call[FineTune]:
        """
        Cancel a fine-tune; its compute can stop a little later.

        :param fine_tune_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CANCEL_FINE_TUNE.call(fine_tune_id=fine_tune_id)

    acancel_fine_tune = asends(cancel_fine_tune)

    @sends
    def delete_fine_tune(self, fine_tune_id: str) -> Call[object]:
        """
        Delete a fine-tune.

        :param fine_tune_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.DELETE_FINE_TUNE.call(fine_tune_id=fine_tune_id)

    adelete_fine_tune = asends(delete_fine_tune)

    # Deployments.

    @sends
    def get_deployment(self, deployment_id: str) -> Call[Deployment]:
        """
        Read a deployment.

        :param deployment_id: the deployment.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.DEPLOYMENT.call(deployment_id=deployment_id)

    aget_deployment = asends(get_deployment)

    @_DEPLOYMENTS.sends
    def iter_deployments(
        self, limit: int, offset: int, *, deployment_status: str | None = None, fine_tune_id: str | None = None
    ) -> Call[list[CreateDeploymentResponse]]:
        """
        Iterate over the deployments.

        :param deployment_status: only those with this status word.
        :param fine_tune_id: only those of this fine-tune.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.LIST_DEPLOYMENTS.call(
            limit=limit, offset=offset, deployment_status=deployment_status, fine_tune_id=fine_tune_id
        )

    aiter_deployments = _DEPLOYMENTS.asends(iter_deployments)

    @sends
    def create_deployment(
        self,
        *,
        model_id: str,
        name: str,
        description: str = "Deployed by Airflow.",
        model_type: str = "Fine-tuned Run",
        n_instances: int = 1,
    ) -> Call[CreateDeploymentResponse]:
        """
        Deploy a model, which costs money until it is demoted.

        In a DAG use ``SeekrCreateDeploymentOperator``, or ``deployed_model``, which demotes it whatever happens.

        :param model_id: the id of a fine-tune that is completed, or of a base model.
        :param name: what to call the deployment, 5 to 100 characters.
        :param description: a description, 5 to 1000 characters.
        :param model_type: ``Fine-tuned Run`` or ``Base Model``.
        :param n_instances: how many instances, 1 to 50.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CREATE_DEPLOYMENT.call(
            model_id=model_id, name=name, description=description, model_type=model_type, n_instances=n_instances
        )

    acreate_deployment = asends(create_deployment)

    @sends
    def promote_deployment(self, deployment_id: str) -> Call[Deployment]:
        """
        Start a deployment that is inactive, which costs money until it is demoted.

        :param deployment_id: the deployment.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.PROMOTE_DEPLOYMENT.call(deployment_id=deployment_id)

    apromote_deployment = asends(promote_deployment)

    @sends
    def demote_deployment(self, deployment_id: str) -> Call[Deployment]:
        """
        Demote a deployment, which ends its costs.

        :param deployment_id: the deployment.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.DEMOTE_DEPLOYMENT.call(deployment_id=deployment_id)

    ademote_deployment = asends(demote_deployment)

    @sends
    def chat(self, /, model: str, messages: Sequence[Mapping[str, Any]], **parameters: Any) -> Call[ChatCompletion]:
        """
        Ask a model.

        :param model: the id of a deployment, or of a base model.
        :param messages: the conversation: dicts with ``role`` and ``content``.
        :param parameters: further fields of the request: ``max_tokens``, ``temperature``, ``top_p``, ``top_k``,
            ``tools``, ``stop``, ``response_format`` and the like.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CHAT_COMPLETION.call(model=model, messages=messages, **parameters)

    achat = asends(chat)
