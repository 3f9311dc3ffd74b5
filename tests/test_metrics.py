"""Metrics by Airflow's own stats: names, values, and that nothing fails because of them."""

from __future__ import annotations

import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_nugen import metrics as module
from airflow_provider_nugen.api.nugen.jobs import ALIGNMENT
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.metrics import TRIGGERER, WORKER, Metrics
from airflow_provider_nugen.waiting.result import Outcome, WaitResult

#: What a task, and a trigger, have when Airflow has set up metrics for them.
PROGRAM = """
from airflow.configuration import conf
from {shared}.observability.metrics import stats
from {package}.observability.metrics import stats_utils
from airflow_provider_nugen.api.nugen.jobs import ALIGNMENT
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.metrics import {who} as metrics
from airflow_provider_nugen.waiting.result import Outcome, WaitResult

stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
metrics.wait_ended(ALIGNMENT, WaitResult(Outcome.SUCCEEDED, "", {{"waited_seconds": 1.5, "job_seconds": 60.0}}))
metrics.polled(ALIGNMENT, 200)
metrics.polled(ALIGNMENT)
metrics.queued(NUGEN, 0.25)
metrics.adopted(ALIGNMENT)
"""

EXPECTED = {
    "airflow.airflow_provider_nugen.wait.nugen.alignment.succeeded:1|c",
    "airflow.airflow_provider_nugen.waited_seconds.nugen.alignment:1500.000000|ms",
    "airflow.airflow_provider_nugen.job_seconds.nugen.alignment:60000.000000|ms",
    "airflow.airflow_provider_nugen.poll.nugen.alignment.2xx:1|c",
    "airflow.airflow_provider_nugen.poll.nugen.alignment.no_answer:1|c",
    "airflow.airflow_provider_nugen.queued_seconds.nugen:250.000000|ms",
    "airflow.airflow_provider_nugen.adopted.nugen.alignment:1|c",
}


@pytest.mark.newest
@pytest.mark.parametrize(
    ("who", "shared", "package"),
    [("WORKER", "airflow.sdk._shared", "airflow.sdk"), ("TRIGGERER", "airflow._shared", "airflow")],
    ids=["a task", "a trigger"],
)
def test_statsd_gets_them(who: str, shared: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(30)
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(listener.getsockname()[1]))
        program = PROGRAM.format(who=who, shared=shared, package=package)
        subprocess.run([sys.executable, "-c", program], check=True, timeout=120, capture_output=True)
        found: list[str] = []
        while len(found) < len(EXPECTED):
            # Airflow has metrics of its own, too.
            if "airflow_provider_nugen" in (line := listener.recv(10_000).decode()):
                found.append(line)
        assert set(found) == EXPECTED


class Recorder:
    """Airflow's metrics; each call is kept."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def incr(self, name: str) -> None:
        self.calls.append((name, 1))

    def timing(self, name: str, duration: Any) -> None:
        self.calls.append((name, duration.total_seconds()))


def recorded(monkeypatch: pytest.MonkeyPatch) -> tuple[Metrics, Recorder]:
    monkeypatch.setattr(module, "is_on", lambda: True)
    metrics, recorder = Metrics("somewhere"), Recorder()
    monkeypatch.setitem(sys.modules, "somewhere", recorder)
    return metrics, recorder


def test_each_job_of_a_list_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, recorder = recorded(monkeypatch)
    statuses = [{"waited_seconds": 1.0, "job_seconds": None}, None, {"waited_seconds": 2.0, "job_seconds": 3.0}]
    metrics.wait_ended(ALIGNMENT, WaitResult(Outcome.FAILED, "", statuses))
    prefix = "airflow_provider_nugen"
    assert recorder.calls == [
        (f"{prefix}.wait.nugen.alignment.failed", 1),
        (f"{prefix}.waited_seconds.nugen.alignment", 1.0),
        (f"{prefix}.waited_seconds.nugen.alignment", 2.0),
        (f"{prefix}.job_seconds.nugen.alignment", 3.0),
    ]


def test_who_does_not_queue_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, recorder = recorded(monkeypatch)
    metrics.queued(NUGEN, 0.001)
    assert recorder.calls == []


def test_metrics_that_are_broken_fail_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", module.__name__)
    monkeypatch.setattr(module, "is_on", lambda: True)
    monkeypatch.setitem(sys.modules, "broken", SimpleNamespace())
    metrics = Metrics("broken")
    metrics.polled(ALIGNMENT, 503)
    metrics.queued(NUGEN, 1.0)
    assert sum("could not be sent" in record.getMessage() for record in caplog.records) == 2


@pytest.mark.parametrize("metrics", [WORKER, TRIGGERER], ids=["a task", "a trigger"])
def test_airflow_s_metrics_are_not_even_loaded_when_they_are_off(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "import_module", None)
    metrics.polled(ALIGNMENT, 200)
    metrics.queued(NUGEN, 1.0)
    assert metrics._stats is None


@pytest.mark.parametrize("switch", module.SWITCHES)
def test_each_switch_turns_them_on(switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not module.is_on()
    monkeypatch.setenv(f"AIRFLOW__METRICS__{switch.upper()}", "True")
    assert module.is_on()
