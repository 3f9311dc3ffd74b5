"""The reference pipeline on SeekrFlow runs as it is; the vendor's own client reads what it made."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from simulator.vendor import run  # type: ignore[import-not-found]  # as pytest finds it

from airflow_provider_nugen.simulator import Simulator, run_simulator

EXAMPLES = Path(__file__).parents[2] / "example_dags"
READS = Path(__file__).with_name("seekrai_reads.py")
CONF = {"poke_interval": 0.2, "approval": False}


@pytest.fixture
def pipeline(project: None) -> Any:
    """The DAG of the example, where Airflow looks for it."""
    dags = Path(os.environ["AIRFLOW_HOME"], "dags")
    shutil.copytree(EXAMPLES / "data", dags / "data", dirs_exist_ok=True)
    path = Path(shutil.copy(EXAMPLES / "seekr_mlops_pipeline.py", dags))
    spec = importlib.util.spec_from_file_location("seekr_mlops_pipeline", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


def read(simulator: Simulator) -> dict[str, Any]:
    """Return what the vendor's client sees, checked as far as it is the same in each run."""
    seen: dict[str, Any] = run(READS, simulator.url, simulator.api_key)
    assert seen["files"] == ["handbook.txt", "tone.md"]
    assert seen["data_job"] == ["completed", 2]
    fine_tune_id, *tuned = seen["fine_tune"]
    assert tuned == ["completed", 1]
    assert seen["deployment"][1] == fine_tune_id
    return seen


def test_what_is_kept_stays_and_answers(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_simulator(speed=300) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEEKR_DEFAULT", json.dumps(simulator.seekr_connection()))
        tested = pipeline.test(run_conf=CONF)
        states = {ti.task_id: ti.state for ti in tested.get_task_instances()}
        assert (tested.state, states["serve.approve"], states["serve.undeploy"]) == ("success", "skipped", "skipped")
        seen = read(simulator)
    assert seen["deployment"][2] == "Active"
    assert "polite" in seen["answer"]


def test_a_smoke_test_that_fails_demotes_the_model_and_fails_the_run(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.get_task("serve.smoke_test").expect = ["what no model says"]
    pipeline.get_task("serve.smoke_test").retries = 0
    with run_simulator(speed=300) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEEKR_DEFAULT", json.dumps(simulator.seekr_connection()))
        tested = pipeline.test(run_conf=CONF)
        states = {ti.task_id: ti.state for ti in tested.get_task_instances()}
        assert (tested.state, states["serve.keep"], states["serve.undeploy"]) == (
            "failed",
            "upstream_failed",
            "success",
        )
        seen = read(simulator)
    assert seen["deployment"][2] == "Inactive"
