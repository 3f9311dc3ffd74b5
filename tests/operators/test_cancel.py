"""A task that is ended cancels its own job, if the service can; a task that merely moves cancels nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import tenacity.nap
from sensors import harness
from sensors.harness import TaskDeferred

from airflow_provider_nugen.compat import AirflowFailException, AirflowTaskTimeout
from airflow_provider_nugen.exceptions import JobCancelledError, ProviderError
from airflow_provider_nugen.operators.nugen import CreateAlignmentOperator, DeployModelOperator, UndeployModelOperator
from airflow_provider_nugen.operators.seekr import (
    SeekrCancelAlignmentOperator,
    SeekrCreateAlignmentOperator,
    SeekrCreateDataJobOperator,
    SeekrGetAlignmentOutputsOperator,
)
from airflow_provider_nugen.simulator.timeline import Stage

from .support import ALIGNMENT, POKE, Life, Service, is_retryable, wait_until


def seekr(**arguments: Any) -> SeekrCreateAlignmentOperator:
    return SeekrCreateAlignmentOperator(
        task_id="align",
        instructions="Be kind.",
        files=["f-1"],
        retries=3,
        **{"wait_for_completion": True, "deferrable": False, "poke_interval": POKE, "timeout": 10, **arguments},
    )


@pytest.fixture
def on_sigterm() -> Iterator[Callable[[Any], None]]:
    """Call ``on_kill`` of a task on SIGTERM, as the task runner does; afterwards the task continues."""
    before = signal.getsignal(signal.SIGTERM)

    def install(task: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: task.on_kill())

    yield install
    signal.signal(signal.SIGTERM, before)


def terminate(when: Callable[[], Any]) -> threading.Thread:
    """Send SIGTERM to this process as soon as something is true."""

    def run() -> None:
        wait_until(when)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def execute(life: Life, install: Callable[[Any], None], when: Callable[[], Any]) -> BaseException | None:
    """Run a try on a worker, end it, and return what it raised."""
    life.begin()
    task = life.make()
    install(task)
    thread = terminate(when)
    try:
        harness.on_worker(task, task.execute, context=life.context)
    except Exception as e:
        return e
    finally:
        thread.join()
    return None


@pytest.mark.parametrize("poke_interval", [POKE, 2.0])
def test_a_task_that_is_ended_on_its_worker_cancels_its_job(
    service: Service, key: str, on_sigterm: Callable[[Any], None], poke_interval: float
) -> None:
    life = Life(lambda: seekr(poke_interval=poke_interval, use_eta=False), key)
    error = execute(life, on_sigterm, lambda: service.asked("seekr_alignment"))
    (job,) = service.jobs("seekr_alignment")
    assert service.word(job.id) == "cancelled"
    assert service.asked("seekr_cancel") == 1
    assert type(error) is JobCancelledError
    assert "was stopped" in str(error)


def test_a_task_that_is_ended_while_it_submits_cancels_its_job(
    service: Service, key: str, on_sigterm: Callable[[Any], None]
) -> None:
    service.fault("delay", "seekr_generate", seconds=0.3)
    life = Life(seekr, key)
    assert execute(life, on_sigterm, lambda: service.world.faults[0].struck) is not None
    (job,) = service.jobs("seekr_alignment")
    assert service.word(job.id) == "cancelled"


def test_a_data_job_is_cancelled_while_its_files_are_processed(
    service: Service, key: str, on_sigterm: Callable[[Any], None]
) -> None:
    def make() -> SeekrCreateDataJobOperator:
        return SeekrCreateDataJobOperator(
            task_id="data", job_type="principle_files", file_ids=["f-1"], deferrable=False, poke_interval=POKE
        )

    # Two pokes before the wait, one in it.
    error = execute(Life(make, key), on_sigterm, lambda: service.asked("seekr_data_job") > 1)
    assert error is not None
    (job,) = service.jobs("data_job")
    assert service.word(job.id) == "cancelled"


def test_cancel_on_kill_can_be_turned_off(service: Service, key: str, on_sigterm: Callable[[Any], None]) -> None:
    life = Life(lambda: seekr(cancel_on_kill=False, timeout=0.5), key)
    execute(life, on_sigterm, lambda: service.asked("seekr_alignment"))
    assert len(service.live("seekr_alignment")) == 1
    assert service.asked("seekr_cancel") == 0


def test_a_task_that_does_not_wait_cancels_nothing(service: Service, key: str) -> None:
    life = Life(lambda: seekr(wait_for_completion=False), key)
    life.begin()
    task = life.make()
    harness.on_worker(task, task.execute, context=life.context)
    task.on_kill()
    assert len(service.live("seekr_alignment")) == 1


def test_a_task_that_has_deferred_cancels_nothing(service: Service, key: str) -> None:
    # SIGTERM can come between the deferral and the end of the process; the wait continues in the triggerer.
    life = Life(lambda: seekr(deferrable=True), key)
    life.begin()
    task = life.make()
    with pytest.raises(TaskDeferred):
        harness.on_worker(task, task.execute, context=life.context)
    task.on_kill()
    assert len(service.live("seekr_alignment")) == 1
    assert service.asked("seekr_cancel") == 0


PAID: dict[str, tuple[Callable[..., Any], str]] = {
    "seekr alignment": (seekr, "seekr_generate"),
    "alignment": (lambda: CreateAlignmentOperator(task_id="align", retries=3, **ALIGNMENT), "create_alignment"),
    "deployment": (lambda: DeployModelOperator(task_id="d", retries=3, model_id="trained-model"), "deploy"),
}


@pytest.mark.parametrize("name", PAID)
def test_a_task_that_is_ended_during_a_pause_sends_nothing_more(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make, operation = PAID[name]
    service.trained()
    service.fault("status", operation, status=429)
    life = Life(make, key)
    life.begin()
    task = life.make()
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=lambda seconds: task.on_kill()))
    with pytest.raises(ProviderError, match="was not sent") as raised:
        harness.on_worker(task, task.execute, context=life.context)
    assert not isinstance(raised.value, AirflowFailException), "it was not the task's fault: a retry may send it"
    assert service.asked(operation) == 1


def test_a_job_that_is_done_is_not_cancelled(make_service: Callable[..., Service], key: str) -> None:
    service = make_service(speed=1000)
    life = Life(seekr, key)
    life.begin()
    task = life.make()
    harness.on_worker(task, task.execute, context=life.context)
    task.on_kill()
    assert service.asked("seekr_cancel") == 0


def test_nugen_cannot_cancel_and_the_log_says_so(
    service: Service, key: str, on_sigterm: Callable[[Any], None], logs: Any
) -> None:
    life = Life(
        lambda: CreateAlignmentOperator(
            task_id="align",
            wait_for_completion=True,
            deferrable=False,
            poke_interval=POKE,
            timeout=0.5,
            **ALIGNMENT,
        ),
        key,
    )
    execute(life, on_sigterm, lambda: service.asked("alignment_status"))
    (job_id,) = service.live()
    assert f"Nugen cannot cancel: alignment {job_id!r} continues, and may be billed." in logs.at("warning")


def test_an_undeployment_continues_as_it_should(
    service: Service, key: str, on_sigterm: Callable[[Any], None], logs: Any
) -> None:
    model_id = service.trained()
    service.world.add_job("deployment", model_id, [Stage("COMPLETED")])
    life = Life(
        lambda: UndeployModelOperator(
            task_id="u",
            model_id=model_id,
            wait_for_completion=True,
            deferrable=False,
            poke_interval=POKE,
            timeout=0.5,
        ),
        key,
    )
    execute(life, on_sigterm, lambda: service.asked("undeploy_status"))
    assert any("continues" in line for line in logs.at("info"))
    assert not any("billed" in line for line in logs.at("warning"))


@pytest.mark.parametrize("cancel", [False, True])
def test_execution_timeout_on_a_worker(service: Service, key: str, cancel: bool) -> None:
    life = Life(lambda: seekr(execution_timeout=timedelta(seconds=1), cancel_on_timeout=cancel), key)
    life.begin()
    task = life.make()
    try:
        with pytest.raises(AirflowTaskTimeout):
            harness.on_worker(task, task.execute, context=life.context)
    except AirflowTaskTimeout:  # pragma: no cover  # pytest.raises takes it
        raise
    # The task runner calls on_kill while it handles the exception.
    try:
        raise AirflowTaskTimeout
    except AirflowTaskTimeout:
        task.on_kill()
    assert len(service.live("seekr_alignment")) == (0 if cancel else 1)


def test_a_cancel_that_fails_is_said(service: Service, key: str, on_sigterm: Callable[[Any], None], logs: Any) -> None:
    service.fault("status", "seekr_cancel", status=403, times=None)
    life = Life(lambda: seekr(timeout=0.5), key)
    execute(life, on_sigterm, lambda: service.asked("seekr_alignment"))
    (job_id,) = service.live("seekr_alignment")
    assert any(f"{job_id!r} could not be cancelled, and may continue" in line for line in logs.at("error"))


def test_a_retry_after_a_cancelled_job_starts_another(
    service: Service, key: str, on_sigterm: Callable[[Any], None]
) -> None:
    # As after clearing a task while it runs, or the end of its worker.
    life = Life(seekr, key)
    execute(life, on_sigterm, lambda: service.asked("seekr_alignment"))
    life.make = lambda: seekr(wait_for_completion=False)
    assert life.run().value["alignment_job_id"] == service.live("seekr_alignment")[0]
    assert len(service.jobs("seekr_alignment")) == 2


def test_a_dead_try_does_not_hold_the_connection_open(service: Service, key: str) -> None:
    life = Life(lambda: seekr(timeout=0.2), key)
    began = time.monotonic()
    assert is_retryable(life.run())
    assert time.monotonic() - began < 5


# The operators that cancel and fetch.


@pytest.mark.parametrize("stages", [[("running", 0)], [("completed", 0)], [("cancelled", 0)]])
def test_cancelling_twice_is_cancelling_once(service: Service, key: str, stages: Any) -> None:
    service.world.add_job("seekr_alignment", "j-1", [Stage(*stages[0])])
    word = "cancelled" if stages[0][0] == "running" else stages[0][0]
    for _ in range(2):
        run = Life(lambda: SeekrCancelAlignmentOperator(task_id="c", alignment_job_id="j-1"), key).run()
        assert run.value["status"] == word
        assert run.xcoms["alignment_job_id"] == "j-1"


def test_a_cancel_whose_answer_got_lost_is_sent_again(service: Service, key: str) -> None:
    service.world.add_job("seekr_alignment", "j-1", [Stage("running")])
    service.fault("drop", "seekr_cancel", processed=True)
    run = Life(lambda: SeekrCancelAlignmentOperator(task_id="c", alignment_job_id="j-1"), key).run()
    assert run.value["status"] == "cancelled"


def test_outputs_and_the_one_that_feeds_fine_tuning(service: Service, key: str) -> None:
    service.world.add_job("seekr_alignment", "j-1", [Stage("completed")])
    service.world.add_job("seekr_alignment", "j-2", [Stage("running")])
    run = Life(lambda: SeekrGetAlignmentOutputsOperator(task_id="o", alignment_job_id="j-1"), key).run()
    (feeding,) = [file["id"] for file in run.value if file["purpose"] == "fine-tune"]
    assert run.xcoms == {"return_value": run.value, "fine_tune_file_id": feeding}
    run = Life(lambda: SeekrGetAlignmentOutputsOperator(task_id="o", alignment_job_id="j-2"), key).run()
    assert run.xcoms == {"return_value": []}


def test_deprecation_is_logged_once(
    service: Service, key: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_nugen.hooks.deprecation._logged", set())
    for index in range(3):
        Life(lambda: seekr(wait_for_completion=False), key, map_index=index).run()
    lines = [record.message for record in caplog.records if "deprecated" in record.message]
    assert lines == [f"SeekrFlow says that {what!r} is deprecated." for what in ("list alignments", "create alignment")]
