"""The demo: the example DAGs on a real Airflow, against the simulated services (``python -m demo``)."""
