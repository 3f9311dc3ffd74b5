"""Operators for Nugen."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import XComArg

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.api.errors import ApiError, NotFoundError, ResponseError
from airflow_provider_nugen.api.errors import NotReadyError as ApiNotReadyError
from airflow_provider_nugen.api.job import CANCELLED, SUCCEEDED, JobKind
from airflow_provider_nugen.api.nugen import endpoints, jobs, submissions
from airflow_provider_nugen.api.nugen.benchmark import FIELDS as BENCHMARK_REVISIONS
from airflow_provider_nugen.api.nugen.benchmark import read_benchmark, write_benchmark
from airflow_provider_nugen.api.nugen.documents import final_statuses, is_ready
from airflow_provider_nugen.api.nugen.uploads import existing_document_id
from airflow_provider_nugen.arguments import check_conn_id, seconds
from airflow_provider_nugen.compat import AirflowSkipException
from airflow_provider_nugen.exceptions import (
    InvalidArgumentError,
    JobCancelledError,
    JobFailedError,
    NotReadyError,
    RequestRejectedError,
    UploadError,
    final,
)
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.operators.base import ServiceOperator, id_list, invalid, one_id, text
from airflow_provider_nugen.operators.chat import AskModelOperator
from airflow_provider_nugen.operators.files import LocalOrRemote, UploadRecord, file_list, file_name, open_file
from airflow_provider_nugen.operators.model import DeployOperator, UndeployOperator
from airflow_provider_nugen.operators.start import StartOperator
from airflow_provider_nugen.operators.submit import SubmitOperator
from airflow_provider_nugen.outlets import fill_outlet_events
from airflow_provider_nugen.tasks import WaitsForJob
from airflow_provider_nugen.waiting.result import Outcome, WaitResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_nugen.api.nugen.results import EvaluationResults
    from airflow_provider_nugen.arguments import ListArg, TextArg


class NugenOperator(ServiceOperator):
    """
    Calls Nugen.

    :param nugen_conn_id: the Airflow connection.
    """

    hook_class = NugenHook

    def __init__(self, *, nugen_conn_id: str = NugenHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_conn_id(nugen_conn_id, "nugen_conn_id")
        self.nugen_conn_id = nugen_conn_id


class UploadDocumentsOperator(NugenOperator, StartOperator):
    """
    Upload text files as documents. They are used by the id of the document, and only once they are ``READY``.

    A file whose name exists at the service already is the same document: its id is reused. So running the task again
    is safe, and a changed file needs another name.

    With ``wait_for_completion`` the task waits until all documents can be used. XComs: ``return_value`` = the list of
    their final statuses in the order of the files, and ``document_ids`` = their final ids.

    Without it ``return_value`` = one dict per file: ``name``, ``task_id``, ``document_id``, ``ready``. In API revision
    B an upload returns the id of a task, and ``document_id`` is null until the document is processed; in C, and of a
    file that exists already, it is known at once, and ``task_id`` is null. ``DocumentStatusSensor`` takes the whole
    list (``document_id=upload.output``), and pushes the final ids. ``document_ids`` is pushed if all are known.

    ``uploads`` = these dicts in either case, also when the task fails half-way: a retry uploads only what is missing
    (Airflow 3.3 and later; before, the service recognises the names).

    :param files: local paths, URLs such as ``s3://conn@bucket/key``, or ``ObjectStoragePath`` objects; at most 100 MB
        each, checked before anything is sent. Each is streamed.
    :param categories: categories of the documents, as the service documents them.
    :param nugen_conn_id: the Airflow connection.
    """

    kind = jobs.DOCUMENT
    template_fields: Sequence[str] = ("files", "categories", "nugen_conn_id", "poke_interval")

    #: The service's limit for one file, in bytes.
    max_bytes = 100 * 10**6
    #: Seconds before each poll for a document that exists already, where only the list of documents tells its status.
    list_delays: Sequence[float] = (0.0, *[5.0] * 12)

    def __init__(
        self, *, files: Sequence[LocalOrRemote] | LocalOrRemote, categories: Sequence[str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.files = files
        self.categories = categories
        self._uploads: list[dict[str, Any]] | None = None

    def execute(self, context: Context) -> Any:
        """Upload the files one by one, and wait until they can be used if so told."""
        seconds(self.poke_interval, "poke_interval")  # type: ignore[arg-type]  # rendered by now
        uploads = self._uploads = self._upload_all(context)
        if not self.wait_for_completion:
            if all(upload["document_id"] for upload in uploads):
                self.push_xcoms(context, {"document_ids": [upload["document_id"] for upload in uploads]})
            return uploads
        now = time.time()
        wait = self.begin(self.kind, self.job_id(context), self.wait_settings(now), {"began": now})
        with self.session():
            result = self.poke_before_deferring(wait) if self.deferrable else self.wait_here(wait)
            if result is None:
                self.defer_to(wait)
            return self.finish(self.kind, result, context)

    def job_id(self, context: Context) -> list[dict[str, Any]]:
        """Return the documents that are waited for: those that were not ready before."""
        return [upload for upload in self._uploaded(context) if not is_ready(upload)]

    def _uploaded(self, context: Context) -> list[dict[str, Any]]:
        if self._uploads is None:
            ti = context["ti"]
            self._uploads = ti.xcom_pull(task_ids=ti.task_id, key="uploads", map_indexes=ti.map_index)
        return self._uploads or []

    def finish(self, kind: JobKind[Any], result: WaitResult, context: Context) -> Any:
        """End the task, with the final status of each document."""
        uploads = self._uploaded(context)
        if result.outcome is Outcome.SUCCEEDED:
            statuses = list(final_statuses(uploads, result.result if isinstance(result.result, list) else []))
            for upload, status in zip(uploads, statuses, strict=True):
                if not status["document_id"]:
                    raise self._error(
                        f"uploaded {upload['name']!r} (task {upload['task_id']!r}) is {status['status']!r}, but the "
                        "service names no document id. Ask its support what became of it."
                    )
            result = replace(result, result=statuses)
        elif result.outcome in (Outcome.FAILED, Outcome.CANCELLED, Outcome.REJECTED, Outcome.UNREACHABLE):
            UploadRecord(context).clear()  # a retry uploads again
            if result.outcome is Outcome.REJECTED:
                # After a move of the service one revision may not know the ids of the other, but the files' names.
                raise RequestRejectedError(
                    f"{result.message} A retry uploads the files again; the service recognises those that it has.",
                    service=kind.service.name,
                    conn_id=self.conn_id,
                )
        return WaitsForJob.finish(self, kind, result, context)

    def _error(self, message: str) -> Exception:
        return final(UploadError)(
            f"Nugen (connection {self.conn_id!r}): {message}", service="Nugen", conn_id=self.conn_id
        )

    def _upload_all(self, context: Context) -> list[dict[str, Any]]:
        record, done = UploadRecord(context), list[dict[str, Any]]()
        missing = self._open(record.uploads)
        try:
            for name, upload in missing.items():
                done.append(record.uploads[name] if upload is None else self._upload(upload))
                record.add(done[-1])
        finally:
            self.hook.close()
            if self.do_xcom_push or self.wait_for_completion:
                # A wait needs it when it is over, also with do_xcom_push=False, which is about results.
                context["ti"].xcom_push(key="uploads", value=done)
        return done

    def _open(self, uploaded: Collection[str]) -> dict[str, Upload | None]:
        """Check all files that are not uploaded yet, before the first is sent; the others need not exist any more."""
        if self.categories is not None:
            self.categories = id_list(self.categories, "categories")
        files = file_list(self.files, "files")
        names = [file_name(file, "files") for file in files]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise invalid(
                f"files: {twice} more than once. To Nugen files of the same name are the same document: rename them."
            )
        return {
            name: None if name in uploaded else open_file(file, "files", limit=self.max_bytes)
            for name, file in zip(names, files, strict=True)
        }

    def _upload(self, upload: Upload) -> dict[str, Any]:
        try:
            answers = self.hook.request(endpoints.UPLOAD_DOCUMENTS.upload([upload], categories=self.categories))
        except ApiError as e:
            existing = existing_document_id(e.payload) if isinstance(e, ResponseError) and e.status == 409 else None
            if existing is None:
                raise self.failed(e) from None
            self.log.info("%r is at the service already: document %r.", upload.name, existing)
            return {"name": upload.name, "task_id": None, "document_id": existing, "ready": self._is_ready(existing)}
        if len(answers) != 1:
            raise self._error(
                f"answered the upload of {upload.name!r} with {len(answers)} ids "
                f"({', '.join(answer.id for answer in answers)}), so it is not certain which is its document's."
            )
        (answer,) = answers
        task_id = None if answer.document_id else answer.id
        self.log.info("Uploaded %r: %s %r.", upload.name, "task" if task_id else "document", answer.id)
        return {"name": upload.name, "task_id": task_id, "document_id": answer.document_id, "ready": False}

    def _is_ready(self, document_id: str) -> bool:
        """
        Read whether a document that exists already can be used.

        It is not established that revision B's status endpoint knows ids of documents. Where it does not, the list of
        documents tells; and a document that exists, but is in neither, is taken to be ready. The list helps out, too,
        while the status endpoint is unwell.
        """
        unwell: ApiError | None = None
        try:
            return self._succeeded(self.hook.request(endpoints.DOCUMENT_STATUS.call(document_id=document_id)).status)
        except ApiError as e:
            if not (isinstance(e, NotFoundError) or e.transient):
                raise self.failed(e) from None
            unwell = e if e.transient else None
        for delay in self.list_delays:
            time.sleep(delay)
            try:
                listed = self.hook.request(endpoints.LIST_DOCUMENTS.call())
            except ApiError as e:
                if unwell is not None:
                    raise self.failed(unwell) from None
                self.log.warning("Whether document %r can be used already is not known: %s", document_id, e)
                return True
            status = next((item.status for item in listed if item.document_id == document_id), "")
            if unwell is not None and not status:
                raise self.failed(unwell)
            if not status or self._succeeded(status):
                return True
        raise NotReadyError(
            f"Nugen (connection {self.conn_id!r}): document {document_id!r} exists already, but is still {status!r} "
            f"after {sum(self.list_delays):.0f} s. Run the task again later, for example with retries.",
            service="Nugen",
            conn_id=self.conn_id,
            job_id=document_id,
            status=status,
        )

    def _succeeded(self, status: str) -> bool:
        return jobs.DOCUMENT.state(status) is SUCCEEDED


class NugenStartOperator(NugenOperator, SubmitOperator):
    """
    Starts a job at Nugen, which cannot cancel jobs.

    :param nugen_conn_id: the Airflow connection.
    """


class CreateBenchmarkOperator(NugenStartOperator):
    """
    Let the service make a benchmark from documents; wait for it with ``BenchmarkStatusSensor``.

    XComs: ``return_value`` and ``benchmark_id``.

    :param document_ids: final ids of documents that are ``READY``.
    :param num_questions: how many questions it shall have; at least 1.
    :param name: what to call the benchmark; API revision C only.
    :param nugen_conn_id: the Airflow connection.
    :raises ValueError: if ``num_questions`` is wrong; at parse time unless it is a template.
    """

    submission = submissions.BENCHMARK
    template_fields: Sequence[str] = ("document_ids", "num_questions", "name", "nugen_conn_id", "poke_interval")

    def __init__(
        self, *, document_ids: ListArg, num_questions: int | str | XComArg, name: TextArg | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.document_ids = document_ids
        self.num_questions = num_questions
        self.name = name
        if isinstance(num_questions, (int, float)):
            _whole_number(num_questions, "num_questions")

    def inputs(self) -> dict[str, Any]:
        """Return what is submitted."""
        try:
            num_questions = _whole_number(self.num_questions, "num_questions")
        except ValueError as e:
            raise invalid(str(e)) from None
        return {
            "document_ids": id_list(self.document_ids, "document_ids"),
            "num_questions": num_questions,
            "name": text(self.name, "name", optional=True),
        }


def _whole_number(value: object, argument: str) -> int:
    """Return a number of at least 1 as it comes out of arguments and templates."""
    digits = str(value).strip()
    if isinstance(value, bool) or not (digits.isascii() and digits.isdigit() and len(digits) < 10 and int(digits)):
        raise ValueError(f"{argument} is {value!r}; it must be a whole number of at least 1.")
    return int(digits)


class UploadBenchmarkOperator(NugenStartOperator):
    """
    Upload a benchmark of your own; wait for it with ``BenchmarkStatusSensor``.

    The file is a JSON array of ``{"question", "answer"}``, or in the names of API revision C ``{"instruction",
    "response"}``; a number (``question_num``, ``sample_num``) is not needed. It is checked before it is sent, and sent
    in the names of the API revision that the service speaks.

    XComs: ``return_value`` and ``benchmark_id``.

    :param file: a local path, a URL such as ``s3://conn@bucket/key``, or an ``ObjectStoragePath``.
    :param name: what to call the benchmark.
    :param document_id: the final id of the document that it asks about.
    :param description: free text.
    :param nugen_conn_id: the Airflow connection.
    """

    submission = submissions.BENCHMARK_UPLOAD
    template_fields: Sequence[str] = (
        "file",
        "name",
        "document_id",
        "description",
        "nugen_conn_id",
        "poke_interval",
    )

    def __init__(
        self,
        *,
        file: LocalOrRemote,
        name: TextArg,
        document_id: TextArg,
        description: TextArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.name = name
        self.document_id = document_id
        self.description = description

    def inputs(self) -> dict[str, Any]:
        """Return what is submitted."""
        return {
            "name": text(self.name, "name"),
            "document_id": one_id(self.document_id, "document_id"),
            "description": text(self.description, "description", optional=True),
        }

    def uploads(self) -> Sequence[Upload]:
        """Check the file; return it in the names of each API revision, of which the one that is spoken is sent."""
        upload = open_file(self.file, "file", field="file")
        with upload.open() as stream:
            content = stream.read()
        try:
            items = read_benchmark(content)
        except ValueError as e:
            raise invalid(f"file {upload.name!r} is not a benchmark: {e}.") from None
        return [
            replace(upload, open=partial(BytesIO, write_benchmark(items, revision)), revision=revision)
            for revision in BENCHMARK_REVISIONS
        ]


class CreateAlignmentOperator(NugenStartOperator):
    """
    Start the alignment of a base model with documents; wait for it with ``AlignmentStatusSensor``.

    Before it pays, the operator reads the list of base models, and fails if this one cannot be aligned; a list that
    cannot be read does not stop it.

    Without a ``name`` one alignment per try and its retries is guaranteed: the name that is generated finds the
    alignment again after a crash. With a name of your own it is guaranteed on Airflow 3.3 and later, except that the
    task fails and lists the candidates when a crash came between sending and the answer.

    ``base_model``, ``name``, ``benchmark_id``, ``description`` and ``workflow_id`` may be lists, and ``document_ids`` a
    list of lists: then one task starts, and waits for, one alignment per item, each as above; what is not a list is the
    same for all. The task ends with the first that cannot be started, or when all are over; it fails if one of them
    failed, and a retry starts only those anew. The XComs are lists: ``alignment_ids``, ``model_ids``.

    XComs: ``return_value`` and ``alignment_id``; with ``wait_for_completion`` those of the sensor.

    :param base_model: the model to align.
    :param document_ids: documents that are ``READY``.
    :param name: what to call the alignment; default: a name made of DAG, task and run.
    :param benchmark_id: a benchmark to evaluate the model with after its training.
    :param description: free text.
    :param workflow_id: a workflow of the service; API revision B only.
    :param wait_for: what ``wait_for_completion`` waits for: ``"alignment"`` or ``"evaluation"``.
    :param nugen_conn_id: the Airflow connection.
    """

    submission = submissions.ALIGNMENT
    #: Revision C's list of base models takes a limit, whose default is not known. A shorter list is taken to be whole:
    #: no list of the service is known to be cut at fewer items.
    whole_list = 10
    item_arguments = ("name", "base_model", "document_ids", "benchmark_id", "description", "workflow_id")
    list_values = ("document_ids",)
    template_fields: Sequence[str] = (
        "name",
        "base_model",
        "document_ids",
        "benchmark_id",
        "description",
        "workflow_id",
        "nugen_conn_id",
        "poke_interval",
    )

    def __init__(
        self,
        *,
        base_model: ListArg,
        document_ids: ListArg | Sequence[Sequence[str]],
        name: ListArg | None = None,
        benchmark_id: ListArg | None = None,
        description: ListArg | None = None,
        workflow_id: ListArg | None = None,
        wait_for: Literal["alignment", "evaluation"] = "alignment",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.base_model = base_model
        self.document_ids = document_ids
        self.name = name
        self.benchmark_id = benchmark_id
        self.description = description
        self.workflow_id = workflow_id
        self.wait_for = wait_for
        self.kind = jobs.alignment_kind(wait_for)
        if problem := self._missing_benchmark():
            raise ValueError(problem)

    def _missing_benchmark(self) -> str:
        if self.wait_for_completion and self.wait_for == "evaluation" and not self.benchmark_id:
            return "wait_for='evaluation' needs benchmark_id: an alignment without a benchmark is never evaluated."
        return ""

    def inputs(self) -> dict[str, Any]:
        """Return what is submitted."""
        if problem := self._missing_benchmark():
            raise invalid(problem)
        return {
            "name": text(self.name, "name", optional=True, number=True),
            "base_model": text(self.base_model, "base_model"),
            "document_ids": id_list(self.document_ids, "document_ids"),
            "benchmark_id": one_id(self.benchmark_id, "benchmark_id", optional=True),
            "description": text(self.description, "description", optional=True, number=True),
            "workflow_id": one_id(self.workflow_id, "workflow_id", optional=True),
        }

    def check_before_paying(self) -> None:
        """Check that the base model can be aligned: one that cannot fails minutes later, and is paid for."""
        try:
            models = self.hook.send(endpoints.BASE_MODELS.call())
        except ApiError as e:
            self.log.info("Whether the base model can be aligned is not known: %s", e)
            return
        wanted = text(self.base_model, "base_model")
        own = [model for model in models if wanted in (model.model_id, model.model_name)]
        ready = [model.model_id for model in models if model.alignment_ready]
        if own and not any(model.alignment_ready is False for model in own):
            return
        can_align = f"Nugen can align: {', '.join(map(repr, ready))}." if ready else "Nugen lists none that can be."
        # A list that does not say what can be aligned, or may have been cut, proves nothing about one not in it.
        if own or (ready and len(models) < self.whole_list):
            raise invalid(f"base_model {wanted!r} cannot be aligned (connection {self.conn_id!r}). {can_align}")
        if ready:
            self.log.warning(
                "base_model %r is not among the %d models that are listed, which need not be all. %s",
                wanted,
                len(models),
                can_align,
            )


class DeployModelOperator(NugenOperator, DeployOperator):
    """
    Deploy an aligned model, which costs money until it is undeployed; wait for it with ``DeployStatusSensor``.

    A model is deployed or not: a retry continues with what runs, whoever has started it, else deploys the model. While
    the service tears the model down after its automatic evaluation, it refuses: then the operator waits for up to ten
    minutes, in the triggerer if ``deferrable``.

    XComs: ``return_value`` and ``model_id``.

    :param model_id: the model, as ``AlignmentStatusSensor`` returned it.
    :param early: deploy the newest checkpoint of a training that still runs; API revision C only. While there is none
        the task fails, and a retry can succeed.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("model_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, model_id: TextArg, early: bool = False, **kwargs: Any) -> None:
        super().__init__(model_id=model_id, early=early, **kwargs)


class CreateEvaluationOperator(NugenStartOperator):
    """
    Start the evaluation of a model; wait for it with ``EvaluationStatusSensor``.

    Evaluations have no names that the list shows. On Airflow 3.3 and later one per try and its retries is found again
    by model, benchmark and time; before, and when several fit, the task fails and lists them. The list does not say
    what an evaluation compares, so a comparison is not adopted either. An evaluation of the same model and benchmark
    that somebody else started in the same two minutes can be taken for the task's own.

    ``model_id``, ``benchmark_id``, ``model_id_2`` and ``name`` may be lists: then one task starts, and waits for, one
    evaluation per item, each as above; what is not a list is the same for all. The task ends with the first that cannot
    be started, or when all are over; it fails if one of them failed, and a retry starts only those anew (Airflow 3.3
    and later). The XComs are the lists ``evaluation_ids`` and ``model_ids``.

    XComs: ``return_value``, ``evaluation_id`` and ``model_id``.

    :param model_id: the model.
    :param benchmark_id: the benchmark to evaluate it with.
    :param model_id_2: another model to compare it with, e.g. its base model.
    :param custom_metrics: metrics of your own, as the service documents them.
    :param name: what to call the evaluation; API revision C only.
    :param nugen_conn_id: the Airflow connection.
    """

    submission = submissions.EVALUATION
    item_arguments = ("model_id", "benchmark_id", "model_id_2", "name")
    template_fields: Sequence[str] = (
        "model_id",
        "benchmark_id",
        "model_id_2",
        "custom_metrics",
        "name",
        "nugen_conn_id",
        "poke_interval",
    )

    def __init__(
        self,
        *,
        model_id: ListArg,
        benchmark_id: ListArg,
        model_id_2: ListArg | None = None,
        custom_metrics: Mapping[str, Any] | Sequence[Any] | XComArg | None = None,
        name: ListArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id
        self.benchmark_id = benchmark_id
        self.model_id_2 = model_id_2
        self.custom_metrics = custom_metrics
        self.name = name

    def inputs(self) -> dict[str, Any]:
        """Return what is submitted."""
        metrics = self.custom_metrics
        if metrics is not None and (not isinstance(metrics, (Mapping, Sequence)) or isinstance(metrics, (str, bytes))):
            raise invalid(
                f"custom_metrics is {metrics!r}; it must be an object or a list. If it comes from a template, set "
                "render_template_as_native_obj=True on the DAG."
            )
        if metrics is not None and not metrics:
            raise invalid(f"custom_metrics is {metrics!r}: pass at least one metric, or None.")
        return {
            "model_id": one_id(self.model_id, "model_id"),
            "benchmark_id": one_id(self.benchmark_id, "benchmark_id"),
            "model_id_2": one_id(self.model_id_2, "model_id_2", optional=True),
            "custom_metrics": metrics,
            "name": text(self.name, "name", optional=True, number=True),
        }

    def extra_xcoms(self) -> dict[str, Any]:
        """Return the model, too; for several evaluations the list of their models."""
        if self.is_many:
            return {"model_ids": [one_id(one.model_id, "model_id") for one in self.items()]}
        return {"model_id": one_id(self.model_id, "model_id")}


class EvaluationResultsOperator(NugenOperator):
    """
    Reads the results of an evaluation; the base of what uses them.

    :param evaluation_id: the evaluation. While it is not finished the task fails, and a retry can succeed; a failed
        evaluation has no results, so there a retry is not made.
    :param nugen_conn_id: the Airflow connection.
    """

    def __init__(self, *, evaluation_id: TextArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.evaluation_id = evaluation_id

    def results(self) -> EvaluationResults:
        """
        Read the results.

        :raises JobFailedError: if the evaluation failed or was stopped; final.
        :raises AirflowException: if they cannot be read; final if a retry cannot help.
        """
        evaluation_id = one_id(self.evaluation_id, "evaluation_id")
        with self.session():
            try:
                return self.hook.request(endpoints.EVALUATION_RESULTS.call(evaluation_id=evaluation_id))
            except ApiError as e:
                if isinstance(e, ApiNotReadyError):
                    self._raise_if_failed(evaluation_id)
                raise self.failed(e) from None

    def _raise_if_failed(self, evaluation_id: str) -> None:
        """Tell an evaluation that has no results yet from one that will never have any."""
        try:
            job_status = jobs.EVALUATION.read_status(self.hook.read_status(jobs.EVALUATION, evaluation_id))
        except ApiError:
            return  # what the results said is what counts
        if job_status.is_terminal_failure:
            cls = JobCancelledError if job_status.state is CANCELLED else JobFailedError
            raise final(cls)(
                f"Nugen (connection {self.conn_id!r}): {jobs.EVALUATION.subject(evaluation_id)} has no results, "
                f"since it is {job_status.status!r}: {job_status.reason or 'the service gives no reason'}. Evaluate "
                "the model again.",
                service="Nugen",
                conn_id=self.conn_id,
                job_id=evaluation_id,
                status=job_status.status,
            )


class GetEvaluationResultsOperator(EvaluationResultsOperator):
    """
    Fetch what a finished evaluation measured.

    XComs: ``return_value`` (the results; ``metrics`` of a single evaluation, ``eval_model``, ``base_model`` and
    ``comparison`` of a comparison, where the ``model_id`` inside a slot tells whose metrics it holds),
    ``evaluation_id`` and ``model_id``.

    :param evaluation_id: the evaluation. While it is not finished the task fails, and a retry can succeed.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("evaluation_id", "nugen_conn_id")

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch the results."""
        results = self.results()
        ids = self.push_xcoms(context, {"evaluation_id": self.evaluation_id, "model_id": results.model_id})
        fill_outlet_events(self, context, lambda: [{**ids, "metrics": dict(results.compared()[0].metrics)}])
        return results.model_dump(mode="json")


class UndeployModelOperator(NugenOperator, UndeployOperator):
    """
    Undeploy a model, which ends its costs; wait for it with ``UndeployStatusSensor``.

    A model that is undeployed already is a success. So it is safe to run the task again. While the model is being
    deployed, the operator waits for up to ten minutes, in the triggerer if ``deferrable``.

    XComs: ``return_value`` and ``model_id``.

    :param model_id: the model.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("model_id", "nugen_conn_id", "poke_interval")

    def __init__(self, *, model_id: TextArg, **kwargs: Any) -> None:
        super().__init__(model_id=model_id, **kwargs)


class ChatCompletionOperator(NugenOperator, AskModelOperator):
    """
    Ask a model at Nugen, and check what it answers; see
    :class:`~airflow_provider_nugen.operators.chat.AskModelOperator` for the questions, the checks and the XComs.

    :param model_id: an aligned model that is deployed, or a base model.
    :param nugen_conn_id: the Airflow connection.
    """

    chat = endpoints.CHAT_COMPLETION
    template_fields: Sequence[str] = (
        "model_id",
        *AskModelOperator.template_fields,
        "nugen_conn_id",
    )

    def __init__(self, *, model_id: TextArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id

    def asked_model(self) -> str:
        """Return the model, as the request names it."""
        return one_id(self.model_id, "model_id")


class EvaluationGateOperator(EvaluationResultsOperator):
    """
    Continue only if an evaluation meets conditions; else skip this task and, by their trigger rule, those after it.

    The log shows a table of metrics, values, conditions and verdicts, and names the models. In a comparison the
    evaluated model is told from the baseline by their ids; if these contradict each other, and if a metric is missing,
    the task fails: it never passes.

    XComs: ``return_value`` = ``{"passed": ..., "model_id": ..., "baseline_model_id": ..., "verdicts": [...]}``, and
    ``report``, the table in Markdown for an approval, a mail or a page; both also when the gate is closed.

    :param evaluation_id: the evaluation. While it is not finished the task fails, and a retry can succeed.
    :param conditions: all of them must hold: ``"answer_relevance_mean >= 0.8"``, or for a comparison
        ``"answer_relevance_mean >= baseline + 0.02"``. A metric whose name has blanks is put in double quotes:
        ``'"my metric" >= 0.8'``.
    :param nugen_conn_id: the Airflow connection.
    :raises ValueError: if a condition cannot be read, or there is none; at parse time unless it is a template.
    """

    template_fields: Sequence[str] = ("evaluation_id", "conditions", "nugen_conn_id")

    def __init__(self, *, evaluation_id: TextArg, conditions: ListArg, **kwargs: Any) -> None:
        super().__init__(evaluation_id=evaluation_id, **kwargs)
        self.conditions = conditions
        # A typo must not come out only after hours of training. What a template or an XCom brings is not known yet.
        texts = [conditions] if isinstance(conditions, str) else conditions
        if isinstance(texts, (list, tuple)):
            known = [text for text in texts if not _is_rendered_later(text)]
            if known or not texts:
                from airflow_provider_nugen.gating import Condition

                Condition.parse_all(known)

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch the results and judge them."""
        from airflow_provider_nugen.gating import Condition, judge, markdown, table, versus

        try:
            conditions = Condition.parse_all(self.conditions)
            model, baseline = self.results().compared()
            verdicts = judge(conditions, model, baseline)
        except ValueError as e:
            raise final(InvalidArgumentError)(
                f"The gate for evaluation {self.evaluation_id!r} (connection {self.conn_id!r}) cannot decide: {e}.",
                service="Nugen",
                conn_id=self.conn_id,
                job_id=str(self.evaluation_id),
            ) from None
        passed = all(verdict.met for verdict in verdicts)
        self.log.info("Evaluation %r: %s", self.evaluation_id, table(verdicts, model, baseline))
        result = {
            "passed": passed,
            "model_id": model.model_id,
            "baseline_model_id": baseline.model_id if baseline else None,
            "verdicts": [
                {"condition": v.condition.text, "value": v.value, "threshold": v.threshold, "met": v.met}
                for v in verdicts
            ],
        }
        self.push_xcoms(context, {"report": markdown(verdicts, model, baseline)})
        if passed:
            ids = {"evaluation_id": self.evaluation_id, "model_id": model.model_id}
            fill_outlet_events(self, context, lambda: [{**ids, "metrics": dict(model.metrics)}])
            return result
        self.push_xcoms(context, {"return_value": result})
        failed = ", ".join(verdict.condition.text for verdict in verdicts if not verdict.met)
        raise AirflowSkipException(
            f"Evaluation {self.evaluation_id!r} of {versus(model, baseline)} does not meet: {failed}."
        )


def _is_rendered_later(value: object) -> bool:
    """Return whether a template or another task brings the value when the task runs."""
    return isinstance(value, XComArg) or (isinstance(value, str) and ("{{" in value or "{%" in value))
