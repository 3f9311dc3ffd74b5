"""Evaluate twenty models on Nugen at the same time: started by mapping, waited for in one task, results gathered."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_nugen.operators.nugen import CreateEvaluationOperator, GetEvaluationResultsOperator
from airflow_provider_nugen.sensors.nugen import EvaluationStatusSensor

with DAG(
    dag_id="nugen_evaluate_many",
    schedule=None,
    catchup=False,
    tags=["nugen", "example"],
    doc_md=__doc__,
    params={
        "poke_interval": Param(60, type="number", minimum=0, description="Seconds between two polls of a job."),
        "model_ids": Param(["nugen-flash-instruct", "nugen-pro-instruct"] * 10, type="array", items={"type": "string"}),
        "benchmark_id": Param("benchmark-demo-1", type="string"),
    },
    render_template_as_native_obj=True,
):

    @task
    def models(params: Any = None) -> list[str]:
        """Return which models to evaluate."""
        return list(params["model_ids"])

    @task
    def gather(results: list[dict[str, Any]]) -> dict[str, float]:
        """Return how relevant the answers of each model were, at best."""
        best: dict[str, float] = {}
        for result in results:
            model, relevance = result["model_id"], result["metrics"]["answer_relevance_mean"]
            best[model] = max(relevance, best.get(model, 0.0))
        return best

    evaluate = CreateEvaluationOperator.partial(
        task_id="evaluate", benchmark_id="{{ params.benchmark_id }}", max_active_tis_per_dag=4
    ).expand(model_id=models())
    # One task, and one trigger, waits for all of them.
    wait = EvaluationStatusSensor(
        task_id="wait",
        evaluation_id=evaluate.output["evaluation_id"],  # type: ignore[index]  # Airflow's type of a mapped task
        poke_interval="{{ params.poke_interval }}",
    )
    # Airflow cannot expand over a key of its own (evaluate.output["evaluation_id"]), but over a mapped return value.
    results = GetEvaluationResultsOperator.partial(task_id="results", max_active_tis_per_dag=4).expand(
        evaluation_id=wait.output.map(lambda status: status["evaluation_id"])
    )
    gather(results.output)  # type: ignore[arg-type]  # Airflow passes what the output stands for
