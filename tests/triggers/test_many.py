"""One trigger waits for several jobs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sensors.support import SHORT, Logs, Service

from airflow_provider_nugen.hooks import client as client_module
from airflow_provider_nugen.triggers import job as module
from airflow_provider_nugen.triggers.job import JobTrigger
from airflow_provider_nugen.waiting.result import Outcome
from airflow_provider_nugen.waiting.waiter import Waiter

from .test_job import ending, until

pytestmark = pytest.mark.usefixtures("quick_retries")
IDS = [f"e-{number}" for number in range(20)]


def trigger(ids: list[str], **arguments: Any) -> JobTrigger:
    usual = {"poke_interval": SHORT, "use_eta": False, "began": time.time()}
    return JobTrigger("nugen.evaluation", ids, "nugen_default", **{**usual, **arguments})


def jobs(service: Service, ids: list[str], *stages: tuple[str, float]) -> None:
    service.job("evaluation", "none", "QUEUED")
    for job_id in ids:
        service.world.add_job("evaluation", job_id, list(stages))


async def test_twenty_jobs_are_waited_for_at_the_same_time(service: Service) -> None:
    jobs(service, IDS, ("PROCESSING", 0.2), ("READY", 0))
    ended = await ending(trigger(IDS))
    assert ended.outcome is Outcome.SUCCEEDED
    assert isinstance(ended.result, list)
    assert [status["evaluation_id"] for status in ended.result] == IDS


async def test_failures_of_one_are_not_those_of_another(service: Service, logs: Logs) -> None:
    jobs(service, ["e-1", "e-2"], ("PROCESSING", 0.2), ("READY", 0))
    service.world.add_fault({"action": "status", "status": 502, "times": 3, "job_id": "e-1"})
    ended = await ending(trigger(["e-1", "e-2", "e-404"], deadline=time.time() + 2))
    assert ended.outcome in (Outcome.REJECTED, Outcome.TIMEOUT)
    assert "evaluation 'e-404'" in ended.message
    assert ended.message.endswith("Succeeded: 'e-1', 'e-2'.")


async def test_what_was_over_is_polled_at_the_end(service: Service) -> None:
    jobs(service, ["e-1", "e-2"], ("READY", 0))
    states = [{"seen": True, "over": True}, {"seen": True}]
    ended = await ending(trigger(["e-1", "e-2"], jobs=states))
    assert ended.outcome is Outcome.SUCCEEDED
    assert [seen.path.split("/")[-2 if "status" in seen.path else -1] for seen in service.world.requests] == [
        "e-2",
        "e-1",
    ]


async def test_an_empty_list_asks_nothing(service: Service) -> None:
    assert (await ending(trigger([]))).result == []
    assert service.asked() == 0


async def test_a_cancelled_wait_gives_back_what_it_holds(service: Service) -> None:
    jobs(service, IDS, ("PROCESSING", 0))
    waiting = asyncio.create_task(ending(trigger(IDS)))
    await until(lambda: service.asked() > 20)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not any(client_module.clients.in_use())
    assert len(asyncio.all_tasks()) == 1


async def test_a_bug_is_an_event_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(Waiter, "on_response", broken)
    jobs(service, ["e-1", "e-2"], ("READY", 0))
    ended = await ending(trigger(["e-1", "e-2"]))
    assert ended.outcome is Outcome.UNREACHABLE
    assert "['e-1', 'e-2'] broke off (KeyError: 'oops')" in ended.message


async def test_all_that_run_are_cancelled(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def is_still_deferred(*where: Any) -> bool:
        return False

    monkeypatch.setattr(module, "is_still_deferred", is_still_deferred)
    service.job("seekr_alignment", "s-1", "running")
    service.world.add_job("seekr_alignment", "s-2", [("completed", 0)])
    service.world.add_job("seekr_alignment", "s-3", [("running", 0)])
    killed = JobTrigger("seekr.alignment", ["s-1", "s-2", "s-3"], "seekr_default", True, began=time.time())
    await killed.on_kill()
    cancelled = [seen.path for seen in service.world.requests if seen.operation == "seekr_cancel"]
    assert sorted(path.split("/")[-2] for path in cancelled) == ["s-1", "s-3"]
