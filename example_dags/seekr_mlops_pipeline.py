"""
A pipeline on SeekrFlow: from two files to a model that answers, and that a person has approved.

The files are uploaded, a data job makes training data of them, a model is fine-tuned with it and deployed, asked a
question, and shown to a person. Unless that person approves it is demoted again, whatever happens: a deployment costs
money as long as it stands, also while it waits for the approval.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Context, Param, TriggerRule, task

from airflow_provider_nugen.operators.seekr import (
    SeekrChatCompletionOperator,
    SeekrCreateDataJobOperator,
    SeekrCreateFineTuneOperator,
    SeekrGetAlignmentOutputsOperator,
    SeekrUploadFilesOperator,
)
from airflow_provider_nugen.task_groups import deployed_model

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol as TaskInstance

DATA = Path(__file__).parent / "data"


def skip_unless_asked_for(context: Context) -> None:
    """Skip the approval if the run says that nobody is to be asked."""
    if not context["params"]["approval"]:
        raise AirflowSkipException("Nobody is asked: the run's param 'approval' is false.")


with DAG(
    dag_id="seekr_mlops_pipeline",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["seekrflow", "example"],
    doc_md=__doc__,
    default_args={"poke_interval": "{{ params.poke_interval }}", "retries": 2},
    params={
        "poke_interval": Param(60, type="number", minimum=0, description="Seconds between two polls of a job."),
        "project_id": Param(1, type="integer", description="The project that the fine-tune belongs to."),
        "model": Param("meta-llama/Llama-3.1-8B-Instruct", type="string", description="The model to fine-tune."),
        "n_epochs": Param(1, type="integer", minimum=1),
        "approval": Param(True, type="boolean", description="Ask a person before the model is kept."),
    },
    render_template_as_native_obj=True,
) as dag:
    documents = SeekrUploadFilesOperator(
        task_id="documents", files=[str(DATA / "handbook.txt"), str(DATA / "tone.md")], purpose="alignment"
    )
    data_job = SeekrCreateDataJobOperator(
        task_id="data_job",
        job_type="principle_files",
        file_ids=documents.output["file_ids"],
        system_prompt="You answer for our support team.",
        instructions="Answer as our support team does.",
        wait_for_completion=True,
    )
    outputs = SeekrGetAlignmentOutputsOperator(task_id="outputs", data_job_id=data_job.output["data_job_id"])
    fine_tune = SeekrCreateFineTuneOperator(
        task_id="fine_tune",
        model="{{ params.model }}",
        training_files=[outputs.output["fine_tune_file_id"]],
        project_id="{{ params.project_id }}",
        n_epochs="{{ params.n_epochs }}",
        wait_for_completion=True,
    )
    # Demoted again whatever becomes of the tasks inside, unless ``keep`` succeeded in this run for this deployment.
    with deployed_model(
        "serve",
        model_id=fine_tune.output["fine_tune_id"],
        seekr_conn_id="seekr_default",
        keep_if="keep",
        poke_interval="{{ params.poke_interval }}",
    ) as serve:
        smoke_test = SeekrChatCompletionOperator(
            task_id="smoke_test",
            deployment_id=serve.deployment_id,
            system_prompt="You answer for our support team.",
            prompts=["Within how many days of the invoice is a refund possible?"],
            expect=["refund"],
        )
        approve = ApprovalOperator(
            task_id="approve",
            subject="Keep the model of run {{ run_id }}?",
            body="It answers: {{ ti.xcom_pull(task_ids='serve.smoke_test', key='answers') }}",
            pre_execute=skip_unless_asked_for,
        )

        # Also if nobody was asked; but not if the smoke test failed, or the person said no. What comes directly after a
        # setup such as ``deploy`` must have Airflow's own trigger rule, so the id is not passed as an argument.
        @task(trigger_rule=TriggerRule.NONE_FAILED)
        def keep(ti: TaskInstance) -> str:
            """
            Return the id of the deployment that is kept; a real pipeline does more.

            Point the application at the deployment, and demote the one that it replaces.
            """
            deployment_id: str = ti.xcom_pull(task_ids="serve.deploy", key="deployment_id")
            return deployment_id

        smoke_test >> approve >> keep()  # type: ignore[call-arg]  # Airflow passes ti
