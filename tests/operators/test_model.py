"""Deploying and undeploying: adopt what runs, wait for one's turn, never fail for good because of what is there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sensors.harness import Store, TaskDeferred

from airflow_provider_nugen import tasks
from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.compat import AirflowFailException
from airflow_provider_nugen.exceptions import NotReadyError, PossibleDuplicateJobError, ProviderError
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.operators import model as model_module
from airflow_provider_nugen.operators.nugen import DeployModelOperator, UndeployModelOperator

MODEL = "-m-1"
UNDEPLOYING = "Model cannot be redeployed. Current status: UNDEPLOYING"


class Hook:
    """A service that answers what a test says, by operation; the last answer lasts."""

    settings = None
    read_status = ServiceHook.read_status

    def __init__(self, revision: str = "C", **answers: list[tuple[int, Any]]) -> None:
        self.revision = revision
        self.answers = answers
        self.asked: list[str] = []

    read_status = ServiceHook.read_status

    def request(self, call: Call[Any]) -> Any:
        call.request(self.revision, "c")
        operation = call.endpoint.operation.replace(" ", "_")
        self.asked.append(operation)
        answers = self.answers.get(operation) or [(404, {"detail": "Model not found"})]
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if status >= 400 and isinstance(body, str):
            body = {"detail": body}
        return call.read(RawResponse(status, json.dumps(body).encode(), revision=self.revision), "c")

    def close(self) -> None:
        """Close nothing."""

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *exc: object) -> None:
        """End a block of nothing."""


def word(status: str) -> list[tuple[int, Any]]:
    return [(200, {"model_id": MODEL, "status": status})]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let time pass at once; return how many seconds at a time."""
    seconds: list[float] = []
    clock = SimpleNamespace(time=lambda: 1e9 + sum(seconds), sleep=seconds.append, monotonic=time.monotonic)
    for module in (model_module, tasks):
        monkeypatch.setattr(module, "time", clock)
    return seconds


def start(
    hook: Hook, cls: Any = DeployModelOperator, *, try_number: int = 1, store: Store | None = None, **arguments: Any
) -> Any:
    """Run a try."""
    operator = cls(task_id="t", **{"model_id": MODEL, "deferrable": False, **arguments})
    operator.__dict__["hook"] = hook
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        task=operator, dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=try_number, max_tries=2
    )
    ti.xcom_push = lambda key, value: pushed.update({key: value})
    context: Any = {"ti": ti, "dag_run": SimpleNamespace(start_date=datetime(2026, 1, 1, tzinfo=UTC))}
    if store is not None:
        context["task_state_store"] = store
    return operator.execute(context)


# Deploying.


@pytest.mark.parametrize("status", [400, 409])
def test_a_model_that_is_torn_down_is_deployed_when_its_turn_comes(slept: list[float], status: int) -> None:
    hook = Hook(deploy_model=[(status, UNDEPLOYING), (status, UNDEPLOYING.upper()), (200, MODEL)])
    assert start(hook) == {"model_id": MODEL}
    assert hook.asked.count("deploy_model") == 3
    assert slept == [30.0, 30.0]


def test_the_turn_that_does_not_come_in_ten_minutes_is_left_to_a_retry(slept: list[float]) -> None:
    hook = Hook(deploy_model=[(409, UNDEPLOYING)])
    with pytest.raises(NotReadyError, match="10 minutes") as raised:
        start(hook)
    assert not isinstance(raised.value, AirflowFailException)
    assert sum(slept) == 600


def test_the_turn_is_waited_for_in_the_triggerer(slept: list[float]) -> None:
    hook = Hook(deploy_model=[(409, UNDEPLOYING), (200, MODEL)])
    with pytest.raises(TaskDeferred) as deferred:
        start(hook, deferrable=True)
    assert type(deferred.value.trigger).__name__ == "DateTimeTrigger"
    assert deferred.value.method_name == "try_again"
    assert deferred.value.kwargs == {"since": 1e9}
    operator = DeployModelOperator(task_id="t", model_id=MODEL)
    operator.__dict__["hook"] = hook
    ti = SimpleNamespace(task=operator, dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, max_tries=2)
    ti.xcom_push = lambda key, value: None
    context: Any = {"ti": ti}
    kwargs: dict[str, Any] = deferred.value.kwargs or {}
    assert operator.try_again(context, event=datetime.now(UTC), **kwargs) == {"model_id": MODEL}
    assert not slept


