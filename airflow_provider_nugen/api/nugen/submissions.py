"""How the jobs of Nugen that cost money are started, and found again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_nugen.api.job import RUNNING, SUCCEEDED
from airflow_provider_nugen.api.nugen import endpoints, jobs
from airflow_provider_nugen.api.submission import ListedJob, Submission

if TYPE_CHECKING:
    from airflow_provider_nugen.api.nugen import models


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


def _benchmarks(answer: list[models.ListedBenchmark]) -> list[ListedJob]:
    return [
        ListedJob(
            item.benchmark_id,
            item.status,
            item.created_at,
            item.benchmark_name,
            {
                "name": item.benchmark_name,
                "document_ids": item.document_ids,
                "document_id": item.document_ids[0] if item.document_ids and len(item.document_ids) == 1 else None,
                "num_questions": item.num_questions,
            },
        )
        for item in answer
    ]


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
#: Revision C's list of benchmarks is not known: there one that may have been made cannot be searched for.
BENCHMARK = Submission(
    kind=jobs.BENCHMARK,
    create=endpoints.CREATE_BENCHMARK,
    created_id=lambda answer, inputs: answer.benchmark_id,
    listing=endpoints.LIST_BENCHMARKS,
    listed=_benchmarks,
)
BENCHMARK_UPLOAD = Submission(
    kind=jobs.BENCHMARK,
    create=endpoints.UPLOAD_BENCHMARK,
    created_id=lambda answer, inputs: answer.benchmark_id,
    listing=endpoints.LIST_BENCHMARKS,
    listed=_benchmarks,
    name="name",
)


# Deployments have no ids of their own: a model is deployed or not. In revision B their times are those of another
# job, so nothing is decided by times.


def current_status(problem: str) -> str | None:
    """
    Read what a refusal says about the model: ``Model cannot be redeployed. Current status: UNDEPLOYING``.

    :param problem: the service's text.
    :return: the status word in upper case, or ``None`` if there is none.
    """
    match = _CURRENT_STATUS.search(problem)
    return match[1].upper() if match else None


_CURRENT_STATUS = re.compile(r"current\s+status\W{0,5}([a-z_]+)", re.IGNORECASE)
_IS_UNDEPLOYED = re.compile(r"already\W+(been\W+)?undeployed|not\W+(currently\W+)?deployed", re.IGNORECASE)
_IS_DEPLOYED = re.compile(
    # At the beginning, after the HTTP status: "another model is deployed" is about something else.
    r"(?:HTTP \d+:)?\W*(?:"
    r"(?:(?:the|this)\W+)?model\W+(?:(?!not\b|never\b)\S+\s+)?"
    r"(?:(?:is|has|already|been|being|currently)\W+)+deployed\b"
    r"|deployment\W+(?:is\W+|has\W+)?already\b)",
    re.IGNORECASE,
)


def is_about_deployment(problem: str) -> bool:
    """Return whether a refusal says anything of deployments or of the model's status."""
    return "deploy" in problem.lower() or current_status(problem) is not None


def says_deployed(problem: str) -> bool:
    """Return whether a refusal says that this very model is deployed, or being deployed."""
    return bool(_IS_DEPLOYED.match(problem))


def says_undeployed(problem: str) -> bool:
    """Return whether a refusal says that the model is undeployed, or about to be."""
    return current_status(problem) in ("UNDEPLOYED", "UNDEPLOYING") or bool(_IS_UNDEPLOYED.search(problem))


def is_deployed(undeployment: models.TaskStatus | None, deployment: models.TaskStatus | None) -> bool:
    """
    Decide whether a model is certainly deployed, or being deployed.

    :param undeployment: the status of its undeployment; ``None`` if it never was undeployed.
    :param deployment: the status of its deployment; ``None`` if it never was deployed.
    """
    if not _stands(deployment):
        return False
    # Revision C has one status for both; revision B two, each of a task that may be long over.
    undone = undeployment.status.upper() if undeployment is not None else None
    return undone not in ("COMPLETED", "UNDEPLOYED", "UNDEPLOYING") and (
        undone != "PENDING" or deployment is None or deployment.status.upper() == "PENDING"
    )


def is_undeployed(undeployment: models.TaskStatus | None, deployment: models.TaskStatus | None) -> bool:
    """
    Decide whether a model is certainly undeployed, or about to be; parameters as of :func:`is_deployed`.

    The service refuses to undeploy such a model, but a refusal alone can mean other things, too.
    """
    if not _stands(deployment):
        return True
    # A deployment that is over does not say whether it was before the undeployment.
    return is_torn_down(undeployment) and (
        deployment is None or jobs.DEPLOYMENT.read_status(deployment).state is SUCCEEDED
    )


def is_torn_down(undeployment: models.TaskStatus | None) -> bool:
    """Return whether a model is being undeployed, by the status of its undeployment."""
    return undeployment is not None and undeployment.status.upper() in ("PENDING", "UNDEPLOYING")


def _stands(deployment: models.TaskStatus | None) -> bool:
    """Return whether a deployment's own status says that it runs or is done."""
    return (
        deployment is not None
        and deployment.status.upper() not in ("UNDEPLOYED", "UNDEPLOYING")
        and jobs.DEPLOYMENT.read_status(deployment).state in (RUNNING, SUCCEEDED)
    )
