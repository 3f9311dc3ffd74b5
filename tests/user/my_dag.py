"""A small DAG of a user."""

from airflow.sdk import DAG

from airflow_provider_nugen.operators.seekr import SeekrCreateAlignmentOperator
from airflow_provider_nugen.sensors.seekr import SeekrAlignmentSensor

with DAG(dag_id="my_dag", schedule=None) as dag:
    align = SeekrCreateAlignmentOperator(task_id="align", instructions="Be brief.", files=["file-1"])
    SeekrAlignmentSensor(task_id="wait", alignment_job_id=align.output["alignment_job_id"], poke_interval=0.5)
