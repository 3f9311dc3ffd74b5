"""The waits as data: which job, waited for how, and what must come of it. The DAGs and the verdict read the same."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Environment variable: how many waits run from the beginning, for a short try of a fault.
LONG_WAITS = "SURVIVAL_WAITS"
#: DAG with the waits that run from the beginning, and the one with those that meet their deadline.
LONG_DAG, SHORT_DAG = "survival", "survival_deadlines"


@dataclass(frozen=True, eq=False)
class Kind:
    """
    A kind of job, and the sensor that waits for it.

    :param name: its name in the simulator.
    :param sensor: class name of the sensor.
    :param argument: the sensor's argument that names the job.
    :param running: the status of a job that runs.
    :param done: the status of a job that is done.
    :param failed: the status of a job that failed.
    :param xcoms: XComs of a wait for a job that is done, next to ``return_value``; ``{id}`` is the job's id.
    :param result: fields of its ``return_value``.
    """

    name: str
    sensor: str
    argument: str
    running: str
    done: str
    failed: str
    xcoms: Mapping[str, str]
    result: Mapping[str, str]


KINDS = (
    Kind(
        "alignment",
        "AlignmentStatusSensor",
        "alignment_id",
        *("PROCESSING", "READY", "FAILED"),
        xcoms={"model_id": "{id}-model"},
        result={"alignment_id": "{id}", "model_id": "{id}-model", "state": "SUCCEEDED"},
    ),
    Kind(
        "seekr_alignment",
        "SeekrAlignmentSensor",
        "alignment_job_id",
        *("running", "completed", "failed"),
        xcoms={},
        result={"id": "{id}", "state": "SUCCEEDED"},
    ),
    Kind(
        "evaluation",
        "EvaluationStatusSensor",
        "evaluation_id",
        *("PROCESSING", "READY", "FAILED"),
        xcoms={"evaluation_id": "{id}"},
        result={"evaluation_id": "{id}", "state": "SUCCEEDED"},
    ),
)


@dataclass(frozen=True, eq=False)
class Wait:
    """
    One wait, and how it must end.

    :param dag_id: DAG of its task.
    :param job_id: the job.
    :param kind: its kind.
    :param poke_interval: seconds between two polls.
    :param use_eta: poll less often while the service says that the job takes long.
    :param fails: the job fails.
    :param timeout: seconds after which the wait times out, which it must; ``None`` if its job ends before.
    :param refused: the service refuses the key for this job (401), which ends the wait.
    :param unmet_timeout: the sensor's ``timeout`` in seconds, where it is not to be met.
    """

    dag_id: str
    job_id: str
    kind: Kind
    poke_interval: float
    use_eta: bool = True
    fails: bool = False
    timeout: float | None = None
    refused: bool = False
    unmet_timeout: float = 86_400.0

    @property
    def task_id(self) -> str:
        """Task that the wait is a mapped instance of."""
        return self.kind.name

    @property
    def arguments(self) -> dict[str, Any]:
        """What its sensor is given."""
        return {
            self.kind.argument: self.job_id,
            "poke_interval": self.poke_interval,
            "use_eta": self.use_eta,
            "timeout": self.unmet_timeout if self.timeout is None else self.timeout,
        }

    @property
    def final_status(self) -> str:
        """The status with which its job ends."""
        return self.kind.failed if self.fails else self.kind.done

    @property
    def state(self) -> str:
        """The state in which its task must end."""
        return "failed" if self.fails or self.refused or self.timeout is not None else "success"

    @property
    def words(self) -> str:
        """What its log must say, if it must fail."""
        if self.refused:
            return "401"
        return "was not done when its timeout" if self.timeout is not None else f"failed (status '{self.final_status}')"

    @property
    def xcoms(self) -> dict[str, Any]:
        """All XComs that it must leave; of ``return_value`` the fields that count."""
        if self.state != "success":
            return {}
        texts = {name: text.format(id=self.job_id) for name, text in self.kind.xcoms.items()}
        return {**texts, "return_value": {name: text.format(id=self.job_id) for name, text in self.kind.result.items()}}


@dataclass
class Waits:
    """
    All waits of a DAG, in the order of their map indexes.

    :param waits: the waits.
    """

    waits: Sequence[Wait]
    mapped: dict[str, list[Wait]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for wait in self.waits:
            self.mapped.setdefault(wait.task_id, []).append(wait)


def _long(number: int) -> Wait:
    return Wait(
        LONG_DAG,
        f"long-{number:03}",
        KINDS[number % 3],
        poke_interval=2.0 + number % 4,
        use_eta=number % 2 == 0,
        fails=number % 10 == 9,
    )


def _short(number: int) -> Wait:
    # Two of four find their deadline in the trigger of a triggerer that comes too late; one finds it on a worker, where
    # Airflow itself ends what no triggerer has ended a minute after the deadline; one finds that the job is done.
    timeout = (90.0, 30.0, 90.0, None)[number % 4]
    return Wait(
        SHORT_DAG, f"short-{number:03}", KINDS[number % 3], poke_interval=3.0, timeout=timeout, unmet_timeout=90.0
    )


#: One wait of ten, whose jobs end well: those of them that are refused, if the fault happens.
REFUSED = "4"
LONG = [_long(number) for number in range(int(os.environ.get(LONG_WAITS, "180")))]
SHORT = [_short(number) for number in range(20)]
DAGS = {LONG_DAG: Waits(LONG), SHORT_DAG: Waits(SHORT)}
