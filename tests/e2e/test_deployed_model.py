"""A deployed model on a real Airflow: whatever goes wrong, at each step, nothing stays deployed that should not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_nugen.simulator import Simulator
from devtools.client import Run
from devtools.local_airflow import LocalAirflow

pytestmark = pytest.mark.e2e

DAG_ID = "e2e_deployed_model"
#: The tasks of the group, in this order.
TASKS = ("deploy", "inside", "promote", "undeploy", "undeployed")
#: Seconds without any change after which the runs are given up, however busy the machine is.
TIMEOUT = 240


@dataclass(frozen=True)
class Case:
    """
    What happens in a run, and what must become of it.

    :param conf: configuration of the run.
    :param fault: what goes wrong with the requests for its model.
    :param run: the run's final state.
    :param states: the final states of ``TASKS``.
    :param accepted: how many requests to deploy were answered with success.
    :param stays: whether the model stays deployed.
    """

    conf: dict[str, Any] = field(default_factory=dict)
    fault: dict[str, Any] | None = None
    run: str = "success"
    states: str = "success success skipped success success"
    accepted: int = 1
    stays: bool = False


DROPPED = {"action": "drop", "times": 1}
FORBIDDEN = {"action": "status", "status": 403}

CASES = {
    "gate-says-no": Case(),
    "kept": Case({"promote": True}, states="success success success skipped success", stays=True),
    "deploy-refused": Case(
        fault={**FORBIDDEN, "operation": "deploy"},
        run="failed",
        states="failed upstream_failed upstream_failed success upstream_failed",
        accepted=0,
    ),
    "deploy-answer-lost": Case(fault={**DROPPED, "operation": "deploy", "processed": True}, accepted=0),
    "deploy-request-lost": Case(fault={**DROPPED, "operation": "deploy"}),
    "inside-fails": Case(
        {"inside": "failed"}, run="failed", states="success failed upstream_failed success upstream_failed"
    ),
    "inside-skipped": Case({"inside": "skipped"}, states="success skipped skipped success success"),
    "undeploy-fails-once": Case(fault={"action": "status", "status": 500, "times": 1, "operation": "undeploy"}),
    # All that can be done: the run says that the model is still there.
    "undeploy-refused": Case(
        fault={**FORBIDDEN, "operation": "undeploy"},
        run="failed",
        states="success success skipped failed upstream_failed",
        stays=True,
    ),
}
#: The runs in which the task inside is cleared once they have ended.
CLEARED = ("gate-says-no", "inside-fails")


def model_of(name: str) -> str:
    """Return the id of the model of a run, which is the simulator's for the alignment of that name."""
    return f"{name}-model"


def is_deployed(simulator: Simulator, name: str) -> bool:
    """Return whether the model of a run is deployed, or about to be."""
    model_id = model_of(name)
    return bool(simulator.find("deployment", model_id)) and not simulator.find("undeployment", model_id)


def accepted(simulator: Simulator, name: str) -> int:
    """Count the requests to deploy the model of a run that were answered with success."""
    found = (seen for seen in simulator.requests if seen.operation == "deploy" and seen.status == 200)
    return sum(model_of(name) in seen.path.split("/") for seen in found)


def states(airflow: LocalAirflow, run: Run) -> str:
    """Return the states of ``TASKS`` in a run."""
    found = {task.key.task_id: task.state for task in airflow.task_instances(*run)}
    return " ".join(str(found[f"serve.{name}"]) for name in TASKS)


@pytest.fixture(scope="module")
def simulator(quick: Simulator) -> Simulator:
    """The service, with the models of all cases, and what goes wrong with them."""
    for name, case in CASES.items():
        quick.add_job("alignment", name, [("READY", 0.0)])
        if case.fault:
            quick.add_fault({**case.fault, "job_id": model_of(name)})
    return quick


@pytest.fixture(scope="module")
def runs(airflow: LocalAirflow, simulator: Simulator) -> dict[str, Run]:
    """Run all cases at the same time, to their ends."""
    airflow.wait_for_dags([DAG_ID])
    airflow.unpause(DAG_ID)
    started = {
        name: Run(DAG_ID, airflow.trigger(DAG_ID, {"model_id": model_of(name), **case.conf}, run_id=name))
        for name, case in CASES.items()
    }
    airflow.wait_for_runs(list(started.values()), TIMEOUT)
    return started


@pytest.mark.parametrize("name", CASES)
def test_only_what_is_kept_stays_deployed(
    airflow: LocalAirflow, simulator: Simulator, runs: dict[str, Run], name: str
) -> None:
    case = CASES[name]
    assert (airflow.dag_run_state(*runs[name]), states(airflow, runs[name])) == (case.run, case.states)
    assert is_deployed(simulator, name) is case.stays
    assert accepted(simulator, name) == case.accepted


def test_every_fault_has_struck(simulator: Simulator, runs: dict[str, Run]) -> None:
    assert [fault.job_id for fault in simulator.faults if not fault.struck] == []


def test_clearing_a_task_inside_deploys_and_undeploys_again(
    airflow: LocalAirflow, simulator: Simulator, runs: dict[str, Run]
) -> None:
    cleared = [runs[name] for name in CLEARED]
    for run in cleared:
        airflow.clear_tasks(*run, ["serve.inside"])
    airflow.wait_for_runs(cleared, TIMEOUT)
    for name in CLEARED:
        assert (airflow.dag_run_state(*runs[name]), states(airflow, runs[name])) == (
            CASES[name].run,
            CASES[name].states,
        )
        assert accepted(simulator, name) == 2
        assert not is_deployed(simulator, name)
