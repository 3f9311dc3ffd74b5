"""What the demo tells fits a screen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow 3.1
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

from demo.__main__ import explain
from demo.report import XCOM_WIDTH, DemoReporter, task_rows, write_xcoms, xcom_rows
from demo.timeline import Timeline
from devtools.client import AirflowClient, Run, TaskChange, TaskInstance, TaskKey, XCom
from devtools.program import PROJECT

RUN = Run("dag", "run")


def task(task_id: str, map_index: int, state: str | None) -> TaskInstance:
    return TaskInstance(RUN, TaskKey(task_id, map_index), state, 1, "Sensor", None, None, {})


def seconds(total: float) -> Timeline:
    return Timeline(total=total, worker=1.5, triggerer=total - 1.5, rescheduled=0.0, is_sensor=True)


def test_a_mapped_task_is_one_line() -> None:
    tasks = [(task("wait", number, "success"), seconds(10 + number / 10)) for number in range(20)]
    assert task_rows([(task("start", -1, "success"), seconds(3.0)), *tasks]) == [
        ("start", "success", "3.0", "triggerer", "1.5"),
        ("wait, 20 of 20", "success", "10 to 12", "triggerer", "30.0"),
    ]


def test_what_failed_has_a_line_of_its_own() -> None:
    tasks = [(task("wait", number, "failed" if number == 7 else "success"), seconds(10)) for number in range(20)]
    assert [row[:2] for row in task_rows([*tasks, (task("end", -1, None), None)])] == [
        ("wait, 19 of 20", "success"),
        ("wait, 1 of 20", "failed"),
        ("end", "not started"),
    ]


def test_while_it_runs_a_mapped_task_is_told_once_and_each_failure(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = DemoReporter()
    for state in ("scheduled", "queued", "running"):
        for number in range(20):
            reporter.change(TaskChange(task("wait", number, state), None))
        reporter.change(TaskChange(task("alone", -1, state), None))
    for number in range(20):
        reporter.change(TaskChange(task("wait", number, "failed" if number > 17 else "success"), "running"))
    told = [line.split("] ", 1)[1].split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert [(name, what.strip()) for name, what in told] == [
        ("dag.wait[0]", "running: on a worker"),
        ("dag.alone", "running: on a worker"),
        ("dag.wait[0]", "success"),
        ("dag.wait[18]", "failed"),
        ("dag.wait[19]", "failed"),
    ]


def test_xcoms_are_shortened_and_the_file_has_them_whole(tmp_path: Path) -> None:
    value = {"text": "ü" * 500, "cut": "\ud83d"}
    xcoms = [XCom(TaskKey("wait", number), "return_value", value) for number in range(20)]
    (row,) = xcom_rows(xcoms)
    assert row[:2] == ("wait, each of 20", "return_value")
    assert len(row[2]) == XCOM_WIDTH
    write_xcoms(tmp_path / "xcoms.json", {RUN: xcoms})
    found = json.loads((tmp_path / "xcoms.json").read_text(encoding="utf-8"))
    assert found["dag"][19] == {"task": "wait[19]", "key": "return_value", "value": value}


class SchedulerFailedIt(AirflowClient):
    """An Airflow whose scheduler has failed a task, of which the task's own log says nothing."""

    def __init__(self) -> None:
        super().__init__("http://airflow", "admin", "")

    def scheduler_reasons(self, dag_id: str, run_id: str) -> dict[TaskKey, list[str]]:
        return {TaskKey("wait", -1): ["state mismatch: the executor reported success, the state is queued"]}

    def task_log(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, try_number: int = 1) -> str:
        return "the wait was deferred"


def test_a_failed_task_is_shown_with_the_reason_of_the_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    failed = replace(task("wait", -1, "failed"), raw={"hostname": "here"})
    explain(SchedulerFailedIt(), RUN, [failed], DemoReporter())
    printed = capsys.readouterr().out
    assert "what the scheduler did to dag.wait" in printed
    assert "state mismatch: the executor reported success, the state is queued" in printed
    assert "the wait was deferred" in printed


@pytest.mark.parametrize("path", sorted((PROJECT / "example_dags").glob("*.py")), ids=lambda path: path.stem)
def test_airflow_takes_each_example(path: Path) -> None:
    """A DAG that Airflow refuses when it is loaded fails no run: there is none."""
    found = DagBag(path)
    assert found.import_errors == {}
    for dag in found.dags.values():
        dag.validate()
    assert found.dags
