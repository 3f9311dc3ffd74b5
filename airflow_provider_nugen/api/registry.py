"""All kinds of job, by the key that a trigger carries."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.services import SERVICES


def by_key(kinds: Iterable[JobKind[Any]]) -> dict[str, JobKind[Any]]:
    """
    Return kinds of job by their keys.

    :param kinds: the kinds.
    :raises ValueError: if two of them have the same key; a trigger would wait for the wrong job.
    """
    found: dict[str, JobKind[Any]] = {}
    for kind in kinds:
        if found.setdefault(kind.key, kind) is not kind:
            raise ValueError(f"Two kinds of job have the key {kind.key!r}: {found[kind.key].label} and {kind.label}.")
    return found


_modules = (import_module(f"airflow_provider_nugen.api.{service.conn_type}.jobs") for service in SERVICES)
_kinds = [kind for module in _modules for kind in vars(module).values() if isinstance(kind, JobKind)]
KINDS: dict[str, JobKind[Any]] = by_key(_kinds)
