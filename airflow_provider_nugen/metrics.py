"""
What Airflow's own metrics say about this provider: to StatsD or OpenTelemetry, as Airflow is configured.

The kind of job and the outcome are part of the names, since plain StatsD has no tags. The table of all metrics is in the
documentation, "Metrics".
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import cache
from typing import Any

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.waiting.result import WaitResult

PREFIX = "airflow_provider_nugen"
#: A request that waited for its turn for less than so many seconds did not queue.
MIN_QUEUED = 0.01

_log = logging.getLogger(__name__)


@cache
def _stats() -> Any:
    """Return Airflow's metrics; loaded when there is something to say, since a DAG file says nothing."""
    try:
        from airflow.sdk.observability import stats  # 3.2 and later
    except ImportError:
        from airflow.stats import Stats  # type: ignore[attr-defined,no-redef,unused-ignore]

        return Stats
    return stats


def wait_ended(kind: JobKind[Any], result: WaitResult) -> None:
    """
    Count a wait that has ended, and how long it and its jobs took.

    :param kind: the kind of job.
    :param result: how it ended.
    """
    _incr(f"wait.{kind.key}.{result.outcome}")
    statuses = result.result if isinstance(result.result, list) else [result.result]
    for status in statuses:
        for name in ("waited_seconds", "job_seconds"):
            if isinstance(status, dict) and (seconds := status.get(name)) is not None:
                _timing(f"{name}.{kind.key}", seconds)


def polled(kind: JobKind[Any], status: int | None = None) -> None:
    """
    Count a poll.

    :param kind: the kind of job.
    :param status: the HTTP status of the answer; ``None`` if no answer came.
    """
    _incr(f"poll.{kind.key}.{f'{status // 100}xx' if status else 'no_answer'}")


def queued(service: Service, seconds: float) -> None:
    """
    Time how long a request waited for its turn in a triggerer, because of ``max_requests_per_second`` or an overload.

    :param service: the service.
    :param seconds: how long.
    """
    if seconds >= MIN_QUEUED:
        _timing(f"queued_seconds.{service.conn_type}", seconds)


def adopted(kind: JobKind[Any]) -> None:
    """
    Count a job that a retry continued with, instead of starting another one.

    :param kind: the kind of job.
    """
    _incr(f"adopted.{kind.key}")


def _incr(name: str) -> None:
    try:
        _stats().incr(f"{PREFIX}.{name}")
    except Exception:
        _log.debug("The metric %s could not be sent.", name, exc_info=True)


def _timing(name: str, seconds: float) -> None:
    try:
        _stats().timing(f"{PREFIX}.{name}", timedelta(seconds=seconds))
    except Exception:
        _log.debug("The metric %s could not be sent.", name, exc_info=True)
