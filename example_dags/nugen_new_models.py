"""
Evaluate every model that somebody trains on Nugen, whoever that was: nobody starts this DAG.

A watcher in the triggerer sees alignments whose names begin with ``support-`` when they are trained, also those that
were started in the console. Each new model is deployed, evaluated, judged by a gate, reported, and undeployed again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, Asset, Param, task, task_group

from airflow_provider_nugen.assets import aligned_models, new_models
from airflow_provider_nugen.operators.nugen import CreateEvaluationOperator, EvaluationGateOperator
from airflow_provider_nugen.task_groups import deployed_model

#: Has an event for each alignment of the account that is newly trained.
trained = aligned_models("support_models", name_like="support-*", poke_interval=10)
#: Has an event for each model that passed the gate; its extra holds the model's id and its metrics.
approved = Asset("approved_support_models", group="model")

with DAG(
    dag_id="nugen_new_models",
    schedule=[trained],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["nugen", "example"],
    doc_md=__doc__,
    params={
        "poke_interval": Param(2, type="number", minimum=0, description="Seconds between two polls of a job."),
        "benchmark_id": Param("benchmark-demo-1", type="string"),
    },
    render_template_as_native_obj=True,
):

    @task_group
    def handle(model_id: str) -> None:
        """Do all that is done for one model."""

        @task
        def pick(model_id: str) -> str:
            """Return the model: its deployment and its undeployment read it from here, each for its own map index."""
            return model_id

        chosen = pick(model_id)
        with deployed_model(
            "serve",
            model_id="{{ ti.xcom_pull(task_ids='handle.pick', map_indexes=ti.map_index) }}",
            poke_interval="{{ params.poke_interval }}",
        ) as serve:
            chosen >> serve.deploy
            evaluate = CreateEvaluationOperator(
                task_id="evaluate",
                model_id=serve.model_id,
                benchmark_id="{{ params.benchmark_id }}",
                wait_for_completion=True,
                poke_interval="{{ params.poke_interval }}",
            )
            gate = EvaluationGateOperator(
                task_id="gate",
                evaluation_id=evaluate.output["evaluation_id"],
                conditions=["answer_relevance_mean >= 0.1"],
                outlets=[approved],
            )

            @task
            def report(verdict: dict[str, Any]) -> str:
                """Return a line for people."""
                met = [item["condition"] for item in verdict["verdicts"] if item["met"]]
                return f"{verdict['model_id']}: {', '.join(met)}"

            report(gate.output)  # type: ignore[arg-type]  # Airflow passes what the output stands for

    # Airflow 3.3 lumps what came meanwhile into one run, and 3.4 makes a run of each: mapping is right in both.
    handle.expand(model_id=new_models().map(lambda model: model["model_id"]))
