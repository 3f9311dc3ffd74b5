"""Waits of all modes and all ends, for the end-to-end test."""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor

with DAG(dag_id="e2e_waits", schedule=None, catchup=False):
    quick = {"poke_interval": 1, "retries": 0}
    # If a task were due again before the scheduler has seen that its worker has left, Airflow would fail it.
    rescheduled = {"deferrable": False, "mode": "reschedule", "poke_interval": 5, "retries": 0}

    @task
    def echo(model_id: str) -> str:
        return model_id

    deferred = AlignmentStatusSensor(task_id="deferred", alignment_id="good", **quick)
    AlignmentStatusSensor(task_id="poke", alignment_id="good", deferrable=False, **quick)
    AlignmentStatusSensor(task_id="reschedule", alignment_id="good", **rescheduled)
    mapped = AlignmentStatusSensor.partial(task_id="mapped", **quick).expand(alignment_id=["good", "done", "good"])
    AlignmentStatusSensor.partial(task_id="mapped_reschedule", **rescheduled).expand(alignment_id=["good", "done"])
    echo(deferred.output["model_id"])
    echo.override(task_id="echo_each").expand(model_id=mapped.output.map(lambda result: result["model_id"]))

    AlignmentStatusSensor(task_id="done_before", alignment_id="done", **quick)
    AlignmentStatusSensor(task_id="job_failed", alignment_id="bad", **quick)
    AlignmentStatusSensor(task_id="job_failed_softly", alignment_id="bad", soft_fail=True, **quick)
    AlignmentStatusSensor(task_id="wrong_key", alignment_id="good", nugen_conn_id="nugen_wrong_key", **quick)
    AlignmentStatusSensor(task_id="missing", alignment_id="never-existed", **quick)
    AlignmentStatusSensor(task_id="too_long", alignment_id="endless", timeout=8, **quick)
