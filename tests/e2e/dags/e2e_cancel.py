"""Tasks that start a job and wait for it, to be ended in every way while they wait."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from airflow_provider_nugen.operators.seekr import SeekrCreateAlignmentOperator, SeekrCreateDataJobOperator


def align(task_id: str, **arguments: Any) -> SeekrCreateAlignmentOperator:
    """Start an alignment job that takes an hour. Its instructions name the task."""
    return SeekrCreateAlignmentOperator(
        task_id=task_id,
        instructions="{{ dag.dag_id }}.{{ task.task_id }}[{{ ti.map_index }}]",
        files=["file-1"],
        wait_for_completion=True,
        poke_interval=1,
        use_eta=False,
        **arguments,
    )


with DAG(dag_id="e2e_cancel", schedule=None, catchup=False):
    align("deferred")
    align("on_worker", deferrable=False)
    align("cleared")
    align("slow_service")
    align("kept", cancel_on_kill=False)
    align("moved")
    align("moved_unpushed", do_xcom_push=False)
    SeekrCreateDataJobOperator(
        task_id="data_job",
        job_type="principle_files",
        name="{{ dag.dag_id }}.{{ task.task_id }}[-1]",
        file_ids=["file-1"],
        poke_interval=1,
        use_eta=False,
    )

with DAG(dag_id="e2e_cancel_run", schedule=None, catchup=False):
    align("deferred")
    align("on_worker", deferrable=False)
    SeekrCreateAlignmentOperator.partial(
        task_id="mapped",
        files=["file-1"],
        wait_for_completion=True,
        poke_interval=1,
        use_eta=False,
    ).expand(instructions=["mapped-one", "mapped-two"])
