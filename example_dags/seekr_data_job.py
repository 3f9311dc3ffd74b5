"""Run a data job on SeekrFlow, the successor of the alignment job, and list what it made."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_nugen.operators.seekr import SeekrCreateDataJobOperator, SeekrGetAlignmentOutputsOperator
from airflow_provider_nugen.sensors.seekr import SeekrDataJobSensor

with DAG(
    dag_id="seekr_data_job",
    schedule=None,
    catchup=False,
    tags=["seekrflow", "example"],
    doc_md=__doc__,
    default_args={"poke_interval": "{{ params.poke_interval }}"},
    params={
        "poke_interval": Param(60, type="number", minimum=0, description="Seconds between two polls of a job."),
        "file_ids": Param(["file-demo-1"], type="array", description="Ids of uploaded files."),
    },
    render_template_as_native_obj=True,
):
    create = SeekrCreateDataJobOperator(
        task_id="create",
        job_type="principle_files",
        file_ids="{{ params.file_ids }}",
        system_prompt="You answer for our support team.",
        instructions="Answer as our support team does.",
    )
    wait = SeekrDataJobSensor(task_id="wait", data_job_id=create.output["data_job_id"])
    SeekrGetAlignmentOutputsOperator(task_id="outputs", alignment_job_id=wait.output["alignment_job_id"])
