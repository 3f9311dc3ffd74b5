"""Align a model on Nugen, deploy it, evaluate it, and undeploy it again: every wait in the triggerer."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_nugen.operators.nugen import (
    CreateAlignmentOperator,
    CreateEvaluationOperator,
    DeployModelOperator,
    UndeployModelOperator,
)
from airflow_provider_nugen.sensors.nugen import (
    AlignmentStatusSensor,
    DeployStatusSensor,
    EvaluationStatusSensor,
    UndeployStatusSensor,
)

with DAG(
    dag_id="nugen_alignment_pipeline",
    schedule=None,
    catchup=False,
    tags=["nugen", "example"],
    doc_md=__doc__,
    default_args={"poke_interval": "{{ params.poke_interval }}"},
    params={
        "poke_interval": Param(60, type="number", minimum=0, description="Seconds between two polls of a job."),
        "base_model": Param("nugen-flash-instruct", type="string"),
        "document_ids": Param(["doc-demo-1"], type="array", description="Documents that are READY."),
        "benchmark_id": Param("benchmark-demo-1", type="string"),
    },
    render_template_as_native_obj=True,
):
    align = CreateAlignmentOperator(
        task_id="align",
        base_model="{{ params.base_model }}",
        document_ids="{{ params.document_ids }}",
    )
    wait_for_alignment = AlignmentStatusSensor(task_id="wait_for_alignment", alignment_id=align.output["alignment_id"])
    deploy = DeployModelOperator(task_id="deploy", model_id=wait_for_alignment.output["model_id"], retries=3)
    wait_for_deployment = DeployStatusSensor(task_id="wait_for_deployment", model_id=deploy.output["model_id"])
    evaluate = CreateEvaluationOperator(
        task_id="evaluate",
        model_id=wait_for_deployment.output["model_id"],
        benchmark_id="{{ params.benchmark_id }}",
    )
    wait_for_evaluation = EvaluationStatusSensor(
        task_id="wait_for_evaluation", evaluation_id=evaluate.output["evaluation_id"]
    )
    # A deployed model costs money: as a teardown of the deployment this runs whatever becomes of the evaluation. If
    # that fails, so does the run, since teardowns have no say in it; and if the undeployment fails, so does the sensor.
    undeploy = UndeployModelOperator(task_id="undeploy", model_id=deploy.output["model_id"], retries=3).as_teardown(
        setups=deploy
    )
    wait_for_undeployment = UndeployStatusSensor(task_id="wait_for_undeployment", model_id=undeploy.output["model_id"])

    wait_for_evaluation >> undeploy
