"""
Evaluate twenty models on Nugen at the same time, in both ways that there are, and gather the results.

Mapping, here for the first half of the models: one task for each starts its evaluation, with retries and a log of its
own; ten worker starts. One sensor waits for all of them: two more, whatever their number. A mapped sensor would take
two for each.

A list, here for the second half: one task starts all of them and waits; two worker starts in all, one log. A retry
starts only those again that failed (Airflow 3.3 and later).

A worker start costs about 0.2 seconds of CPU whatever the task does, a poll a thousandth of that. So take a list,
unless each job has to have a task of its own in the grid.
"""

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
) as dag:

    @task
    def first_half(params: Any = None) -> list[str]:
        """Return which models are evaluated by a task each."""
        return list(params["model_ids"][: len(params["model_ids"]) // 2])

    @task
    def second_half(params: Any = None) -> list[str]:
        """Return which models are evaluated by one task."""
        return list(params["model_ids"][len(params["model_ids"]) // 2 :])

    @task
    def gather(results: list[dict[str, Any]]) -> dict[str, float]:
        """Return how relevant the answers of each model were, at best."""
        best: dict[str, float] = {}
        for result in results:
            model, relevance = result["model_id"], result["metrics"]["answer_relevance_mean"]
            best[model] = max(relevance, best.get(model, 0.0))
        return best

    # Mapping: a task for each model ...
    evaluate = CreateEvaluationOperator.partial(
        task_id="evaluate", benchmark_id="{{ params.benchmark_id }}", max_active_tis_per_dag=4
    ).expand(model_id=first_half())
    # ... and one task, and one trigger, that waits for all of them.
    wait = EvaluationStatusSensor(
        task_id="wait",
        evaluation_id=evaluate.output["evaluation_id"],  # type: ignore[index]  # Airflow's type of a mapped task
        poke_interval="{{ params.poke_interval }}",
    )
    # A list: one task starts all of them, and waits for them.
    evaluate_list = CreateEvaluationOperator(
        task_id="evaluate_list",
        model_id=second_half(),
        benchmark_id="{{ params.benchmark_id }}",
        wait_for_completion=True,
        poke_interval="{{ params.poke_interval }}",
    )
    # Airflow cannot expand over a key of its own (evaluate.output["evaluation_id"]), but over a mapped return value.
    results = GetEvaluationResultsOperator.partial(task_id="results", max_active_tis_per_dag=4).expand(
        evaluation_id=wait.output.concat(evaluate_list.output).map(lambda status: status["evaluation_id"])
    )
    gather(results.output)  # type: ignore[arg-type]  # Airflow passes what the output stands for
