"""Run an alignment job on SeekrFlow and wait for it in the triggerer."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_nugen.operators.seekr import SeekrCreateAlignmentOperator
from airflow_provider_nugen.sensors.seekr import SeekrAlignmentSensor

with DAG(
    dag_id="seekr_alignment",
    schedule=None,
    catchup=False,
    tags=["seekrflow", "example"],
    doc_md=__doc__,
    params={
        "poke_interval": Param(60, type="number", minimum=0, description="Seconds between two polls of the job."),
        "files": Param(["file-demo-1"], type="array", description="Ids of uploaded files."),
    },
    render_template_as_native_obj=True,
):
    align = SeekrCreateAlignmentOperator(
        task_id="align",
        instructions="Answer as our support team does.",
        files="{{ params.files }}",
    )
    wait_for_alignment = SeekrAlignmentSensor(
        task_id="wait_for_alignment",
        alignment_job_id=align.output["alignment_job_id"],
        poke_interval="{{ params.poke_interval }}",
    )
