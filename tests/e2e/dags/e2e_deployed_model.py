"""A deployed model, with tasks inside that end as the run's configuration says."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, Param, task

from airflow_provider_nugen.task_groups import deployed_model

with (
    DAG(
        dag_id="e2e_deployed_model",
        schedule=None,
        catchup=False,
        default_args={"retry_delay": timedelta(seconds=1)},
        params={
            "model_id": Param("", type="string"),
            "inside": Param("success", enum=["success", "failed", "skipped"]),
            "promote": Param(False, type="boolean"),
        },
    ),
    deployed_model("serve", model_id="{{ params.model_id }}", keep_if="promote", poke_interval=1) as serve,
):

    @task
    def inside(params: dict[str, str], model_id: str) -> str:
        """End as the run says."""
        if params["inside"] == "failed":
            raise AirflowFailException("It fails, as it was told to.")
        if params["inside"] == "skipped":
            raise AirflowSkipException("It is skipped, as it was told to.")
        return model_id

    @task
    def promote(params: dict[str, bool], model_id: str) -> str:
        """Promote the model, if the run says so: the gate and what comes after it in one."""
        if not params["promote"]:
            raise AirflowSkipException("The gate is closed.")
        return model_id

    promote(model_id=inside(model_id=serve.model_id))  # type: ignore[call-arg]  # Airflow passes params
