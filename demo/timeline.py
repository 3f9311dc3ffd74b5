"""How long a task was where, counted from the moments at which it changed its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from devtools.client import StateEvent, TaskInstance

FINAL_STATES = ("success", "failed", "skipped")


@dataclass(frozen=True)
class Timeline:
    """
    Seconds of a task, over all of its tries.

    :param total: from the first start to the end.
    :param worker: held a worker.
    :param triggerer: deferred, until a worker had taken it up again.
    :param rescheduled: given back to the scheduler by a sensor in reschedule mode, until a worker had taken it up
        again.
    :param is_sensor: whether it is a sensor.
    """

    total: float
    worker: float
    triggerer: float
    rescheduled: float
    is_sensor: bool

    @property
    def waited_in(self) -> str:
        """Where the task waited. A sensor that never left its worker can only have waited there."""
        if self.triggerer:
            return "triggerer"
        if self.rescheduled:
            return "scheduler"
        return "worker" if self.is_sensor and self.worker else "-"


def timeline(task: TaskInstance, events: Sequence[StateEvent], now: datetime) -> Timeline | None:
    """
    Count the seconds.

    :param task: the task instance.
    :param events: when it entered which state, in order.
    :param now: end of the count for a task that has not ended.
    :return: None if the task ran, but it is not recorded when (before Airflow 3.2).
    """
    is_sensor = "Sensor" in task.operator
    if not events:
        return None if task.ran else Timeline(0.0, 0.0, 0.0, 0.0, is_sensor)
    seconds: dict[str, float] = {}
    # A worker that was killed reports no end: the scheduler ends the task, and the task instance says when.
    end = task.end_date or now
    if events[-1].state in FINAL_STATES or events[-1].when > end:
        end = events[-1].when
    for event, following in zip(events, [*(event.when for event in events[1:]), end], strict=True):
        seconds[event.state] = seconds.get(event.state, 0.0) + (following - event.when).total_seconds()
    started = next((event.when for event in events if event.state == "running"), end)
    return Timeline(
        total=(end - started).total_seconds(),
        worker=seconds.get("running", 0.0),
        triggerer=seconds.get("deferred", 0.0),
        rescheduled=seconds.get("up_for_reschedule", 0.0),
        is_sensor=is_sensor,
    )
