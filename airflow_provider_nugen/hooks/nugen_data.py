"""What the hook for Nugen does with evaluations, documents and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.hooks.methods import Pages, asends, sends
from airflow_provider_nugen.hooks.uploads import benchmark_to_upload, file_to_upload

if TYPE_CHECKING:
    from airflow_provider_nugen.api.nugen.models import (
        BenchmarkStatus,
        CreateBenchmarkResponse,
        CreateEvaluationResponse,
        DocumentStatus,
        EvaluationStatus,
        ListedBenchmark,
        ListedDocument,
        ListedEvaluation,
    )
    from airflow_provider_nugen.api.nugen.results import EvaluationResults
    from airflow_provider_nugen.api.nugen.uploads import UploadedDocument

_EVALUATIONS = Pages(100, "evaluation_id")


class NugenDataHook(ServiceHook):
    """Reads and makes what models are trained and measured with: documents, benchmarks, evaluations."""

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
