"""A task group in which a model is deployed, and after which it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, TaskGroup, TriggerRule, XComArg

from airflow_provider_nugen.compat import AirflowSkipException
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.operators.nugen import DeployModelOperator, UndeployModelOperator
from airflow_provider_nugen.operators.seekr import SeekrCreateDeploymentOperator, SeekrDemoteDeploymentOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Retries of the tasks that deploy and undeploy: both may run again without harm, and a worker may die.
RETRIES = 3


class DeployedModel(NamedTuple):
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

    @property
    def deployment_id(self) -> XComArg:
        """
        The deployment at SeekrFlow, for the tasks inside: it is what is asked there.

        :raises ValueError: at Nugen, where a deployed model is asked by its ``model_id``.
        """
        if not isinstance(self.deploy, SeekrCreateDeploymentOperator):
            raise ValueError("a deployment at Nugen has no id of its own: use model_id")
        return _output(self.deploy, "deployment_id")


@contextmanager
def deployed_model(
    group_id: str,
    *,
    model_id: str | XComArg,
    keep_if: str | Callable[[Context], bool] | None = None,
    nugen_conn_id: str | None = None,
    seekr_conn_id: str | None = None,
    deploy_kwargs: Mapping[str, Any] | None = None,
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

        # At SeekrFlow: a connection to it says so.
        with deployed_model("serve", model_id=tuned.output["fine_tune_id"], seekr_conn_id="seekr_default") as serve:
            SeekrChatCompletionOperator(task_id="ask", deployment_id=serve.deployment_id, ...)

    The group has three tasks of its own: ``deploy``, ``undeploy``, and ``undeployed``, which needs no worker. The model
    is undeployed (at SeekrFlow: its deployment is demoted) when all tasks inside are over, also when they or ``deploy``
    itself failed or were skipped, and when ``deploy`` died before it knew what it had created. If undeploying fails,
    the run fails; so it does if a task inside fails. In both cases, what comes after the group does not run. Clearing a
    task inside clears ``deploy`` and ``undeploy``, too, since they are its setup and teardown: it runs again with a
    model that is deployed.

    :param group_id: the group's id; the ids of its tasks begin with it.
    :param model_id: the model to deploy; at SeekrFlow a fine-tune that is completed.
    :param keep_if: leave the model deployed if this task of the group succeeded in this run (its id inside the group),
        or if this function of the context returns true. If the task returns text, it must be the id of the model or of
        the deployment. A task that was skipped, for example because a gate was closed, keeps nothing.
    :param nugen_conn_id: the Airflow connection to Nugen; the default one unless ``seekr_conn_id`` is given.
    :param seekr_conn_id: the Airflow connection to SeekrFlow: the model is deployed there.
    :param deploy_kwargs: further arguments of the operator that deploys, ``DeployModelOperator`` or
        ``SeekrCreateDeploymentOperator``: ``{"n_instances": 2}``. Not ``name``, which is generated, so that the
        deployment is found whatever happens.
    :param retries: retries of ``deploy`` and ``undeploy``.
    :param poke_interval: seconds between two polls.
    :param timeout: seconds to wait at the most, for each of the two.
    :param group_kwargs: other arguments of the task group.
    :raises ValueError: if both connections are given, or a ``name``.
    """
    if nugen_conn_id is not None and seekr_conn_id is not None:
        raise ValueError("pass nugen_conn_id or seekr_conn_id, not both: the model is deployed at one of the services")
    if "name" in (deploy_kwargs or {}):
        raise ValueError("deploy_kwargs must not have a name: it is generated, so that the deployment is found again")
    wait: dict[str, Any] = {
        "retries": retries,
        "wait_for_completion": True,
        "poke_interval": poke_interval,
        "timeout": timeout,
    }
    more = {**wait, **(deploy_kwargs or {})}
    with TaskGroup(group_id, **group_kwargs) as group:
        keep = partial(_skip_unless_needed, deploy_id=group.child_id("deploy"), keep_if=_in_group(group, keep_if))
        deploy: BaseOperator
        undeploy: BaseOperator
        if seekr_conn_id is not None:
            deploy = SeekrCreateDeploymentOperator(
                task_id="deploy", model_id=model_id, seekr_conn_id=seekr_conn_id, **more
            )
            undeploy = SeekrDemoteDeploymentOperator(
                task_id="undeploy", created_by=deploy.task_id, seekr_conn_id=seekr_conn_id, pre_execute=keep, **wait
            )
        else:
            nugen_conn_id = nugen_conn_id or NugenHook.default_conn_name
            deploy = DeployModelOperator(task_id="deploy", model_id=model_id, nugen_conn_id=nugen_conn_id, **more)
            undeploy = UndeployModelOperator(
                task_id="undeploy",
                # As text: rendered to nothing, instead of an error, if there is no model to deploy.
                model_id=str(model_id),
                nugen_conn_id=nugen_conn_id,
                pre_execute=keep,
                **wait,
            )
        yield DeployedModel(group, deploy, undeploy, _output(deploy, "model_id"))
        _wire(group, deploy, undeploy)


def _output(task: BaseOperator, key: str) -> XComArg:
    return task.output[key]  # type: ignore[index,no-any-return]  # Airflow's XComArg has no types


def _in_group(group: TaskGroup, keep_if: str | Callable[[Context], bool] | None) -> Any:
    return group.child_id(keep_if) if isinstance(keep_if, str) else keep_if


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
    # What comes after the group comes after this task, so it must not succeed if a task inside failed.
    last = [task for task in inside.values() if not task.downstream_task_ids & inside.keys()]
    [undeploy, *last] >> EmptyOperator(task_id="undeployed", trigger_rule=TriggerRule.NONE_FAILED)


def _skip_unless_needed(context: Context, *, deploy_id: str, keep_if: str | Callable[[Context], bool] | None) -> None:
    """Skip the undeployment if there is no model, or it shall stay deployed."""
    task = context["task"]
    if isinstance(task, UndeployModelOperator) and task.model_id in (None, "", "None"):
        raise AirflowSkipException("There is no model to undeploy: the task that makes it has pushed no id.")
    if keep_if is None:
        return
    if keep_if(context) if callable(keep_if) else _succeeded(context, keep_if, deploy_id):
        raise AirflowSkipException(f"What {deploy_id!r} deployed stays deployed, and is billed, as keep_if says.")


def _succeeded(context: Context, task_id: str, deploy_id: str) -> bool:
    """Decide whether a task succeeded in this run, for this model. An XCom alone can be of a run before a clear."""
    ti = context["ti"]
    states = ti.get_task_states(ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id]).get(ti.run_id, {})
    if not states or set(states.values()) != {"success"}:
        return False
    returned = ti.xcom_pull(task_ids=task_id)
    if not isinstance(returned, str):
        return True
    return returned in [ti.xcom_pull(task_ids=deploy_id, key=key) for key in ("model_id", "deployment_id")]
