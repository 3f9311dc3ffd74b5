"""Waiting for fine-tunes and deployments of SeekrFlow, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen.exceptions import JobCancelledError, final
from airflow_provider_nugen.sensors.seekr import SeekrDeploymentSensor, SeekrFineTuneSensor
from airflow_provider_nugen.waiting import waiter

from .harness import MODES, Run, Store, run
from .support import SHORT, Logs, Service

EVERY_MODE = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def wait(key: str) -> Callable[..., Run]:
    def wait(mode: str, cls: Any, **arguments: Any) -> Run:
        arguments = {"poke_interval": SHORT, "use_eta": False, "timeout": 15, **arguments, **MODES[mode]}
        return run(lambda: cls(task_id="wait", **arguments), key, store=Store())

    return wait


@EVERY_MODE
def test_a_fine_tune_ends_with_its_loss(service: Service, wait: Callable[..., Run], mode: str, logs: Logs) -> None:
    inputs = {"training_config": {"n_epochs": 2}}
    service.job("fine_tune", "ft-1", "pending", "queued", "running", "completed", inputs=inputs)
    done = wait(mode, SeekrFineTuneSensor, fine_tune_id="ft-1")
    assert (done.value["status"], done.value["state"]) == ("completed", "SUCCEEDED")
    assert (done.value["epoch"], done.value["loss"]) == (2, pytest.approx(2.5 / 3, abs=1e-3))
    assert done.xcoms["fine_tune_id"] == "ft-1"
    assert any("2/2 epochs, loss 0.8333" in text for text in logs.at("info"))


@EVERY_MODE
def test_a_deployment_is_waited_for_until_it_is_active(service: Service, wait: Callable[..., Run], mode: str) -> None:
    inputs = {"model_id": "ft-1"}
    service.job("seekr_deployment", "d-1", "Inactive", "Pending", "Active", inputs=inputs)
    done = wait(mode, SeekrDeploymentSensor, deployment_id="d-1")
    assert done.value["status"] == "Active"
    assert (done.xcoms["deployment_id"], done.xcoms["model_id"]) == ("d-1", "ft-1")


@EVERY_MODE
def test_one_that_is_demoted_while_it_starts_was_stopped(service: Service, wait: Callable[..., Run], mode: str) -> None:
    service.job("seekr_deployment", "d-1", "Pending", "Inactive")
    done = wait(mode, SeekrDeploymentSensor, deployment_id="d-1")
    assert done.ending is final(JobCancelledError)
    assert "it was demoted while it started" in str(done.error)


def test_one_that_nobody_promotes_ends_the_wait(
    service: Service, wait: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiter, "STALL_TIMEOUT", 0.1)
    service.job("seekr_deployment", "d-1", "Inactive")
    done = wait("deferrable", SeekrDeploymentSensor, deployment_id="d-1")
    assert "nobody has promoted it" in str(done.error)


def test_several_deployments_in_one_task(service: Service, wait: Callable[..., Run]) -> None:
    for number in range(3):
        service.job("seekr_deployment", f"d-{number}", "Pending", "Active", inputs={"model_id": f"ft-{number}"})
    done = wait("deferrable", SeekrDeploymentSensor, deployment_id=["d-2", "d-0", "d-1"])
    assert [one["deployment_id"] for one in done.value] == ["d-2", "d-0", "d-1"]
    assert done.xcoms["deployment_ids"] == ["d-2", "d-0", "d-1"]
