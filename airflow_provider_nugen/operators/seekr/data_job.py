"""Data jobs of SeekrFlow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.errors import ApiError, NotFoundError
from airflow_provider_nugen.api.seekr import endpoints, jobs, submissions
from airflow_provider_nugen.api.submission import GuardedCall
from airflow_provider_nugen.exceptions import ServiceUnreachableError
from airflow_provider_nugen.operators.base import id_list, invalid, one_id, text
from airflow_provider_nugen.operators.seekr.base import SeekrStartOperator
from airflow_provider_nugen.waiting.result import Outcome, WaitResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_nugen.api.seekr import models
    from airflow_provider_nugen.arguments import ListArg, TextArg

#: Characters of a data job's name at the most.
MAX_NAME = 255


class SeekrCreateDataJobOperator(SeekrStartOperator):
    """
    Create a data job, add files to it, wait until they are processed, and start it; then wait for it with
    ``SeekrDataJobSensor``.

    The wait for the files is a wait like any other: in the triggerer if ``deferrable``. ``timeout`` and
    ``execution_timeout`` count for it and for the wait for the job, each. Files that need a review fail the task with a
    message that a person must act; a retry continues with the same data job.

    Without a ``name`` one data job per attempt is guaranteed: the name that is generated finds it again after a crash,
    and what was done already is not done again. With a name of your own it is guaranteed on Airflow 3.3 and later,
    except that the task fails and lists the candidates when a crash came between sending and the answer.

    XComs: ``return_value`` and ``data_job_id``; with ``wait_for_completion`` those of the sensor.

    :param job_type: ``"principle_files"``, ``"context_grounded_files"`` or ``"context_grounded_vector_db"``.
    :param file_ids: ids of uploaded files; none for a job over a vector database.
    :param name: what to call the job; default: a name made of DAG, task and run.
    :param system_prompt: the system prompt of the data.
    :param instructions: what the data shall teach.
    :param vector_database_id: the vector database to take context from.
    :param method: how files that are not ready for alignment are ingested.
    :param seekr_conn_id: the Airflow connection.
    """

    submission = submissions.DATA_JOB
    template_fields: Sequence[str] = (
        "job_type",
        "file_ids",
        "name",
        "system_prompt",
        "instructions",
        "vector_database_id",
        "method",
        "seekr_conn_id",
        "poke_interval",
    )

    def __init__(
        self,
        *,
        job_type: TextArg,
        file_ids: ListArg = (),
        name: TextArg | None = None,
        system_prompt: TextArg | None = None,
        instructions: TextArg | None = None,
        vector_database_id: TextArg | None = None,
        method: TextArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_type = job_type
        self.file_ids = file_ids
        self.name = name
        self.system_prompt = system_prompt
        self.instructions = instructions
        self.vector_database_id = vector_database_id
        self.method = method

    def inputs(self) -> dict[str, Any]:
        """Return what is submitted."""
        # Wrong ones would be known only when there is a job to add them to.
        id_list(self.file_ids, "file_ids", optional=True)
        text(self.method, "method", optional=True)
        name = text(self.name, "name", optional=True, number=True)
        if name is not None and len(name) > MAX_NAME:
            raise invalid(f"name has {len(name)} characters, more than the {MAX_NAME} that SeekrFlow takes.")
        return {
            "name": name,
            "job_type": text(self.job_type, "job_type"),
            "system_prompt": text(self.system_prompt, "system_prompt", optional=True, number=True),
            "instructions": text(self.instructions, "instructions", optional=True, number=True),
            "vector_database_id": one_id(self.vector_database_id, "vector_database_id", optional=True),
        }

    def execute(self, context: Context) -> Any:
        """Create the job or adopt it, add its files, and continue when they are processed."""
        job_id = self.start(context)
        self.push_xcoms(context, {"data_job_id": job_id})
        self._add_files(job_id)
        self.wait(context, job_id, jobs.DATA_JOB_FILES, method_name="files_ready")
        return self._run(context, job_id)

    def files_ready(self, context: Context, event: dict[str, Any]) -> Any:
        """Continue when the trigger found the files processed."""
        self.finish(jobs.DATA_JOB_FILES, WaitResult.from_event(event), context)
        return self._run(context, str(self.job_id(context)))

    def on_trigger_failure(self, error: Exception, context: Context) -> Any:
        """Continue when the trigger was lost or too late; Airflow does not say which of the two waits it was."""
        kind = jobs.DATA_JOB_FILES
        result = self.final_poll(kind, error, context)
        if result.outcome is Outcome.SUCCEEDED:
            job_id = str(self.job_id(context))
            if self._is_ready(job_id) or not self.wait_for_completion:
                return self._run(context, job_id)
            kind = jobs.DATA_JOB
            result = self.final_poll(kind, error, context)
        return self.finish(kind, result, context)

    def _add_files(self, job_id: str) -> None:
        """Add the files that an earlier try did not add."""
        wanted = id_list(self.file_ids, "file_ids", optional=True)
        if not wanted:
            return
        there = {file.file_id for file in self._read_new(job_id).files or ()}
        if missing := [file_id for file_id in wanted if file_id not in there]:
            self.send(endpoints.ADD_FILES.call(data_job_id=job_id, file_ids=missing, method=self.method))

    def _run(self, context: Context, job_id: str) -> Any:
        """Start the job unless that was done already, and wait for it if so told."""
        if self._is_ready(job_id):
            try:
                with self.session() as hook:
                    start = endpoints.START_DATA_JOB.call(data_job_id=job_id)
                    hook.request(GuardedCall.of(start, self.check_not_killed))
            except ApiError as e:
                # Its status tells whether the service acted on what it did not answer.
                if not e.maybe_processed or self._is_ready(job_id):
                    raise self.failed(e) from None
            self.log.info("Started %s.", self.kind.subject(job_id))
        return self.wait(context, job_id) if self.wait_for_completion else {"data_job_id": job_id}

    def _is_ready(self, job_id: str) -> bool:
        return self._read(job_id).status.upper() == "READY_TO_START"

    def _read_new(self, job_id: str) -> models.DataJob:
        """Read a job that may just have been created: its id is not visible everywhere at once."""
        for pause in self.lookup_delays:
            time.sleep(pause)
            try:
                with self.session() as hook:
                    return hook.request(endpoints.DATA_JOB_STATUS.call(data_job_id=job_id))
            except NotFoundError as e:
                unseen = str(e)
            except ApiError as e:
                raise self.failed(e) from None
        raise ServiceUnreachableError(
            f"{unseen} This task created it; a retry will reuse it.",
            service=self.kind.service.name,
            conn_id=self.conn_id,
            job_id=job_id,
        )

    def _read(self, job_id: str) -> models.DataJob:
        return self.send(endpoints.DATA_JOB_STATUS.call(data_job_id=job_id))
