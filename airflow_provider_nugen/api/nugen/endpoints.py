"""
Nugen: the service and its endpoints.

Every path and field is in ``docs/nugen-api.rst``, "Endpoints", with how well it is established. Three revisions of the
API are alive: A (old), B (the contract 25.4.20) and C (the live service since about September 2026). A and B have the
same paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_nugen.api.chat import chat_endpoint
from airflow_provider_nugen.api.endpoint import Endpoint, per_revision
from airflow_provider_nugen.api.lazy import LazyModule
from airflow_provider_nugen.api.nugen import uploads
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.response import list_of

if TYPE_CHECKING:
    from airflow_provider_nugen.api.nugen import models, results
else:
    models = LazyModule("airflow_provider_nugen.api.nugen.models")
    results = LazyModule("airflow_provider_nugen.api.nugen.results")

_V3 = "/api/v3"
_NEW_DOCUMENT = (
    "Check the ids: the id that an upload returns need not be the document's. The service does not find a document "
    "before it is READY: wait for new ones with UploadDocumentsOperator(wait_for_completion=True) or "
    "DocumentStatusSensor, and pass the document_ids that these push."
)

ALIGNMENT_STATUS = Endpoint(
    NUGEN,
    "get alignment status",
    "GET",
    per_revision(
        B=f"{_V3}/alignment-project/status/{{alignment_id}}",
        C=f"{_V3}/alignment-projects/{{alignment_id}}/status",
    ),
    models.AlignmentStatus.read,
)
ALIGNMENT_DETAIL = Endpoint(
    NUGEN,
    "get alignment detail",
    "GET",
    per_revision(B=f"{_V3}/alignment-project/{{alignment_id}}", C=f"{_V3}/alignment-projects/{{alignment_id}}"),
    models.AlignmentStatus.read,
)
CREATE_ALIGNMENT = Endpoint(
    NUGEN,
    "create alignment",
    "POST",
    per_revision(B=f"{_V3}/alignment-project/create", C=f"{_V3}/alignment-projects/create"),
    models.CreateAlignmentResponse.read,
    body={
        "name": per_revision(B="name", C="alignment_name"),
        "base_model": per_revision(B="base_model", C="base_model_id"),
        "document_ids": "document_ids",
        "workflow_id": per_revision(B="workflow_id", C=None),
        "benchmark_id": "benchmark_id",
        "description": "description",
    },
    hints={400: "Choose a base model that can be aligned, and check the other arguments.", 404: _NEW_DOCUMENT},
)
DEPLOYMENT_STATUS = Endpoint(
    NUGEN,
    "get deployment status",
    "GET",
    per_revision(
        B=f"{_V3}/models/deploy-model/{{model_id}}/status",
        C=f"{_V3}/models/{{model_id}}/deployment/status",
    ),
    models.TaskStatus.read,
)
DEPLOY_MODEL = Endpoint(
    NUGEN,
    "deploy model",
    "POST",
    per_revision(B=f"{_V3}/models/deploy-model/{{model_id}}", C=f"{_V3}/models/{{model_id}}/deployment"),
    models.read_model_id,
    query={"early": per_revision(B=None, C="early")},
    not_ready_status=409,
    hints={
        404: "Check the id, and wait for the alignment with AlignmentStatusSensor: before its end there is no model.",
        409: "There may be no checkpoint to deploy early yet: try again later, for example with retries.",
    },
)
#: In revision C the detail of the model, which answers while the status endpoint is unwell; B has nothing like it.
DEPLOYMENT_DETAIL = Endpoint(
    NUGEN,
    "get deployment detail",
    "GET",
    per_revision(B=f"{_V3}/models/deploy-model/{{model_id}}/status", C=f"{_V3}/models/{{model_id}}"),
    per_revision(B=models.TaskStatus.read, C=models.read_model_detail),
)
#: The id of the alignment that a model comes from, as revision C's detail of the model says; B has nothing like it.
MODEL_ALIGNMENT = Endpoint(
    NUGEN,
    "get model detail",
    "GET",
    per_revision(B=None, C=f"{_V3}/models/{{model_id}}"),
    models.read_alignment_id,
)
#: In revision C the progress of an undeployment is the status of the deployment.
UNDEPLOYMENT_STATUS = Endpoint(
    NUGEN,
    "get undeploy status",
    "GET",
    per_revision(
        B=f"{_V3}/models/undeploy-model/{{model_id}}/status",
        C=f"{_V3}/models/{{model_id}}/deployment/status",
    ),
    per_revision(B=models.TaskStatus.read, C=models.read_undeployment),
)
UNDEPLOYMENT_DETAIL = Endpoint(
    NUGEN,
    "get undeploy detail",
    "GET",
    per_revision(B=f"{_V3}/models/undeploy-model/{{model_id}}/status", C=f"{_V3}/models/{{model_id}}"),
    per_revision(B=models.TaskStatus.read, C=models.read_model_detail),
)
UNDEPLOY_MODEL = Endpoint(
    NUGEN,
    "undeploy model",
    "DELETE",
    per_revision(B=f"{_V3}/models/undeploy-model/{{model_id}}", C=f"{_V3}/models/{{model_id}}/deployment"),
    models.read_model_id,
)
EVALUATION_STATUS = Endpoint(
    NUGEN,
    "get evaluation status",
    "GET",
    f"{_V3}/evaluations/{{evaluation_id}}/status",
    models.EvaluationStatus.read,
)
#: Answers while the status endpoint is unwell.
EVALUATION_DETAIL = Endpoint(
    NUGEN,
    "get evaluation detail",
    "GET",
    f"{_V3}/evaluations/{{evaluation_id}}",
    models.EvaluationStatus.read,
)
CREATE_EVALUATION = Endpoint(
    NUGEN,
    "create evaluation",
    "POST",
    per_revision(B=f"{_V3}/evaluations", C=f"{_V3}/evaluations/create"),
    models.CreateEvaluationResponse.read,
    body={
        "model_id": "model_id",
        "benchmark_id": "benchmark_id",
        "model_id_2": per_revision(B="model_id_2", C="baseline_model_id"),
        "custom_metrics": "custom_metrics",
        "name": per_revision(B=None, C="evaluation_name"),
    },
    hints={
        404: "Check the ids of model and benchmark. The service does not find a benchmark before it is READY: wait for "
        "a new one with BenchmarkStatusSensor.",
    },
)
#: The same path in all revisions, so it tests host and key whatever ``api_revision`` says.
BASE_MODELS = Endpoint(NUGEN, "list base models", "GET", f"{_V3}/models/base", models.read_base_models)

LIST_ALIGNMENTS = Endpoint(
    NUGEN,
    "list alignments",
    "GET",
    per_revision(B=f"{_V3}/alignment-project", C=f"{_V3}/alignment-projects/list"),
    list_of(models.AlignmentStatus, "alignment_projects"),
)
#: A file whose name exists already is refused with its document's id, so it is safe to send one twice. Revision B
#: answers with the ids of tasks: a document's id is in the answer of its status.
UPLOAD_DOCUMENTS = Endpoint(
    NUGEN,
    "upload documents",
    "POST",
    per_revision(B=f"{_V3}/documents", C=f"{_V3}/documents/create"),
    per_revision(B=uploads.read_task_ids, C=uploads.read_document_ids),
    body={"categories": "categories", "names": "names"},
    multipart=True,
    idempotent=True,
)
DOCUMENT_STATUS = Endpoint(
    NUGEN,
    "get document status",
    "GET",
    per_revision(B=f"{_V3}/documents/{{document_id}}", C=f"{_V3}/documents/{{document_id}}/status"),
    per_revision(B=models.read_document_task, C=models.read_document),
)
LIST_DOCUMENTS = Endpoint(
    NUGEN,
    "list documents",
    "GET",
    per_revision(B=f"{_V3}/documents", C=f"{_V3}/documents/list"),
    list_of(models.ListedDocument, "documents"),
)
#: Where revision C lists benchmarks is not known.
LIST_BENCHMARKS = Endpoint(
    NUGEN,
    "list benchmarks",
    "GET",
    per_revision(B=f"{_V3}/benchmark/list", C=None),
    list_of(models.ListedBenchmark, "benchmarks"),
)
CREATE_BENCHMARK = Endpoint(
    NUGEN,
    "create benchmark",
    "POST",
    per_revision(B=f"{_V3}/benchmark/create", C=f"{_V3}/benchmarks/create"),
    models.CreateBenchmarkResponse.read,
    body={
        "document_ids": per_revision(B="documents", C="document_ids"),
        "num_questions": per_revision(B="num_questions", C="n_samples"),
        "name": per_revision(B=None, C="benchmark_name"),
    },
    hints={404: _NEW_DOCUMENT},
)
UPLOAD_BENCHMARK = Endpoint(
    NUGEN,
    "upload benchmark",
    "POST",
    per_revision(B=f"{_V3}/benchmark/upload", C=f"{_V3}/benchmarks/upload"),
    models.CreateBenchmarkResponse.read,
    body={
        "name": per_revision(B="name", C="benchmark_name"),
        "document_id": "document_id",
        "description": "description",
    },
    multipart=True,
    hints={400: "Check the file against what the service says.", 404: _NEW_DOCUMENT},
)
BENCHMARK_STATUS = Endpoint(
    NUGEN,
    "get benchmark status",
    "GET",
    per_revision(B=f"{_V3}/benchmark/status/{{benchmark_id}}", C=f"{_V3}/benchmarks/{{benchmark_id}}/status"),
    models.BenchmarkStatus.read,
)
EVALUATION_RESULTS = Endpoint(
    NUGEN,
    "get evaluation results",
    "GET",
    f"{_V3}/evaluations/{{evaluation_id}}/results",
    results.EvaluationResults.read,
    not_ready_status=400,
    hints={400: "An evaluation has no results before it is done: wait for it with EvaluationStatusSensor."},
)
LIST_EVALUATIONS = Endpoint(
    NUGEN,
    "list evaluations",
    "GET",
    f"{_V3}/evaluations",
    list_of(models.ListedEvaluation, "evaluations"),
    query={"model_id": "model_id", "status": "status", "limit": "limit", "offset": "offset"},
)
#: ``model`` is the id of an aligned model that is deployed, or that of a base model.
CHAT_COMPLETION = chat_endpoint(NUGEN, f"{_V3}/inference/chat/completions", "prompt_truncate_len")
