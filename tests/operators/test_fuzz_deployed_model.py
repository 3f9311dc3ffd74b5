"""
Whatever happens, nothing is left deployed: a fuzz test over crashes, lost answers, refusals, evaluations and clears.

The service and the clock are a model in this process; the tasks are those of a real :func:`deployed_model`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sensors.harness import Store

from airflow_provider_nugen import task_groups, tasks
from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import TransportError
from airflow_provider_nugen.api.job import RUNNING, SUCCEEDED
from airflow_provider_nugen.api.nugen import jobs, submissions
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.compat import AirflowFailException, AirflowSkipException
from airflow_provider_nugen.exceptions import JobTimeoutError, ProviderError, final
from airflow_provider_nugen.hooks import base as hook_module
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.operators import model as model_module
from airflow_provider_nugen.operators import start as start_module
from airflow_provider_nugen.operators.model import DeployOperator, ModelOperator, UndeployOperator
from airflow_provider_nugen.operators.start import StartOperator
from airflow_provider_nugen.task_groups import deployed_model

#: Epoch seconds at which each example begins.
BEGIN = 1_770_000_000.0
#: Seconds that the service takes to deploy, to undeploy, and to evaluate a model.
DEPLOYING, UNDEPLOYING, EVALUATING = 20.0, 40.0, 300.0
#: Retries of the two tasks.
RETRIES = 3
#: Examples of each combination; more of them, and other ones each time, with ``HYPOTHESIS_SEARCH=1``.
IS_SEARCH = bool(os.environ.get("HYPOTHESIS_SEARCH"))
EXAMPLES = int(os.environ.get("AIRFLOW_PROVIDER_NUGEN_FUZZ_EXAMPLES") or (2000 if IS_SEARCH else 20))
OVER = ("success", "failed", "skipped", "upstream_failed")
#: How the request of a try goes wrong whose turn it is.
TROUBLES = ("dies before", "dies after", "lost", "never arrived", "429", "502")


class Death(BaseException):
    """The worker's process is killed."""


