"""
What Airflow's own metrics say about this provider: to StatsD or OpenTelemetry, as Airflow is configured.

The kind of job and the outcome are part of the names, since plain StatsD has no tags. All metrics are in a table of the
documentation, "Metrics".

Airflow has two copies of its metrics, and a process has set up the one or the other: so there are :data:`WORKER` and
:data:`TRIGGERER`.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from typing import Any

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.waiting.result import WaitResult

PREFIX = "airflow_provider_nugen"
#: Seconds; a request that waited for its turn for less than these did not queue.
MIN_QUEUED = 0.01

#: What turns Airflow's metrics on, in its section ``[metrics]``.
SWITCHES = ("statsd_on", "statsd_datadog_enabled", "otel_on")

_log = logging.getLogger(__name__)


def is_on() -> bool:
    """
    Return whether Airflow sends metrics at all.

    If it does not, the first of them would yet make it read its table of names: 50 ms in which no trigger runs.
    """
    from airflow.configuration import conf

    return any(conf.getboolean("metrics", name, fallback=False) for name in SWITCHES)


class Metrics:
    """
    Sends metrics; never raises.

    :param module: Airflow's metrics, as set up in the processes that use this object.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    @cached_property
    def _stats(self) -> Any:
        """Airflow's metrics; loaded when there is something to say, since a DAG file says nothing."""
        if not is_on():
            return None
        try:
            return import_module(self._module)
        except ImportError:
            return import_module("airflow.stats").Stats  # 3.1

    def wait_ended(self, kind: JobKind[Any], result: WaitResult) -> None:
        """
        Count a wait that has ended, and how long it and its jobs took.

        :param kind: the kind of job.
        :param result: how it ended.
        """
        self._incr(f"wait.{kind.key}.{result.outcome}")
        statuses = result.result if isinstance(result.result, list) else [result.result]
        for status in statuses:
            for name in ("waited_seconds", "job_seconds"):
                if isinstance(status, dict) and (seconds := status.get(name)) is not None:
                    self._timing(f"{name}.{kind.key}", seconds)

    def polled(self, kind: JobKind[Any], status: int | None = None) -> None:
        """
        Count a poll.

        :param kind: the kind of job.
        :param status: the HTTP status of the answer; ``None`` if no answer came.
        """
        self._incr(f"poll.{kind.key}.{f'{status // 100}xx' if status else 'no_answer'}")

    def queued(self, service: Service, seconds: float) -> None:
        """
        Time how long a request waited for its turn, because of ``max_requests_per_second`` or an overload.

        :param service: the service.
        :param seconds: how long.
        """
        if seconds >= MIN_QUEUED:
            self._timing(f"queued_seconds.{service.conn_type}", seconds)

    def adopted(self, kind: JobKind[Any]) -> None:
        """
        Count a job that a retry continued with, instead of starting another one.

        :param kind: the kind of job.
        """
        self._incr(f"adopted.{kind.key}")

    def _incr(self, name: str) -> None:
        try:
            if self._stats is not None:
                self._stats.incr(f"{PREFIX}.{name}")
        except Exception:
            _log.debug("The metric %s could not be sent.", name, exc_info=True)

    def _timing(self, name: str, seconds: float) -> None:
        try:
            if self._stats is not None:
                self._stats.timing(f"{PREFIX}.{name}", timedelta(seconds=seconds))
        except Exception:
            _log.debug("The metric %s could not be sent.", name, exc_info=True)


#: For what runs in a task.
WORKER = Metrics("airflow.sdk.observability.stats")
#: For what runs in a trigger.
TRIGGERER = Metrics("airflow.observability.stats")
