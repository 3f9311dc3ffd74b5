"""One trigger for every kind of job: what it survives, what ends it, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk import BaseHook
from sensors.support import SHORT, Logs, Service

from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.compat import AirflowNotFoundException
from airflow_provider_nugen.hooks import client as client_module
from airflow_provider_nugen.hooks.async_transport import AsyncTransport
from airflow_provider_nugen.triggers.job import JobTrigger
from airflow_provider_nugen.waiting.result import Outcome, WaitResult
from airflow_provider_nugen.waiting.waiter import Waiter

#: Kind: what the simulator calls it, and a word with which it has succeeded.
SUCCEEDED = {
    "nugen.alignment": ("alignment", "READY"),
    "nugen.evaluated_alignment": ("alignment", "EVALUATED"),
    "nugen.evaluation": ("evaluation", "READY"),
    "nugen.deployment": ("deployment", "COMPLETED"),
    "nugen.undeployment": ("undeployment", "COMPLETED"),
    "nugen.document": ("document", "READY"),
    "nugen.benchmark": ("benchmark", "READY"),
    "seekr.alignment": ("seekr_alignment", "completed"),
    "seekr.data_job": ("data_job", "completed"),
    "seekr.data_job_files": ("data_job", "ready_to_start"),
    "seekr.fine_tune": ("fine_tune", "completed"),
    "seekr.deployment": ("seekr_deployment", "Active"),
    "seekr.demotion": ("seekr_deployment", "Inactive"),
}
pytestmark = pytest.mark.usefixtures("quick_retries")


def trigger(kind: str = "nugen.alignment", job_id: str = "a-1", **arguments: Any) -> JobTrigger:
    conn_id = f"{kind.partition('.')[0]}_default"
    usual = {"conn_id": conn_id, "poke_interval": SHORT, "use_eta": False, "began": time.time()}
    return JobTrigger(kind, job_id, **{**usual, **arguments})


async def ending(trigger: JobTrigger) -> WaitResult:
    """Run a trigger; there is one event, whatever happens, and a worker can read it."""
    events = [event async for event in trigger.run()]
    assert len(events) == 1
    return WaitResult.from_event(json.loads(json.dumps(events[0].payload, allow_nan=False)))


async def until(condition: Callable[[], object]) -> None:
    """Wait until something has happened."""
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


# What it survives.


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 408},
        {"action": "status", "status": 425},
        {"action": "status", "status": 429, "retry_after": "1", "times": 1},
        {"action": "status", "status": 500},
        {"action": "status", "status": 502},
        {"action": "status", "status": 503, "retry_after": "soon"},
        {"action": "drop"},
        {"action": "truncate"},
        {"action": "malformed"},
        {"action": "html"},
        {"action": "oversized"},
    ],
    ids=lambda fault: f"{fault['action']} {fault.get('status', '')}",
)
@pytest.mark.parametrize("skip", [0, 1])
async def test_passing_failures_are_waited_out(service: Service, logs: Logs, fault: dict[str, Any], skip: int) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    struck = service.world.add_fault({"times": 4, **fault, "skip": skip})
    ended = await ending(trigger())
    assert (ended.outcome, ended.result and ended.result["status"]) == (Outcome.SUCCEEDED, "READY")
    assert struck.struck == struck.times
    assert any("could not be read (1 in a row)" in text for text in logs.at("warning"))


async def test_a_date_to_come_back_at_is_obeyed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.job("alignment", "a-1", "READY")
    sleeps, real = [], asyncio.sleep

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        await real(0)

    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    service.world.add_fault({"action": "status", "status": 503, "retry_after": date, "times": 1})
    waiting = trigger()
    monkeypatch.setattr("airflow_provider_nugen.triggers.job.asyncio.sleep", sleep)
    assert (await ending(waiting)).outcome is Outcome.SUCCEEDED
    assert max(sleeps) > 3500


async def test_an_unknown_word_is_waited_out(service: Service, logs: Logs) -> None:
    service.job("alignment", "a-1", ("DREAMING", 0.15), "READY")
    assert (await ending(trigger())).outcome is Outcome.SUCCEEDED
    assert sum("unknown status 'DREAMING'" in text for text in logs.at("warning")) == 1


async def test_what_was_seen_before_is_not_told_again(service: Service, logs: Logs) -> None:
    service.job("alignment", "a-1", ("DREAMING", 0.15), "READY")
    assert (await ending(trigger(seen=True, status="DREAMING"))).outcome is Outcome.SUCCEEDED
    assert not any("DREAMING" in text for text in logs.at("warning"))


@pytest.mark.parametrize("when", ["at once", "later"])
async def test_a_key_that_is_rotated_with_its_connection(
    service: Service, connection: Callable[..., str], lookups: list[str], when: str
) -> None:
    service.job("alignment", "a-1", ("PROCESSING", 0.5), "READY")
    waiting = asyncio.create_task(ending(trigger()))
    await until(service.asked)
    connection("nugen", host=service.url, password="another-test-key")
    service.world.rotate_key("another-test-key")
    if when == "later":
        await asyncio.sleep(0.3)
    assert (await waiting).outcome is Outcome.SUCCEEDED
    assert len(lookups) == 2
    refused = [seen for seen in service.world.requests if not seen.authorized]
    assert len(refused) == 1


@pytest.mark.parametrize("error", [RuntimeError("the supervisor is gone"), AirflowNotFoundException("no such thing")])
async def test_a_connection_that_cannot_be_read_for_a_while(
    service: Service, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    service.job("alignment", "a-1", "READY")
    failures, real = [error] * 3, BaseHook.aget_connection

    async def unwell(conn_id: str) -> Any:
        if failures:
            raise failures.pop()
        return await real(conn_id)

    monkeypatch.setattr(BaseHook, "aget_connection", unwell)
    assert (await ending(trigger())).outcome is Outcome.SUCCEEDED
    assert failures == []


async def test_a_connection_that_cannot_be_read_again_is_not_a_refused_key(
    service: Service, connection: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    waiting = asyncio.create_task(ending(trigger()))
    await until(service.asked)
    real = BaseHook.aget_connection
    failures = [RuntimeError("the supervisor is gone")] * 2

    async def unwell(conn_id: str) -> Any:
        if failures:
            raise failures.pop()
        return await real(conn_id)

    monkeypatch.setattr(BaseHook, "aget_connection", unwell)
    connection("nugen", host=service.url, password="another-test-key")
    service.world.rotate_key("another-test-key")
    assert (await waiting).outcome is Outcome.SUCCEEDED
    assert failures == []


async def test_a_service_that_is_down_and_comes_back(
    service: Service, connection: Callable[..., str], logs: Logs
) -> None:
    connection("nugen", host="http://127.0.0.1:9")
    waiting = asyncio.create_task(ending(trigger()))
    await until(lambda: logs.at("warning"))
    service.job("alignment", "a-1", "READY")
    connection("nugen", host=service.url)
    # The host is another one: that is seen when the connection is read the next time.
    (client,) = client_module.clients.in_use()
    client._transports._read_at = -1e9
    assert (await waiting).outcome is Outcome.SUCCEEDED


# What ends it.


@pytest.mark.parametrize(
    ("life", "outcome", "words"),
    [
        (("READY",), Outcome.SUCCEEDED, "is done: READY."),
        (("FAILED",), Outcome.FAILED, "failed (status 'FAILED'): out of memory."),
        (("STOPPED",), Outcome.CANCELLED, "was stopped (status 'STOPPED'): out of memory."),
    ],
)
async def test_a_job_that_is_over_ends_it_at_once(
    service: Service, life: tuple[str, ...], outcome: Outcome, words: str
) -> None:
    service.job("alignment", "a-1", *life, overrides={"error": "out of memory"})
    ended = await ending(trigger())
    assert ended.outcome is outcome
    assert ended.message == f"Nugen (connection 'nugen_default'): alignment 'a-1' {words}"
    assert ended.result is not None
    assert ended.result["alignment_id"] == "a-1"
    assert service.asked() == 1


@pytest.mark.parametrize("status", [302, 400, 402, 403, 404, 409, 410, 422])
async def test_a_final_answer_ends_it_at_once(service: Service, status: int) -> None:
    alignment_id = f"a-{status}"
    service.job("alignment", alignment_id, "READY")
    service.world.add_fault({"action": "status", "status": status})
    ended = await ending(trigger(job_id=alignment_id, seen=True))
    assert (ended.outcome, ended.result) == (Outcome.REJECTED, None)
    assert f"the status of alignment '{alignment_id}' could not be read: HTTP {status}" in ended.message
    # A request of the test before may be recorded only now.
    assert sum(alignment_id in seen.path for seen in service.world.requests) == 1


async def test_a_wrong_key_is_checked_once_and_looked_up_once_more(service: Service, lookups: list[str]) -> None:
    service.job("alignment", "a-1", "READY")
    service.world.rotate_key("another-test-key")
    ended = await ending(trigger())
    assert ended.outcome is Outcome.REJECTED
    assert "HTTP 401" in ended.message
    # By the wait, and by a call that is not about a job.
    assert service.asked() == 2
    assert len(lookups) == 2


async def test_waits_that_share_a_refused_key_do_not_send_it_again(service: Service, lookups: list[str]) -> None:
    service.world.rotate_key("another-test-key")
    client = client_module.AsyncClient.acquire(KINDS["nugen.alignment"].service, "nugen_default")
    for _ in range(5):
        ended = await ending(trigger())
        assert ended.outcome is Outcome.REJECTED
        assert "HTTP 401" in ended.message
    await client.release()
    assert service.asked() == 2
    # Once at first, once because of the refusal; the others are told what was found.
    assert len(lookups) == 2


async def test_the_routers_own_404_is_final_at_once(service: Service, connection: Callable[..., str]) -> None:
    service.job("alignment", "a-1", "READY")
    connection("nugen", host=service.url, extra={"api_revision": "C"})
    ended = await ending(trigger())
    assert ended.outcome is Outcome.REJECTED
    assert "api_revision" in ended.message
    assert service.asked() == 1


async def test_an_id_that_stays_missing_ends_it_after_the_grace(service: Service, hurry: None) -> None:
    ended = await ending(trigger())
    assert ended.outcome is Outcome.REJECTED
    assert "HTTP 404: Alignment not found." in ended.message
    assert service.asked() > 1


async def test_an_outage_that_lasts_is_not_a_failed_job(service: Service, hurry: None) -> None:
    service.job("alignment", "a-1", "PROCESSING")
    service.world.add_fault({"action": "status", "status": 502})
    ended = await ending(trigger())
    assert ended.outcome is Outcome.UNREACHABLE
    assert "whether the job still runs is not known" in ended.message


async def test_an_outage_may_be_ignored(service: Service, hurry: None) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    outage = service.world.add_fault({"action": "status", "status": 502, "times": 10})
    assert (await ending(trigger(ignore_failures=True))).outcome is Outcome.SUCCEEDED
    assert outage.struck == 10


@pytest.mark.parametrize("name", ["deadline", "execution_deadline"])
async def test_a_deadline_that_has_passed_leaves_one_poll(service: Service, name: str) -> None:
    began = time.time() - 7200
    service.job("alignment", "a-1", "PROCESSING")
    ended = await ending(trigger(poke_interval=60, began=began, seen=True, **{name: began + 3600}))
    assert ended.outcome is {"deadline": Outcome.TIMEOUT, "execution_deadline": Outcome.EXECUTION_TIMEOUT}[name]
    deadline = datetime.fromtimestamp(began + 3600, UTC).isoformat(timespec="seconds")
    assert f"of 1 h was over (deadline {deadline}): last status 'PROCESSING'" in ended.message
    assert service.asked() == 1
    service.job("alignment", "a-1", "READY")
    ended = await ending(trigger(poke_interval=60, began=began, seen=True, **{name: began + 3600}))
    assert (ended.outcome, service.asked()) == (Outcome.SUCCEEDED, 2)


@pytest.mark.parametrize("name", ["deadline", "execution_deadline"])
async def test_there_is_a_final_poll_at_the_deadline(service: Service, name: str) -> None:
    # The next poll would come in a minute.
    service.job("alignment", "a-1", ("PROCESSING", 60), "READY")
    began = time.time()
    ended = await ending(trigger(poke_interval=60, began=began, seen=True, **{name: began + 0.3}))
    assert ended.outcome in (Outcome.TIMEOUT, Outcome.EXECUTION_TIMEOUT)
    assert service.asked() in (1, 2)  # the first one comes at a random moment of the minute
    assert "last status 'PROCESSING'" in ended.message


async def test_a_final_poll_that_fails_says_so(service: Service) -> None:
    service.world.add_fault({"action": "status", "status": 502})
    ended = await ending(trigger(deadline=time.time() - 1, began=time.time() - 61, status="PROCESSING"))
    assert ended.outcome is Outcome.TIMEOUT
    assert "last status 'PROCESSING'; the final poll failed: HTTP 502: Simulated 502." in ended.message


async def test_a_kind_of_job_that_is_unknown_here(service: Service) -> None:
    ended = await ending(trigger("nugen.dream"))
    assert ended.outcome is Outcome.UNREACHABLE
    assert "'nugen.dream': install the same version" in ended.message


async def test_a_bug_of_ours_is_an_event_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(Waiter, "on_response", broken)
    service.job("alignment", "a-1", "READY")
    ended = await ending(trigger())
    assert ended.outcome is Outcome.UNREACHABLE
    assert "broke off (KeyError: 'oops'): a bug in airflow-provider-nugen" in ended.message
    assert "The job continues." in ended.message


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_job_can_be_waited_for(service: Service, kind: str) -> None:
    simulated, word = SUCCEEDED[kind]
    service.job(simulated, "j-1", word)
    ended = await ending(trigger(kind, "j-1"))
    assert (ended.outcome, ended.result and ended.result["status"]) == (Outcome.SUCCEEDED, word)


# What it is made of.


def test_all_arguments_are_serialised(key: str) -> None:
    arguments = {
        "kind": "nugen.alignment",
        "job_id": "a-1",
        "conn_id": "nugen_default",
        "poke_interval": 7.0,
        "deadline": 1.0,
        "execution_deadline": 2.0,
        "exponential_backoff": True,
        "max_wait": 3.0,
        "ignore_failures": True,
        "use_eta": False,
        "began": 4.0,
        "seen": True,
        "status": "READY",
        "cancel_on_kill": True,
    }
    classpath, kwargs = JobTrigger(**arguments).serialize()
    assert (classpath, kwargs) == ("airflow_provider_nugen.triggers.job.JobTrigger", arguments)
    stored = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(kwargs))
    assert JobTrigger(**stored).serialize() == (classpath, arguments)


async def test_a_trigger_of_an_older_version_runs(service: Service) -> None:
    service.job("alignment", "a-1", "READY")
    old = JobTrigger(kind="nugen.alignment", job_id="a-1", conn_id="nugen_default", poke_interval=SHORT)
    assert (await ending(old)).outcome is Outcome.SUCCEEDED


async def test_arguments_of_another_version_are_kept_and_ignored(service: Service) -> None:
    service.job("alignment", "a-1", "READY")
    other = trigger(poll_interval=3, webhook={"url": None})
    assert other.serialize()[1].items() >= {"poll_interval": 3, "webhook": {"url": None}}.items()
    assert (await ending(other)).outcome is Outcome.SUCCEEDED


# Cancelling.


def ended(monkeypatch: pytest.MonkeyPatch, by_a_user: bool = True) -> None:
    """Let Airflow say whether a user has ended the task."""

    async def is_still_deferred(*where: Any) -> bool:
        return not by_a_user

    monkeypatch.setattr("airflow_provider_nugen.triggers.job.is_still_deferred", is_still_deferred)


@pytest.mark.parametrize(
    ("word", "arguments", "by_a_user", "cancelled"),
    [
        pytest.param("running", {}, True, True, id="ended by a user"),
        pytest.param("running", {}, False, False, id="moved"),
        pytest.param("running", {"cancel_on_kill": False}, True, False, id="turned off"),
        pytest.param("running", {"deadline": 1.0}, True, False, id="timed out before"),
        pytest.param("running", {"execution_deadline": 1.0}, True, False, id="execution_timeout before"),
        pytest.param("running", {"deadline": time.time() + 3600}, True, True, id="before its deadline"),
        pytest.param("completed", {}, True, False, id="done before"),
    ],
)
async def test_a_job_is_cancelled_only_if_a_user_has_ended_the_wait_for_it(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    word: str,
    arguments: dict[str, Any],
    by_a_user: bool,
    cancelled: bool,
) -> None:
    ended(monkeypatch, by_a_user)
    service.job("seekr_alignment", "j-1", word)
    await trigger("seekr.alignment", "j-1", **{"cancel_on_kill": True, **arguments}).on_kill()
    assert any(seen.operation == "seekr_cancel" for seen in service.world.requests) is cancelled


async def test_a_data_job_whose_files_are_ready_is_not_cancelled_by_a_triggerer_that_hung(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another triggerer has ended this wait, and the task continues with the job.
    ended(monkeypatch)
    for number, word in enumerate(("ready_to_start", "running")):
        service.job("data_job", f"d-{number}", word)
        await trigger("seekr.data_job_files", f"d-{number}", cancel_on_kill=True).on_kill()
    assert not any(seen.operation.startswith("seekr_cancel") for seen in service.world.requests)
    service.job("data_job", "d-2", "file_processing")
    await trigger("seekr.data_job_files", "d-2", cancel_on_kill=True).on_kill()
    assert service.world.requests[-1].operation == "seekr_cancel_data_job"


async def test_a_job_that_cannot_be_read_is_cancelled_all_the_same(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(monkeypatch)
    monkeypatch.setattr("airflow_provider_nugen.triggers.job.POLL_BEFORE_CANCEL", 0.3)
    for action in ("status", "delay"):
        service.job("seekr_alignment", "j-1", "running")
        service.world.add_fault({"action": action, "status": 403, "seconds": 2, "operation": "seekr_alignment"})
        await trigger("seekr.alignment", "j-1", cancel_on_kill=True).on_kill()
        assert service.world.requests[-1].operation == "seekr_cancel"
        service.world.clear_faults()
        service.world.clear_requests()


# Many at once.


async def test_it_can_run_twice_at_once(service: Service) -> None:
    # The times of the envelope are those of the request.
    times = {"start_time": None, "end_time": None}
    service.job("alignment", "a-1", "PROCESSING", "READY", overrides={"envelope": times})
    one = trigger()
    first, second, third = await asyncio.gather(ending(one), ending(one), ending(JobTrigger(**one.serialize()[1])))
    for result in (first, second, third):
        # How long a wait took is its own.
        assert isinstance(result.result, dict)
        assert result.result.pop("waited_seconds") >= 0
    assert first == second == third
    assert first.outcome is Outcome.SUCCEEDED
    assert {seen.method for seen in service.world.requests} == {"GET"}


@pytest.mark.parametrize("fault", [None, {"action": "delay", "seconds": 0.5}], ids=["asleep", "asking"])
async def test_a_cancelled_wait_gives_back_what_it_holds(
    service: Service, sessions: list[AsyncTransport], fault: dict[str, Any] | None
) -> None:
    service.job("alignment", "a-1", "PROCESSING")
    delay = service.world.add_fault(fault) if fault else None
    waiting = asyncio.create_task(ending(trigger()))
    other = asyncio.create_task(ending(trigger(poke_interval=60)))
    await until(lambda: delay.struck if delay else service.asked())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    # The other one still needs it.
    assert len(sessions) == 1
    assert not sessions[0].session.closed
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    assert sessions[0].session.closed
    assert client_module.clients.in_use() == []


async def test_fifty_waits_share_one_tcp_connection_and_one_lookup(
    service: Service, sessions: list[AsyncTransport], lookups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.job("alignment", "leaves", "READY")
    service.world.add_job("alignment", "stays", [("PROCESSING", 0)])
    one_at_a_time, real = asyncio.Lock(), AsyncTransport.send

    async def send(*args: Any) -> Any:
        async with one_at_a_time:
            return await real(*args)

    monkeypatch.setattr(AsyncTransport, "send", send)
    leaving = [asyncio.create_task(ending(trigger(job_id="leaves"))) for _ in range(25)]
    staying = [asyncio.create_task(ending(trigger(job_id="stays"))) for _ in range(25)]
    assert {ended.outcome for ended in await asyncio.gather(*leaving)} == {Outcome.SUCCEEDED}
    assert not sessions[0].session.closed
    before = service.asked()
    await until(lambda: service.asked() > before + 50)
    service.world.override_job("stays", status="READY", model_id="m-2")
    assert {ended.outcome for ended in await asyncio.gather(*staying)} == {Outcome.SUCCEEDED}
    # A request that the test before has given up may be answered only now: it was for another job.
    asked = [seen for seen in service.world.requests if seen.path.endswith(("/leaves", "/stays"))]
    assert len({seen.client_port for seen in asked}) == 1
    assert len(asked) > 50
    assert lookups == ["nugen_default"]
    assert len(sessions) == 1
    assert sessions[0].session.closed


def test_every_event_loop_has_its_own(service: Service, sessions: list[AsyncTransport], lookups: list[str]) -> None:
    for _ in range(2):
        service.job("alignment", "a-1", "PROCESSING", "READY")
        assert asyncio.run(ending(trigger())).outcome is Outcome.SUCCEEDED
    assert (len(sessions), len(lookups)) == (2, 2)
    # The loops of dag.test() and of a triggerer can run at once, in threads.
    service.job("alignment", "a-1", "PROCESSING", "READY")

    async def both() -> list[WaitResult]:
        threads = [asyncio.to_thread(asyncio.run, ending(trigger())) for _ in range(3)]
        return list(await asyncio.gather(ending(trigger()), *threads))

    assert {ended.outcome for ended in asyncio.run(both())} == {Outcome.SUCCEEDED}
    assert len(sessions) == 6