def test_a_turn_that_may_come_within_seconds_is_waited_for_on_the_worker(
    slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeployModelOperator, "turn_interval", tasks.MIN_DEFERRAL / 2)
    assert start(Hook(deploy_model=[(409, UNDEPLOYING), (200, MODEL)]), deferrable=True) == {"model_id": MODEL}
    assert slept == [tasks.MIN_DEFERRAL / 2]


@pytest.mark.parametrize("status", [400, 409])
@pytest.mark.parametrize("current", ["DEPLOYED", "deploying", "COMPLETED", "Pending"])
def test_a_model_that_is_deployed_already_is_adopted(slept: list[float], status: int, current: str) -> None:
    hook = Hook(deploy_model=[(status, f"Cannot be deployed. Current status: {current}")])
    assert start(hook) == {"model_id": MODEL}
    assert not slept


def test_400_alone_is_answered_by_the_models_own_status(slept: list[float]) -> None:
    refusal = [(400, "Bad Request")]
    hook = Hook(deploy_model=refusal, get_deployment_status=word("DEPLOYED"))
    assert start(hook) == {"model_id": MODEL}
    with pytest.raises(ProviderError) as raised:
        start(Hook(deploy_model=refusal, get_deployment_status=word("UNDEPLOYED")))
    assert isinstance(raised.value, AirflowFailException)


def evaluated(revision: str, *words: str) -> Hook:
    """Make a service at which the model is deployed, and its alignment says one word after the other."""
    alignments = [(200, {"alignment_id": "a-1", "model_id": MODEL, "status": status}) for status in words]
    return Hook(
        revision,
        deploy_model=[(400, "Model cannot be redeployed. Current status: DEPLOYED")] * (len(words) - 1)
        + [(200, MODEL)],
        get_model_detail=[(200, {"model_id": MODEL, "alignment_id": "a-1", "deployment_status": "DEPLOYED"})],
        list_alignments=[
            (200, {"alignment_projects": [{"alignment_id": "a-1", "model_id": MODEL, "status": "READY"}]})
        ],
        get_alignment_status=alignments,
    )


@pytest.mark.parametrize("revision", ["B", "C"])
def test_what_is_deployed_for_the_automatic_evaluation_is_not_adopted(slept: list[float], revision: str) -> None:
    hook = evaluated(revision, "DEPLOYING", "EVALUATING", "EVALUATED")
    assert start(hook) == {"model_id": MODEL}
    assert hook.asked.count("deploy_model") == 3
    assert slept == [30.0, 30.0]
    # Also if an earlier try was refused.
    hook = evaluated(revision, "EVALUATING", "EVALUATED")
    hook.answers["get_deployment_status"] = [*word("DEPLOYED"), *word("UNDEPLOYED")]
    assert start(hook, try_number=2, store=Store()) == {"model_id": MODEL}
    assert slept == [30.0, 30.0, 30.0]
    with pytest.raises(NotReadyError, match=r"automatic evaluation of alignment 'a-1'.*wait_for='evaluation'.*10 min"):
        start(evaluated(revision, *["EVALUATING"] * 30))


def test_an_alignment_that_says_ready_while_it_is_evaluated_is_told_by_its_evaluation(slept: list[float]) -> None:
    hook = evaluated("C", "READY", "READY")
    for _, body in hook.answers["get_alignment_status"]:
        body["evaluation_id"] = "e-1"
    hook.answers["get_evaluation_status"] = [(200, {"evaluation_id": "e-1", "status": "PROCESSING"})]
    assert start(hook) == {"model_id": MODEL}
    assert slept == [30.0]


def test_an_own_deployment_continues_whatever_is_evaluated(slept: list[float]) -> None:
    store = Store()
    start(Hook(deploy_model=[(200, MODEL)]), store=store)
    hook = evaluated("C", "EVALUATING", "EVALUATING")
    hook.answers["get_deployment_status"] = word("DEPLOYED")
    assert start(hook, try_number=2, store=store) == {"model_id": MODEL}
    assert not slept


@pytest.mark.parametrize("status", ["READY", "EVALUATED", "COMPLETED"])
def test_what_is_not_evaluated_is_adopted_at_once(slept: list[float], status: str, logs: Any) -> None:
    hook = evaluated("C", status, status)
    assert start(hook) == {"model_id": MODEL}
    assert hook.asked.count("deploy_model") == 1
    assert not slept
    assert not any(MODEL in line for line in logs.at("warning"))


