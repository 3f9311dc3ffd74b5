"""A task group in which a model is deployed, and after which it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, TaskGroup, TriggerRule, XComArg

from airflow_provider_nugen.compat import AirflowSkipException
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.operators.nugen import DeployModelOperator, UndeployModelOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Retries of the tasks that deploy and undeploy: both may run again without harm, and a worker may die.
RETRIES = 3


@dataclass(frozen=True)
class DeployedModel:
    """
    What :func:`deployed_model` yields.

    :param group: the task group.
    :param deploy: the task that deploys the model and waits until it is deployed.
    :param undeploy: the task that undeploys it and waits until it is undeployed.
    :param model_id: the deployed model, for the tasks inside.
    """

    group: TaskGroup
    deploy: BaseOperator
    undeploy: BaseOperator
    model_id: XComArg


@contextmanager
def deployed_model(
    group_id: str,
    *,
    model_id: str | XComArg,
    keep_if: str | Callable[[Context], bool] | None = None,
    nugen_conn_id: str = NugenHook.default_conn_name,
    retries: int = RETRIES,
    poke_interval: timedelta | float | str = 60,
    timeout: timedelta | float = timedelta(hours=2),
    **group_kwargs: Any,
) -> Iterator[DeployedModel]:
    """
    Deploy a model for the tasks inside, and undeploy it whatever becomes of them.

    .. code-block:: python

        with deployed_model("serve", model_id=aligned.output["model_id"], keep_if="promote") as serve:
            evaluate = CreateEvaluationOperator(task_id="evaluate", model_id=serve.model_id, ...)
            ...

    The group has three tasks of its own: ``deploy``, ``undeploy``, and ``undeployed``, which needs no worker. The model
    is undeployed when all tasks inside are over, also when they or ``deploy`` itself failed or were skipped: a model
    that never was deployed is undeployed already. If undeploying fails, the run fails; so it does if a task inside
    fails. Clearing a task inside clears ``deploy`` and ``undeploy``, too, since they are its setup and teardown: it
    runs again with a model that is deployed.

    :param group_id: the group's id; the ids of its tasks begin with it.
    :param model_id: the model to deploy.
    :param keep_if: leave the model deployed if this task of the group succeeded in this run (its id inside the group),
        or if this function of the context returns true. If the task returns text, it must be the model's id. A task
        that was skipped, for example because a gate was closed, keeps nothing.
    :param nugen_conn_id: the Airflow connection.
    :param retries: retries of ``deploy`` and ``undeploy``.
    :param poke_interval: seconds between two polls.
    :param timeout: seconds to wait at the most, for each of the two.
    :param group_kwargs: other arguments of the task group.
    """
    wait: dict[str, Any] = {
        "nugen_conn_id": nugen_conn_id,
        "retries": retries,
        "wait_for_completion": True,
        "poke_interval": poke_interval,
        "timeout": timeout,
    }
    with TaskGroup(group_id, **group_kwargs) as group:
        deploy = DeployModelOperator(task_id="deploy", model_id=model_id, **wait)
        undeploy = UndeployModelOperator(
            # As text: rendered to nothing, instead of an error, if there is no model to deploy.
            task_id="undeploy",
            model_id=str(model_id),
            pre_execute=partial(_skip_unless_needed, group_id=str(group.group_id), keep_if=keep_if),
            **wait,
        )
        yield DeployedModel(group, deploy, undeploy, deploy.output["model_id"])  # type: ignore[index]  # Airflow's XComArg has no types
        _wire(group, deploy, undeploy)


def _wire(group: TaskGroup, deploy: BaseOperator, undeploy: BaseOperator) -> None:
    """Put the tasks of a group between its setup and its teardown."""
    inside = {task.task_id: task for task in group.iter_tasks() if task not in (deploy, undeploy)}
    for task in inside.values():
        if not task.upstream_task_ids & inside.keys() and deploy.task_id not in task.upstream_task_ids:
            deploy >> task
        if not task.downstream_task_ids & inside.keys():
            task >> undeploy
    undeploy.as_teardown(setups=deploy)
    # A teardown's own rule would leave a model deployed whose deployment was lost sight of: the setup failed.
    undeploy.trigger_rule = TriggerRule.ALL_DONE
    # Airflow leaves teardowns out when it decides whether a run failed: this task brings the undeployment in.
    undeploy >> EmptyOperator(task_id="undeployed", trigger_rule=TriggerRule.NONE_FAILED)


def _skip_unless_needed(context: Context, *, group_id: str, keep_if: str | Callable[[Context], bool] | None) -> None:
    """Skip the undeployment if there is no model, or it shall stay deployed."""
    model_id = getattr(context["task"], "model_id", None)
    if model_id in (None, "", "None"):
        raise AirflowSkipException("There is no model to undeploy: the task that makes it has pushed no id.")
    if keep_if is None:
        return
    if keep_if(context) if callable(keep_if) else _succeeded(context, f"{group_id}.{keep_if}", model_id):
        raise AirflowSkipException(f"Model {model_id!r} stays deployed, and is billed, as keep_if says.")


def _succeeded(context: Context, task_id: str, model_id: str) -> bool:
    """Decide whether a task succeeded in this run, for this model. An XCom alone can be of a run before a clear."""
    ti = context["ti"]
    states = ti.get_task_states(ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id]).get(ti.run_id, {})
    if not states or set(states.values()) != {"success"}:
        return False
    returned = ti.xcom_pull(task_ids=task_id)
    return not isinstance(returned, str) or returned == model_id
