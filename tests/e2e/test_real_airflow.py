"""The real thing: a scheduler, a dag-processor, a triggerer and an api-server, and the simulator."""

from __future__ import annotations

import signal
import sqlite3
from typing import Any

import pytest

from airflow_provider_nugen.simulator import Simulator
from devtools.client import Run
from devtools.local_airflow import LocalAirflow
from devtools.polling import wait_until

from .conftest import WRONG_KEY

pytestmark = pytest.mark.e2e

#: The jobs that tests/e2e/dags waits for, and how many seconds they take.
JOBS = {
    "good": [("PROCESSING", 30.0), ("READY", 0.0)],
    "done": [("READY", 0.0)],
    "bad": [("PROCESSING", 3600.0), ("READY", 0.0)],
    "endless": [("PROCESSING", 3600.0), ("READY", 0.0)],
}


@pytest.fixture(scope="module")
def runs(airflow: LocalAirflow, quick: Simulator) -> dict[str, Run]:
    """Run everything; kill the triggerer while waits are deferred."""
    for job_id, stages in JOBS.items():
        quick.add_job("alignment", job_id, stages)
    runs = {}
    dag_ids = ["e2e_waits", "nugen_alignment_pipeline", "seekr_alignment"]
    airflow.wait_for_dags(dag_ids)
    for dag_id in dag_ids:
        airflow.unpause(dag_id)
        runs[dag_id] = Run(dag_id, airflow.trigger(dag_id, {"poke_interval": 1} if dag_id != "e2e_waits" else None))

    def deferred() -> set[str]:
        tasks = airflow.task_instances(*runs["e2e_waits"])
        return {str(task.key) for task in tasks if task.state == "deferred"}

    wait_until(lambda: len(deferred()) >= 4, 180, lambda: f"only {deferred()} are deferred", check=airflow.check)
    airflow.kill_triggerer(0, signal.SIGKILL)
    quick.fail_job("bad", "CUDA out of memory")
    airflow.restart_triggerer(0)
    airflow.wait_for_runs(list(runs.values()), timeout=240)
    return runs


def values(airflow: LocalAirflow, run: Run) -> dict[tuple[str, str], Any]:
    return {(str(xcom.key), xcom.name): xcom.value for xcom in airflow.xcoms(*run)}


def test_the_example_dags_succeed(airflow: LocalAirflow, runs: dict[str, Run]) -> None:
    for dag_id in ("nugen_alignment_pipeline", "seekr_alignment"):
        states = {str(task.key): task.state for task in airflow.task_instances(*runs[dag_id])}
        assert set(states.values()) == {"success"}, states


def test_every_wait_ends_as_it_should(airflow: LocalAirflow, runs: dict[str, Run]) -> None:
    states = {str(task.key): task.state for task in airflow.task_instances(*runs["e2e_waits"])}
    assert states == {
        "deferred": "success",
        "poke": "success",
        "reschedule": "success",
        "mapped[0]": "success",
        "mapped[1]": "success",
        "mapped[2]": "success",
        "mapped_reschedule[0]": "success",
        "mapped_reschedule[1]": "success",
        "echo": "success",
        "echo_each[0]": "success",
        "echo_each[1]": "success",
        "echo_each[2]": "success",
        "done_before": "success",
        "job_failed": "failed",
        "job_failed_softly": "skipped",
        "wrong_key": "failed",
        "missing": "failed",
        "too_long": "failed",
    }


def test_all_modes_push_the_same_xcoms(airflow: LocalAirflow, runs: dict[str, Run]) -> None:
    found = values(airflow, runs["e2e_waits"])
    expected = found["deferred", "return_value"]
    assert expected["state"] == "SUCCEEDED"
    # The times of an envelope are those of the request for the status; and each wait took its own time.
    own = {"start_time", "end_time", "waited_seconds"}
    for task in ("poke", "reschedule", "mapped[0]", "mapped[2]", "mapped_reschedule[0]"):
        pushed = found[task, "return_value"]
        assert {k: v for k, v in pushed.items() if k not in own} == {k: v for k, v in expected.items() if k not in own}
        assert found[task, "model_id"] == "good-model"
    assert found["echo", "return_value"] == found["deferred", "model_id"] == "good-model"
    # Over its ids Airflow cannot map, but over its results.
    assert [found[f"echo_each[{n}]", "return_value"] for n in range(3)] == ["good-model", "done-model", "good-model"]
    assert found["done_before", "model_id"] == found["mapped[1]", "model_id"] == "done-model"


@pytest.mark.parametrize(
    ("task_id", "words"),
    [
        ("job_failed", "CUDA out of memory"),
        ("wrong_key", "Check the API key (password)"),
        ("missing", "Check the id"),
        ("too_long", "was not done when its timeout of 8 s was over"),
    ],
)
def test_the_log_says_what_to_do(airflow: LocalAirflow, runs: dict[str, Run], task_id: str, words: str) -> None:
    assert words in airflow.task_log(*runs["e2e_waits"], task_id)


def test_a_job_that_was_done_never_defers(airflow: LocalAirflow, runs: dict[str, Run]) -> None:
    assert "DEFERRED" not in airflow.task_log(*runs["e2e_waits"], "done_before")
    assert "DEFERRED" in airflow.task_log(*runs["e2e_waits"], "deferred")


def test_the_keys_are_nowhere_but_in_the_encrypted_connections(
    airflow: LocalAirflow, quick: Simulator, endless: Simulator, runs: dict[str, Run]
) -> None:
    places = [path for path in airflow.home.rglob("*") if path.is_file()]
    assert any("task_id=deferred" in str(path) for path in places)
    assert any(b"nugen_wrong_key" in path.read_bytes() for path in places if path.suffix == ".log")
    for key in (quick.api_key, endless.api_key, WRONG_KEY):
        assert [path for path in places if key.encode() in path.read_bytes()] == []
    with sqlite3.connect(airflow.home / "airflow.db") as database:
        rows = database.execute("SELECT conn_id, is_encrypted, length(password) FROM connection").fetchall()
    assert {conn_id for conn_id, encrypted, length in rows if encrypted and length > len(WRONG_KEY)} == {
        "nugen_default",
        "nugen_wrong_key",
        "seekr_default",
        "seekr_endless",
    }
