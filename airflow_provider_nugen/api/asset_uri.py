"""What an asset of a service is called: ``nugen://api.nugen.in/models/<id>``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_provider_nugen.api.service import Service

#: Where a thing is, by the name of its id; what a job has made comes before the job.
PATHS = {
    "model_id": "models",
    "fine_tune_id": "fine-tunes",
    "deployment_id": "deployments",
    "evaluation_id": "evaluations",
    "data_job_id": "data-jobs",
    "alignment_job_id": "alignment-jobs",
}


def asset_uri(service: Service, base_url: str, facts: Mapping[str, Any]) -> str | None:
    """
    Return the URI of what a task has made.

    :param service: the service; its connection type is the scheme.
    :param base_url: where the service lives.
    :param facts: the ids of what was made, by their names.
    :return: ``None`` if none of them is known to be a thing of its own.
    """
    for name, path in PATHS.items():
        if isinstance(value := facts.get(name), str) and value.strip():
            return f"{service.conn_type}://{urlsplit(base_url).netloc}/{path}/{quote(value, safe='')}"
    return None
