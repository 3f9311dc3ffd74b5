"""How Nugen's API revisions A, B and C differ: routes, and what fields and words are called."""

from __future__ import annotations

from airflow_provider_nugen.simulator.world import Revision

V3 = "/api/v3"
#: Operation → (method, path in revisions A and B, path in revision C).
ROUTES: dict[str, tuple[str, str, str]] = {
    "alignment_status": ("GET", "/alignment-project/status/{id}", "/alignment-projects/{id}/status"),
    "create_alignment": ("POST", "/alignment-project/create", "/alignment-projects/create"),
    "list_alignments": ("GET", "/alignment-project", "/alignment-projects/list"),
    "alignment_detail": ("GET", "/alignment-project/{id}", "/alignment-projects/{id}"),
    "upload_documents": ("POST", "/documents", "/documents/create"),
    "document_status": ("GET", "/documents/{id}", "/documents/{id}/status"),
    "create_benchmark": ("POST", "/benchmark/create", "/benchmarks/create"),
    "upload_benchmark": ("POST", "/benchmark/upload", "/benchmarks/upload"),
    "benchmark_status": ("GET", "/benchmark/status/{id}", "/benchmarks/{id}/status"),
    "deploy": ("POST", "/models/deploy-model/{model_id}", "/models/{model_id}/deployment"),
    "deploy_status": ("GET", "/models/deploy-model/{model_id}/status", "/models/{model_id}/deployment/status"),
    "undeploy": ("DELETE", "/models/undeploy-model/{model_id}", "/models/undeploy-model/{model_id}"),
    "undeploy_status": (
        "GET",
        "/models/undeploy-model/{model_id}/status",
        "/models/undeploy-model/{model_id}/status",
    ),
    "create_evaluation": ("POST", "/evaluations", "/evaluations/create"),
    "evaluation_status": ("GET", "/evaluations/{evaluation_id}/status", "/evaluations/{evaluation_id}/status"),
    "evaluation_results": ("GET", "/evaluations/{evaluation_id}/results", "/evaluations/{evaluation_id}/results"),
    "list_evaluations": ("GET", "/evaluations", "/evaluations"),
    "base_models": ("GET", "/models/base", "/models/base"),
    "aligned_models": ("GET", "/models/aligned", "/models/aligned"),
}
#: What revisions A and C call a field of an alignment in revision B.
NAMES: dict[Revision, dict[str, str]] = {
    "A": {"alignment_id": "id", "alignment_name": "name", "document_ids": "documents"},
    "B": {},
    "C": {"base_model": "base_model_id", "created_date": "created_at", "completed_date": "completed_at"},
}
#: What revisions A and C call a field of a request in revision B.
REQUEST_NAMES: dict[Revision, dict[str, str]] = {
    "A": {},
    "B": {},
    "C": {
        "name": "alignment_name",
        "base_model": "base_model_id",
        "documents": "document_ids",
        "model_id_2": "baseline_model_id",
    },
}
#: What revision A calls a field of a model list.
MODEL_NAMES: dict[Revision, dict[str, str]] = {"A": {"model_id": "id", "model_name": "name"}, "B": {}, "C": {}}
#: What revision A says instead of revision B's words.
WORDS: dict[Revision, dict[str, str]] = {"A": {"PROCESSING": "PENDING", "READY": "COMPLETED"}, "B": {}, "C": {}}
#: What an alignment, and an evaluation, goes through before it is trained, or done.
WORK: dict[Revision, tuple[str, ...]] = {"A": ("PROCESSING",), "B": ("PROCESSING",), "C": ("QUEUED", "PROCESSING")}
#: What follows the training of an alignment with a benchmark.
AUTOMATIC_EVALUATION = ("DEPLOYING", "EVALUATING", "UNDEPLOYED", "EVALUATED")
#: An alignment that had one of these words is trained.
TRAINED = frozenset({"READY", "COMPLETED", *AUTOMATIC_EVALUATION})
#: The words a deployment goes through.
DEPLOYMENT_WORDS: dict[Revision, tuple[str, str]] = {
    "A": ("PENDING", "COMPLETED"),
    "B": ("PENDING", "COMPLETED"),
    "C": ("DEPLOYING", "DEPLOYED"),
}
#: The questions of a benchmark item.
QUESTION_FIELDS: dict[Revision, tuple[str, str, str]] = {
    "A": ("question_num", "question", "answer"),
    "B": ("question_num", "question", "answer"),
    "C": ("sample_num", "instruction", "response"),
}
