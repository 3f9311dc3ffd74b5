"""A task that is ended leaves no job running; a triggerer that dies, restarts or hands over cancels nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from airflow_provider_nugen.simulator import Simulator
from devtools.client import AirflowApiError, Run
from devtools.local_airflow import LocalAirflow
from devtools.polling import wait_until

pytestmark = pytest.mark.e2e

#: Seconds within which anything that is waited for happens, however busy the machine is.
TIMEOUT = 180
#: Seconds that a slow service takes for each answer. A triggerer cancels the work of ``on_kill`` about once a second.
SLOW_ANSWER = 5


def insist(call: Callable[[], Any]) -> None:
    """Do something to Airflow; again if SQLite was busy."""

    def done() -> bool:
        try:
            call()
        except AirflowApiError as e:
            if e.status != 500:
                raise
            return False
        return True

    wait_until(done, TIMEOUT, "Airflow does not do it")


class Jobs:
    """The jobs at the simulated SeekrFlow, by the task that started them."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def of(self, task: str) -> list[str]:
        """List the status words of the jobs that a task has started, oldest first."""
        jobs = [*self.simulator.all("seekr_alignment"), *self.simulator.all("data_job")]
        now = self.simulator.now()
        return [job.word(now) for job in jobs if task in (job.inputs.get("instructions"), job.inputs.get("name"))]

    def wait_for(self, task: str, words: list[str]) -> None:
        """Wait until the jobs that a task has started have these status words."""
        wait_until(lambda: self.of(task) == words, TIMEOUT, lambda: f"the jobs of {task} are {self.of(task)}")

    def wait_for_polls(self, task: str, count: int) -> None:
        """Wait until the last job of a task was polled more than ``count`` times."""
        wait_until(lambda: self.polled(task) > count, TIMEOUT, f"the job of {task} is not polled")

    def polled(self, task: str) -> int:
        """Count the polls of the last job of a task."""
        jobs = [job for job in self.simulator.all("seekr_alignment") if task == job.inputs.get("instructions")]
        return sum(seen.path.endswith(jobs[-1].id) and seen.method == "GET" for seen in self.simulator.requests)


@pytest.fixture(scope="module")
def simulator(endless: Simulator) -> Simulator:
    """The services of the tasks that are ended."""
    return endless


@pytest.fixture(scope="module")
def others(quick: Simulator) -> set[str]:
    """The models that other tests have deployed."""
    return {job.id for job in quick.all("deployment")}


@pytest.fixture(scope="module")
def pipelines(airflow: LocalAirflow, quick: Simulator, others: set[str]) -> list[Run]:
    """The reference pipeline, meanwhile: promoted, a gate that stays closed, and an evaluation that is refused."""
    quick.add_fault({"action": "status", "status": 400, "operation": "create_evaluation", "times": 1})
    dag_id = "nugen_mlops_pipeline"
    airflow.wait_for_dags([dag_id])
    airflow.unpause(dag_id)
    return [Run(dag_id, airflow.trigger(dag_id, {"poke_interval": 1, "margin": margin})) for margin in (-1, 0.9, 0.9)]


@pytest.fixture(scope="module")
def waiting(airflow: LocalAirflow, simulator: Simulator, pipelines: list[Run]) -> Iterator[dict[str, Run]]:
    """All tasks wait for their jobs."""
    dag_ids = ("e2e_cancel", "e2e_cancel_run")
    airflow.wait_for_dags(dag_ids)
    for dag_id in dag_ids:
        airflow.unpause(dag_id)
    runs = {dag_id: Run(dag_id, airflow.trigger(dag_id)) for dag_id in dag_ids}

    def all_wait() -> bool:
        states = {
            f"{run.dag_id}.{task.key}": task.state for run in runs.values() for task in airflow.task_instances(*run)
        }
        return len(states) == 12 and all(
            state == ("running" if "on_worker" in task else "deferred") for task, state in states.items()
        )

    wait_until(all_wait, TIMEOUT, "not all tasks wait")
    jobs = Jobs(simulator)
    jobs.wait_for_polls("e2e_cancel.on_worker[-1]", 1)
    # One whose trigger has not begun yet is not told that its task was ended.
    for task in ("deferred", "cleared", "slow_service", "moved", "moved_unpushed"):
        jobs.wait_for_polls(f"e2e_cancel.{task}[-1]", 2)
    yield runs
    for run in runs.values():
        insist(partial(airflow.mark_run, *run, "failed"))


def test_a_triggerer_that_hands_over_cancels_nothing(
    airflow: LocalAirflow, simulator: Simulator, waiting: dict[str, Run]
) -> None:
    jobs = Jobs(simulator)
    names = [f"e2e_cancel.{task}[-1]" for task in ("moved", "moved_unpushed", "deferred", "cleared")]

    def wait_until_polled_again() -> None:
        before = {name: jobs.polled(name) for name in names}
        for name in names:
            jobs.wait_for_polls(name, before[name] + 1)

    # It is taken for dead, another one takes over; then it wakes up and finds that its triggers are gone.
    airflow.kill_triggerer(0, signal.SIGSTOP)
    other = airflow.start_triggerer()
    wait_until_polled_again()
    airflow.kill_triggerer(0, signal.SIGCONT)
    time.sleep(5)
    assert [jobs.of(name) for name in names] == [["running"]] * len(names)
    # The one that took over dies, and the first one takes its triggers back; then it restarts.
    airflow.kill_triggerer(other, signal.SIGKILL)
    wait_until_polled_again()
    airflow.restart_triggerer(0)
    wait_until_polled_again()
    assert [jobs.of(name) for name in names] == [["running"]] * len(names)
    assert jobs.of("e2e_cancel.data_job[-1]") == ["file_processing"]


