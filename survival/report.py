"""The table, and the closing line."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from devtools.reporter import Reporter
from survival.verdict import Row, Verdict


def report(
    reporter: Reporter,
    rows: Sequence[Row],
    verdicts: Sequence[Verdict],
    changes: Sequence[str],
    deaths: Sequence[str],
) -> int:
    """
    Print the table, what was wrong, and the closing line.

    :param reporter: prints.
    :param rows: the rows, with their verdicts.
    :param verdicts: what became of all waits.
    :param changes: requests that would have changed something at the services.
    :param deaths: what died by itself during which fault.
    :return: exit code.
    """
    for verdict in verdicts:
        for problem in filter(None, (verdict.lost, verdict.doubled, verdict.wrong)):
            reporter.block(f"{verdict.wait.dag_id}, {verdict.wait.task_id}, {verdict.wait.job_id}", problem)
    if changes:
        reporter.block("Requests that only read were expected, but there were", "\n".join(changes))
    correct = sum(verdict.correct for verdict in verdicts)
    table = Table(
        title="Waits on a real Airflow with PostgreSQL and two triggerers",
        caption=_caption(len(verdicts), correct, changes, deaths),
        caption_justify="left",
    )
    table.add_column("fault")
    for name in ("waits", "ended correctly", "lost", "doubled", "longest extra delay", "jobs ended meanwhile"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = (len(row.hit), row.correct, row.lost, row.doubled, f"{max(row.extra_delay, 0):.1f} s", len(row.own))
        table.add_row(row.name, *map(str, numbers), style=None if row.passed else "red")
    reporter.console.print(table)
    checks = [*(row.passed for row in rows), correct == len(verdicts), not changes]
    failed = checks.count(False)
    reporter.console.print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _caption(waits: int, correct: int, changes: Sequence[str], deaths: Sequence[str]) -> str:
    died = ", ".join(deaths) or "nothing"
    return (
        "waits: deferred when the fault began. longest extra delay: from the end of the job (or the deadline) to the "
        "end of the task, less one poke interval, of the waits whose jobs (or deadlines) ended meanwhile.\n"
        f"All waits: {waits}, of which {correct} ended exactly once, with the right state and XComs. "
        f"Requests that cancelled or changed a job: {len(changes)}.\n"
        f"Died by itself, and was started again as by any supervisor: {died}."
    )
