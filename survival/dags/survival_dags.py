"""One mapped sensor per kind of job."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_nugen.sensors import nugen, seekr
from survival.waits import DAGS

for dag_id, waits in DAGS.items():
    with DAG(dag_id, schedule=None, max_active_tasks=len(waits.waits)):
        for task_id, mapped in waits.mapped.items():
            sensor = mapped[0].kind.sensor
            # With a retry, so that a wait that breaks is seen to be tried twice.
            (getattr(nugen, sensor, None) or getattr(seekr, sensor)).partial(
                task_id=task_id, retries=1, retry_delay=timedelta(seconds=1)
            ).expand_kwargs([wait.arguments for wait in mapped])
