"""What breaks while the waits wait: each fault is a declaration."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any

from devtools.client import TaskInstance
from devtools.gateway import GatewayServer
from devtools.postgres import Database
from devtools.simulator import SimulatorServer
from devtools.supervised_airflow import SupervisedAirflow
from survival.secrets_backend import Secrets
from survival.waits import DAGS, LONG, REFUSED, SHORT_DAG, Wait

#: Connection ids and types.
CONNECTIONS = {"nugen_default": "nugen", "seekr_default": "seekr"}
TRIGGERERS = (0, 1)
#: Seconds for workers to do what there is to do.
START_TIMEOUT = 600.0
#: States of a task that a worker has, or is about to have.
BUSY = ("scheduled", "queued", "running", "restarting", "up_for_retry", "up_for_reschedule")


@dataclass
class Scene:
    """
    What faults happen to.

    :param airflow: the private Airflow.
    :param simulator: the simulated services.
    :param gateway: what stands before them.
    :param secrets: where Airflow has its connections from.
    :param database: the metadata database.
    :param say: tells what happens.
    """

    airflow: SupervisedAirflow
    simulator: SimulatorServer
    gateway: GatewayServer
    secrets: Secrets
    database: Database
    say: Callable[[str], None]
    #: The DAGs that were started.
    started: list[str] = field(default_factory=list, init=False)
    #: The waits whose jobs were refused.
    refused: set[Wait] = field(default_factory=set, init=False)

    def deferred(self) -> set[Wait]:
        """Return the waits that are deferred now."""
        tasks: list[TaskInstance] = []

        def read() -> bool:
            tasks[:] = self.airflow.tasks_in("deferred")
            return True

        self.airflow.comes_true(read, START_TIMEOUT)
        return {DAGS[task.run.dag_id].mapped[task.key.task_id][task.key.map_index] for task in tasks}

    def start_waits(self, dag_id: str) -> None:
        """
        Start a DAG run of the DAG's own name.

        :param dag_id: the DAG.
        """
        self.airflow.trigger(dag_id, run_id=dag_id)
        self.started.append(dag_id)

    def wait_until_no_worker_works(self) -> None:
        """
        Wait until every wait is deferred, or has ended.

        :raises TimeoutError: if this takes too long.
        """
        if not self.airflow.comes_true(lambda: not self.airflow.count_in("none", *BUSY), START_TIMEOUT):
            raise TimeoutError(f"Workers are still busy after {START_TIMEOUT:.0f} s")

    def wait_until_some_wait(self) -> None:
        """
        Wait until half of the waits are deferred.

        :raises TimeoutError: if this takes too long.
        """
        half = sum(len(DAGS[dag_id].waits) for dag_id in self.started) / 2
        if not self.airflow.comes_true(lambda: self.airflow.count_in("deferred") > half, START_TIMEOUT):
            raise TimeoutError(f"Less than {half:.0f} waits are deferred after {START_TIMEOUT:.0f} s")


def _nothing(scene: Scene) -> None:
    pass


def _at_once(scene: Scene) -> bool:
    return True


@dataclass(frozen=True)
class Fault:
    """
    Something that goes wrong for a while.

    :param name: shown in the table.
    :param apply: breaks it.
    :param restore: mends it.
    :param seconds: how long it stays broken.
    :param ending: how many of the long waits' jobs end meanwhile.
    :param before: waits for the right moment.
    :param until: what must be true, too, before it is mended.
    :param refuses: the key is refused for one job of ten, which ends their waits.
    :param by_service: it is in what the services answer, so that no process of Airflow may die of it.
    """

    name: str
    apply: Callable[[Scene], None]
    restore: Callable[[Scene], None]
    seconds: float
    ending: int
    before: Callable[[Scene], None] = _nothing
    until: Callable[[Scene], bool] = _at_once
    refuses: bool = False
    by_service: bool = False


def _answers(name: str, seconds: float, ending: int, answer: dict[str, Any], **others: Any) -> Fault:
    """Declare that the services answer badly, in the way of :class:`~airflow_provider_nugen.simulator.faults.Fault`."""

    def restore(scene: Scene) -> None:
        struck = scene.simulator.clear_faults()
        if not struck:
            raise RuntimeError(f"{name}: it struck no request")
        scene.say(f"it struck {struck} requests")

    return Fault(
        name,
        apply=lambda scene: scene.simulator.add_fault(**answer),
        restore=restore,
        seconds=seconds,
        ending=ending,
        by_service=True,
        **others,
    )


def _start_short_waits(scene: Scene) -> None:
    scene.wait_until_no_worker_works()
    scene.start_waits(SHORT_DAG)
    scene.wait_until_no_worker_works()


def _rotate_key(scene: Scene) -> None:
    # Airflow first, as one does: a refused key that the connection still has ends a wait.
    key = token_urlsafe(24)
    scene.secrets.set_password(key)
    scene.simulator.rotate_key(key)


def _through_gateway(name: str, fault: str, every: int, seconds: float, ending: int) -> Fault:
    """Declare that answers come back damaged, in a way of :class:`devtools.gateway.Gateway`."""

    def restore(scene: Scene) -> None:
        struck = scene.gateway.set_fault("")
        if not struck:
            raise RuntimeError(f"{name}: it struck no request")
        scene.say(f"it struck {struck} requests")

    return Fault(
        name,
        before=Scene.wait_until_no_worker_works,
        apply=lambda scene: _set_gateway(scene, fault, every),
        restore=restore,
        seconds=seconds,
        ending=ending,
        by_service=True,
    )


def _set_gateway(scene: Scene, fault: str, every: int) -> None:
    scene.gateway.set_fault(fault, every)


def _lose_secrets(scene: Scene) -> None:
    scene.secrets.fail()
    # A trigger reads its connection when it starts.
    scene.airflow.kill_triggerers(*TRIGGERERS)
    scene.airflow.start_triggerers(*TRIGGERERS)


def _deadlines_have_passed(scene: Scene) -> bool:
    """
    Return whether every deadline of the short waits has passed, and Airflow itself has ended the early ones.

    A deadline counts from the start of its task.
    """
    tasks = [
        (task, DAGS[SHORT_DAG].mapped[task.key.task_id][task.key.map_index])
        for task in scene.airflow.task_instances(SHORT_DAG, SHORT_DAG)
    ]
    shortest = min(wait.timeout for wait in DAGS[SHORT_DAG].waits if wait.timeout)
    if any(task.state == "deferred" for task, wait in tasks if wait.timeout == shortest):
        return False
    ends = [task.start_date.timestamp() + (wait.timeout or 0) for task, wait in tasks if task.start_date]
    return time.time() > max(ends) + 1


FAULTS = (
    # The other half makes its first poke while it lasts.
    _answers("two minutes of 502", 120, 16, {"action": "status", "status": 502}, before=Scene.wait_until_some_wait),
    Fault(
        "triggerers killed (-9), restarted",
        before=Scene.wait_until_no_worker_works,
        apply=lambda scene: scene.airflow.kill_triggerers(*TRIGGERERS),
        restore=lambda scene: scene.airflow.start_triggerers(*TRIGGERERS),
        seconds=8,
        ending=8,
    ),
    Fault(
        "one of two triggerers killed (-9)",
        apply=lambda scene: scene.airflow.kill_triggerers(0),
        restore=lambda scene: scene.airflow.start_triggerers(0),
        seconds=20,
        ending=8,
    ),
    # The other one takes over, then both have them for a moment.
    Fault(
        "one of two triggerers hangs, continues",
        apply=lambda scene: scene.airflow.kill_triggerer(1, signal.SIGSTOP),
        restore=lambda scene: scene.airflow.kill_triggerer(1, signal.SIGCONT),
        seconds=20,
        ending=8,
    ),
    Fault(
        "service killed, restarted on its port",
        apply=lambda scene: scene.simulator.stop(signal.SIGKILL),
        restore=lambda scene: scene.simulator.start(),
        seconds=8,
        ending=8,
    ),
    _answers("every third connection dropped", 25, 8, {"action": "drop", "every": 3}),
    # A connection that drops is often replaced before we hear of it; this is not.
    _answers("every second answer cut short", 20, 8, {"action": "truncate", "every": 2}),
    _answers("every tenth answer 20 s late", 35, 8, {"action": "delay", "seconds": 20, "every": 10}),
    Fault("key rotated", apply=_rotate_key, restore=_nothing, seconds=8, ending=8),
    _answers(
        "every key refused for ten seconds (401)",
        10,
        8,
        {"action": "status", "status": 401},
        before=Scene.wait_until_no_worker_works,
    ),
    _through_gateway("poisonous answers in a tenth of the waits", "poison", 10, 25, 8),
    _through_gateway("gateway resets every fourth connection", "reset", 4, 25, 8),
    _answers(
        "one job of ten refused (401)",
        25,
        6,
        {"action": "status", "status": 401, "path": f"long-[0-9]+{REFUSED}(/|$)"},
        before=Scene.wait_until_no_worker_works,
        # A key that was accepted before is refused for a minute before that is final.
        until=lambda scene: not scene.refused & scene.deferred(),
        refuses=True,
    ),
    Fault(
        "secrets backend fails for a minute",
        before=Scene.wait_until_no_worker_works,
        apply=_lose_secrets,
        restore=lambda scene: scene.secrets.restore(),
        seconds=60,
        ending=8,
    ),
    Fault(
        "deadline while no triggerer runs",
        before=_start_short_waits,
        apply=lambda scene: scene.airflow.kill_triggerers(*TRIGGERERS),
        until=_deadlines_have_passed,
        restore=lambda scene: scene.airflow.start_triggerers(*TRIGGERERS),
        seconds=20,
        ending=16,
    ),
    Fault(
        "database restarted",
        before=Scene.wait_until_no_worker_works,
        apply=lambda scene: scene.database.stop(),
        restore=lambda scene: scene.database.start(),
        seconds=8,
        ending=12,
    ),
)
#: The jobs that outlive them all.
NO_FAULT = Fault("no fault", apply=_nothing, restore=_nothing, seconds=15, ending=len(LONG))
