"""What Airflow does to a trigger: when it may fire, how it is killed, and what the database holds of older ones."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.triggers.base import BaseTrigger
from sensors.support import SHORT, Logs, Service

from airflow_provider_nugen import compat
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.triggers import job as module
from airflow_provider_nugen.triggers.job import JobTrigger
from airflow_provider_nugen.waiting.result import Outcome
from airflow_provider_nugen.waiting.state import WaitSettings
from airflow_provider_nugen.waiting.wait import JobWait

from .test_job import SUCCEEDED, ended, ending, trigger, until

#: Kinds that can be in a database from before: those of 1.0.0.
KINDS_OF_1_0_0 = [kind for kind in KINDS if kind not in ("seekr.fine_tune", "seekr.deployment", "seekr.demotion")]

#: How the triggerer says that a user ended the task (``triggerer_job_runner.py``, ``_USER_ACTION_CANCEL_MSG``).
USER_ACTION = "user-action"


# --- firing


async def test_no_event_is_fired_in_the_first_seconds_but_the_job_is_polled(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIN_RUN_TIME", 0.5)
    service.job("alignment", "a-1", "READY")
    began = time.monotonic()
    waiting = asyncio.create_task(ending(trigger()))
    await until(service.asked)
    assert (await waiting).outcome is Outcome.SUCCEEDED
    assert time.monotonic() - began >= 0.5
    assert service.asked() == 1


def test_the_time_before_an_event_is_some_seconds() -> None:
    # The fixtures of these tests replace it in the trigger's module only.
    assert compat.MIN_RUN_TIME == 10.0


# --- killing


async def run_trigger(trigger: BaseTrigger, grace: float) -> None:
    """Run a trigger as Airflow 3.3.2's ``TriggerRunner.run_trigger`` does."""
    try:
        async for _ in trigger.run():
            pass
    except asyncio.CancelledError as e:
        if e.args and e.args[0] == USER_ACTION:
            with suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(trigger.on_kill(), timeout=grace)
        raise
    finally:
        await trigger.cleanup()


async def kill(trigger: BaseTrigger, service: Service, *, every: float = 0.1, grace: float = 10.0) -> int:
    """End a task as a user does: its trigger is cancelled again and again until it is gone; return how often."""
    running = asyncio.create_task(run_trigger(trigger, grace))
    await until(service.asked)
    repeats = 0
    while not running.done():
        running.cancel(USER_ACTION)
        repeats += 1
        await asyncio.sleep(every)
    return repeats


@pytest.mark.parametrize("seconds", [0.0, 0.7])
async def test_cancelling_outlasts_an_airflow_that_repeats_its_own(
    service: Service, monkeypatch: pytest.MonkeyPatch, logs: Logs, seconds: float
) -> None:
    ended(monkeypatch)
    service.job("seekr_alignment", "j-1", "running")
    running = trigger("seekr.alignment", "j-1", cancel_on_kill=True, poke_interval=60)
    service.world.add_fault({"action": "delay", "seconds": seconds, "operation": "seekr_cancel"})
    repeats = await kill(running, service)
    assert (repeats > 5) is (seconds > 0)
    assert [seen.operation for seen in service.world.requests].count("seekr_cancel") == 1
    assert logs.at("info")[-1] == "The task was ended: cancelled alignment job 'j-1'."
    assert module._kills == set()


async def test_a_cancelling_that_takes_too_long_says_so_within_airflows_grace(
    service: Service, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    ended(monkeypatch)
    monkeypatch.setattr(module, "KILL_MARGIN", 0.2)
    monkeypatch.setattr(module, "on_kill_timeout", lambda: 0.5)
    service.job("seekr_alignment", "j-1", "running")
    service.world.add_fault({"action": "delay", "seconds": 2, "operation": "seekr_cancel"})
    await kill(trigger("seekr.alignment", "j-1", cancel_on_kill=True, poke_interval=60), service)
    assert any("alignment job 'j-1' could not be cancelled within" in text for text in logs.at("error"))


async def test_a_bug_while_cancelling_is_in_the_log(
    service: Service, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    async def broken(*where: Any) -> bool:
        raise KeyError("oops")

    monkeypatch.setattr(module, "is_still_deferred", broken)
    await trigger("seekr.alignment", "j-1", cancel_on_kill=True).on_kill()
    assert any("'j-1' could not be cancelled, and may continue." in text for text in logs.at("error"))


# --- what the database holds


@pytest.mark.parametrize("kind", KINDS_OF_1_0_0)
async def test_a_trigger_of_1_0_0_continues(service: Service, kind: str) -> None:
    old = {
        "kind": kind,
        "job_id": "j-1",
        "conn_id": f"{kind.partition('.')[0]}_default",
        "poke_interval": SHORT,
        "deadline": time.time() + 60,
        "execution_deadline": None,
        "exponential_backoff": False,
        "max_wait": None,
        "ignore_failures": False,
        "use_eta": True,
        "began": time.time() - 100,
        "seen": True,
        "status": "PROCESSING",
        "cancel_on_kill": False,
    }
    again = JobTrigger(**Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(old)))
    assert again.serialize() == ("airflow_provider_nugen.triggers.job.JobTrigger", old)
    simulated, word = SUCCEEDED[kind]
    service.job(simulated, "j-1", word)
    assert (await ending(again)).outcome is Outcome.SUCCEEDED


async def test_an_old_timeout_names_the_old_beginning(service: Service) -> None:
    service.job("alignment", "a-1", "PROCESSING")
    began = time.time() - 3600
    old = JobTrigger("nugen.alignment", "a-1", "nugen_default", deadline=began + 3600, began=began, status="QUEUED")
    result = await ending(old)
    assert (result.outcome, "its timeout of 1 h was over" in result.message) == (Outcome.TIMEOUT, True)


def test_the_whole_state_travels() -> None:
    stored = {
        "began": 1.0,
        "seen": True,
        "status": "READY",
        "progress": "5/10",
        "eta": 2.0,
        "failures": 3,
        "failing_since": 4.0,
        "stalled_since": 5.0,
        "refused_since": 5.5,
        "due": 6.0,
        "server_errors": 7,
        "progress_began": 8.0,
        "first_progress": 0.5,
        "over": True,
    }
    settings = WaitSettings(7.0, 8.0, 9.0, True, 10.0, True, False)
    for job_id, known in (("a", stored), (["a"], {"began": 1.0, "jobs": [stored]})):
        wait = JobWait(KINDS["nugen.alignment"], job_id, "c", settings, known)
        _, kwargs = JobTrigger.of(wait, cancel_on_kill=True).serialize()
        assert kwargs == json.loads(json.dumps(kwargs))
        again = JobTrigger(**kwargs)._begin(KINDS["nugen.alignment"])
        assert (again.settings, again.waiters["a"].state) == (settings, wait.waiters["a"].state)
        assert again.waiters["a"].state.to_json() == stored
