"""Fine-tunes: what is sent, that one is paid for once, and what the log says meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sensors import harness
from sensors.harness import TaskDeferred
from sensors.support import Logs

from airflow_provider_nugen.exceptions import JobCancelledError, JobFailedError
from airflow_provider_nugen.operators.seekr import SeekrCancelFineTuneOperator, SeekrCreateFineTuneOperator
from airflow_provider_nugen.simulator.timeline import Stage

from .support import POKE, QUICK, Life, Service, is_final, is_retryable, wait_until

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


def make_file(service: Service, purpose: str = "fine-tune", samples: int = 100) -> str:
    """Put a file into the service."""
    inputs = {"type": "jsonl", "purpose": purpose, "filename": "a.jsonl", "bytes": 10, "samples": samples}
    return service.world.add_job("seekr_file", None, [Stage("READY")], inputs=inputs).id


def life(service: Service, key: str, *, memory: bool = True, **arguments: Any) -> Life:
    if "training_files" not in arguments:
        arguments["training_files"] = [make_file(service)]
    fields = {"model": MODEL, "project_id": 1, "n_epochs": 2, "poke_interval": POKE, "timeout": 20, **arguments}
    fields = {"task_id": "tune", "retries": 3, **fields}
    return Life(lambda: SeekrCreateFineTuneOperator(**fields), key, memory=memory)


def sent(service: Service) -> dict[str, Any]:
    (job,) = service.jobs("fine_tune")
    return job.inputs


def test_arguments_go_where_the_service_wants_them(service: Service, key: str) -> None:
    file = make_file(service)
    run = life(
        service,
        key,
        training_files=file,
        n_epochs="3",
        batch_size="8",
        learning_rate=1e-4,
        accel_type="A100",
        n_accel=2,
        n_node=1,
        lora_config={"r": 4},
        description="for a test",
        training_config_extra={"seed": 7},
        infrastructure_config_extra={"zone": "z"},
    ).run()
    body = sent(service)
    name = body["training_config"].pop("experiment_name")
    assert body == {
        "project_id": 1,
        "description": "for a test",
        "training_config": {
            "model": MODEL,
            "training_files": [file],
            "n_epochs": 3,
            "batch_size": 8,
            "learning_rate": 1e-4,
            "lora_config": {"r": 4},
            "seed": 7,
        },
        "infrastructure_config": {"accel_type": "A100", "n_accel": 2, "n_node": 1, "zone": "z"},
    }
    assert 20 < len(name) <= 40
    assert name.endswith("-a_dag.tune")
    (job,) = service.jobs("fine_tune")
    assert run.xcoms == {"fine_tune_id": job.id, "return_value": {"fine_tune_id": job.id}}


def test_a_generated_name_is_no_longer_than_the_service_takes(service: Service, key: str) -> None:
    task = life(service, key, task_id="t" * 100)
    service.world.add_fault({"action": "drop", "operation": "seekr_create_fine_tune", "times": 1, "processed": True})
    run = task.run()
    (job,) = service.jobs("fine_tune")
    assert len(job.inputs["training_config"]["experiment_name"]) == 40
    assert run.xcoms["fine_tune_id"] == job.id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"training_files": ["lost"]}, "training_files: there is no file 'lost'"),
        ({"validation_files": ["lost"]}, "validation_files: there is no file 'lost'"),
        ({"training_files": []}, "training_files is empty"),
        ({"n_epochs": 0}, "n_epochs is 0; it must be a whole number of at least 1"),
        ({"n_epochs": "many"}, "n_epochs is 'many'"),
        ({"batch_size": 1025}, "batch_size is 1025; it must be a whole number from 1 to 1024"),
        ({"accel_type": "TPU"}, "accel_type is 'TPU'; it must be one of GAUDI2"),
        ({"fine_tune_type": "DPO"}, "fine_tune_type is 'DPO'; it must be one of STANDARD"),
        ({"project_id": None}, "project_id is None"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; it must be a number"),
        ({"lora_config": "r=8"}, "lora_config is 'r=8'; it must be a dict"),
        ({"training_config_extra": [1]}, "training_config_extra is [1]; it must be a dict"),
        ({"model": " "}, "model is ' '"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_paid_for(
    service: Service, key: str, arguments: dict[str, Any], message: str
) -> None:
    run = life(service, key, **arguments).run()
    assert is_final(run)
    assert message in str(run.error)
    assert service.asked("seekr_create_fine_tune") == 0


def test_a_document_is_no_training_file(service: Service, key: str) -> None:
    run = life(service, key, training_files=[make_file(service, "alignment")]).run()
    assert is_final(run)
    assert "training_files" in str(run.error)
    assert "purpose 'alignment'" in str(run.error)
    assert service.asked("seekr_create_fine_tune") == 0


@pytest.mark.parametrize("deferrable", [True, False])
def test_waiting_logs_loss_and_epoch_and_ends_with_them(
    make_service: Callable[..., Service], key: str, deferrable: bool, logs: Logs
) -> None:
    service = make_service(speed=QUICK)
    run = life(service, key, wait_for_completion=True, deferrable=deferrable).run()
    assert (run.value["status"], run.value["epoch"]) == ("completed", 2)
    assert run.value["loss"] < 1
    assert run.xcoms["fine_tune_id"] == run.value["fine_tune_id"] == run.value["id"]
    assert "events" not in run.value
    lines = [text for text in logs.at("info") if "epochs, loss" in text]
    assert len(lines) > 1
    assert len({*lines}) == len(lines)


def test_events_that_cannot_be_read_do_not_matter(make_service: Callable[..., Service], key: str) -> None:
    service = make_service(speed=QUICK)
    service.world.add_fault({"action": "status", "status": 500, "operation": "seekr_fine_tune_events"})
    run = life(service, key, wait_for_completion=True).run()
    assert (run.value["status"], run.value["loss"]) == ("completed", None)
    assert service.asked("seekr_fine_tune_events") > 1


def test_why_it_failed_is_in_the_error(make_service: Callable[..., Service], key: str) -> None:
    service = make_service(speed=QUICK)
    file = make_file(service, samples=60)
    task = life(service, key, training_files=[file], wait_for_completion=True)
    run = task.run()
    assert is_retryable(run)
    assert isinstance(run.error, JobFailedError)
    assert "The training files have 60 samples; at least 100 are needed." in str(run.error)
    task.run()
    assert len(service.jobs("fine_tune")) == 2  # a retry buys another one


@pytest.mark.parametrize("memory", [True, False])
def test_a_lost_answer_and_a_retry_buy_no_second_one(service: Service, key: str, memory: bool) -> None:
    service.world.add_fault({"action": "drop", "operation": "seekr_create_fine_tune", "times": 1, "processed": True})
    service.world.add_fault({"action": "status", "status": 500, "operation": "seekr_list_fine_tunes", "times": 8})
    task = life(service, key, memory=memory)
    failed = task.run()
    assert is_retryable(failed)
    service.world.clear_faults()
    (job,) = service.jobs("fine_tune")
    assert task.run().xcoms["fine_tune_id"] == job.id
    assert task.run().xcoms["fine_tune_id"] == job.id
    assert len(service.jobs("fine_tune")) == 1


@pytest.mark.parametrize("list_names", ["truncated", "lower", "suffixed"])
def test_its_own_is_told_by_its_name_however_the_list_shows_it(
    make_service: Callable[..., Service], key: str, list_names: str
) -> None:
    service = make_service(list_names=list_names)
    service.world.add_fault({"action": "drop", "operation": "seekr_create_fine_tune", "times": 1, "processed": True})
    run = life(service, key).run()
    (job,) = service.jobs("fine_tune")
    assert run.xcoms["fine_tune_id"] == job.id


def test_ending_the_task_on_a_worker_cancels(service: Service, key: str) -> None:
    task = life(service, key, wait_for_completion=True, deferrable=False)
    operator = task.make()

    def end() -> None:
        wait_until(lambda: service.asked("seekr_fine_tune"))
        operator.on_kill()

    thread = threading.Thread(target=end)
    thread.start()
    task.begin()
    with pytest.raises(JobCancelledError):
        harness.on_worker(operator, operator.execute, context=task.context)
    thread.join()
    (job,) = service.jobs("fine_tune")
    assert service.word(job.id) == "cancelled"


async def test_ending_the_task_while_it_is_deferred_cancels(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_deferred(*args: Any) -> bool:
        return False

    monkeypatch.setattr("airflow_provider_nugen.triggers.job.is_still_deferred", is_deferred)
    task = life(service, key, wait_for_completion=True)
    task.begin()
    operator = task.make()
    with pytest.raises(TaskDeferred) as deferred:
        await asyncio.to_thread(harness.on_worker, operator, operator.execute, context=task.context)
    trigger: Any = deferred.value.trigger
    trigger.task_instance = task.ti
    await trigger.on_kill()
    (job,) = service.jobs("fine_tune")
    assert service.word(job.id) == "cancelled"


def test_cancelling_one_and_one_that_is_over(service: Service, key: str) -> None:
    job_id = life(service, key).run().xcoms["fine_tune_id"]
    for _ in range(2):
        run = Life(lambda: SeekrCancelFineTuneOperator(task_id="cancel", fine_tune_id=job_id), key).run()
        assert (run.value["status"], run.xcoms["fine_tune_id"]) == ("cancelled", job_id)
    missing = Life(lambda: SeekrCancelFineTuneOperator(task_id="cancel", fine_tune_id="lost"), key).run()
    assert is_final(missing)
    assert "lost" in str(missing.error)


def test_clearing_cancels_the_one_before_and_starts_another(service: Service, key: str) -> None:
    task = life(service, key)
    first = task.run().xcoms["fine_tune_id"]
    task.clear()
    second = task.run().xcoms["fine_tune_id"]
    assert first != second
    assert service.live("fine_tune") == [second]