def test_what_cannot_be_told_is_adopted_with_a_warning(slept: list[float], logs: Any) -> None:
    hook = evaluated("C", "EVALUATING", "EVALUATING")
    hook.answers["get_alignment_status"] = [(403, "Forbidden")]
    assert start(hook) == {"model_id": MODEL}
    (line,) = (line for line in logs.at("warning") if MODEL in line)
    assert "wait_for='evaluation'" in line


@pytest.mark.parametrize("try_number", [1, 2])
@pytest.mark.parametrize(
    "refusal",
    [
        "Model is already deployed or being deployed",
        "Model already deployed",
        "Model -m-1 is being deployed.",
        "The model has already been deployed",
        "Deployment already in progress",
    ],
)
def test_a_refusal_that_says_deployed_is_believed_when_the_statuses_of_b_do_not_tell(
    slept: list[float], refusal: str, try_number: int
) -> None:
    over = word("COMPLETED")
    hook = Hook("B", deploy_model=[(400, refusal)], get_deployment_status=over, get_undeploy_status=over)
    assert start(hook, try_number=try_number) == {"model_id": MODEL}


@pytest.mark.parametrize("try_number", [1, 2])
@pytest.mark.parametrize(("status", "refusal"), [(400, "Bad Request"), (409, ""), (400, "Modelo ocupado")])
def test_what_runs_is_adopted_whatever_the_refusal_says(
    slept: list[float], status: int, refusal: str, try_number: int, logs: Any
) -> None:
    # Of two statuses of revision B nobody knows which is the older one.
    over = word("COMPLETED")
    hook = Hook("B", deploy_model=[(status, refusal)], get_deployment_status=over, get_undeploy_status=over)
    assert start(hook, try_number=try_number) == {"model_id": MODEL}
    assert any("taken for deployed" in line for line in logs.at("warning"))
    for deployment in ([], word("FAILED")):
        hook.answers["get_deployment_status"] = deployment
        with pytest.raises(ProviderError):
            start(hook, try_number=try_number)


@pytest.mark.parametrize(
    "refusal",
    [
        "Model is not deployed",
        "Model is already undeployed",
        "Model cannot be deployed",
        "Another model is already deployed",
        "5 models are already deployed: the quota is used up",
    ],
)
def test_a_refusal_that_says_something_else_is_not_taken_for_a_deployment(slept: list[float], refusal: str) -> None:
    over = word("COMPLETED")
    hook = Hook("B", deploy_model=[(400, refusal)], get_deployment_status=over, get_undeploy_status=over)
    with pytest.raises(ProviderError):
        start(hook)


@pytest.mark.parametrize("store", [True, False], ids=["with store", "without store"])
@pytest.mark.parametrize(
    ("deployment", "undeployment", "requests"),
    [
        ("DEPLOYING", "DEPLOYING", 0),
        ("DEPLOYED", "DEPLOYED", 0),
        ("COMPLETED", None, 0),
        ("COMPLETED", "FAILED", 0),
        # A deployment of revision C that has failed says no more than that.
        ("UNDEPLOYED", "UNDEPLOYED", 1),
        ("FAILED", None, 1),
        # Whichever was later: times tell nothing.
        ("COMPLETED", "COMPLETED", 1),
        (None, None, 1),
    ],
)
def test_a_retry_adopts_what_runs_and_else_sends_again(
    slept: list[float], deployment: str | None, undeployment: str | None, requests: int, store: bool
) -> None:
    answers = {"deploy_model": [(200, MODEL)]}
    if deployment is not None:
        answers["get_deployment_status"] = word(deployment)
    if undeployment is not None:
        answers["get_undeploy_status"] = word(undeployment)
    hook = Hook("C" if deployment in ("DEPLOYING", "DEPLOYED", "UNDEPLOYED") else "B", **answers)
    assert start(hook, try_number=2, store=Store() if store else None) == {"model_id": MODEL}
    assert hook.asked.count("deploy_model") == requests


def test_a_retry_with_another_model_fails_and_names_the_first(slept: list[float]) -> None:
    store, hook = Store(), Hook(deploy_model=[(200, MODEL)])
    start(hook, store=store)
    with pytest.raises(PossibleDuplicateJobError, match=f"'{MODEL}'.*'m-2'") as raised:
        start(hook, store=store, try_number=2, model_id="m-2")
    assert isinstance(raised.value, AirflowFailException)
    assert start(hook, store=store, try_number=3, model_id="m-2", on_changed_inputs="new") == {"model_id": "m-2"}


