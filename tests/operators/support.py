"""What the operator tests share: a task instance that lives through retries and clears, and simulated services."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import tenacity.nap
from airflow.providers.standard.triggers import temporal
from sensors import harness
from sensors.harness import Run, Store

from airflow_provider_nugen.compat import AirflowException, AirflowFailException
from airflow_provider_nugen.operators.start import StartOperator
from airflow_provider_nugen.simulator import Fault, Simulator, run_simulator
from airflow_provider_nugen.simulator.state import SEEDS
from airflow_provider_nugen.simulator.timeline import Job, Stage

#: Quick enough for a test to see the end of a job, slow enough for the operator to see it run.
QUICK = 1000.0
POKE = 0.05
DOCUMENTS = ["doc-demo-1"]
#: What starts an alignment.
ALIGNMENT = {"base_model": "nugen-flash-instruct", "document_ids": DOCUMENTS}
BENCHMARK = "benchmark-demo-1"


class TaskInstance(harness.TaskInstance):
    """A task instance of which also XComs are read."""

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return copy.deepcopy(self.xcoms.get(key))


class Life:
    """
    A task instance, from try to try.

    :param make: makes the operator, as parsing a DAG file does.
    :param key: the API key, which must turn up nowhere.
    :param memory: whether Airflow has a task state store (3.3 and later).
    :param map_index: for a mapped task.
    :param run_type: how its run came to be.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        key: str,
        *,
        memory: bool = True,
        map_index: int = -1,
        run_type: str = "scheduled",
    ) -> None:
        self.make, self.key = make, key
        self.store = Store() if memory else None
        self.ti = TaskInstance(make(), map_index)
        self.ti.try_number, self.ti.max_tries = 0, self.ti.task.retries
        self.began = datetime.now(UTC)
        #: A run that is triggered is due at once; a scheduled one at a full hour, in every Airflow at the same.
        due = self.began if run_type != "scheduled" else self.began.replace(minute=0, second=0, microsecond=0)
        self.run_facts = {"run_type": run_type, "run_after": due, "clear_number": 0}

    @property
    def context(self) -> dict[str, Any]:
        """The context of the next try."""
        context = {
            "ti": self.ti,
            "run_id": "a_run",
            "dag_run": SimpleNamespace(start_date=self.began, **self.run_facts),
        }
        return context | ({"task_state_store": self.store} if self.store else {})

    def begin(self) -> None:
        """Begin a try: the XComs of the one before are gone."""
        self.ti.try_number += 1
        self.ti.xcoms.clear()

    def run(self) -> Run:
        """Run one try."""
        self.begin()
        context = self.context
        store = context.pop("task_state_store", None)
        return harness.run(self.make, self.key, store=store, **context)

    def clear(self, *, run_is_over: bool = False) -> None:
        """Clear the task, as a user does in the UI when it is not running; a run that is over is started again."""
        self.ti.max_tries = self.ti.try_number + self.ti.task.retries
        self.run_facts["clear_number"] += 1
        if run_is_over:
            self.began = datetime.now(UTC)


def is_final(run: Run) -> bool:
    """Return whether a try failed, and Airflow never retries it."""
    return isinstance(run.error, AirflowFailException)


def is_retryable(run: Run) -> bool:
    """Return whether a try failed, and a retry may continue."""
    return isinstance(run.error, AirflowException) and not is_final(run)


class Service:
    """Simulators of both services, and what most tests do with them."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.world = simulator.world
        self.url = simulator.url

    def reset(self, key: str) -> None:
        """Forget what the test before did."""
        self.world.jobs.clear()
        self.world.clear_faults()
        self.world.clear_requests()
        self.world.rotate_key(key)
        for kind, ids in SEEDS.items():
            for job_id in ids:
                self.world.add_job(kind, job_id, [Stage("READY")])

    def jobs(self, kind: str = "alignment") -> list[Job]:
        """List the jobs of a kind that were started, oldest first."""
        return [job for job in self.world.all(kind) if job.id not in SEEDS.get(kind, ())]

    def live(self, kind: str = "alignment") -> list[str]:
        """List the jobs of a kind that neither failed nor were cancelled."""
        return [job.id for job in self.jobs(kind) if not job.broken(self.world.now())]

    def word(self, job_id: str) -> str:
        """Return the status word of a job."""
        return self.world.job(job_id).word(self.world.now())

    def trained(self, alignment_id: str = "trained") -> str:
        """Make a model that can be deployed."""
        self.world.add_job("alignment", alignment_id, [Stage("READY")], inputs={"name": "Trained"})
        return f"{alignment_id}-model"

    def fault(self, action: str, operation: str, **fields: Any) -> Fault:
        """Let something go wrong, once unless told otherwise."""
        return self.world.add_fault({"action": action, "operation": operation, "times": 1, **fields})

    def asked(self, operation: str) -> int:
        """Count the requests for an operation."""
        return sum(seen.operation == operation for seen in self.world.requests)


@pytest.fixture(scope="session")
def services() -> Iterator[Callable[..., Service]]:
    """Make simulators, one for each set of options."""
    made: dict[str, Service] = {}
    with ExitStack() as stack:

        def make(**options: Any) -> Service:
            # Most tests search for a job as soon as it was started; those of slow lists say how slow.
            options = {"visible_after": 0.0, **options}
            name = json.dumps(options, sort_keys=True)
            if name not in made:
                made[name] = Service(stack.enter_context(run_simulator(**options)))
            return made[name]

        yield make


@pytest.fixture
def make_service(services: Callable[..., Service], connection: Callable[..., str], key: str) -> Callable[..., Service]:
    """Simulate both services with options of the test's choice, and make the default connections to them."""

    def make(**options: Any) -> Service:
        service = services(**options)
        service.reset(key)
        for fields in (service.simulator.nugen_connection(), service.simulator.seekr_connection()):
            connection(fields.pop("conn_type"), **{**fields, "extra": {**fields["extra"], "timeout": 5}})
        return service

    return make


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """Both services, with jobs that last for minutes."""
    return make_service()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a service to recover: no test has one that does; nor a whole second for a moment of a trigger."""
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr(StartOperator, "lookup_delays", (0.0, 0.0))
    moments = SimpleNamespace(**{**vars(asyncio), "sleep": lambda seconds: asyncio.sleep(min(seconds, POKE / 5))})
    monkeypatch.setattr(temporal, "asyncio", moments)


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until something is true, and return it."""
    give_up = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < give_up, f"still not so after {seconds} s"
        time.sleep(0.02)
    return value
