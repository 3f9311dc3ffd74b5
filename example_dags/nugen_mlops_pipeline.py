"""
A scheduled pipeline on Nugen: from documents to a model that is promoted only if it beats its base model.

Documents and benchmark are uploaded, a model is aligned and deployed, asked a question, evaluated against its base
model, and promoted if it passes the gate. Unless it is promoted it is undeployed again, whatever happens: a deployed
model costs money.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG, Param, task

from airflow_provider_nugen.operators.nugen import (
    ChatCompletionOperator,
    CreateAlignmentOperator,
    CreateEvaluationOperator,
    EvaluationGateOperator,
    UploadBenchmarkOperator,
    UploadDocumentsOperator,
)
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor
from airflow_provider_nugen.task_groups import deployed_model

DATA = Path(__file__).parent / "data"

with DAG(
    dag_id="nugen_mlops_pipeline",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["nugen", "example"],
    doc_md=__doc__,
    default_args={"poke_interval": "{{ params.poke_interval }}"},
    params={
        "poke_interval": Param(60, type="number", minimum=0, description="Seconds between two polls of a job."),
        "base_model": Param("nugen-flash-instruct", type="string"),
        "margin": Param(0.05, type="number", description="By how much the new model must be more correct."),
    },
    render_template_as_native_obj=True,
):
    # What an upload returns need not be the id of a document, and a document cannot be used before it is READY: with
    # wait_for_completion the task ends with the final ids.
    documents = UploadDocumentsOperator(
        task_id="documents", files=[str(DATA / "handbook.txt")], wait_for_completion=True
    )
    benchmark = UploadBenchmarkOperator(
        task_id="benchmark",
        file=str(DATA / "benchmark.json"),
        name="handbook-{{ run_id }}",
        document_id="{{ ti.xcom_pull(task_ids='documents', key='document_ids')[0] }}",
        wait_for_completion=True,
    )
    align = CreateAlignmentOperator(
        task_id="align", base_model="{{ params.base_model }}", document_ids=documents.output["document_ids"]
    )
    aligned = AlignmentStatusSensor(task_id="aligned", alignment_id=align.output["alignment_id"])
    # Undeployed again whatever becomes of the tasks inside, unless ``promote`` succeeded in this run for this model.
    with deployed_model(
        "serve",
        model_id=aligned.output["model_id"],
        keep_if="promote",
        poke_interval="{{ params.poke_interval }}",
    ) as serve:
        smoke_test = ChatCompletionOperator(
            task_id="smoke_test",
            model_id=serve.model_id,
            prompts=["Within how many days is a refund possible?"],
            expect=["refund"],
        )
        evaluate = CreateEvaluationOperator(
            task_id="evaluate",
            model_id=serve.model_id,
            model_id_2="{{ params.base_model }}",
            benchmark_id=benchmark.output["benchmark_id"],
            wait_for_completion=True,
        )
        gate = EvaluationGateOperator(
            task_id="gate",
            evaluation_id=evaluate.output["evaluation_id"],
            conditions=["binary_correctness_mean >= baseline + {{ params.margin }}", "answer_relevance_mean >= 0.5"],
        )

        @task
        def promote(model_id: str) -> str:
            """
            Return the id of the model that is promoted; a real pipeline does more.

            Point the application at the model, for example by a registry, and undeploy the model that it replaces.
            """
            return model_id

        smoke_test >> evaluate
        gate >> promote(serve.model_id)  # type: ignore[arg-type]  # Airflow passes what it stands for

    documents >> benchmark
