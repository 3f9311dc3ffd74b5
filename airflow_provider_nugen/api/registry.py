"""All kinds of job, by the key that a trigger carries."""

from __future__ import annotations

from typing import Any

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.nugen import jobs as nugen
from airflow_provider_nugen.api.seekr import jobs as seekr

KINDS: dict[str, JobKind[Any]] = {
    kind.key: kind for module in (nugen, seekr) for kind in vars(module).values() if isinstance(kind, JobKind)
}
