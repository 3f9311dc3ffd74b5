"""How the jobs of SeekrFlow that cost money are started, and found again."""

from __future__ import annotations

from airflow_provider_nugen.api.seekr import endpoints, jobs
from airflow_provider_nugen.api.submission import ListedJob, Submission

#: The list does not show what a job was created with: one that may be the task's own can be named, but not adopted.
ALIGNMENT = Submission(
    kind=jobs.ALIGNMENT,
    create=endpoints.CREATE_ALIGNMENT,
    created_id=lambda answer, inputs: answer.id,
    listing=endpoints.LIST_ALIGNMENTS,
    listed=lambda answer: [ListedJob(item.id, item.status, item.created_at) for item in answer],
)

DATA_JOB = Submission(
    kind=jobs.DATA_JOB,
    create=endpoints.CREATE_DATA_JOB,
    created_id=lambda answer, inputs: answer.id,
    listing=endpoints.LIST_DATA_JOBS,
    listed=lambda answer: [
        ListedJob(
            item.id, item.status, item.created_at, item.name, {"name": item.name, "job_type": item.job_type}, item
        )
        for item in answer
    ],
    name="name",
    filters={"job_type": "job_type"},
    page=100,
)

#: The list has whole jobs, no pages. The name stands in the training's configuration and is returned as it was sent.
FINE_TUNE = Submission(
    kind=jobs.FINE_TUNE,
    create=endpoints.CREATE_FINE_TUNE,
    created_id=lambda answer, inputs: answer.id,
    listing=endpoints.LIST_FINE_TUNES,
    listed=lambda answer: [
        ListedJob(
            item.id,
            item.status,
            item.created_at,
            item.experiment_name,
            {"experiment_name": item.experiment_name, "model": item.model},
            item,
        )
        for item in answer
    ],
    name="experiment_name",
    # The vendor's client calls it a suffix of up to 40 characters.
    max_name=40,
    filters={"project_id": "project_id"},
)

DEPLOYMENT = Submission(
    kind=jobs.DEPLOYMENT,
    create=endpoints.CREATE_DEPLOYMENT,
    created_id=lambda answer, inputs: answer.id,
    listing=endpoints.LIST_DEPLOYMENTS,
    listed=lambda answer: [
        ListedJob(
            item.id, item.status, item.created_at, item.name, {"name": item.name, "model_id": item.model_id}, item
        )
        for item in answer
    ],
    name="name",
    max_name=100,
    page=1000,
)
