"""One client per connection and event loop, shared by all waits of a triggerer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import (
    ApiError,
    NotFoundError,
    TransportError,
    UnauthorizedError,
    WrongRouteError,
)
from airflow_provider_nugen.api.nugen.endpoints import ALIGNMENT_STATUS, LIST_ALIGNMENTS, UNDEPLOY_MODEL
from airflow_provider_nugen.api.nugen.models import AlignmentStatus
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.hooks import client as client_module
from airflow_provider_nugen.hooks import deprecation, key_check, request_queue, transport_cache
from airflow_provider_nugen.hooks.client import AsyncClient
from airflow_provider_nugen.hooks.connection import aread_settings
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.hooks.rate_limit import FIRST_GAP, FIRST_THROTTLE_WAIT, PAUSE
from airflow_provider_nugen.hooks.settings import Settings

from .conftest import HANG, REFUSED, Answer, Deployment, RequestRecord, Server

CANCEL = UNDEPLOY_MODEL.call(model_id="m-1")
READY = Answer(body=b'{"status": "READY"}')


def call(alignment_id: str = "a-1") -> Call[AlignmentStatus]:
    return ALIGNMENT_STATUS.call(alignment_id=alignment_id)


def keys(server: Server) -> list[str]:
    return [seen.headers["Authorization"].removeprefix("Bearer ") for seen in server.seen]


async def refreshed(client: AsyncClient) -> None:
    """Wait until the connection has been read again."""
    if client._transports._refreshing is not None:
        await asyncio.wait([client._transports._refreshing])


async def test_all_waits_on_one_connection_share_one_client_until_the_last_leaves(
    connection: Callable[..., str], server: Server
) -> None:
    conn_id = connection("nugen", host=server.url)
    first, second = AsyncClient.acquire(NUGEN, conn_id), AsyncClient.acquire(NUGEN, conn_id)
    assert first is second
    assert AsyncClient.acquire(NUGEN, "other") is not first
    assert AsyncClient.acquire(SEEKR, conn_id) is not first
    server.script += [READY, READY]
    await first.send(call())
    transport = first._transports._transport
    await first.release()
    assert transport is not None
    assert not transport.session.closed
    await second.send(call())
    await second.release()
    assert transport.session.closed
    third = AsyncClient.acquire(NUGEN, conn_id)
    assert third is not first
    await third.release()


async def test_a_client_that_never_sent_can_be_given_back() -> None:
    client = AsyncClient.acquire(NUGEN, "nowhere")
    await client.release()
    assert AsyncClient.acquire(NUGEN, "nowhere") is not client


async def test_the_connection_is_read_once_for_all_who_ask_together(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn_id, reads = connection("nugen", host=server.url), []
    real = aread_settings

    async def counted(*args: Any, **kwargs: Any) -> Settings:
        reads.append(args)
        await asyncio.sleep(0)
        return await real(*args, **kwargs)

    monkeypatch.setattr(transport_cache, "aread_settings", counted)
    client = AsyncClient.acquire(NUGEN, conn_id)
    server.script += [READY] * 20
    answers = await asyncio.gather(*(client.send(call(f"a-{n}")) for n in range(20)))
    assert {answer.status for answer in answers} == {"READY"}
    assert (len(server.seen), len(reads)) == (20, 1)
    await client.release()


async def test_a_failure_is_explained(connection: Callable[..., str], server: Server) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.script.append(Answer(404, b'{"detail": "Alignment not found"}'))
    with pytest.raises(NotFoundError, match=r"Nugen \(connection 'nugen_default'\): .*'a-9': HTTP 404: Alignment not"):
        await client.send(call("a-9"))
    await client.release()


@pytest.mark.parametrize("status", [200, 400, 401, 502])
async def test_a_key_that_the_service_repeats_is_hidden(
    connection: Callable[..., str], server: Server, key: str, hidden: Callable[[object], None], status: int
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.script += [Answer(status, f'{{"detail": "your key {key}"}}'.encode())] * 2
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            await client.send(call())
        hidden(caught.value)
        assert "***" in str(caught.value)
    await client.release()


async def test_a_missing_connection_is_named() -> None:
    client = AsyncClient.acquire(NUGEN, "nowhere")
    with pytest.raises(TransportError, match="'nowhere'"):
        await client.send(call())
    await client.release()


async def test_after_a_while_the_connection_is_read_again_and_only_a_change_costs_a_new_session(
    connection: Callable[..., str], server: Server
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.script += [READY] * 4
    await client.send(call())
    first = client._transports._transport
    client._transports._read_at -= 2 * transport_cache.SETTINGS_TTL
    await client.send(call())
    await refreshed(client)
    assert client._transports._transport is first
    connection("nugen", host=server.url, password="new-test-key")
    client._transports._read_at -= 2 * transport_cache.SETTINGS_TTL
    await client.send(call())
    await refreshed(client)
    await client.send(call())
    assert keys(server)[1:] == [keys(server)[0]] * 2 + ["new-test-key"]
    assert first is not None
    assert first.session.closed
    await client.release()


async def test_a_connection_that_cannot_be_read_after_a_while_is_used_as_it_was(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.script += [READY] * 3
    await client.send(call())
    client._transports._read_at -= 2 * transport_cache.SETTINGS_TTL
    monkeypatch.delenv("AIRFLOW_CONN_NUGEN_DEFAULT")
    assert (await client.send(call())).status == "READY"
    await refreshed(client)
    assert (await client.send(call())).status == "READY"
    await client.release()


@pytest.mark.parametrize(("header", "longest"), [(None, PAUSE), ("4", 4), ("999999", FIRST_THROTTLE_WAIT)])
async def test_a_429_slows_down_all_who_share_the_client_but_not_past_what_they_can_afford(
    connection: Callable[..., str], server: Server, sleeps: list[float], header: str | None, longest: float
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.script += [Answer(429, headers={"Retry-After": header} if header else {}), READY, READY]
    with pytest.raises(ApiError):
        await client.send(call())
    assert sleeps == []
    await client.send(call("a-2"))
    await client.send(call("a-3"))
    assert longest - 1 < sleeps[0] <= longest
    assert all(0 < pause <= FIRST_GAP for pause in sleeps[1:])
    await client.release()


async def test_the_most_requests_per_second_hold_for_all_who_share_the_client(
    connection: Callable[..., str], server: Server, sleeps: list[float]
) -> None:
    extra = {"max_requests_per_second": 0.01}
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, extra=extra))
    server.script += [READY] * 3
    for alignment_id in ("a-1", "a-2", "a-3"):
        await client.send(call(alignment_id))
    assert len(sleeps) == 2
    assert sleeps == [pytest.approx(100, abs=5)] * 2
    await client.release()


async def test_a_poll_under_way_while_the_connection_changes_ends_as_it_began(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_cache, "REREAD_INTERVAL", 0.0)
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    # What hangs is sent again by aiohttp when it is dropped.
    server.script += [HANG, READY]
    poll = asyncio.create_task(client.send(call()))
    await asyncio.to_thread(server.asked.wait)
    first = client._transports._transport
    connection("nugen", host=server.url, password="new-test-key")
    assert await client.reread() is True
    assert first is not None
    assert not first.session.closed
    server.over.set()
    assert (await poll).status == "READY"
    assert first.session.closed
    assert "new-test-key" not in keys(server)
    await client.release()


async def test_a_poll_that_queues_while_the_connection_changes_uses_the_new_one(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_cache, "REREAD_INTERVAL", 0.0)
    extra = {"max_requests_per_second": 5}
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, extra=extra))
    server.script += [READY] * 5
    await client.send(call())
    polls = [asyncio.create_task(client.send(call())) for _ in range(4)]
    connection("nugen", host=server.url, extra=extra, password="new-test-key")
    await client.reread()
    assert [answer.status for answer in await asyncio.gather(*polls)] == ["READY"] * 4
    assert keys(server)[1:] == ["new-test-key"] * 4
    await client.release()


async def test_a_429_holds_for_those_who_queue_already(connection: Callable[..., str], server: Server) -> None:
    extra = {"max_requests_per_second": 10}
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, extra=extra))
    server.script += [READY, Answer(429, headers={"Retry-After": "3600"})]
    await client.send(call())
    polls = [asyncio.create_task(client.fetch(call(), queue_timeout=1.0)) for _ in range(50)]
    ended = await asyncio.gather(*polls, return_exceptions=True)
    assert len(server.seen) == 2
    assert [type(e) for e in ended[1:]] == [TransportError] * 49
    assert "rate-limit queue" in str(ended[1])
    # Cancelling a job does not queue.
    assert (await client.fetch(CANCEL)).status == 200
    await client.release()


def test_each_event_loop_has_its_own_client(connection: Callable[..., str], server: Server) -> None:
    conn_id, clients = connection("nugen", host=server.url), []

    async def wait() -> str:
        client = AsyncClient.acquire(NUGEN, conn_id)
        clients.append(client)
        server.script.append(READY)
        try:
            return (await client.send(call())).status
        finally:
            await client.release()

    assert [asyncio.run(wait()), asyncio.run(wait())] == ["READY"] * 2
    assert clients[0] is not clients[1]


async def test_waits_that_wake_together_take_turns(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_queue, "MAX_IN_FLIGHT", 3)
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    # What hangs is sent again by aiohttp when it is dropped.
    server.script += [READY] + [HANG] * 3 + [READY] * 8
    # Until the first has come back all others wait.
    await client.send(call())
    sends = [asyncio.create_task(client.send(call(f"a-{n}"))) for n in range(8)]
    await asyncio.wait(sends, timeout=0.5)
    assert len(server.seen) == 1 + 3
    server.over.set()
    assert {type(answer) for answer in await asyncio.gather(*sends)} == {AlignmentStatus}
    await client.release()


# The key is refused.


def key_rule(
    good: str, *, foreign: str = "", hiccups: Iterator[bool] | None = None
) -> Callable[[RequestRecord], Answer]:
    """Accept one key; refuse it for the jobs of another account, whose ids begin with a word, and now and then."""

    def answer(request: RequestRecord) -> Answer:
        is_foreign = bool(foreign) and f"/{foreign}" in request.target
        if not request.headers["Authorization"].endswith(good) or is_foreign or (hiccups and next(hiccups, False)):
            return REFUSED
        return Answer(body=b'{"models": []}') if request.target.endswith("/base") else READY

    return answer


async def test_a_key_that_was_changed_is_found_and_no_wait_hears_of_it(
    connection: Callable[..., str], server: Server
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, password="old-test-key"))
    server.rule = key_rule("old-test-key")
    assert (await client.send(call())).status == "READY"
    server.rule = key_rule("new-test-key")
    connection("nugen", host=server.url, password="new-test-key")
    answers = await asyncio.gather(*(client.send(call(f"a-{n}")) for n in range(20)))
    assert {answer.status for answer in answers} == {"READY"}
    assert (await client.fetch(CANCEL)).status == 200
    assert "/api/v3/models/base" not in [seen.target for seen in server.seen]
    await client.release()


async def test_a_first_answer_that_does_not_come_holds_nobody_up(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_LEAD", 0.05)
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    answered = threading.Event()
    accept = key_rule("0123456789")

    def rule(request: RequestRecord) -> Answer:
        if request.target.endswith("/slow"):
            answered.wait(20)
        return accept(request)

    server.rule = rule
    slow = asyncio.create_task(client.send(call("slow")))
    try:
        assert await asyncio.to_thread(server.asked.wait, 20)
        async with asyncio.timeout(10):
            assert (await client.send(call("a-1"))).status == "READY"
        assert not slow.done()
    finally:
        answered.set()
        await slow
        await client.release()


async def test_a_key_that_is_refused_for_everybody_is_sent_twice_for_all(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.rule = key_rule("another-key")
    ended = await asyncio.gather(*(client.send(call(f"a-{n}")) for n in range(200)), return_exceptions=True)
    assert {type(e) for e in ended} == {UnauthorizedError}
    assert "'a-7': HTTP 401: bad key" in str(ended[7])
    assert [seen.target for seen in server.seen] == [
        "/api/v3/alignment-project/status/a-0",
        "/api/v3/models/base",
    ]
    assert await client.reread() is False
    # Only for a while.
    monkeypatch.setattr(key_check, "REFUSAL_TTL", -1.0)
    server.rule = key_rule("0123456789")
    assert (await client.send(call())).status == "READY"
    await client.release()


async def test_a_call_that_is_about_no_job_tells_for_everybody(connection: Callable[..., str], server: Server) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.rule = key_rule("another-key")
    for refused in (LIST_ALIGNMENTS.call(), call("a-1"), call("a-2")):
        with pytest.raises(UnauthorizedError):
            await client.send(refused)
    assert len(server.seen) == 1
    await client.release()


async def test_a_job_of_another_account_ends_no_other_wait(connection: Callable[..., str], server: Server) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.rule = key_rule("0123456789", foreign="their")
    ids = [f"{'their' if n % 3 == 0 else 'our'}-{n}" for n in range(60)]
    for _ in range(2):
        ended = await asyncio.gather(*(client.send(call(job_id)) for job_id in ids), return_exceptions=True)
        by_job = dict(zip(ids, ended, strict=True))
        assert {type(by_job[job_id]) for job_id in ids if job_id.startswith("their")} == {UnauthorizedError}
        assert {type(by_job[job_id]) for job_id in ids if job_id.startswith("our")} == {AlignmentStatus}
    asked = [seen.target.rpartition("/")[2] for seen in server.seen]
    # Each twice before its wait ends, and the key itself once for all.
    assert {asked.count(job_id) for job_id in ids if job_id.startswith("their")} == {4}
    assert asked.count("base") == 1
    await client.release()


async def test_a_hiccup_ends_no_wait(connection: Callable[..., str], server: Server) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.rule = key_rule("0123456789", hiccups=iter([False, True]))
    assert (await client.send(call("a-1"))).status == "READY"
    assert (await client.send(call("a-2"))).status == "READY"
    await client.release()


async def test_a_check_of_the_key_that_fails_says_nothing(connection: Callable[..., str], server: Server) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.script += [REFUSED, Answer(502), READY, REFUSED, READY]
    assert (await client.send(call("a-1"))).status == "READY"
    assert (await client.send(call("a-2"))).status == "READY"
    await client.release()


async def test_a_key_that_changes_while_everybody_is_refused_is_found(
    connection: Callable[..., str], server: Server
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, password="old-test-key"))
    server.rule = key_rule("new-test-key")
    with pytest.raises(UnauthorizedError):
        await client.send(call())
    connection("nugen", host=server.url, password="new-test-key")
    # Whoever asks again at once is told of what was read just now, later the connection is read again.
    assert await client.reread() is False
    client._transports._read_at -= transport_cache.REREAD_INTERVAL
    assert (await client.send(call())).status == "READY"
    assert await client.reread() is True
    await client.release()


async def test_a_connection_that_is_gone_when_it_is_read_again_is_a_passing_failure(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.script += [READY, REFUSED]
    await client.send(call())
    monkeypatch.delenv("AIRFLOW_CONN_NUGEN_DEFAULT")
    with pytest.raises(TransportError, match="not found any more"):
        await client.send(call())
    await client.release()


# The API revision is found out.


@pytest.mark.parametrize(("before", "after"), ["BC", "CB"])
async def test_a_move_to_the_other_revision_costs_a_wait_one_request(
    connection: Callable[..., str], server: Server, deployment: Deployment, before: str, after: str
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    deployment.speaks = before
    await client.send(call())
    server.seen.clear()
    deployment.speaks = after
    for _ in range(3):
        response = await client.fetch(call())
        assert (response.status, response.revision) == (200, after)
    assert len(server.seen) == 1 + 3
    await client.release()


@pytest.mark.parametrize(("before", "after"), ["BC", "CB"])
async def test_fifty_waits_survive_a_move_without_a_storm(
    connection: Callable[..., str],
    server: Server,
    deployment: Deployment,
    caplog: pytest.LogCaptureFixture,
    before: str,
    after: str,
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    deployment.speaks = before

    async def poll_all() -> int:
        server.seen.clear()
        responses = await asyncio.gather(*(client.fetch(call(f"a-{n}")) for n in range(50)))
        assert {response.status for response in responses} == {200}
        return len(server.seen)

    await poll_all()
    deployment.speaks = after
    # What was on its way goes out once more; nothing else does.
    assert await poll_all() <= 2 * 50
    assert {response.revision for response in [await client.fetch(call())]} == {after}
    assert await poll_all() == 50
    said = [record.message for record in caplog.records if f"speaks API revision {after} now" in record.message]
    assert len(said) == 1
    await client.release()


async def test_a_move_while_the_first_polls_are_under_way_does_not_flip_back(
    connection: Callable[..., str], server: Server, deployment: Deployment
) -> None:
    """An old instance may answer in the old revision after a new one has refused it."""
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    await client.fetch(call())
    server.asked.clear()
    server.script += [HANG]
    late = asyncio.create_task(client.fetch(call("late")))
    await asyncio.to_thread(server.asked.wait)
    deployment.speaks = "C"
    assert (await client.fetch(call())).revision == "C"
    deployment.speaks = "BC"
    server.over.set()
    assert (await late).revision == "B"
    assert (await client.fetch(call())).revision == "C"
    await client.release()


async def test_a_gateway_that_has_lost_the_service_is_told_from_a_wrong_revision(
    connection: Callable[..., str], server: Server, deployment: Deployment
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    deployment.speaks = "C"
    await client.fetch(call())
    deployment.speaks = ""
    for _ in range(3):
        server.seen.clear()
        with pytest.raises(WrongRouteError, match=r"'a-1'.* C and B were both tried"):
            await client.fetch(call())
        assert len(server.seen) == 3
    deployment.speaks = "C"
    server.seen.clear()
    assert (await client.fetch(call())).revision == "C"
    assert len(server.seen) == 1
    await client.release()


@pytest.mark.parametrize("speaks", ["B", "C"])
async def test_a_missing_jobs_own_404_is_no_reason_to_move(
    connection: Callable[..., str], server: Server, deployment: Deployment, speaks: str
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    deployment.speaks = speaks
    await client.fetch(call())
    server.seen.clear()
    with pytest.raises(NotFoundError, match="Model not found"):
        await client.send(call("gone"))
    assert len(server.seen) == 1
    await client.release()


async def test_what_all_share_outside_the_client_is_found_out_once(
    connection: Callable[..., str], server: Server, deployment: Deployment
) -> None:
    """By the worker of the same process, say; or by the client before this one."""
    conn_id = connection("nugen", host=server.url)
    deployment.speaks = "C"
    for _ in range(2):
        client = AsyncClient.acquire(NUGEN, conn_id)
        await client.fetch(call())
        await client.release()
    with NugenHook(conn_id) as hook:
        assert await asyncio.to_thread(hook.request, call())
    assert len(server.seen) == 1 + 3


async def test_a_revision_that_is_set_is_the_only_one_that_is_spoken(
    connection: Callable[..., str], server: Server, deployment: Deployment
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, extra={"api_revision": "C"}))
    with pytest.raises(WrongRouteError, match=r"'api_revision' of the connection is C: remove it or set it to auto"):
        await client.fetch(call())
    assert len(server.seen) == 1
    await client.release()


async def test_the_second_request_counts_for_the_budget(
    connection: Callable[..., str], server: Server, deployment: Deployment, sleeps: list[float]
) -> None:
    extra = {"max_requests_per_second": 0.01}
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, extra=extra))
    deployment.speaks = "C"
    await client.fetch(call())
    assert sleeps == []
    await client.fetch(call())
    assert sum(sleeps) == pytest.approx(200, abs=5)
    await client.release()


async def test_a_deprecated_operation_is_warned_of_in_async_code_too(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(deprecation, "_logged", set())
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.rule = lambda request: Answer(body=b'{"status": "READY"}', headers={"Deprecation": "true"})
    for _ in range(2):
        await client.fetch(call())
    said = [record.message for record in caplog.records if "deprecated" in record.message]
    assert said == ["Nugen says that 'get alignment status' is deprecated."]
    await client.release()
