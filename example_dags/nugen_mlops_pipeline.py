"""
A scheduled pipeline on Nugen: from documents to a model that is promoted only if it beats its base model.

Documents and benchmark are uploaded, a model is aligned and deployed, evaluated against its base model, and promoted if
it passes the gate. Unless it is promoted it is undeployed again, whatever happens: a deployed model costs money.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import DAG, Context, Param, task

from airflow_provider_nugen.operators.nugen import (
    CreateAlignmentOperator,
    CreateEvaluationOperator,
    DeployModelOperator,
    EvaluationGateOperator,
    UndeployModelOperator,
    UploadBenchmarkOperator,
    UploadDocumentsOperator,
)
from airflow_provider_nugen.sensors.nugen import (
    AlignmentStatusSensor,
    DeployStatusSensor,
    UndeployStatusSensor,
)

DATA = Path(__file__).parent / "data"


def unless_promoted(context: Context) -> None:
    """Skip a task if its own model was promoted: what was promoted before the run was cleared is another one."""
    promoted = context["ti"].xcom_pull(task_ids="promote") or {}
    if promoted.get("promoted") == context["ti"].xcom_pull(task_ids="deploy", key="model_id"):
        raise AirflowSkipException("The model was promoted: it stays deployed.")


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
    # Done as soon as the service has taken it on, since a teardown runs only after a setup that succeeded: so it runs
    # also if the deployment comes to nothing, or takes too long.
    # With retries, which ask for the model's status before they deploy again: so it succeeds even if its worker dies
    # after the request.
    deploy = DeployModelOperator(task_id="deploy", model_id=aligned.output["model_id"], retries=3)
    deployed = DeployStatusSensor(task_id="deployed", model_id=deploy.output["model_id"])
    evaluate = CreateEvaluationOperator(
        task_id="evaluate",
        model_id=deployed.output["model_id"],
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
    def promote(model_id: str) -> dict[str, Any]:
        """
        Return what was promoted; a real pipeline does more.

        Point the application at the model, for example by a registry, and undeploy the model that it replaces.
        """
        return {"promoted": model_id}

    promoted = promote(aligned.output["model_id"])

    # A teardown runs whatever became of the tasks between it and the deployment.
    undeploy = UndeployModelOperator(
        task_id="undeploy", model_id=deploy.output["model_id"], pre_execute=unless_promoted, retries=3
    ).as_teardown(setups=deploy)
    undeployed = UndeployStatusSensor(task_id="undeployed", model_id=undeploy.output["model_id"])

    documents >> benchmark
    # The run fails if any of this does: Airflow takes teardowns out of the picture, unless told otherwise.
    gate >> promoted >> undeploy >> undeployed
