"""A group of tasks with a deployed model: how it is wired, and when the model stays deployed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup

from airflow_provider_nugen.compat import AirflowSkipException
from airflow_provider_nugen.operators.seekr import SeekrChatCompletionOperator
from airflow_provider_nugen.task_groups import deployed_model

#: What says that the model is deployed at SeekrFlow.
SEEKR = {"seekr_conn_id": "seekr_default"}


def dag_of(keep_if: Any = None, model_id: Any = "m-1", **arguments: Any) -> DAG:
    with DAG("d", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        before = EmptyOperator(task_id="before")
        with deployed_model("serve", model_id=model_id, keep_if=keep_if, **arguments) as serve:
            first, last = EmptyOperator(task_id="first"), EmptyOperator(task_id="last")
            EmptyOperator(task_id="alone")
            with TaskGroup("inner"):
                EmptyOperator(task_id="a") >> EmptyOperator(task_id="b")
            before >> first >> last
        after = EmptyOperator(task_id="after")
        serve.group >> after
    return dag


BOTH = pytest.mark.parametrize("arguments", [{}, SEEKR], ids=["nugen", "seekr"])


@BOTH
def test_all_tasks_inside_come_after_deploy_and_before_undeploy(arguments: dict[str, Any]) -> None:
    dag = dag_of(**arguments)
    ends = {"serve.last", "serve.alone", "serve.inner.b"}
    assert dag.get_task("serve.deploy").downstream_task_ids == {
        "serve.first",
        "serve.alone",
        "serve.inner.a",
        "serve.undeploy",
    }
    assert dag.get_task("serve.undeploy").upstream_task_ids == {*ends, "serve.deploy"}
    # A task that has something before it outside the group waits for the deployment, too.
    assert dag.get_task("serve.first").upstream_task_ids == {"before", "serve.deploy"}


@BOTH
def test_undeploy_is_a_teardown_that_runs_whatever_became_of_its_setup(arguments: dict[str, Any]) -> None:
    dag = dag_of(**arguments)
    undeploy, deploy = dag.get_task("serve.undeploy"), dag.get_task("serve.deploy")
    assert (deploy.is_setup, undeploy.is_teardown) == (True, True)
    assert undeploy.trigger_rule == "all_done"
    assert deploy.retries == undeploy.retries == 3
    # Inside a run, a failed task inside counts, and a failed undeployment reaches the run by the task behind it.
    assert undeploy.on_failure_fail_dagrun is False
    inside = {"serve.last", "serve.alone", "serve.inner.b"}
    assert dag.get_task("serve.undeployed").upstream_task_ids == {"serve.undeploy", *inside}
    assert dag.get_task("serve.undeployed").trigger_rule == "none_failed"
    assert dag.get_task("after").upstream_task_ids == {"serve.undeployed"}


def test_an_error_while_the_dag_is_written_is_not_hidden() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        DAG("d", start_date=datetime(2026, 1, 1), schedule=None),
        deployed_model("serve", model_id="m-1"),
    ):
        raise ZeroDivisionError


class FakeTI:
    """A task instance whose run has the given states and XComs."""

    dag_id, run_id = "d", "r"

    def __init__(self, states: dict[str, str], xcoms: dict[str, Any]) -> None:
        self.states, self.xcoms = states, xcoms

    def get_task_states(self, dag_id: str, *, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
        assert (dag_id, run_ids) == ("d", ["r"])
        return {"r": {name: state for name, state in self.states.items() if name in task_ids}}

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.xcoms.get(f"{task_ids}.{key}")


def stays(
    keep_if: Any, state: str | None = None, returned: Any = None, model_id: Any = "m-1", **arguments: Any
) -> bool:
    undeploy: Any = dag_of(keep_if, **arguments).get_task("serve.undeploy")
    undeploy.model_id = model_id  # rendered
    deployed = {"serve.deploy.model_id": model_id} | ({"serve.deploy.deployment_id": "d-1"} if arguments else {})
    ti = FakeTI({} if state is None else {"serve.promote": state}, {"serve.promote.return_value": returned, **deployed})
    context: Any = {"ti": ti, "task": undeploy}
    try:
        undeploy._pre_execute_hook(context)
    except AirflowSkipException:
        return True
    return False


@pytest.mark.parametrize(
    ("state", "returned", "kept"),
    [
        ("success", None, True),
        ("success", "m-1", True),
        ("success", {"url": "x"}, True),
        # What a run before a clear has left in the XCom is another model's.
        ("success", "m-0", False),
        ("skipped", "m-1", False),
        ("failed", "m-1", False),
        ("upstream_failed", None, False),
        (None, "m-1", False),
    ],
)
def test_a_model_stays_deployed_only_by_a_task_that_succeeded_in_this_run_for_it(
    state: str | None, returned: Any, kept: bool
) -> None:
    assert stays("promote", state, returned) is kept


@pytest.mark.parametrize(("returned", "kept"), [("d-1", True), ("m-1", True), ("d-0", False), (None, True)])
def test_at_seekrflow_the_task_that_keeps_it_names_the_deployment_or_the_model(returned: Any, kept: bool) -> None:
    assert stays("promote", "success", returned, **SEEKR) is kept


def test_at_seekrflow_what_is_demoted_is_what_deploy_created_and_its_id_is_for_the_tasks_inside() -> None:
    with (
        DAG("d", start_date=datetime(2026, 1, 1), schedule=None) as dag,
        deployed_model("serve", model_id="ft-1", deploy_kwargs={"n_instances": 2}, **SEEKR) as serve,
    ):
        SeekrChatCompletionOperator(task_id="ask", deployment_id=serve.deployment_id, prompts=["?"])
    deploy: Any = dag.get_task("serve.deploy")
    undeploy: Any = dag.get_task("serve.undeploy")
    assert (deploy.model_id, deploy.name, deploy.n_instances) == ("ft-1", None, 2)
    assert (undeploy.created_by, undeploy.seekr_conn_id) == ("serve.deploy", "seekr_default")
    assert dag.get_task("serve.ask").upstream_task_ids == {"serve.deploy"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({**SEEKR, "nugen_conn_id": "nugen_default"}, "not both"),
        ({**SEEKR, "deploy_kwargs": {"name": "mine!"}}, "must not have a name"),
    ],
)
def test_what_is_wrong_is_an_error_of_the_dag(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dag_of(**arguments)


def test_at_nugen_a_deployment_has_no_id() -> None:
    with (
        DAG("d", start_date=datetime(2026, 1, 1), schedule=None),
        pytest.raises(ValueError, match="use model_id"),
        deployed_model("serve", model_id="m-1") as serve,
    ):
        _ = serve.deployment_id


def test_a_function_can_decide_and_without_either_nothing_stays() -> None:
    assert stays(lambda context: True)
    assert not stays(lambda context: False)
    assert not stays(None, "success", "m-1")


@pytest.mark.parametrize("model_id", [None, "", "None"])
def test_where_there_is_no_model_there_is_nothing_to_undeploy(model_id: Any) -> None:
    assert stays(None, model_id=model_id)


def test_the_id_of_an_upstream_task_reaches_undeploy_as_a_template_that_can_be_empty() -> None:
    with DAG("d", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        aligned = EmptyOperator(task_id="aligned")
        with deployed_model("serve", model_id=aligned.output["model_id"]):
            EmptyOperator(task_id="inside")
    undeploy: Any = dag.get_task("serve.undeploy")
    pulled: dict[str, Any] = {}

    class TI:
        def xcom_pull(self, **kwargs: Any) -> Any:
            pulled.update(kwargs)

    undeploy.render_template_fields({"ti": TI(), "task_instance": TI()}, undeploy.get_template_env())
    assert undeploy.model_id in (None, "None")
    assert (pulled["task_ids"], pulled["key"]) == ("aligned", "model_id")
    assert dag.get_task("serve.deploy").upstream_task_ids == {"aligned"}
