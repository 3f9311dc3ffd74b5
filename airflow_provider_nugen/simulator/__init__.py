"""
Nugen and SeekrFlow as one local server, with jobs that progress and faults on demand.

For the demo, for the tests of this provider, and for tests of your own DAGs.
"""

from __future__ import annotations

from airflow_provider_nugen.simulator.app import create_app
from airflow_provider_nugen.simulator.faults import Fault
from airflow_provider_nugen.simulator.server import Simulator, run_simulator

__all__ = ["Fault", "Simulator", "create_app", "run_simulator"]
