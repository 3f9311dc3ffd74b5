"""What the hook for SeekrFlow does with files, data jobs and alignments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.seekr import endpoints
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.hooks.methods import Pages, asends, sends
from airflow_provider_nugen.hooks.uploads import file_to_upload

if TYPE_CHECKING:
    from airflow_provider_nugen.api.seekr.models import (
        AlignmentJob,
        AlignmentJobCreated,
        DataJob,
        DataJobCreated,
        File,
    )

_FILES = Pages(endpoints.FILES_PAGE, "id")
_DATA_JOBS = Pages(100, "id")


class SeekrDataHook(ServiceHook):
    """Reads and makes the data that models are trained with: files, data jobs, alignments."""

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
