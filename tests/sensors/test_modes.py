"""A sensor gives the same result in every mode, whenever it pokes first."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen.sensors.nugen import (
    AlignmentStatusSensor,
    BenchmarkStatusSensor,
    DeployStatusSensor,
    DocumentStatusSensor,
    EvaluationStatusSensor,
    UndeployStatusSensor,
)
from airflow_provider_nugen.sensors.seekr import SeekrAlignmentSensor, SeekrDataJobSensor

from .harness import MODES, run
from .support import SHORT, Service

#: Sensor, its own arguments, the kind of the simulated job, its life, and what is pushed beside the status.
SENSORS: dict[str, tuple[Any, dict[str, Any], str, tuple[str, ...], dict[str, str]]] = {
    "alignment": (
        AlignmentStatusSensor,
        {"alignment_id": "j-1"},
        "alignment",
        ("PROCESSING", "READY"),
        {"model_id": "j-1-model"},
    ),
    "evaluated alignment": (
        AlignmentStatusSensor,
        {"alignment_id": "j-1", "wait_for": "evaluation"},
        "alignment",
        ("PROCESSING", "EVALUATING", "EVALUATED"),
        {"model_id": "j-1-model", "evaluation_id": "j-1-evaluation"},
    ),
    "evaluation": (
        EvaluationStatusSensor,
        {"evaluation_id": "j-1"},
        "evaluation",
        ("QUEUED", "READY"),
        {"evaluation_id": "j-1"},
    ),
    "deployment": (
        DeployStatusSensor,
        {"model_id": "j-1"},
        "deployment",
        ("PENDING", "COMPLETED"),
        {"model_id": "j-1"},
    ),
    "undeployment": (
        UndeployStatusSensor,
        {"model_id": "j-1"},
        "undeployment",
        ("PENDING", "COMPLETED"),
        {"model_id": "j-1"},
    ),
    "document": (
        DocumentStatusSensor,
        {"document_id": "j-1"},
        "document",
        ("PROCESSING", "READY"),
        {"document_id": "j-1"},
    ),
    "benchmark": (
        BenchmarkStatusSensor,
        {"benchmark_id": "j-1"},
        "benchmark",
        ("PROCESSING", "READY"),
        {"benchmark_id": "j-1"},
    ),
    "seekr alignment": (
        SeekrAlignmentSensor,
        {"alignment_job_id": "j-1"},
        "seekr_alignment",
        ("pending", "running", "completed"),
        {},
    ),
    "seekr data job": (
        SeekrDataJobSensor,
        {"data_job_id": "j-1"},
        "data_job",
        ("file_processing", "completed"),
        {},
    ),
}


@pytest.mark.parametrize("name", SENSORS)
def test_all_modes_push_the_same(service: Service, key: str, name: str) -> None:
    cls, own, kind, life, ids = SENSORS[name]
    arguments = {"task_id": "wait", "poke_interval": SHORT, "use_eta": False, **own}
    # What differs from request to request: the times of Nugen's envelopes, and when a data job was updated.
    times = {"start_time": None, "end_time": None}
    overrides = {"updated_at": None, "envelope": times} if kind in ("alignment", "data_job") else times
    done_later, done_before = [], []
    for mode in MODES.values():
        service.job(kind, "j-1", *life, overrides=overrides)
        later = run(lambda mode=mode: cls(**arguments, **mode), key)
        assert later.pokes > 1 or mode == MODES["poke"]
        service.world.clear_requests()
        before = run(lambda mode=mode: cls(**arguments, **mode), key)
        assert (before.pokes, before.deferrals, service.asked()) == (1, [], 1)
        done_later.append(later)
        done_before.append(before)
    assert [len(later.deferrals) for later in done_later] == [1, 0, 0]
    expected = done_later[0].xcoms
    assert {name: value for name, value in expected.items() if name != "return_value"} == ids
    assert expected["return_value"].items() >= {"status": life[-1], "state": "SUCCEEDED", **ids}.items()
    assert all(done.xcoms == expected for done in (*done_later, *done_before))


def test_the_result_has_all_names_of_the_contract_with_nulls(service: Service, key: str) -> None:
    service.job("alignment", "a-1", "READY")
    run_ = run(lambda: AlignmentStatusSensor(task_id="wait", alignment_id="a-1"), key)
    assert (
        run_.value.items()
        >= {
            "alignment_id": "a-1",
            "evaluation_id": None,
            "performance_metrics": None,
            "error": None,
            "eta_seconds": None,
            "gpu_training_completed": True,
            "created_date": "2026-03-05T05:00:00Z",
        }.items()
    )
    assert "evaluation_id" not in run_.xcoms


@pytest.mark.parametrize("mode", MODES)
def test_without_xcoms_nothing_is_pushed(service: Service, key: str, mode: str) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    run_ = run(
        lambda: AlignmentStatusSensor(
            task_id="wait", alignment_id="a-1", poke_interval=SHORT, do_xcom_push=False, **MODES[mode]
        ),
        key,
    )
    # Whether the returned value is stored is up to Airflow.
    assert set(run_.xcoms) == {"return_value"}


@pytest.mark.parametrize("mode", ["deferrable", "poke"])
def test_deferrable_wins_over_reschedule_and_says_so_once(service: Service, key: str, logs: Any, mode: str) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    arguments = {"deferrable": mode == "deferrable", "mode": "reschedule" if mode == "deferrable" else "poke"}
    run_ = run(lambda: AlignmentStatusSensor(task_id="wait", alignment_id="a-1", poke_interval=SHORT, **arguments), key)
    assert run_.value["state"] == "SUCCEEDED"
    said = [text for text in logs.at("warning") if "deferrable=True wins" in text]
    assert (len(run_.deferrals), len(said)) == ((1, 1) if mode == "deferrable" else (0, 0))


def test_deferring_hands_over_the_wait_and_nothing_else(service: Service, key: str) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    run_ = run(
        lambda: AlignmentStatusSensor(
            task_id="wait", alignment_id="a-1", poke_interval=SHORT, timeout=40, silent_fail=True, use_eta=False
        ),
        key,
    )
    (deferred,) = run_.deferrals
    _, kwargs = deferred.trigger.serialize()
    began = kwargs.pop("began")
    assert began < kwargs.pop("due") < time.time() + SHORT
    assert kwargs == {
        "kind": "nugen.alignment",
        "job_id": "a-1",
        "conn_id": "nugen_default",
        "poke_interval": SHORT,
        "deadline": began + 40,
        "execution_deadline": None,
        "exponential_backoff": False,
        "max_wait": None,
        "ignore_failures": True,
        "use_eta": False,
        "seen": True,
        "status": "PROCESSING",
        "progress": 0,
        "cancel_on_kill": False,
    }
    assert deferred.timeout is not None
    # Airflow's own timeout is only the backstop.
    assert 40 < deferred.timeout.total_seconds() <= 40 + 60


@pytest.mark.parametrize("mode", MODES)
def test_every_wait_leaves_the_job_alone(service: Service, key: str, mode: str) -> None:
    service.job("seekr_alignment", "s-1", "running", "completed")
    run(
        lambda: SeekrAlignmentSensor(
            task_id="wait", alignment_job_id="s-1", poke_interval=SHORT, timeout=0.15, **MODES[mode]
        ),
        key,
    )
    assert {seen.method for seen in service.world.requests} == {"GET"}
    assert {seen.operation for seen in service.world.requests} == {"seekr_alignment"}


@pytest.mark.parametrize("cls", [AlignmentStatusSensor, EvaluationStatusSensor])
def test_killing_or_cleaning_up_sends_nothing(service: Service, cls: Callable[..., Any]) -> None:
    name = "alignment_id" if cls is AlignmentStatusSensor else "evaluation_id"
    cls(task_id="wait", **{name: "j-1"}).on_kill()
    assert service.asked() == 0
