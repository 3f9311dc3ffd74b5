"""All kinds of job, by the key that a trigger carries."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.services import SERVICES

_modules = (import_module(f"airflow_provider_nugen.api.{service.conn_type}.jobs") for service in SERVICES)
KINDS: dict[str, JobKind[Any]] = {
    kind.key: kind for module in _modules for kind in vars(module).values() if isinstance(kind, JobKind)
}