class Account:
    """The model of a service with its models, and the clock."""

    settings = None

    def __init__(self, revision: str) -> None:
        self.revision = revision
        self.now = BEGIN
        self.is_readable = True
        #: What a refusal because of the model's state is answered with.
        self.refusal = 400
        self.next_fails = False
        self.trouble: str | None = None
        #: How many requests go well before the trouble.
        self.well = 0
        self.new_model("m-0")

    def new_model(self, model_id: str) -> None:
        """Train a model."""
        self.model_id = model_id
        #: What becomes of the deployment: no, deploying, failing, yes, evaluating or undeploying; and until when.
        self.state, self.until = "no", 0.0
        #: The words of revision B, which has one for each of the two.
        self.deployment: str | None = None
        self.undeployment: str | None = None

    @property
    def stands(self) -> bool:
        """The model is deployed, or will be, and costs money."""
        self._advance()
        return self.state in ("deploying", "yes", "evaluating")

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def _advance(self) -> None:
        while self.state not in ("no", "yes") and self.until <= self.now:
            match self.state:
                case "deploying":
                    self.state, self.deployment = "yes", "COMPLETED"
                case "failing":
                    self.state, self.deployment = "no", "FAILED"
                case "undeploying":
                    self.state, self.undeployment = "no", "COMPLETED"
                case "evaluating":
                    self.state, self.until, self.undeployment = "undeploying", self.until + UNDEPLOYING, "PENDING"

    def evaluate(self) -> None:
        """Begin the automatic evaluation of a model that was just trained."""
        self.state, self.until, self.deployment = "evaluating", self.now + EVALUATING, "COMPLETED"

    # What a hook does.

    poll, read_status = ServiceHook.poll, ServiceHook.read_status

    def request(self, call: Call[Any]) -> Any:
        return call.read(self.fetch(call), "c")

    def fetch(self, call: Call[Any]) -> RawResponse:
        call.request(self.revision, "c")
        self.now += 0.2
        trouble = self.trouble if self.well == 0 else None
        self.well -= 1
        if trouble is not None:
            self.trouble = None
        match trouble:
            case "dies before":
                raise Death
            case "never arrived":
                raise TransportError("dropped")
            case "429" | "502":
                return self._answer(int(trouble), {"detail": "busy"})
        answer = self._act(call)
        if trouble == "dies after":
            raise Death
        if trouble == "lost":
            raise TransportError("dropped")
        return answer

    def _answer(self, status: int, body: object) -> RawResponse:
        return RawResponse(status, json.dumps(body).encode(), revision=self.revision)

    def _refuse(self, text: str, status: int | None = None) -> RawResponse:
        return self._answer(status or self.refusal, {"detail": text if self.is_readable else "Bad Request"})

    def _act(self, call: Call[Any]) -> RawResponse:
        self._advance()
        match call.endpoint.operation:
            case "deploy model":
                return self._deploy()
            case "undeploy model":
                return self._undeploy()
            case "get deployment status":
                return self._status(self.deployment)
            case "get undeploy status":
                return self._status(self.undeployment)
            case "list alignments":
                return self._answer(200, {"alignment_projects": [self._alignment()]})
            case "get alignment status" | "get alignment":
                return self._answer(200, self._alignment())
            case "get model detail":
                return self._answer(200, {"model_id": self.model_id, "alignment_id": "a-1"})
        raise AssertionError(call.endpoint.operation)

    def _alignment(self) -> dict[str, Any]:
        word = "EVALUATING" if self.state == "evaluating" else "READY"
        return {"alignment_id": "a-1", "model_id": self.model_id, "status": word}

    def _deploy(self) -> RawResponse:
        if self.stands:
            return self._refuse("Model is already deployed or being deployed")
        if self.state != "no":
            return self._refuse("Model cannot be redeployed. Current status: UNDEPLOYING")
        self.state, self.until = "failing" if self.next_fails else "deploying", self.now + DEPLOYING
        self.deployment, self.next_fails = "PENDING", False
        return self._answer(200, self.model_id)

    def _undeploy(self) -> RawResponse:
        if self.state in ("deploying", "failing"):
            return self._refuse("Model cannot be undeployed. Current status: DEPLOYING", 409)
        if not self.stands:
            return self._refuse("Model is already undeployed")
        self.state, self.until, self.undeployment = "undeploying", self.now + UNDEPLOYING, "PENDING"
        return self._answer(200, self.model_id)

    def _status(self, word: str | None) -> RawResponse:
        if self.revision == "C":
            words = {"no": "UNDEPLOYED", "undeploying": "UNDEPLOYING", "deploying": "DEPLOYING", "failing": "DEPLOYING"}
            word = words.get(self.state, "DEPLOYED") if self.deployment is not None else None
        if word is None:
            return self._answer(404, {"detail": "Model not found"})
        # The times of an envelope are those of the request.
        at = datetime.fromtimestamp(self.now, UTC).isoformat()
        return self._answer(200, {"model_id": self.model_id, "status": word, "start_time": at, "end_time": at})

    def close(self) -> None:
        """Close nothing."""

    def __enter__(self) -> Account:
        return self

    def __exit__(self, *exc: object) -> None:
        """End a block of nothing."""


class Task:
    """A task instance, as the database has it."""

    def __init__(self, name: str, has_store: bool) -> None:
        self.name = name
        self.store = Store() if has_store else None
        self.max_tries, self.try_number = RETRIES, 0
        self.state: str | None = None

    def clear(self) -> None:
        self.state, self.max_tries = None, self.try_number + RETRIES


