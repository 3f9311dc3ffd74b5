"""Align a model on Nugen, deploy it, evaluate it, and undeploy it again: every wait in the triggerer."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_nugen.operators.nugen import CreateAlignmentOperator, CreateEvaluationOperator
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor, EvaluationStatusSensor
from airflow_provider_nugen.task_groups import deployed_model

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
    # A deployed model costs money: it is undeployed whatever becomes of the evaluation.
    with deployed_model(
        "serve", model_id=wait_for_alignment.output["model_id"], poke_interval="{{ params.poke_interval }}"
    ) as serve:
        evaluate = CreateEvaluationOperator(
            task_id="evaluate", model_id=serve.model_id, benchmark_id="{{ params.benchmark_id }}"
        )
        wait_for_evaluation = EvaluationStatusSensor(
            task_id="wait_for_evaluation", evaluation_id=evaluate.output["evaluation_id"]
        )
