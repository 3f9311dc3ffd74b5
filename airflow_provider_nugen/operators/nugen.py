"""Operators for Nugen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow.sdk import ObjectStoragePath

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.api.errors import ApiError, ResponseError
from airflow_provider_nugen.api.nugen import endpoints, jobs, submissions
from airflow_provider_nugen.api.nugen.models import existing_document_id
from airflow_provider_nugen.compat import AirflowFailException, AirflowSkipException
from airflow_provider_nugen.gating import Condition, judge, table
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.operators.base import ServiceOperator, id_list, invalid, text
from airflow_provider_nugen.operators.chat import AskModelOperator
from airflow_provider_nugen.operators.files import LocalOrRemote, open_file
from airflow_provider_nugen.operators.model import DeployOperator, UndeployOperator
from airflow_provider_nugen.operators.submit import SubmitOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_nugen.operators.base import ListArg, TextArg


class NugenOperator(ServiceOperator):
    """
    Calls Nugen.

    :param nugen_conn_id: the Airflow connection.
    """

    hook_class = NugenHook

    def __init__(self, *, nugen_conn_id: str = NugenHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nugen_conn_id = nugen_conn_id


class UploadDocumentsOperator(NugenOperator):
    """
    Upload text files as documents. Wait for each with ``DocumentStatusSensor`` before it is used.

    A file whose name exists at the service already is the same document: its id is reused. So running the task again
    does no harm, and a changed file needs another name.

    XComs: ``return_value`` = the list of document ids in the order of the files (so that a sensor can be expanded over
    it), and the same as ``document_ids``.

    :param files: local paths, URLs such as ``s3://conn@bucket/key``, or ``ObjectStoragePath`` objects; at most 100 MB
        each, checked before anything is sent. Each is streamed.
    :param categories: categories of the documents, as the service documents them.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("files", "categories", "nugen_conn_id")

    #: The service's limit for one file, in bytes.
    max_bytes = 100 * 10**6

    def __init__(
        self, *, files: Sequence[LocalOrRemote] | LocalOrRemote, categories: Sequence[str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.files = files
        self.categories = categories

    def execute(self, context: Context) -> list[str]:
        """Upload the files one by one; return the ids of their documents."""
        one = isinstance(self.files, (str, Path, ObjectStoragePath))
        files = cast("Sequence[LocalOrRemote]", [self.files] if one else self.files)
        opened = [open_file(file, "files", limit=self.max_bytes) for file in files]
        names = [upload.name for upload in opened]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise AirflowFailException(
                f"files: {twice} more than once. To Nugen files of the same name are the same document: rename them."
            )
        ids = [self._upload(upload) for upload in opened]
        self.push_xcoms(context, {"document_ids": ids})
        return ids

    def _upload(self, upload: Upload) -> str:
        call = endpoints.UPLOAD_DOCUMENTS.upload([upload], categories=self.categories)
        try:
            ids = self.hook.request(call)
        except ApiError as e:
            existing = existing_document_id(e.payload) if isinstance(e, ResponseError) and e.status == 409 else None
            if existing is None:
                raise self.failed(e) from None
            self.log.info("%r is at the service already: document %r.", upload.name, existing)
            return existing
        finally:
            self.hook.close()
        if len(ids) != 1:
            raise AirflowFailException(
                f"Nugen answered the upload of {upload.name!r} with {len(ids)} documents: {ids}."
            )
        self.log.info("Uploaded %r: document %r.", upload.name, ids[0])
        return ids[0]


class NugenStartOperator(NugenOperator, SubmitOperator):
    """
    Starts a job at Nugen, which cannot cancel jobs.

    :param nugen_conn_id: the Airflow connection.
    """


class CreateBenchmarkOperator(NugenStartOperator):
    """
    Let the service make a benchmark from documents; wait for it with ``BenchmarkStatusSensor``.

    One benchmark per attempt is guaranteed only where its id could be stored (Airflow 3.3 and later): the service has
    no list of benchmarks. When it is not known whether one was started, the task fails and says so.

    XComs: ``return_value`` and ``benchmark_id``.

    :param document_ids: documents that are ``READY``.
    :param num_questions: how many questions it shall have.
    :param nugen_conn_id: the Airflow connection.
    """

    submission = submissions.BENCHMARK
    template_fields: Sequence[str] = ("document_ids", "num_questions", "nugen_conn_id", "poke_interval")

    def __init__(self, *, document_ids: Sequence[str], num_questions: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.document_ids = document_ids
        self.num_questions = num_questions

    def inputs(self) -> dict[str, Any]:
        """Say what is submitted."""
        try:
            num_questions = int(self.num_questions)
        except (TypeError, ValueError):
            raise AirflowFailException(f"num_questions is {self.num_questions!r}; it must be a whole number.") from None
        return {"document_ids": id_list(self.document_ids, "document_ids"), "num_questions": num_questions}


class UploadBenchmarkOperator(NugenStartOperator):
    """
    Upload a benchmark of your own; wait for it with ``BenchmarkStatusSensor``.

    The file is a JSON array of ``{"question_num", "question", "answer"}`` (API revision C: ``{"sample_num",
    "instruction", "response"}``), checked before it is sent. What ``CreateBenchmarkOperator`` says of retries holds.

    XComs: ``return_value`` and ``benchmark_id``.

    :param file: a local path, a URL such as ``s3://conn@bucket/key``, or an ``ObjectStoragePath``.
    :param name: what to call the benchmark.
    :param document_id: the document that it asks about.
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
        self, *, file: LocalOrRemote, name: str, document_id: str, description: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.name = name
        self.document_id = document_id
        self.description = description

    def inputs(self) -> dict[str, Any]:
        """Say what is submitted."""
        return {"name": self.name, "document_id": self.document_id, "description": self.description}

    def uploads(self) -> Sequence[Upload]:
        """Check the file, and send it along."""
        upload = open_file(self.file, "file", field="file")
        try:
            with upload.open() as stream:
                items = json.load(stream)
            submissions.check_benchmark(items, self.hook.settings.revision)
        except ValueError as e:
            raise AirflowFailException(f"file {upload.name!r} is no benchmark: {e}.") from None
        return [upload]


class CreateAlignmentOperator(NugenStartOperator):
    """
    Start the alignment of a base model with documents; wait for it with ``AlignmentStatusSensor``.

    Before it pays, the operator reads the list of base models, and fails if this one cannot be aligned; a list that
    cannot be read does not stop it.

    Without a ``name`` one alignment per try and its retries is guaranteed: the name that is generated finds the
    alignment again after a crash. With a name of your own it is guaranteed on Airflow 3.3 and later, except that the
    task fails and lists the candidates when a crash came between sending and the answer.

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
        base_model: TextArg,
        document_ids: ListArg,
        name: TextArg | None = None,
        benchmark_id: TextArg | None = None,
        description: TextArg | None = None,
        workflow_id: TextArg | None = None,
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
            "name": text(self.name, "name", optional=True),
            "base_model": text(self.base_model, "base_model"),
            "document_ids": id_list(self.document_ids, "document_ids"),
            "benchmark_id": text(self.benchmark_id, "benchmark_id", optional=True),
            "description": text(self.description, "description", optional=True),
            "workflow_id": text(self.workflow_id, "workflow_id", optional=True),
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
        # A list that does not say what can be aligned proves nothing about a model that is not in it.
        if own or ready:
            raise invalid(
                f"base_model {wanted!r} cannot be aligned (connection {self.conn_id!r}). "
                + (f"Nugen can align: {', '.join(map(repr, ready))}." if ready else "Nugen lists none that can be.")
            )


class DeployModelOperator(NugenOperator, DeployOperator):
    """
    Deploy an aligned model, which costs money until it is undeployed; wait for it with ``DeployStatusSensor``.

    A model is deployed or not: a retry goes on with what runs, whoever has started it, else deploys the model. While
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

    XComs: ``return_value``, ``evaluation_id`` and ``model_id``.

    :param model_id: the model.
    :param benchmark_id: the benchmark to evaluate it with.
    :param model_id_2: another model to compare it with, e.g. its base model.
    :param custom_metrics: metrics of your own, as the service documents them.
    :param name: what to call the evaluation; API revision C only.
    :param nugen_conn_id: the Airflow connection.
    """

    submission = submissions.EVALUATION
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
        model_id: TextArg,
        benchmark_id: TextArg,
        model_id_2: TextArg | None = None,
        custom_metrics: Mapping[str, Any] | Sequence[Any] | XComArg | None = None,
        name: TextArg | None = None,
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
            "model_id": text(self.model_id, "model_id"),
            "benchmark_id": text(self.benchmark_id, "benchmark_id"),
            "model_id_2": text(self.model_id_2, "model_id_2", optional=True),
            "custom_metrics": metrics,
            "name": text(self.name, "name", optional=True),
        }

    def extra_xcoms(self) -> dict[str, Any]:
        """Return the model, too."""
        return {"model_id": text(self.model_id, "model_id")}


class GetEvaluationResultsOperator(NugenOperator):
    """
    Fetch what a finished evaluation measured.

    XComs: ``return_value`` (the results; ``metrics`` of a single evaluation, ``eval_model``, ``base_model`` and
    ``comparison`` of a comparison), ``evaluation_id`` and ``model_id``.

    :param evaluation_id: the evaluation. While it is not finished the task fails, and a retry can succeed.
    :param nugen_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("evaluation_id", "nugen_conn_id")

    def __init__(self, *, evaluation_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.evaluation_id = evaluation_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch the results."""
        results = self.send(endpoints.EVALUATION_RESULTS.call(evaluation_id=self.evaluation_id))
        self.push_xcoms(context, {"evaluation_id": self.evaluation_id, "model_id": results.model_id})
        return results.model_dump(mode="json")


class UndeployModelOperator(NugenOperator, UndeployOperator):
    """
    Undeploy a model, which ends its costs; wait for it with ``UndeployStatusSensor``.

    A model that is undeployed already is a success. So running the task again does no harm. While the model is being
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
        "prompts",
        "messages",
        "system_prompt",
        "expect",
        "min_confidence",
        "parameters",
        "nugen_conn_id",
        "poke_interval",
    )

    def __init__(self, *, model_id: TextArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id

    def asked_model(self) -> str:
        """Return the model, as the request names it."""
        return text(self.model_id, "model_id")


class EvaluationGateOperator(NugenOperator):
    """
    Go on only if an evaluation meets conditions; else skip this task and, by their trigger rule, those after it.

    The log shows a table of metric, value, condition and verdict. A metric that is missing is an error, not a pass.

    XCom: ``return_value`` = ``{"passed": ..., "verdicts": [...]}``, also when the gate is closed.

    :param evaluation_id: the evaluation. While it is not finished the task fails, and a retry can succeed.
    :param conditions: all of them must hold: ``"accuracy >= 0.9"``, or for a comparison ``"accuracy >= baseline +
        0.02"``.
    :param nugen_conn_id: the Airflow connection.
    :raises ValueError: if a condition cannot be read, or there is none; at parse time unless it is a template.
    """

    template_fields: Sequence[str] = ("evaluation_id", "conditions", "nugen_conn_id")

    def __init__(self, *, evaluation_id: str, conditions: Sequence[str] | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.evaluation_id = evaluation_id
        self.conditions = conditions
        # A typo must not come out only after hours of training. What a template or an XCom brings is not known yet.
        texts = [conditions] if isinstance(conditions, str) else conditions
        if isinstance(texts, (list, tuple)) and all(isinstance(text, str) and "{" not in text for text in texts):
            Condition.parse_all(texts)

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch the results and judge them."""
        try:
            conditions = Condition.parse_all(self.conditions)
            results = self.send(endpoints.EVALUATION_RESULTS.call(evaluation_id=self.evaluation_id))
            metrics, baseline = results.compared()
            verdicts = judge(conditions, metrics, baseline)
        except ValueError as e:
            raise AirflowFailException(f"The gate for evaluation {self.evaluation_id!r} cannot decide: {e}.") from None
        passed = all(verdict.met for verdict in verdicts)
        self.log.info("Evaluation %r:\n%s", self.evaluation_id, table(verdicts))
        result = {
            "passed": passed,
            "verdicts": [
                {"condition": v.condition.text, "value": v.value, "threshold": v.threshold, "met": v.met}
                for v in verdicts
            ],
        }
        if passed:
            return result
        self.push_xcoms(context, {"return_value": result})
        failed = ", ".join(verdict.condition.text for verdict in verdicts if not verdict.met)
        raise AirflowSkipException(f"Evaluation {self.evaluation_id!r} does not meet: {failed}.")
