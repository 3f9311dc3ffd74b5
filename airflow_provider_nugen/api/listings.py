"""What is listed of each kind of job: the listings that jobs are also searched in before one is started."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.services import SERVICES
from airflow_provider_nugen.api.submission import Submission

_modules = (import_module(f"airflow_provider_nugen.api.{service.conn_type}.submissions") for service in SERVICES)
_submissions = [item for module in _modules for item in vars(module).values() if isinstance(item, Submission)]


def listing_of(kind: JobKind[Any]) -> Submission[Any]:
    """
    Return where jobs of a kind are listed.

    :param kind: the kind of job; one that is waited for in another way has the same list.
    :raises ValueError: if the service has no list of them.
    """
    for submission in _submissions:
        if submission.listing is not None and submission.kind.status is kind.status:
            return submission
    raise ValueError(f"{kind.service.name} has no list of what is {kind.label!r}, so there is nothing to watch.")
