"""What the demo tells: one line per event while it runs, and tables at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.client import Run, TaskChange, TaskInstance, XCom
from demo.timeline import Timeline

MEANING = {
    "scheduled": "may run now",
    "queued": "waits for a free worker",
    "running": "on a worker",
    "deferred": "waits in the triggerer and holds no worker",
    "up_for_reschedule": "gave its worker back, will look again later",
    "up_for_retry": "failed, will be tried again",
    "upstream_failed": "not run, since a task before it failed",
}


class Reporter:
    """Prints, with the seconds since its own start."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=140)
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def say(self, source: str, text: str) -> None:
        """
        Print one line.

        :param source: who or what it is about.
        :param text: what happened.
        """
        self.console.print(Text(f"[{self.elapsed:6.1f} s] {source:<46} {text}"), soft_wrap=True)

    def change(self, change: TaskChange) -> None:
        """
        Tell of a change of a task's state.

        :param change: the change.
        """
        task = change.task
        if task.state is None:
            return
        attempt = f" (try {task.try_number})" if task.try_number > 1 else ""
        meaning = MEANING.get(task.state)
        explained = f"{task.state}{attempt}: {meaning}" if meaning else f"{task.state}{attempt}"
        self.say(f"{task.run.dag_id}.{task.key}", explained)

    def tasks(self, run: Run, state: str, tasks: Sequence[tuple[TaskInstance, Timeline | None]]) -> None:
        """
        Print the table of a DAG run.

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
        for task, seconds in tasks:
            measured = (f"{seconds.total:.1f}", seconds.waited_in, f"{seconds.worker:.1f}") if seconds else ("?",) * 3
            table.add_row(str(task.key), task.state or "not started", *measured)
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
        Print the XComs of a DAG run.

        :param run: the run.
        :param xcoms: its XComs.
        """
        table = Table(title=f"{run.dag_id}: XComs", title_justify="left", title_style="bold")
        for column in ("task", "key", "value"):
            table.add_column(column, overflow="fold")
        for xcom in xcoms:
            table.add_row(str(xcom.key), xcom.name, Text(json.dumps(xcom.value, ensure_ascii=False)))
        self.console.print()
        self.console.print(table)

    def block(self, title: str, text: str) -> None:
        """
        Print a longer text, a log for instance.

        :param title: what it is.
        :param text: the text.
        """
        self.console.print(Text(f"\n--- {title} ---\n{text}\n"), soft_wrap=True)

    def notes(self, facts: Mapping[str, str]) -> None:
        """
        Print facts, one per line.

        :param facts: their names and values.
        """
        self.console.print()
        for name, value in facts.items():
            self.console.print(Text(f"{name + ':':<12}{value}"), soft_wrap=True)
