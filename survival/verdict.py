"""What became of the waits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from devtools.client import StateEvent, TaskInstance
from devtools.supervised_airflow import SupervisedAirflow
from survival.waits import DAGS, Wait

#: States in which nothing more happens.
ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
#: A try has one of these events.
ENDS = frozenset({"success", "failed", "skipped", "up_for_retry", "up_for_reschedule"})


@dataclass(frozen=True)
class Verdict:
    """
    What became of a wait.

    :param wait: the wait.
    :param lost: it never ended.
    :param doubled: it, or a part of it, happened twice.
    :param wrong: what else is not as it must be.
    :param extra_delay: seconds from the end of the job, or the deadline, to the end of the task, without the one poke
        interval that a wait may take.
    """

    wait: Wait
    lost: str = ""
    doubled: str = ""
    wrong: str = ""
    extra_delay: float | None = None

    @property
    def correct(self) -> bool:
        """Whether it ended exactly once, as it must."""
        return not (self.lost or self.doubled or self.wrong)


@dataclass
class Row:
    """
    A fault, and the waits that it hit.

    :param name: the fault.
    :param hit: the job ids of the waits that were deferred when it began.
    :param own: the job ids of those of them whose jobs, or deadlines, ended during it.
    :param in_time: the fault came to its end, and so did the waits of ``own``, within the time that the suite gives it.
    :param survived: no process of Airflow died that must not die of this fault.
    """

    name: str
    hit: frozenset[str]
    own: frozenset[str]
    in_time: bool
    survived: bool = True
    verdicts: Sequence[Verdict] = field(default=(), init=False)

    @property
    def lost(self) -> int:
        """How many never ended."""
        return sum(bool(verdict.lost) for verdict in self.verdicts)

    @property
    def doubled(self) -> int:
        """How many happened twice."""
        return sum(bool(verdict.doubled) for verdict in self.verdicts)

    @property
    def correct(self) -> int:
        """How many ended as they must."""
        return sum(verdict.correct for verdict in self.verdicts)

    @property
    def passed(self) -> bool:
        """Whether the fault did no harm, and hit anything at all."""
        return bool(self.hit) and self.in_time and self.survived and self.correct == len(self.hit)

    @property
    def extra_delay(self) -> float:
        """The longest extra delay of those that ended during it, in seconds."""
        delays = [v.extra_delay for v in self.verdicts if v.wait.job_id in self.own and v.extra_delay is not None]
        return max(delays, default=0.0)


class Findings(NamedTuple):
    """All that is known about a task at the end."""

    task: TaskInstance
    events: Sequence[StateEvent]
    xcoms: Mapping[str, Any]
    log: str


def judge(
    airflow: SupervisedAirflow, dag_ids: Sequence[str], jobs: Sequence[Mapping[str, Any]], refused: Collection[Wait]
) -> list[Verdict]:
    """
    Compare what became of every wait with what had to become of it.

    :param airflow: the private Airflow.
    :param dag_ids: the DAGs that were started, in runs of the same names.
    :param jobs: the jobs as the simulator shows them.
    :param refused: the waits whose jobs were refused.
    """
    ends = {job["id"]: job["created"] + sum(stage["seconds"] for stage in job["stages"][:-1]) for job in jobs}
    verdicts = []
    for dag_id in dag_ids:
        waits = DAGS[dag_id]
        tasks = {task.key: task for task in airflow.task_instances(dag_id, dag_id)}
        events = airflow.state_events(dag_id, dag_id)
        xcoms: dict[Any, dict[str, Any]] = {}
        for xcom in airflow.xcoms(dag_id, dag_id):
            xcoms.setdefault(xcom.key, {})[xcom.name] = xcom.value
        for key, task in tasks.items():
            wait = waits.mapped[key.task_id][key.map_index]
            if wait in refused:
                wait = replace(wait, refused=True)
            log = ""
            if wait.state == "failed" and task.state == "failed":
                log = airflow.task_log(dag_id, dag_id, key.task_id, map_index=key.map_index, try_number=task.try_number)
            found = Findings(task, events.get(key, []), xcoms.get(key, {}), log)
            verdicts.append(_judge(wait, found, ends[wait.job_id]))
    judged = {verdict.wait.job_id for verdict in verdicts}
    missing = [wait for dag_id in dag_ids for wait in DAGS[dag_id].waits if wait.job_id not in judged]
    return [*verdicts, *(Verdict(wait, lost="it has no task") for wait in missing)]


def _judge(wait: Wait, found: Findings, job_end: float) -> Verdict:
    task = found.task
    if task.state not in ENDED or task.end_date is None:
        return Verdict(wait, lost=f"is {task.state}")
    states = [event.state for event in found.events]
    due = job_end
    if wait.timeout is not None and task.start_date:
        due = task.start_date.timestamp() + wait.timeout
    return Verdict(
        wait,
        doubled=_doubled(task, states),
        wrong=_wrong(wait, found, states),
        # A refused job does not end.
        extra_delay=None if wait.refused else task.end_date.timestamp() - due - wait.poke_interval,
    )


def _doubled(task: TaskInstance, states: Sequence[str]) -> str:
    # Once to poke and defer, once to end.
    twice = task.try_number > 1 or sum(state in ENDS for state in states) > 1 or states.count("running") > 2
    return f"try {task.try_number}: {', '.join(states)}" if twice else ""


def _wrong(wait: Wait, found: Findings, states: Collection[str]) -> str:
    if found.task.state != wait.state:
        return f"is {found.task.state}, not {wait.state}"
    if not any(state in ENDS for state in states):
        return f"no worker has ended it: {', '.join(states)}"
    if wait.state == "failed" and wait.words not in found.log:
        return f"its log does not say {wait.words!r}"
    if found.xcoms.keys() != wait.xcoms.keys():
        return f"left the XComs {sorted(found.xcoms)}, not {sorted(wait.xcoms)}"
    for name, right in wait.xcoms.items():
        value = found.xcoms[name]
        part = {field: value.get(field) for field in right} if isinstance(right, dict) else value
        if part != right:
            return f"left {part!r} as {name}, not {right!r}"
    return ""