def test_marking_a_task_failed_cancels_its_job(
    airflow: LocalAirflow, simulator: Simulator, waiting: dict[str, Run]
) -> None:
    jobs, run = Jobs(simulator), waiting["e2e_cancel"]
    tasks = ["on_worker", "deferred", "data_job"]
    for task in (*tasks, "kept"):
        insist(partial(airflow.mark_task, *run, task, "failed"))
    for task in tasks:
        jobs.wait_for(f"e2e_cancel.{task}[-1]", ["cancelled"])
    assert jobs.of("e2e_cancel.kept[-1]") == ["running"]
    assert jobs.of("e2e_cancel.moved[-1]") == ["running"]


def test_a_service_that_answers_slowly_is_told_to_cancel_all_the_same(
    airflow: LocalAirflow, simulator: Simulator, waiting: dict[str, Run]
) -> None:
    jobs, run, name = Jobs(simulator), waiting["e2e_cancel"], "e2e_cancel.slow_service[-1]"
    (job,) = [job for job in simulator.all("seekr_alignment") if job.inputs.get("instructions") == name]
    # The poll before the cancelling takes as long as the cancelling itself.
    simulator.add_fault({"action": "delay", "seconds": SLOW_ANSWER, "job_id": job.id})
    insist(partial(airflow.mark_task, *run, "slow_service", "failed"))
    outcome = f"The task was ended: cancelled alignment job {job.id!r}"
    wait_until(
        lambda: outcome in airflow.task_log(*run, "slow_service"), TIMEOUT, "the log does not say that it was cancelled"
    )
    jobs.wait_for(name, ["cancelled"])
    cancellings = [seen for seen in simulator.requests if job.id in seen.path and seen.operation == "seekr_cancel"]
    assert [seen.status for seen in cancellings] == [200]


def test_clearing_a_deferred_task_cancels_its_job_and_starts_another(
    airflow: LocalAirflow, simulator: Simulator, waiting: dict[str, Run]
) -> None:
    jobs, run = Jobs(simulator), waiting["e2e_cancel"]
    insist(lambda: airflow.clear_tasks(*run, ["cleared"]))
    jobs.wait_for("e2e_cancel.cleared[-1]", ["cancelled", "running"])
    wait_until(
        lambda: (
            "Before it was cleared this task started alignment job" in airflow.task_log(*run, "cleared", try_number=2)
        ),
        TIMEOUT,
        "the log of the second try does not say what became of the old job",
    )
    assert jobs.of("e2e_cancel.cleared[-1]") == ["cancelled", "running"]


def test_failing_a_dag_run_cancels_its_jobs(
    airflow: LocalAirflow, simulator: Simulator, waiting: dict[str, Run]
) -> None:
    jobs = Jobs(simulator)
    insist(lambda: airflow.mark_run(*waiting["e2e_cancel_run"], "failed"))
    jobs.wait_for("e2e_cancel_run.on_worker[-1]", ["cancelled"])
    for name in ("e2e_cancel_run.deferred[-1]", "mapped-one", "mapped-two"):
        jobs.wait_for(name, ["cancelled"])
    assert jobs.of("e2e_cancel.moved[-1]") == ["running"]


def test_a_pipeline_that_does_not_promote_leaves_no_model_deployed(
    airflow: LocalAirflow, quick: Simulator, others: set[str], pipelines: list[Run]
) -> None:
    states = airflow.wait_for_runs(pipelines, timeout=180)
    undeployed = []
    for run in pipelines:
        tasks = {str(task.key).removeprefix("serve."): task.state for task in airflow.task_instances(*run)}
        if tasks["evaluate"] == "failed":
            assert (tasks["gate"], tasks["promote"], states[run]) == ("upstream_failed", "upstream_failed", "failed")
        elif run == pipelines[0]:
            assert (tasks["gate"], tasks["promote"], states[run]) == ("success", "success", "success")
            assert (tasks["undeploy"], tasks["undeployed"]) == ("skipped", "success")
            continue
        else:
            assert (tasks["gate"], tasks["promote"], states[run]) == ("skipped", "skipped", "success")
        undone = "upstream_failed" if states[run] == "failed" else "success"
        assert (tasks["undeploy"], tasks["undeployed"]) == ("success", undone)
        undeployed.append(run)
    assert list(states.values()).count("failed") == 1
    assert len({job.id for job in quick.all("deployment")} - others) == 3
    assert len({job.id for job in quick.all("undeployment")} - others) == len(undeployed)
