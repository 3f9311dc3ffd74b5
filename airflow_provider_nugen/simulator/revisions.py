"""How Nugen's API revisions A, B and C differ: routes, and what fields and words are called."""

from __future__ import annotations

from airflow_provider_nugen.simulator.state import Revision

V3 = "/api/v3"
#: Operation → (method, path in revisions A and B, path in revision C); ``None``: the revision has no such route, or
#: nobody knows it. A path without an id comes before the one that would take its last segment for an id.
ROUTES: dict[str, tuple[str, str | None, str | None]] = {
    "alignment_status": ("GET", "/alignment-project/status/{id}", "/alignment-projects/{id}/status"),
    "create_alignment": ("POST", "/alignment-project/create", "/alignment-projects/create"),
    "list_alignments": ("GET", "/alignment-project", "/alignment-projects/list"),
    "alignment_detail": ("GET", "/alignment-project/{id}", "/alignment-projects/{id}"),
    "delete_alignment": ("DELETE", "/alignment-project/{id}", None),
    "upload_documents": ("POST", "/documents", "/documents/create"),
    "list_documents": ("GET", "/documents", "/documents/list"),
    "document_status": ("GET", "/documents/{id}", "/documents/{id}/status"),
    "delete_document": ("DELETE", "/documents/{id}", None),
    "create_benchmark": ("POST", "/benchmark/create", "/benchmarks/create"),
    "upload_benchmark": ("POST", "/benchmark/upload", "/benchmarks/upload"),
    "list_benchmarks": ("GET", "/benchmark/list", None),
    "benchmark_status": ("GET", "/benchmark/status/{id}", "/benchmarks/{id}/status"),
    "benchmark_questions": ("GET", "/benchmark/{id}/data", "/benchmarks/{id}/data"),
    "delete_benchmark": ("DELETE", "/benchmark/{id}", None),
    "deploy": ("POST", "/models/deploy-model/{model_id}", "/models/{model_id}/deployment"),
    "deploy_status": ("GET", "/models/deploy-model/{model_id}/status", "/models/{model_id}/deployment/status"),
    "undeploy": ("DELETE", "/models/undeploy-model/{model_id}", "/models/{model_id}/deployment"),
    "undeploy_status": ("GET", "/models/undeploy-model/{model_id}/status", None),
    "create_evaluation": ("POST", "/evaluations", "/evaluations/create"),
    "list_evaluations": ("GET", "/evaluations", "/evaluations"),
    "evaluation_status": ("GET", "/evaluations/{evaluation_id}/status", "/evaluations/{evaluation_id}/status"),
    "evaluation_results": ("GET", "/evaluations/{evaluation_id}/results", "/evaluations/{evaluation_id}/results"),
    "evaluation_detail": ("GET", "/evaluations/{evaluation_id}", "/evaluations/{evaluation_id}"),
    "delete_evaluation": ("DELETE", "/evaluations/{evaluation_id}", None),
    "base_models": ("GET", "/models/base", "/models/base"),
    "aligned_models": ("GET", "/models/aligned", "/models/aligned"),
    "model_detail": ("GET", None, "/models/{model_id}"),
    "chat_completion": ("POST", "/inference/chat/completions", "/inference/chat/completions"),
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
        "num_questions": "n_samples",
        "model_id_2": "baseline_model_id",
    },
}
#: The words of an alignment that revisions A and C write differently.
WORDS: dict[Revision, dict[str, str]] = {"A": {"PROCESSING": "PENDING", "READY": "COMPLETED"}, "B": {}, "C": {}}
#: What an alignment goes through before it is trained.
TRAINING: dict[Revision, tuple[str, ...]] = {"A": ("PROCESSING",), "B": ("PROCESSING",), "C": ("QUEUED", "PROCESSING")}
#: What an evaluation goes through before it is done.
EVALUATING: dict[Revision, tuple[str, ...]] = {
    "A": ("PROCESSING",),
    "B": ("PROCESSING",),
    "C": ("CREATED", "PROCESSING"),
}
#: An alignment that had one of these words is trained.
TRAINED = frozenset({"READY", "COMPLETED", "DEPLOYING", "EVALUATING", "UNDEPLOYED", "EVALUATED"})
#: The words a deployment goes through.
DEPLOYMENT_WORDS: dict[Revision, tuple[str, str]] = {
    "A": ("PENDING", "COMPLETED"),
    "B": ("PENDING", "COMPLETED"),
    "C": ("DEPLOYING", "DEPLOYED"),
}
#: The fields that a benchmark item must have.
QUESTION_FIELDS: dict[Revision, tuple[str, ...]] = {
    "A": ("question", "answer"),
    "B": ("question", "answer"),
    "C": ("sample_num", "instruction", "response"),
}
