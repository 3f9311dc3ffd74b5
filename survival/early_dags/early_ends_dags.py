"""Waits for jobs that end right after the first poke, with the pauses of the provider and without."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor
from survival.eager import EagerSensor
from survival.early_ends import DAGS, job_ids

for dag_id, arguments in DAGS.items():
    sensor = EagerSensor if "without" in dag_id else AlignmentStatusSensor
    with DAG(dag_id, schedule=None, max_active_tasks=1000):
        sensor.partial(task_id="wait", poke_interval=1, use_eta=False, timeout=600, **arguments).expand(
            alignment_id=job_ids(dag_id)
        )
