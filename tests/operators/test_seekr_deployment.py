"""Deployments of SeekrFlow: one per task, promoted if it must be, and ended for good."""

from __future__ import annotations

from collections.abc import Callable
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
