"""The hook for SeekrFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.seekr import endpoints
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.compat import with_form
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.hooks.methods import Pages, asends, sends
from airflow_provider_nugen.hooks.uploads import file_to_upload

_FILES = Pages(endpoints.FILES_PAGE, "id")
_DATA_JOBS = Pages(100, "id")
_DEPLOYMENTS = Pages(1000, "id")

if TYPE_CHECKING:
    from airflow_provider_nugen.api.completion import ChatCompletion
    from airflow_provider_nugen.api.seekr.models import (
        AlignmentJob,
        AlignmentJobCreated,
        CreateDeploymentResponse,
        CreateFineTuneResponse,
        DataJob,
        DataJobCreated,
        Deployment,
        File,
        FineTune,
    )


@with_form
class SeekrHook(ServiceHook):
    """
    Talks to SeekrFlow.

    The connection: Host = base URL (empty: the service's), Password = API key, sent bare in ``Authorization``;
    extras ``team_id`` (sent as ``x-team-id``; without it calls work on the personal workspace of the key's owner),
    ``timeout`` (seconds, default 30), ``verify`` (bool or path of a CA bundle), ``proxy``, ``allow_http``,
    ``max_requests_per_second``.

    :param seekr_conn_id: the Airflow connection.
    """

    service = SEEKR
    default_conn_name = "seekr_default"

    def __init__(self, seekr_conn_id: str = default_conn_name) -> None:
        super().__init__(seekr_conn_id)

    # Files.

    @sends
    def get_file(self, file_id: str) -> Call[File]:
        """
        Read what the service knows of a file.

        :param file_id: the file.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.FILE.call(file_id=file_id)

    aget_file = asends(get_file)

    @_FILES.sends
    def iter_files(
        self,
        limit: int,
        offset: int,
        *,
        purpose: str | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
    ) -> Call[list[File]]:
        """
        Iterate over the files.

        :param purpose: only those with this purpose.
        :param sort_by: ``created_at``, ``filename``, ``type`` or ``bytes``.
        :param sort_order: ``asc`` or ``desc``.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.LIST_FILES.call(
            limit=limit, offset=offset, purpose=purpose, sort_by=sort_by, sort_order=sort_order
        )

    aiter_files = _FILES.asends(iter_files)

    @sends
    def upload_file(self, file: str | Path, purpose: str, *, vector_database_id: str | None = None) -> Call[list[File]]:
        """
        Upload a file; return it in a list.

        The service takes the same file twice without a word. In a DAG use ``SeekrUploadFilesOperator``: it finds its
        files again after a lost answer or a crash.

        :param file: the path of a file.
        :param purpose: what it is for: ``alignment``, ``fine-tune``, ``preference-fine-tune``,
            ``reinforcement-fine-tune`` or ``pre-train``.
        :param vector_database_id: a vector database to put it into.
        :raises ApiError: if the service does not answer it.
        """
        uploads = [file_to_upload(file)]
        return endpoints.UPLOAD_FILE.upload(uploads, purpose=purpose, vector_database_id=vector_database_id)

    aupload_file = asends(upload_file)

    @sends
    def upload_files(self, files: Sequence[str | Path], purpose: str) -> Call[list[File]]:
        """
        Upload several files in one request.

        :param files: paths of files.
        :param purpose: what they are for, as of ``upload_file``.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.UPLOAD_FILES.upload([file_to_upload(file) for file in files], purpose=purpose)

    aupload_files = asends(upload_files)

    @sends
    def delete_file(self, file_id: str) -> Call[object]:
        """
        Delete a file.

        :param file_id: the file.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.DELETE_FILE.call(file_id=file_id)

    adelete_file = asends(delete_file)

    # Data jobs and alignments.

    @sends
    def get_data_job(self, data_job_id: str) -> Call[DataJob]:
        """
        Read a data job.

        :param data_job_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.DATA_JOB_STATUS.call(data_job_id=data_job_id)

    aget_data_job = asends(get_data_job)

    @_DATA_JOBS.sends
    def iter_data_jobs(self, limit: int, offset: int, *, job_type: str | None = None) -> Call[list[DataJobCreated]]:
        """
        Iterate over the data jobs; the list shows neither their files nor their progress.

        :param job_type: only those of this type.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.LIST_DATA_JOBS.call(limit=limit, offset=offset, job_type=job_type)

    aiter_data_jobs = _DATA_JOBS.asends(iter_data_jobs)

    @sends
    def create_data_job(
        self,
        *,
        name: str,
        job_type: str,
        system_prompt: str | None = None,
        instructions: str | None = None,
        vector_database_id: str | None = None,
    ) -> Call[DataJobCreated]:
        """
        Create a data job: add files to it, then start it.

        In a DAG use ``SeekrCreateDataJobOperator``: it finds its job again after a lost answer or a crash.

        :param name: what to call the job.
        :param job_type: ``principle_files``, ``context_grounded_files`` or ``context_grounded_vector_db``.
        :param system_prompt: the system prompt of the data.
        :param instructions: what the data shall teach.
        :param vector_database_id: the vector database to take context from.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CREATE_DATA_JOB.call(
            name=name,
            job_type=job_type,
            system_prompt=system_prompt,
            instructions=instructions,
            vector_database_id=vector_database_id,
        )

    acreate_data_job = asends(create_data_job)

    @sends
    def add_files(self, data_job_id: str, file_ids: Sequence[str], *, method: str | None = None) -> Call[object]:
        """
        Add files to a data job.

        :param data_job_id: the id that creating the job returned.
        :param file_ids: uploaded files.
        :param method: how files that are not ready for alignment are ingested.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.ADD_FILES.call(data_job_id=data_job_id, file_ids=file_ids, method=method)

    aadd_files = asends(add_files)

    @sends
    def start_data_job(self, data_job_id: str) -> Call[object]:
        """
        Start a data job whose files are processed, which costs money.

        :param data_job_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.START_DATA_JOB.call(data_job_id=data_job_id)

    astart_data_job = asends(start_data_job)

    @sends
    def cancel_data_job(self, data_job_id: str) -> Call[object]:
        """
        Cancel a data job.

        :param data_job_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CANCEL_DATA_JOB.call(data_job_id=data_job_id)

    acancel_data_job = asends(cancel_data_job)

    @sends
    def get_alignment(self, alignment_job_id: str) -> Call[AlignmentJob]:
        """
        Read an alignment job.

        :param alignment_job_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.ALIGNMENT_JOB.call(alignment_job_id=alignment_job_id)

    aget_alignment = asends(get_alignment)

    @sends
    def get_alignment_outputs(self, alignment_job_id: str) -> Call[list[dict[str, Any]]]:
        """
        List the files that an alignment job has made.

        :param alignment_job_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.ALIGNMENT_OUTPUTS.call(alignment_job_id=alignment_job_id)

    aget_alignment_outputs = asends(get_alignment_outputs)

    @sends
    def list_alignments(self) -> Call[list[AlignmentJobCreated]]:
        """
        List the alignment jobs.

        :raises ApiError: if the service does not answer it.
        """
        return endpoints.LIST_ALIGNMENTS.call()

    alist_alignments = asends(list_alignments)

    @sends
    def create_alignment(
        self,
        *,
        instructions: str,
        files: Sequence[str],
        system_prompt: str | None = None,
        type: str | None = None,
        vector_database_id: str | None = None,
    ) -> Call[AlignmentJobCreated]:
        """
        Start an alignment job, which costs money; the service marks this as deprecated in favour of data jobs.

        In a DAG use ``SeekrCreateAlignmentOperator``: it knows its job after a crash.

        :param instructions: what the aligned data shall teach.
        :param files: ids of uploaded files.
        :param system_prompt: the system prompt of the data.
        :param type: ``principle`` (the service's default) or ``context_data``.
        :param vector_database_id: a vector database to take context from.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CREATE_ALIGNMENT.call(
            instructions=instructions,
            files=files,
            system_prompt=system_prompt,
            type=type,
            vector_database_id=vector_database_id,
        )

    acreate_alignment = asends(create_alignment)

    @sends
    def cancel_alignment(self, alignment_job_id: str) -> Call[AlignmentJob]:
        """
        Cancel an alignment job.

        :param alignment_job_id: the id that creating the job returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CANCEL_ALIGNMENT.call(alignment_job_id=alignment_job_id)

    acancel_alignment = asends(cancel_alignment)

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

    @sends
    def get_health(self) -> Call[object]:
        """
        Read the version of the service, and how long jobs queue.

        :raises ApiError: if the service does not answer it.
        """
        return endpoints.HEALTH.call()

    aget_health = asends(get_health)

    # The Test button.

    def _test_calls(self) -> Sequence[Call[Any]]:
        return (endpoints.LIST_ALIGNMENTS.call(),)
