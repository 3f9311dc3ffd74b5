"""Align a model and deploy it: what the script beside it does."""

from airflow.sdk import DAG

from airflow_provider_nugen.operators.nugen import CreateAlignmentOperator, DeployModelOperator
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor

with DAG(dag_id="rest_dag", schedule=None, default_args={"poke_interval": 60}) as dag:
    align = CreateAlignmentOperator(
        task_id="align", name="support answers", base_model="nugen-flash-instruct", document_ids=["doc-demo-1"]
    )
    aligned = AlignmentStatusSensor(task_id="wait", alignment_id=align.output["alignment_id"])
    deploy = DeployModelOperator(
        task_id="deploy", model_id=aligned.output["model_id"], retries=3, wait_for_completion=True
    )
