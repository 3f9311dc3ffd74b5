"""The hook for Nugen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import (
    ResponseError,
    TransientResponseError,
    UnauthorizedError,
    UnreadableResponseError,
)
from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.service import AUTO
from airflow_provider_nugen.compat import with_form
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.hooks.methods import Pages, asends, sends
from airflow_provider_nugen.hooks.uploads import benchmark_to_upload, file_to_upload

_EVALUATIONS = Pages(100, "evaluation_id")

if TYPE_CHECKING:
    from airflow_provider_nugen.api.completion import ChatCompletion
    from airflow_provider_nugen.api.nugen.models import (
        AlignmentStatus,
        BaseModelInfo,
        BenchmarkStatus,
        CreateAlignmentResponse,
        CreateBenchmarkResponse,
        CreateEvaluationResponse,
        DocumentStatus,
        EvaluationStatus,
        ListedBenchmark,
        ListedDocument,
        ListedEvaluation,
        TaskStatus,
    )
    from airflow_provider_nugen.api.nugen.results import EvaluationResults
    from airflow_provider_nugen.api.nugen.uploads import UploadedDocument


@with_form
class NugenHook(ServiceHook):
    """
    Talks to Nugen.

    The connection: Host = base URL (empty: the service's), Password = API key, sent as ``Authorization: Bearer``;
    extras ``api_revision`` (``auto``, the default: the hook finds out; ``B`` or ``C``), ``timeout`` (seconds, default
    30), ``verify`` (bool or path of a CA bundle), ``proxy``, ``allow_http``, ``max_requests_per_second``.

    :param nugen_conn_id: the Airflow connection.
    """

    service = NUGEN
    default_conn_name = "nugen_default"

    def __init__(self, nugen_conn_id: str = default_conn_name) -> None:
        super().__init__(nugen_conn_id)

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

    # Evaluations.

    @sends
    def get_evaluation_status(self, evaluation_id: str) -> Call[EvaluationStatus]:
        """
        Read the status of an evaluation.

        :param evaluation_id: the id that creating the evaluation returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.EVALUATION_STATUS.call(evaluation_id=evaluation_id)

    aget_evaluation_status = asends(get_evaluation_status)

    @sends
    def get_evaluation(self, evaluation_id: str) -> Call[EvaluationStatus]:
        """
        Read the detail of an evaluation, which has its status, too.

        :param evaluation_id: the id that creating the evaluation returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.EVALUATION_DETAIL.call(evaluation_id=evaluation_id)

    aget_evaluation = asends(get_evaluation)

    @sends
    def get_evaluation_results(self, evaluation_id: str) -> Call[EvaluationResults]:
        """
        Read the results of an evaluation that is done.

        :param evaluation_id: the id that creating the evaluation returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.EVALUATION_RESULTS.call(evaluation_id=evaluation_id)

    aget_evaluation_results = asends(get_evaluation_results)

    @_EVALUATIONS.sends
    def iter_evaluations(
        self, limit: int, offset: int, *, model_id: str | None = None, status: str | None = None
    ) -> Call[list[ListedEvaluation]]:
        """
        Iterate over the evaluations of the account.

        :param model_id: only those of this model.
        :param status: only those with this status word.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.LIST_EVALUATIONS.call(limit=limit, offset=offset, model_id=model_id, status=status)

    aiter_evaluations = _EVALUATIONS.asends(iter_evaluations)

    @sends
    def create_evaluation(
        self,
        *,
        model_id: str,
        benchmark_id: str,
        model_id_2: str | None = None,
        custom_metrics: Sequence[Mapping[str, Any]] | None = None,
        name: str | None = None,
    ) -> Call[CreateEvaluationResponse]:
        """
        Start an evaluation, which costs money.

        In a DAG use ``CreateEvaluationOperator``: it finds its job again after a lost answer or a crash.

        :param model_id: the model to evaluate.
        :param benchmark_id: the benchmark.
        :param model_id_2: a model to compare it with.
        :param custom_metrics: metrics of your own.
        :param name: what to call the evaluation; API revision C only.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CREATE_EVALUATION.call(
            model_id=model_id,
            benchmark_id=benchmark_id,
            model_id_2=model_id_2,
            custom_metrics=custom_metrics,
            name=name,
        )

    acreate_evaluation = asends(create_evaluation)

    # Documents and benchmarks.

    @sends
    def get_document_status(self, document_id: str) -> Call[DocumentStatus]:
        """
        Read the status of a document.

        :param document_id: the id that the upload returned.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.DOCUMENT_STATUS.call(document_id=document_id)

    aget_document_status = asends(get_document_status)

    @sends
    def list_documents(self) -> Call[list[ListedDocument]]:
        """
        List the documents of the account.

        :raises ApiError: if the service does not answer it.
        """
        return endpoints.LIST_DOCUMENTS.call()

    alist_documents = asends(list_documents)

    @sends
    def upload_documents(
        self, files: Sequence[str | Path], *, categories: Sequence[str] | None = None
    ) -> Call[list[UploadedDocument]]:
        """
        Upload text files as documents.

        To the service files of the same name are the same document: one that exists is refused with 409.

        :param files: paths of text files.
        :param categories: categories of the documents.
        :raises ApiError: if the service does not answer it.
        """
        uploads = [file_to_upload(file) for file in files]
        return endpoints.UPLOAD_DOCUMENTS.upload(uploads, categories=categories)

    aupload_documents = asends(upload_documents)

    @sends
    def get_benchmark_status(self, benchmark_id: str) -> Call[BenchmarkStatus]:
        """
        Read the status of a benchmark.

        :param benchmark_id: the benchmark.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.BENCHMARK_STATUS.call(benchmark_id=benchmark_id)

    aget_benchmark_status = asends(get_benchmark_status)

    @sends
    def list_benchmarks(self) -> Call[list[ListedBenchmark]]:
        """
        List the benchmarks of the account; API revision B only.

        :raises ApiError: if the service does not answer it.
        """
        return endpoints.LIST_BENCHMARKS.call()

    alist_benchmarks = asends(list_benchmarks)

    @sends
    def create_benchmark(
        self, *, document_ids: Sequence[str], num_questions: int, name: str | None = None
    ) -> Call[CreateBenchmarkResponse]:
        """
        Let the service make a benchmark from documents.

        In a DAG use ``CreateBenchmarkOperator``: it finds its job again after a lost answer or a crash.

        :param document_ids: the documents to ask about.
        :param num_questions: how many questions to make.
        :param name: what to call the benchmark; API revision C only.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.CREATE_BENCHMARK.call(document_ids=document_ids, num_questions=num_questions, name=name)

    acreate_benchmark = asends(create_benchmark)

    @sends
    def upload_benchmark(
        self, file: str | Path, *, name: str, document_id: str, description: str | None = None
    ) -> Call[CreateBenchmarkResponse]:
        """
        Upload a benchmark of your own.

        :param file: a JSON array of ``{"question", "answer"}``, in the names of either API revision.
        :param name: what to call the benchmark.
        :param document_id: the document that it is about.
        :param description: a description.
        :raises ApiError: if the service does not answer it.
        """
        return endpoints.UPLOAD_BENCHMARK.upload(
            benchmark_to_upload(file), name=name, document_id=document_id, description=description
        )

    aupload_benchmark = asends(upload_benchmark)

    # The Test button.

    def _test_calls(self) -> Sequence[Call[Any]]:
        # The first path is the same in all revisions: it tests address and key. The second differs, so that the
        # router's own 404 tells the revision; that there is no such alignment is the answer hoped for.
        return (
            endpoints.BASE_MODELS.call(),
            endpoints.ALIGNMENT_STATUS.call(alignment_id="airflow-connection-test"),
        )

    def _test(self, call: Call[Any]) -> str:
        if call.endpoint is not endpoints.ALIGNMENT_STATUS:
            return super()._test(call)
        response = self.fetch(call)
        try:
            call.read(response, self.conn_id)
        except (UnreadableResponseError, TransientResponseError, UnauthorizedError):
            raise
        except ResponseError:
            pass  # the endpoint is there
        if self.settings.revision == AUTO:
            return f"It was found to speak API revision {response.revision} (api_revision is {AUTO})."
        return f"It speaks API revision {response.revision}."