class Pipeline(RuleBasedStateMachine):
    """At the end of each pipeline that says so nothing stands, unless it was promoted; or a failure names the model."""

    revision = "B"
    has_store = True

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(self.revision)
        self.deploy, self.undeploy = Task("deploy", self.has_store), Task("undeploy", self.has_store)
        self.promote: str | None = None
        #: What the task that promotes has returned; an XCom outlives a clear until its task runs again.
        self.returned: str | None = None
        self.models = 1

    def _context(self, task: Task, operator: Any) -> Any:
        states = {"serve.promote": self.promote}

        def get_task_states(dag_id: str, *, task_ids: list[str], run_ids: list[str]) -> Any:
            return {"r": {name: states[name] for name in task_ids if states[name]}}

        ti = SimpleNamespace(
            task=operator,
            dag_id="d",
            run_id="r",
            task_id=f"serve.{task.name}",
            map_index=-1,
            try_number=task.try_number,
            max_tries=task.max_tries,
            xcom_push=lambda key, value: None,
            xcom_pull=lambda task_ids, key="return_value", map_indexes=-1: (
                self.returned if task_ids == "serve.promote" else self.account.model_id
            ),
            get_task_states=get_task_states,
        )
        run = SimpleNamespace(start_date=datetime.fromtimestamp(BEGIN, UTC))
        context: dict[str, Any] = {"ti": ti, "dag_run": run, "task": operator}
        return context | ({"task_state_store": task.store} if task.store is not None else {})

    def _try(self, task: Task, trouble: str | None, well: int) -> BaseException | None:
        """Run a try of a task as Airflow does, and set its state; return what ended it without success."""
        task.try_number += 1
        account = self.account
        account.trouble, account.well = trouble, well
        with DAG("d", schedule=None) as dag, deployed_model("serve", model_id=account.model_id, keep_if="promote"):
            EmptyOperator(task_id="promote")
        operator: Any = dag.get_task(f"serve.{task.name}")
        operator.deferrable = False
        operator.__dict__["hook"] = account
        context, began = self._context(task, operator), account.now
        error: BaseException | None = None
        try:
            if operator._pre_execute_hook is not None:
                operator._pre_execute_hook(context)
            operator.execute(context)
            task.state = "success"
        except AirflowSkipException:
            task.state = "skipped"
        except (ProviderError, Death) as e:
            error = e
            is_last = isinstance(e, AirflowFailException) or task.try_number > task.max_tries
            task.state = "failed" if is_last else None
        account.trouble = None
        # Whatever became of the model, the service says so within a quarter of an hour.
        assert account.now - began < 3600, f"{task.name} waits for {account.now - began} s for nothing"
        assert not isinstance(error, JobTimeoutError), error
        return error

    # What Airflow and its users do.

    @rule(trouble=st.sampled_from((None, *TROUBLES)), well=st.integers(0, 6))
    @precondition(lambda self: self.deploy.state not in OVER)
    def try_to_deploy(self, trouble: str | None, well: int) -> None:
        """Run a try of the task that deploys."""
        error = self._try(self.deploy, trouble, well)
        # The model exists and can be deployed: nothing that passes may end the task for good.
        assert not isinstance(error, AirflowFailException), f"deploying failed for good: {error}"
        if self.deploy.state == "success":
            assert self.account.state == "yes", f"what is taken for deployed is {self.account.state}"

    @rule()
    @precondition(lambda self: self.deploy.state not in OVER and self.deploy.try_number > 0)
    def mark_as_failed(self) -> None:
        """Let a user end the task that deploys."""
        self.deploy.state = "failed"

    @rule(outcome=st.sampled_from(("success", "failed", "skipped")))
    @precondition(lambda self: self.deploy.state in OVER and self.promote is None)
    def run_the_tasks_inside(self, outcome: str) -> None:
        """Evaluate the model, and promote it or not."""
        self.promote = outcome if self.deploy.state == "success" else "upstream_failed"
        if self.promote != "upstream_failed":
            self.returned = self.account.model_id if outcome == "success" else None

    @rule(trouble=st.sampled_from((None, *TROUBLES)), well=st.integers(0, 6))
    @precondition(lambda self: self.promote is not None and self.undeploy.state not in OVER)
    def try_to_undeploy(self, trouble: str | None, well: int) -> None:
        """Run a try of the task that undeploys, and judge the end of the pipeline."""
        error, account = self._try(self.undeploy, trouble, well), self.account
        if isinstance(error, AirflowFailException):
            # Two statuses of revision B and a refusal without a reason: nobody can tell.
            assert account.revision == "B", error
            assert not account.is_readable, error
            assert account.model_id in str(error)
        match self.undeploy.state:
            case "success":
                assert account.state == "no", f"the pipeline says that it is undeployed, and the model {account.state}"
            case "skipped":
                assert self.promote == "success", "a model is kept that was not promoted"
            case "failed":
                assert error is not None
                assert isinstance(error, Death) or account.model_id in str(error)

    @rule(is_new=st.booleans())
    @precondition(lambda self: self.undeploy.state in OVER)
    def clear(self, is_new: bool) -> None:
        """Clear the whole pipeline, with the training before it or without."""
        if is_new:
            self.account.new_model(f"m-{self.models}")
            self.models += 1
        self.deploy.clear()
        self.undeploy.clear()
        self.promote = None
        if self.deploy.store is not None and is_new:
            self.deploy.store.values.clear()

    # What the service does.

    @rule()
    @precondition(lambda self: self.account.deployment is None and self.deploy.state not in OVER)
    def evaluate_automatically(self) -> None:
        """Deploy the model for a while."""
        self.account.evaluate()

    @rule()
    def let_the_next_deployment_fail(self) -> None:
        """Fail after a while, without a reason."""
        self.account.next_fails = True

    @rule(is_readable=st.booleans(), status=st.sampled_from((400, 409)))
    def be_unkind(self, is_readable: bool, status: int) -> None:
        """Refuse in another way from now on."""
        self.account.is_readable, self.account.refusal = is_readable, status

    @rule(seconds=st.sampled_from((1.0, 15.0, 30.0, 600.0)))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.account.now += seconds

    def teardown(self) -> None:
        """Bring the pipeline to its end."""
        self.account.next_fails = False
        while self.deploy.state not in OVER:
            self.try_to_deploy(None, 0)
        if self.promote is None:
            self.run_the_tasks_inside("skipped")
        while self.undeploy.state not in OVER:
            self.try_to_undeploy(None, 0)


