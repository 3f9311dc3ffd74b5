"""The example that evaluates many models runs as it is, and evaluates each model once, in whichever way."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_nugen.simulator import run_simulator

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "nugen_evaluate_many.py"
MODELS = ["nugen-flash-instruct", "nugen-pro-instruct", "nugen-flash-instruct"]


def test_each_model_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(shutil.copy(EXAMPLE, Path(os.environ["AIRFLOW_HOME"], "dags")))
    spec = importlib.util.spec_from_file_location("nugen_evaluate_many", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with run_simulator(speed=2000) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_NUGEN_DEFAULT", json.dumps(simulator.nugen_connection()))
        run = module.dag.test(run_conf={"model_ids": MODELS, "poke_interval": 0.2})
        started = [request for request in simulator.requests if request.method == "POST"]
    assert run.state == "success"
    tasks = Counter(ti.task_id for ti in run.get_task_instances())
    # The first half is mapped, the second is one task; the results of both are read.
    assert (tasks["evaluate"], tasks["evaluate_list"], tasks["results"]) == (1, 1, len(MODELS))
    assert len(started) == len(MODELS)
