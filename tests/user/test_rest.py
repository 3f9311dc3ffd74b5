"""The script of the page "Coming from the REST API", and the DAG that replaces it, do the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rest_dag import dag

from airflow_provider_nugen.simulator import Simulator, run_simulator

SCRIPT = Path(__file__).with_name("rest_script.py")


def run_script(simulator: Simulator) -> subprocess.CompletedProcess[str]:
    env = {"NUGEN_URL": simulator.url, "NUGEN_API_KEY": simulator.api_key, "POLL_SECONDS": "0.05"}
    return subprocess.run(
        [sys.executable, SCRIPT], env=os.environ | env, capture_output=True, text=True, timeout=120, check=False
    )


def made(simulator: Simulator) -> dict[str, Any]:
    """Return what the alignment was started with; its model, and no other, must be deployed."""
    (alignment,) = simulator.all("alignment")
    (deployment,) = simulator.all("deployment")
    assert (deployment.id, deployment.word(simulator.now())) == (alignment.inputs["model_id"], "COMPLETED")
    return {name: alignment.inputs[name] for name in ("name", "base_model", "document_ids")}


def test_both_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_simulator(speed=1000) as simulator:
        script = run_script(simulator)
        assert script.returncode == 0, script.stderr
        by_script = made(simulator)
        assert script.stdout.strip() == simulator.all("deployment")[0].id
        simulator.reset()
        monkeypatch.setenv("AIRFLOW_CONN_NUGEN_DEFAULT", json.dumps(simulator.nugen_connection()))
        for task in dag.tasks:
            task.poke_interval = 0.1
        assert dag.test().state == "success"
        assert made(simulator) == by_script


def test_one_bad_answer_ends_the_script_and_not_the_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = {"action": "status", "status": 502, "method": "GET", "times": 1}
    with run_simulator(speed=1000, faults=[fault]) as simulator:
        assert "502 Server Error" in run_script(simulator).stderr
        simulator.reset()
        monkeypatch.setenv("AIRFLOW_CONN_NUGEN_DEFAULT", json.dumps(simulator.nugen_connection()))
        for task in dag.tasks:
            task.poke_interval = 0.1
        assert dag.test().state == "success"
        assert [request.status for request in simulator.requests].count(502) == 1
