"""What people see of a deferred wait: an XCom, written seldom."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sensors.support import Logs, Service

from airflow_provider_nugen import compat
from airflow_provider_nugen.api.nugen.jobs import ALIGNMENT
from airflow_provider_nugen.triggers import progress
from airflow_provider_nugen.triggers.progress import ProgressReport
from airflow_provider_nugen.waiting.result import Outcome
from airflow_provider_nugen.waiting.state import WaitSettings
from airflow_provider_nugen.waiting.wait import JobWait

from .test_job import ending, trigger

T0 = 1_772_686_800.0


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect what is pushed."""
    values: list[Any] = []

    async def push(ti: Any, key: str, value: Any) -> None:
        assert key == "progress"
        values.append(json.loads(json.dumps(value)))

    monkeypatch.setattr(progress, "push_xcom", push)
    return values


def wait(job_id: Any = "a-1", **state: Any) -> JobWait[Any]:
    return JobWait(ALIGNMENT, job_id, "my_conn", WaitSettings(), {"began": T0, **state})


async def test_it_is_written_when_it_changes_and_once_a_minute(pushed: list[Any]) -> None:
    one = wait(status="PROCESSING", progress=10, eta=T0 + 3600)
    report = ProgressReport(None, one)
    first = {"status": "PROCESSING", "progress": 10, "expected_end": "2026-03-05T06:00:00+00:00"}
    await report.push(T0)
    assert pushed == [{**first, "polled_at": "2026-03-05T05:00:00+00:00"}]
    await report.push(T0 + 61)
    assert len(pushed) == 1, "nothing had changed"
    one.waiters["a-1"].state.progress = 20
    await report.push(T0 + 62)
    one.waiters["a-1"].state.progress = 30
    await report.push(T0 + 121)
    assert [value["progress"] for value in pushed] == [10, 20], "within a minute"
    await report.push(T0 + 122)
    assert [value["progress"] for value in pushed] == [10, 20, 30]


async def test_of_many_jobs_it_counts(pushed: list[Any]) -> None:
    many = wait(["a-1", "a-2", "a-3"], jobs=[{"status": "READY", "over": True}, {"status": "QUEUED"}, {}])
    await ProgressReport(None, many).push(T0)
    assert pushed[0].items() >= {"jobs": 3, "over": 1, "statuses": {"READY": 1, "QUEUED": 1, "not read yet": 1}}.items()


async def test_a_wait_writes_it_only_if_it_is_wanted(service: Service, pushed: list[Any]) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    assert (await ending(trigger())).outcome is Outcome.SUCCEEDED
    assert pushed == []
    service.job("alignment", "a-1", "PROCESSING", "READY")
    assert (await ending(trigger(report_progress=True))).outcome is Outcome.SUCCEEDED
    assert pushed[0]["status"] == "PROCESSING"


async def test_an_xcom_that_cannot_be_pushed_does_not_end_the_wait(
    service: Service, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    tried = []

    async def push(*args: Any) -> None:
        tried.append(args)
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(progress, "push_xcom", push)
    service.job("alignment", "a-1", "PROCESSING", "PROCESSING", "PROCESSING", "READY")
    assert (await ending(trigger(report_progress=True))).outcome is Outcome.SUCCEEDED
    assert len(tried) == 1
    assert "could not be pushed" in logs.everything()


@pytest.mark.parametrize("is_async", [True, False])
async def test_it_is_pushed_in_any_airflow(
    monkeypatch: pytest.MonkeyPatch, is_async: bool, make_ti: Callable[[], Any]
) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    calls: list[Any] = []

    async def aset(key: str, value: Any, **where: Any) -> None:
        calls.append((key, value, where))

    def set_(key: str, value: Any, **where: Any) -> None:
        calls.append((key, value, where))

    monkeypatch.setattr(XCom, "set", set_)
    monkeypatch.setattr(XCom, "aset", aset if is_async else None, raising=False)
    await compat.push_xcom(make_ti(), "progress", {"status": "READY"})
    where = {"dag_id": "a_dag", "run_id": "a_run", "task_id": "wait", "map_index": -1}
    assert calls == [("progress", {"status": "READY"}, where)]


@pytest.fixture
def make_ti() -> Callable[[], Any]:
    """Make what the triggerer knows of a task instance."""
    from types import SimpleNamespace

    return lambda: SimpleNamespace(dag_id="a_dag", run_id="a_run", task_id="wait", map_index=-1)
