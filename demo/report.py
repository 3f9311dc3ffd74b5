"""What the demo tells: one line per change while it runs, tables that fit a screen at the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from demo.timeline import Timeline
from devtools.client import Run, TaskChange, TaskInstance, XCom
from devtools.reporter import Reporter

MEANING = {
    "running": "on a worker",
    "deferred": "waits in the triggerer and holds no worker",
    "up_for_reschedule": "gave its worker back, will poke again later",
    "up_for_retry": "failed, will be tried again",
    "upstream_failed": "not run, since an upstream task failed",
}
#: States that are not told: they pass within moments, or say nothing of the task.
UNTOLD = (None, "scheduled", "queued")
#: States in which each instance of a mapped task is told. Of the others the first one stands for all.
TOLD_EACH = ("failed", "upstream_failed", "up_for_retry")
#: Characters of an XCom in the table; the whole value is in the file.
XCOM_WIDTH = 72


class DemoReporter(Reporter):
    """Tells of DAG runs."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[tuple[Run, str, str, int]] = set()

    def change(self, change: TaskChange) -> None:
        """
        Tell of a change of a task's state; of the instances of a mapped task only the first, unless it went wrong.

        :param change: the change.
        """
        task = change.task
        if task.state in UNTOLD:
            return
        told = (task.run, task.key.task_id, str(task.state), task.try_number)
        if task.key.map_index >= 0 and task.state not in TOLD_EACH and told in self._told:
            return
        self._told.add(told)
        attempt = f" (try {task.try_number})" if task.try_number > 1 else ""
        meaning = MEANING.get(str(task.state))
        explained = f"{task.state}{attempt}: {meaning}" if meaning else f"{task.state}{attempt}"
        self.say(f"{task.run.dag_id}.{task.key}", explained)

    def tasks(self, run: Run, state: str, tasks: Sequence[tuple[TaskInstance, Timeline | None]]) -> None:
        """
        Print the table of a DAG run, with one line for all instances of a mapped task that are in the same state.

        :param run: the run.
        :param state: its state.
        :param tasks: its tasks with their seconds; None where Airflow has not recorded them.
        """
        table = Table(title=f"{run.dag_id}: {state}", title_justify="left", title_style="bold")
        table.add_column("task")
        table.add_column("state")
        table.add_column("seconds", justify="right")
        table.add_column("waited in")
        table.add_column("seconds of worker time", justify="right")
        for row in task_rows(tasks):
            table.add_row(*row)
        counted = [seconds for _, seconds in tasks if seconds]
        table.add_section()
        table.add_row(
            "all tasks",
            "",
            f"{sum(seconds.total for seconds in counted):.1f}",
            "",
            f"{sum(seconds.worker for seconds in counted):.1f}",
        )
        self.console.print()
        self.console.print(table)

    def xcoms(self, run: Run, xcoms: Sequence[XCom]) -> None:
        """
        Print the XComs of a DAG run, shortened.

        :param run: the run.
        :param xcoms: its XComs.
        """
        table = Table(title=f"{run.dag_id}: XComs", title_justify="left", title_style="bold")
        for column in ("task", "key", "value"):
            table.add_column(column, no_wrap=True, overflow="ellipsis")
        for task, name, value in xcom_rows(xcoms):
            table.add_row(task, name, Text(value))
        self.console.print()
        self.console.print(table)


def task_rows(tasks: Sequence[tuple[TaskInstance, Timeline | None]]) -> list[tuple[str, ...]]:
    """
    Build the rows of the table of a DAG run: task, state, seconds, waited in, seconds of worker time.

    :param tasks: its tasks with their seconds, in the order in which they started.
    """
    instances = Counter(task.key.task_id for task, _ in tasks)
    groups: dict[tuple[str, str, int], list[Timeline | None]] = {}
    for task, seconds in tasks:
        groups.setdefault((task.key.task_id, task.state or "not started", min(task.key.map_index, 0)), []).append(
            seconds
        )
    rows: list[tuple[str, ...]] = []
    for (task_id, state, map_index), timelines in groups.items():
        name = task_id if map_index < 0 else f"{task_id}, {len(timelines)} of {instances[task_id]}"
        known = [seconds for seconds in timelines if seconds]
        if known:
            waited_in = " or ".join(sorted({seconds.waited_in for seconds in known}))
            measured = (_range([s.total for s in known]), waited_in, f"{sum(s.worker for s in known):.1f}")
        else:
            measured = ("?", "?", "?")
        rows.append((name, state, *measured))
    return rows


def xcom_rows(xcoms: Sequence[XCom]) -> list[tuple[str, str, str]]:
    """
    Build the rows of the table of XComs: task, key, value.

    The values of a mapped task are one row, with the value of its first instance as an example.

    :param xcoms: the XComs of a DAG run.
    """
    groups: dict[tuple[str, str], list[XCom]] = {}
    for xcom in xcoms:
        groups.setdefault((xcom.key.task_id, xcom.name), []).append(xcom)
    return [
        (
            task_id if group[0].key.map_index < 0 else f"{task_id}, each of {len(group)}",
            name,
            shortened(json.dumps(group[0].value, ensure_ascii=False), XCOM_WIDTH),
        )
        for (task_id, name), group in groups.items()
    ]


def write_xcoms(file: Path, xcoms: Mapping[Run, Sequence[XCom]]) -> None:
    """
    Write all XComs with their whole values, as JSON.

    :param file: file to write.
    :param xcoms: the XComs of each run.
    """
    found = {
        run.dag_id: [{"task": str(xcom.key), "key": xcom.name, "value": xcom.value} for xcom in of_run]
        for run, of_run in xcoms.items()
    }
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False), encoding="utf-8", errors="backslashreplace")


def shortened(text: str, width: int) -> str:
    """
    Return a text of at most ``width`` characters.

    :param text: the text.
    :param width: the most characters, three dots included.
    """
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _range(seconds: Sequence[float]) -> str:
    low, high = f"{min(seconds):.1f}", f"{max(seconds):.1f}"
    return low if low == high else f"{min(seconds):.0f} to {max(seconds):.0f}"
