"""A user's test of a DAG: ``docs/simulator.rst`` shows it, so it must run."""

import json

import pytest
from my_dag import dag

from airflow_provider_nugen.simulator import run_simulator


def test_my_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_simulator(speed=300) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEEKR_DEFAULT", json.dumps(simulator.seekr_connection()))
        simulator.add_fault({"action": "status", "status": 502, "method": "GET", "times": 2})
        assert dag.test().state == "success"
        assert [request.status for request in simulator.requests].count(502) == 2
