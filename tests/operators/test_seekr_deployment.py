"""Deployments of SeekrFlow: one per task, promoted if it must be, and ended for good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_nugen.operators.seekr import SeekrCreateDeploymentOperator, SeekrDemoteDeploymentOperator
from airflow_provider_nugen.simulator.timeline import Stage

from .support import POKE, QUICK, Life, Service, is_final, is_retryable


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeekrCreateDeploymentOperator, "promote_delays", (0.0, 0.0))


def trained(service: Service, fine_tune_id: str = "ft-trained") -> str:
    """Make a fine-tune that can be deployed."""
    return service.world.add_job("fine_tune", fine_tune_id, [Stage("completed")]).id


def life(service: Service, key: str, *, memory: bool = True, **arguments: Any) -> Life:
    fields = {"model_id": trained(service), "poke_interval": POKE, "timeout": 20, **arguments}
    return Life(lambda: SeekrCreateDeploymentOperator(task_id="deploy", retries=3, **fields), key, memory=memory)


def demotion(deployment_id: str, key: str, **arguments: Any) -> Life:
    fields = {"deployment_id": deployment_id, "poke_interval": POKE, "timeout": 20, **arguments}
    return Life(lambda: SeekrDemoteDeploymentOperator(task_id="demote", retries=3, **fields), key)


def active(service: Service) -> list[str]:
    return [job.id for job in service.jobs("seekr_deployment") if service.word(job.id) != "Inactive"]


def test_what_is_sent(service: Service, key: str) -> None:
    run = life(service, key, n_instances="2").run()
    (job,) = service.jobs("seekr_deployment")
    assert 5 <= len(job.inputs.pop("name")) <= 100
    assert job.inputs == {
        "model_type": "Fine-tuned Run",
        "model_id": "ft-trained",
        "description": "Deployed by Airflow.",
        "n_instances": 2,
    }
    assert (run.xcoms["deployment_id"], run.xcoms["model_id"]) == (job.id, "ft-trained")
    assert service.asked("seekr_promote") == 0


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("starts", [True, False])
def test_one_that_stays_inactive_is_promoted(
    make_service: Callable[..., Service], key: str, starts: bool, deferrable: bool
) -> None:
    service = make_service(speed=QUICK, seekr_deployments_start=starts)
    run = life(service, key, wait_for_completion=True, deferrable=deferrable).run()
    assert (run.value["status"], run.value["deployment_id"]) == ("Active", run.xcoms["deployment_id"])
    assert service.asked("seekr_promote") == (not starts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "abc"}, "name is 'abc'; it must have 5 to 100 characters"),
        ({"name": "x" * 101}, "it must have 5 to 100 characters"),
        ({"description": "abc"}, "description is 'abc'; it must have 5 to 1000 characters"),
        ({"n_instances": 51}, "n_instances is 51; it must be a whole number from 1 to 50"),
        ({"model_type": "Model"}, "model_type is 'Model'; it must be one of Fine-tuned Run, Base Model"),
        ({"model_id": None}, "model_id is None"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_paid_for(
    service: Service, key: str, arguments: dict[str, Any], message: str
) -> None:
    run = life(service, key, **arguments).run()
    assert is_final(run)
    assert message in str(run.error)
    assert service.world.requests == []


@pytest.mark.parametrize("memory", [True, False])
def test_a_lost_answer_and_a_retry_make_no_second_one(service: Service, key: str, memory: bool) -> None:
    service.world.add_fault({"action": "drop", "operation": "seekr_create_deployment", "times": 1, "processed": True})
    service.world.add_fault({"action": "status", "status": 500, "operation": "seekr_list_deployments", "times": 8})
    task = life(service, key, memory=memory)
    assert is_retryable(task.run())
    service.world.clear_faults()
    (job,) = service.jobs("seekr_deployment")
    for _ in range(2):
        assert task.run().xcoms["deployment_id"] == job.id
    assert len(service.jobs("seekr_deployment")) == 1


def test_a_try_that_died_before_it_promoted_is_made_good(make_service: Callable[..., Service], key: str) -> None:
    service = make_service(speed=QUICK, seekr_deployments_start=False)
    service.world.add_fault({"action": "status", "status": 500, "operation": "seekr_promote", "times": 4})
    task = life(service, key, wait_for_completion=True)
    assert is_retryable(task.run())
    assert active(service) == []
    assert task.run().value["status"] == "Active"
    assert len(service.jobs("seekr_deployment")) == 1


def test_whoever_ends_the_task_ends_the_deployment(service: Service, key: str) -> None:
    task = life(service, key)
    task.begin()
    operator = task.make()
    operator.start(task.context)
    assert active(service) != []
    operator.on_kill()
    assert active(service) == []


def test_clearing_leaves_one_that_costs_money(make_service: Callable[..., Service], key: str) -> None:
    service = make_service(speed=QUICK)
    task = life(service, key, wait_for_completion=True)
    first = task.run().xcoms["deployment_id"]
    task.clear()
    second = task.run().xcoms["deployment_id"]
    assert first != second
    assert active(service) == [second]


def test_a_fine_tune_that_is_not_completed_is_refused(service: Service, key: str) -> None:
    service.world.add_job("fine_tune", "ft-running", [Stage("running")])
    run = life(service, key, model_id="ft-running").run()
    assert is_final(run)
    assert "ft-running is running, not completed" in str(run.error)


# Ending it.


@pytest.mark.parametrize("deferrable", [True, False])
def test_demoting_is_success_also_when_it_is_inactive_already(service: Service, key: str, deferrable: bool) -> None:
    deployment_id = life(service, key).run().xcoms["deployment_id"]
    for _ in range(2):
        run = demotion(deployment_id, key, deferrable=deferrable).run()
        assert (run.value["status"], run.xcoms["deployment_id"]) == ("Inactive", deployment_id)
        assert active(service) == []


def test_demoting_sends_again_what_was_not_answered(service: Service, key: str) -> None:
    deployment_id = life(service, key).run().xcoms["deployment_id"]
    service.world.add_fault({"action": "drop", "operation": "seekr_demote", "times": 1, "processed": True})
    assert demotion(deployment_id, key).run().value["status"] == "Inactive"


def test_demoting_that_is_refused_fails(service: Service, key: str) -> None:
    deployment_id = life(service, key).run().xcoms["deployment_id"]
    service.world.add_fault({"action": "status", "status": 409, "operation": "seekr_demote", "times": 9})
    run = demotion(deployment_id, key).run()
    assert is_final(run)
    assert "409" in str(run.error)
    missing = demotion("lost", key).run()
    assert is_final(missing)


def test_demoting_waits_until_it_is_inactive(service: Service, key: str) -> None:
    deployment_id = life(service, key).run().xcoms["deployment_id"]
    service.world.override_job(deployment_id, status="Active")
    run = demotion(deployment_id, key, timeout=0.3).run()
    assert is_retryable(run)
    assert "Active" in str(run.error)
    service.world.override_job(deployment_id)
    assert demotion(deployment_id, key).run().value["status"] == "Inactive"


# What another task has created.


def teardown(deploy: Life, key: str, state: str = "failed", **arguments: Any) -> Life:
    """Make the task that demotes what another task of its run has created."""
    fields = {"created_by": "deploy", "poke_interval": POKE, "timeout": 20, **arguments}
    task = Life(lambda: SeekrDemoteDeploymentOperator(task_id="demote", retries=3, **fields), key)
    task.began = deploy.began
    task.ti = Teardown(task.ti, deploy, state)  # type: ignore[assignment]
    return task


class Teardown:
    """A task instance that sees another one of its run: its state, and its XComs."""

    def __init__(self, ti: Any, deploy: Life, state: str) -> None:
        self.__dict__.update(ti.__dict__, own=ti, deploy=deploy, state=state)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        return (self.deploy.ti.xcoms if task_ids == "deploy" else self.xcoms).get(key)

    def get_task_states(self, dag_id: str, *, task_ids: list[str], run_ids: list[str]) -> Any:
        assert (task_ids, run_ids) == (["deploy"], ["a_run"])
        return {"a_run": {"deploy": self.state}}


@pytest.mark.parametrize("deferrable", [True, False])
def test_what_another_task_created_is_demoted(service: Service, key: str, deferrable: bool) -> None:
    deploy = life(service, key)
    deployment_id = deploy.run().xcoms["deployment_id"]
    for _ in range(2):
        run = teardown(deploy, key, "success", deferrable=deferrable).run()
        assert (run.value["status"], run.xcoms["deployment_id"]) == ("Inactive", deployment_id)
        assert active(service) == []


@pytest.mark.parametrize("names", ["whole", "truncated", "lower", "suffixed"])
def test_also_if_that_task_died_before_it_knew_the_id(
    make_service: Callable[..., Service], key: str, names: str
) -> None:
    service = make_service(speed=QUICK, list_names=names)
    other = life(service, key)
    other.began += timedelta(seconds=1)  # another run: its deployment is not touched
    (kept,) = [other.run().xcoms["deployment_id"]]
    deploy = life(service, key)
    deploy.run()
    deploy.ti.xcoms.clear()
    run = teardown(deploy, key).run()
    assert run.value["status"] == "Inactive"
    assert active(service) == [kept]


def test_also_what_it_created_before_it_was_cleared(service: Service, key: str) -> None:
    deploy = life(service, key, memory=False)
    first = deploy.run().xcoms["deployment_id"]
    deploy.clear()
    deploy.ti.try_number, deploy.store = 0, None
    second = deploy.run().xcoms["deployment_id"]
    assert active(service) == [first, second]
    run = teardown(deploy, key, "success").run()
    assert sorted(run.xcoms["deployment_ids"]) == sorted([first, second])
    assert active(service) == []


def test_one_that_is_listed_late_is_found(
    make_service: Callable[..., Service], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(visible_after=0.5)
    monkeypatch.setattr(SeekrDemoteDeploymentOperator, "lookup_delays", (0.0, 0.6))
    deploy = life(service, key)
    deploy.run()
    deploy.ti.xcoms.clear()
    assert teardown(deploy, key).run().value["status"] == "Inactive"
    assert service.asked("seekr_list_deployments") == 2
    assert active(service) == []


def test_a_list_that_hides_names_is_doubt_that_names_the_candidates(
    make_service: Callable[..., Service], key: str
) -> None:
    service = make_service(speed=QUICK, list_names="missing")
    deploy = life(service, key)
    deploy.run()
    deployment_id = deploy.ti.xcoms.pop("deployment_id")
    run = teardown(deploy, key).run()
    assert is_final(run)
    assert repr(deployment_id) in str(run.error)
    assert "may be billed" in str(run.error)
    deploy.ti.xcoms["deployment_id"] = deployment_id
    assert teardown(deploy, key).run().value["status"] == "Inactive"


@pytest.mark.parametrize("state", ["skipped", "upstream_failed"])
def test_a_task_that_never_ran_has_created_nothing(service: Service, key: str, state: str) -> None:
    run = teardown(life(service, key), key, state).run()
    assert run.value == {}
    assert service.world.requests == []


def test_a_task_that_failed_before_it_created_anything_has_left_nothing(service: Service, key: str) -> None:
    assert teardown(life(service, key), key).run().value == {}
    assert service.asked("seekr_list_deployments") == 2


def test_a_list_that_cannot_be_read_hides_nothing_that_is_known(service: Service, key: str) -> None:
    deploy = life(service, key)
    deploy.run()
    deployment_id = deploy.ti.xcoms.pop("deployment_id")
    service.world.add_fault({"action": "status", "status": 500, "operation": "seekr_list_deployments", "times": 9})
    assert is_retryable(teardown(deploy, key).run())
    deploy.ti.xcoms["deployment_id"] = deployment_id
    assert teardown(deploy, key).run().value["status"] == "Inactive"
    assert active(service) == []


@pytest.mark.parametrize("arguments", [{}, {"deployment_id": "d-1", "created_by": "deploy"}])
def test_it_is_told_what_to_demote_in_one_way(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either deployment_id or created_by"):
        SeekrDemoteDeploymentOperator(task_id="demote", **arguments)
