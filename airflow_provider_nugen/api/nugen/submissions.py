"""How the jobs of Nugen that cost money are started, and found again."""

from __future__ import annotations

from airflow_provider_nugen.api.job import RUNNING, SUCCEEDED
from airflow_provider_nugen.api.nugen import endpoints, jobs, models
from airflow_provider_nugen.api.submission import ListedJob, Submission


def _alignments(answer: list[models.AlignmentStatus]) -> list[ListedJob]:
    return [
        ListedJob(
            item.alignment_id,
            item.status,
            item.created_date,
            item.alignment_name,
            {"name": item.alignment_name, "base_model": item.base_model, "document_ids": item.document_ids},
            item,
        )
        for item in answer
        if item.alignment_id
    ]


def _evaluations(answer: list[models.ListedEvaluation]) -> list[ListedJob]:
    return [
        ListedJob(
            item.evaluation_id,
            item.status,
            item.created_at,
            inputs={"model_id": item.model_id, "benchmark_id": item.benchmark_id},
        )
        for item in answer
    ]


def _deployment(answer: models.TaskStatus) -> list[ListedJob]:
    # UNDEPLOYED is what revision C says of a model that nobody deploys.
    if not answer.model_id or answer.status.upper() == "UNDEPLOYED":
        return []
    return [ListedJob(answer.model_id, answer.status, answer.start_time, inputs={"model_id": answer.model_id})]


ALIGNMENT = Submission(
    kind=jobs.ALIGNMENT,
    create=endpoints.CREATE_ALIGNMENT,
    created_id=lambda answer, inputs: answer.alignment_id,
    listing=endpoints.LIST_ALIGNMENTS,
    listed=_alignments,
    name="name",
)
EVALUATION = Submission(
    kind=jobs.EVALUATION,
    create=endpoints.CREATE_EVALUATION,
    created_id=lambda answer, inputs: answer.evaluation_id,
    listing=endpoints.LIST_EVALUATIONS,
    listed=_evaluations,
    filters={"model_id": "model_id"},
    page=100,
)
#: Repeatable: a model that is undeployed already is refused, and nothing is paid.
UNDEPLOYMENT = Submission(
    kind=jobs.UNDEPLOYMENT,
    create=endpoints.UNDEPLOY_MODEL,
    created_id=lambda answer, inputs: str(inputs["model_id"]),
    target="model_id",
)
#: A model is deployed or not: its own status tells whether a deployment that may have been started runs.
DEPLOYMENT = Submission(
    kind=jobs.DEPLOYMENT,
    create=endpoints.DEPLOY_MODEL,
    created_id=lambda answer, inputs: str(inputs["model_id"]),
    listing=endpoints.DEPLOYMENT_STATUS,
    listed=_deployment,
    target="model_id",
    filters={"model_id": "model_id"},
)
#: There is no list of benchmarks, so one that may have been started cannot be looked for.
BENCHMARK = Submission(
    kind=jobs.BENCHMARK, create=endpoints.CREATE_BENCHMARK, created_id=lambda answer, inputs: answer.benchmark_id
)
BENCHMARK_UPLOAD = Submission(
    kind=jobs.BENCHMARK, create=endpoints.UPLOAD_BENCHMARK, created_id=lambda answer, inputs: answer.benchmark_id
)


def is_undeployed(undeployment: models.TaskStatus | None, deployment: models.TaskStatus | None) -> bool:
    """
    Say whether a model is undeployed, or about to be.

    The service refuses to undeploy such a model with 400, but 400 alone can mean other things, too.

    :param undeployment: the status of its undeployment; ``None`` if it never was undeployed.
    :param deployment: the status of its deployment; ``None`` if it never was deployed.
    """
    if (
        deployment is None
        or deployment.status.upper() == "UNDEPLOYED"
        or jobs.DEPLOYMENT.reading(deployment).state not in (RUNNING, SUCCEEDED)
    ):
        return True
    if undeployment is None or jobs.UNDEPLOYMENT.reading(undeployment).state not in (RUNNING, SUCCEEDED):
        return False
    # Both tell of a task that may be long over: the later one counts.
    started, ended = deployment.start_time, undeployment.start_time
    return started is None or ended is None or started <= ended
