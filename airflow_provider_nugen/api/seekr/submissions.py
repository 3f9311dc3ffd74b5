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
