"""
A private, real Airflow on this machine, and the demo that runs the example DAGs on it.

``python -m demo`` is the demo; :class:`demo.local_airflow.LocalAirflow` is what tests use.
"""