@contextmanager
def modelled(machine: type[Pipeline], patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the operators live in the model's time."""
    current: list[Account] = []
    original = machine.__init__

    def begin(self: Pipeline) -> None:
        original(self)
        current[:] = [self.account]

    patch.setattr(machine, "__init__", begin)
    clock = SimpleNamespace(
        time=lambda: current[0].time(),
        sleep=lambda seconds: current[0].sleep(seconds),
        monotonic=lambda: current[0].monotonic(),
    )
    for module in (hook_module, model_module, start_module, tasks):
        patch.setattr(module, "time", clock)
    patch.setattr(StartOperator, "_get_ready_to_kill", lambda self, kind, job_id: None)
    patch.setattr(HypothesisProvider, "_maybe_draw_constant", lambda self, *args, **kwargs: None)
    yield


def machine_of(revision: str, airflow: str) -> type[Pipeline]:
    """Build the state machine for a revision of the API and a version of Airflow."""
    return type("Machine", (Pipeline,), {"revision": revision, "has_store": airflow != "3.1"})


def run(machine: type[Pipeline], examples: int, *, is_search: bool) -> None:
    """Let hypothesis try to break the promise."""
    more: dict[str, Any] = {} if is_search else {"derandomize": True, "database": None}
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink] if is_search else [Phase.generate],
            **more,
        ),
    )


@pytest.mark.parametrize("airflow", ["3.1", "3.3"])
@pytest.mark.parametrize("revision", ["B", "C"])
def test_nothing_is_left_deployed_whatever_happens(
    monkeypatch: pytest.MonkeyPatch, revision: str, airflow: str
) -> None:
    machine = machine_of(revision, airflow)
    with modelled(machine, monkeypatch):
        run(machine, EXAMPLES, is_search=IS_SEARCH)


@pytest.mark.parametrize("airflow", ["3.1", "3.3"])
@pytest.mark.parametrize("revision", ["B", "C"])
def test_a_worker_dies_at_each_request_of_the_pipeline(
    monkeypatch: pytest.MonkeyPatch, revision: str, airflow: str
) -> None:
    machine = machine_of(revision, airflow)
    with modelled(machine, monkeypatch):
        for task in ("try_to_deploy", "try_to_undeploy"):
            for how in ("dies before", "dies after"):
                for well in range(12):
                    pipeline = machine()
                    if task == "try_to_undeploy":
                        pipeline.try_to_deploy(None, 0)
                        pipeline.run_the_tasks_inside("failed")
                    getattr(pipeline, task)(how, well)
                    has_died = pipeline.deploy.state is None or pipeline.undeploy.state is None
                    assert has_died or well > 1
                    pipeline.teardown()
                    assert pipeline.undeploy.state == "success"
                    assert not pipeline.account.stands


