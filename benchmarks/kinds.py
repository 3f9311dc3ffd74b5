"""The triggers that are measured, each with the connection, the arguments and the answers that make it wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module, util
from typing import Any
from urllib.parse import SplitResult

#: Seconds between two polls of a trigger.
INTERVAL = 1.0
#: The id of the Airflow connection.
CONN_ID = "bench"
#: In an answer, stands for a number that is never the same.
COUNT = "@count@"


@dataclass(frozen=True)
class Kind:
    """
    A trigger that is measured.

    :param name: its name in the table.
    :param package: the distribution that it comes with; empty for this one.
    :param classpath: its class.
    :param connection: the fields of the Airflow connection, given the server's URL.
    :param arguments: its arguments, given the server's URL and the number of the job.
    :param answer: what the server says of a job that runs.
    :param status: the HTTP status it says so with.
    :param blocking: it holds up the event loop while it asks.
    :param prepare: called in the triggerer's process before it starts.
    """

    name: str
    package: str
    classpath: str
    connection: Callable[[SplitResult], Mapping[str, Any]]
    arguments: Callable[[SplitResult, int], Mapping[str, Any]]
    answer: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    blocking: bool = False
    prepare: Callable[[], None] = lambda: None

    @property
    def installed(self) -> bool:
        """Whether it can be measured here."""
        try:
            return util.find_spec(self.classpath.rpartition(".")[0]) is not None
        except ModuleNotFoundError:
            return False


def _deadline() -> float:
    return time.time() + 86400


def _nugen(name: str, key: str, answer: Mapping[str, Any]) -> Kind:
    return Kind(
        name,
        "",
        "airflow_provider_nugen.triggers.job.JobTrigger",
        lambda url: {"conn_type": "nugen", "host": url.geturl(), "password": "key"},
        lambda url, job: {
            "kind": key,
            "job_id": f"job-{job}",
            "conn_id": CONN_ID,
            "poke_interval": INTERVAL,
            "deadline": _deadline(),
            "began": time.time(),
            "seen": True,
            "status": "PROCESSING",
        },
        answer,
    )


_OPENAI = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "input_file_id": "file-1",
    "completion_window": "24h",
    "status": "in_progress",
    "created_at": 1,
}
_EVALUATION = {
    "evaluation_id": "eval-abc123",
    "status": "PROCESSING",
    "benchmark_id": "benchmark-abc123",
    "progress": None,
    "questions_completed": None,
    "total_questions": 10,
    "avg_time_per_question": 15.5,
    "eta_seconds": None,
    "start_time": "2024-02-24T10:00:00Z",
    "end_time": None,
}
_ALIGNMENT = {
    "status": "PROCESSING",
    "data": {
        "alignment_id": "alignment-abc123",
        "alignment_name": "Customer Support Model",
        "base_model": "nugen-flash-instruct",
        "status": "PROCESSING",
        "created_date": "2024-01-15T10:30:00Z",
        "completed_date": None,
        "document_ids": ["doc-abc123", "doc-def456"],
        "document_count": 2,
        "creator": "user@example.com",
        "performance_metrics": None,
    },
    "start_time": "2024-01-15T10:30:00Z",
    "end_time": None,
    "gpu_training_completed": None,
}


def _dbt_without_tls() -> None:
    """Let dbt Cloud's trigger, which knows https only, ask over http; the rest of it stays as it is."""
    hook = import_module("airflow.providers.dbt.cloud.hooks.dbt").DbtCloudHook
    original = hook.get_request_url_params

    def get_request_url_params(*args: Any, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        url, data = original(*args, **kwargs)
        return url.replace("https://", "http://", 1), data

    hook.get_request_url_params = staticmethod(get_request_url_params)


def kinds(tls: bool) -> dict[str, Kind]:
    """Return what can be measured, by name; the floor comes first."""
    every = (
        Kind(
            "bare",
            "",
            "benchmarks.bare.BareTrigger",
            lambda url: {},
            lambda url, job: {"url": f"{url.geturl()}/jobs/{job}", "interval": INTERVAL},
            _ALIGNMENT,
        ),
        _nugen("nugen", "nugen.alignment", _ALIGNMENT),
        _nugen("nugen-evaluation", "nugen.evaluation", _EVALUATION),
        # Every answer must be read, since none is as the one before.
        _nugen("nugen-changing", "nugen.evaluation", {**_EVALUATION, "avg_time_per_question": COUNT}),
        Kind(
            "dbt-cloud",
            "apache-airflow-providers-dbt-cloud",
            "airflow.providers.dbt.cloud.triggers.dbt.DbtCloudRunJobTrigger",
            lambda url: {"conn_type": "dbt_cloud", "host": url.netloc, "login": "1", "password": "key"},
            lambda url, job: {
                "conn_id": CONN_ID,
                "run_id": job,
                "account_id": 1,
                "poll_interval": INTERVAL,
                "end_time": _deadline(),
            },
            {"data": {"id": 1, "status": 3}},
            prepare=(lambda: None) if tls else _dbt_without_tls,
        ),
        Kind(
            "databricks",
            "apache-airflow-providers-databricks",
            "airflow.providers.databricks.triggers.databricks.DatabricksExecutionTrigger",
            lambda url: {
                "conn_type": "databricks",
                "schema": url.scheme,
                "host": url.hostname,
                "port": url.port,
                "password": "key",
            },
            lambda url, job: {"run_id": job, "databricks_conn_id": CONN_ID, "polling_period_seconds": INTERVAL},
            {"run_id": 1, "state": {"life_cycle_state": "RUNNING", "state_message": ""}},
        ),
        Kind(
            "http-sensor",
            "apache-airflow-providers-http",
            "airflow.providers.http.triggers.http.HttpSensorTrigger",
            lambda url: {"conn_type": "http", "host": url.geturl(), "password": "key"},
            lambda url, job: {"endpoint": f"jobs/{job}", "http_conn_id": CONN_ID, "poke_interval": INTERVAL},
            {"detail": "not yet"},
            status=404,
        ),
        Kind(
            "openai",
            "apache-airflow-providers-openai",
            "airflow.providers.openai.triggers.openai.OpenAIBatchTrigger",
            lambda url: {"conn_type": "openai", "host": f"{url.geturl()}/v1", "password": "key"},
            lambda url, job: {"conn_id": CONN_ID, "batch_id": f"b-{job}", "poll_interval": INTERVAL, "timeout": 86400},
            _OPENAI,
            blocking=True,
        ),
    )
    return {kind.name: kind for kind in every}