# Undeploying.


def test_a_model_that_is_being_deployed_is_undeployed_when_its_turn_comes(slept: list[float]) -> None:
    hook = Hook(undeploy_model=[(400, "Model is busy"), (200, MODEL)], get_deployment_status=word("DEPLOYING"))
    assert start(hook, UndeployModelOperator) == {"model_id": MODEL}
    hook = Hook(undeploy_model=[(409, "Current status: DEPLOYING"), (200, MODEL)])
    hook.answers["get_deployment_status"] = word("DEPLOYED")
    assert start(hook, UndeployModelOperator) == {"model_id": MODEL}
    assert slept == [30.0, 30.0]


def refusing(refusal: tuple[int, str], deployment: str | None, undeployment: str | None) -> Hook:
    """Build a service that refuses to undeploy a model, and the words of its two statuses; ``None``: there is none."""
    hook = Hook("C" if deployment in ("DEPLOYED", "UNDEPLOYED") else "B", undeploy_model=[refusal])
    if deployment is not None:
        hook.answers["get_deployment_status"] = word(deployment)
    if undeployment is not None:
        hook.answers["get_undeploy_status"] = word(undeployment)
    return hook


@pytest.mark.parametrize(
    ("refusal", "deployment", "undeployment"),
    [
        ((400, "Model is already undeployed"), "COMPLETED", "COMPLETED"),
        ((400, "Model is not deployed"), None, None),
        ((409, "Current status: UNDEPLOYED"), "UNDEPLOYED", None),
        ((400, "Bad Request"), "COMPLETED", "PENDING"),
        ((404, "Model not found"), "UNDEPLOYED", None),
        ((400, "Bad Request"), "UNDEPLOYED", "UNDEPLOYED"),
    ],
)
def test_a_model_that_is_undeployed_is_a_success(
    slept: list[float], refusal: tuple[int, str], deployment: str | None, undeployment: str | None
) -> None:
    hook = refusing(refusal, deployment, undeployment)
    assert start(hook, UndeployModelOperator) == {"model_id": MODEL}


@pytest.mark.parametrize(
    ("refusal", "deployment", "undeployment"),
    [
        ((400, "Bad Request"), "COMPLETED", "COMPLETED"),
        ((400, "Bad Request"), "DEPLOYED", "DEPLOYED"),
        ((404, "Model not found"), None, None),
        ((422, "Unprocessable"), None, None),
        ((403, "Forbidden"), "UNDEPLOYED", None),
    ],
)
def test_a_refusal_that_leaves_a_model_deployed_is_a_failure(
    slept: list[float], refusal: tuple[int, str], deployment: str | None, undeployment: str | None
) -> None:
    hook = refusing(refusal, deployment, undeployment)
    with pytest.raises(ProviderError):
        start(hook, UndeployModelOperator)


def test_a_model_that_is_not_known_at_all_may_be_another_accounts(slept: list[float]) -> None:
    with pytest.raises(ProviderError, match=f"'{MODEL}' is not known.*costs nothing.*another account") as raised:
        start(Hook(), UndeployModelOperator)
    assert isinstance(raised.value, AirflowFailException)


@pytest.mark.parametrize("model_id", [None, "", " ", 7, ["m-1"], {"model_id": "m-1"}])
@pytest.mark.parametrize("cls", [DeployModelOperator, UndeployModelOperator])
def test_what_is_not_an_id_is_named_before_sending(cls: Callable[..., Any], model_id: Any) -> None:
    hook = Hook()
    with pytest.raises(ProviderError, match="model_id is") as raised:
        start(hook, cls, model_id=model_id)
    assert isinstance(raised.value, AirflowFailException)
    assert not hook.asked


def test_what_is_wrong_in_the_dag_file_is_known_when_it_is_parsed() -> None:
    words: list[dict[str, Any]] = [{"early": "no"}, {"on_clear": "maybe"}, {"on_changed_inputs": "maybe"}]
    for arguments in words:
        with pytest.raises(ValueError, match="must be"):
            DeployModelOperator(task_id="t", model_id=MODEL, **arguments)
    numbers: list[dict[str, Any]] = [{"poke_interval": -1}, {"timeout": -1}, {"timeout": "soon"}]
    for arguments in numbers:
        with pytest.raises(ProviderError, match="number of seconds"):
            DeployModelOperator(task_id="t", model_id=MODEL, **arguments)