def _sends_for_good(patch: pytest.MonkeyPatch) -> None:
    """Take every refusal of a deployment that this task has not recorded for the last word."""

    def refuse(self: DeployOperator, error: Any, model_id: str) -> None:
        raise error

    patch.setattr(DeployOperator, "_adopt_despite", refuse)


def _adopts_what_failed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        submissions,
        "is_deployed",
        lambda undeployment, deployment: jobs.DEPLOYMENT.state(deployment.status) in (RUNNING, SUCCEEDED),
    )


def _no_turns(patch: pytest.MonkeyPatch, cls: type[ModelOperator]) -> None:
    """Take a refusal of a model that is in between for the last word."""

    def take_turn(self: ModelOperator, context: Any, model_id: str, since: float) -> bool:
        try:
            return self.request(context, model_id)
        except model_module.TurnError as e:
            raise final(ProviderError)(f"{model_id}: {e}") from None

    patch.setattr(cls, "_take_turn", take_turn)


#: Faults that were there once: the revision and the Airflow where the test finds each.
FAULTS: dict[str, tuple[str, str, Callable[[pytest.MonkeyPatch], Any]]] = {
    "3: a retry whose model is deployed fails for good": ("B", "3.1", _sends_for_good),
    "4: an XCom alone keeps a model": (
        "C",
        "3.3",
        lambda patch: patch.setattr(
            task_groups, "_succeeded", lambda context, task_id, model_id: bool(context["ti"].xcom_pull(task_id))
        ),
    ),
    "4: whatever is inside, its success keeps the model": (
        "C",
        "3.3",
        lambda patch: patch.setattr(task_groups, "_succeeded", lambda context, task_id, model_id: True),
    ),
    "5: a failed deployment is adopted, and waited for": ("C", "3.3", _adopts_what_failed),
    "10.6: a model that is torn down cannot be deployed": ("C", "3.3", lambda patch: _no_turns(patch, DeployOperator)),
    "10.6: the deployment of an evaluation is adopted": (
        "B",
        "3.3",
        lambda patch: patch.setattr(DeployOperator, "_check_that_it_stays", lambda self, model_id: None),
    ),
    "14: a model that is being deployed is not undeployed": (
        "C",
        "3.1",
        lambda patch: _no_turns(patch, UndeployOperator),
    ),
    "a refusal without a reason ends the task": (
        "B",
        "3.3",
        lambda patch: patch.setattr(submissions, "is_about_deployment", lambda problem: True),
    ),
    "undeploying does not wait for its end": (
        "B",
        "3.3",
        lambda patch: patch.setattr(UndeployOperator, "wait", lambda self, context, model_id: {"model_id": model_id}),
    ),
}


# Two of them need a longer story than chance tells in a short time.


def _a_deployment_fails_unseen(pipeline: Pipeline) -> None:
    pipeline.let_the_next_deployment_fail()
    pipeline.try_to_deploy("dies before", 1)
    pipeline.wait(30.0)
    pipeline.try_to_deploy(None, 0)
    assert pipeline.deploy.state == "success", "it has waited for what failed"


def _a_user_ends_the_deployment(pipeline: Pipeline) -> None:
    pipeline.try_to_deploy("dies before", 1)
    pipeline.mark_as_failed()
    pipeline.run_the_tasks_inside("failed")
    pipeline.try_to_undeploy(None, 0)


STORIES: dict[str, Callable[[Pipeline], None]] = {"5": _a_deployment_fails_unseen, "14": _a_user_ends_the_deployment}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_is_put_back_is_found(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    revision, airflow, put_back = FAULTS[fault]
    machine = machine_of(revision, airflow)
    story = STORIES.get(fault.split(":")[0])
    with modelled(machine, monkeypatch):
        if story is not None:
            story(machine())
        put_back(monkeypatch)
        with pytest.raises(AssertionError):
            story(machine()) if story is not None else run(machine, 200, is_search=False)
