"""One client per connection and event loop, shared by all waits of a triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import (
    ApiError,
    NotFoundError,
    TransportError,
    UnauthorizedError,
)
from airflow_provider_nugen.api.nugen.endpoints import ALIGNMENT_STATUS, NUGEN, UNDEPLOY_MODEL
from airflow_provider_nugen.api.nugen.models import AlignmentStatus
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.hooks import request_queue, transport_cache
from airflow_provider_nugen.hooks.client import AsyncClient
from airflow_provider_nugen.hooks.rate_limit import FIRST_GAP, MAX_THROTTLE_WAIT, PAUSE
from airflow_provider_nugen.hooks.settings import Settings

from .conftest import HANG, Answer, Server

CANCEL = UNDEPLOY_MODEL.call(model_id="m-1")
READY = Answer(body=b'{"status": "READY"}')
REFUSED = Answer(401, b'{"detail": "bad key"}')


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
    real = transport_cache.aread_settings

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


async def test_a_refused_key_is_sent_once_and_a_changed_one_is_tried(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_cache, "REREAD_INTERVAL", 0.0)
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, password="old-key-of-ours"))
    server.script += [REFUSED, READY]
    for alignment_id in ("a-1", "a-2", "a-3"):
        with pytest.raises(UnauthorizedError, match=f"'{alignment_id}': HTTP 401: bad key"):
            await client.send(call(alignment_id))
    assert keys(server) == ["old-key-of-ours"]
    assert await client.reread() is False
    connection("nugen", host=server.url, password="new-key-of-ours")
    assert await client.reread() is True
    assert await client.reread() is True
    assert (await client.send(call())).status == "READY"
    assert keys(server) == ["old-key-of-ours", "new-key-of-ours"]
    await client.release()


async def test_a_key_that_changes_right_after_the_connection_was_read_is_found(
    connection: Callable[..., str], server: Server
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, password="old-key-of-ours"))
    server.script += [READY, REFUSED, READY]
    await client.send(call())
    connection("nugen", host=server.url, password="new-key-of-ours")
    with pytest.raises(UnauthorizedError):
        await client.send(call())
    assert await client.reread() is True
    assert (await client.send(call())).status == "READY"
    assert keys(server)[-1] == "new-key-of-ours"
    await client.release()


async def test_many_who_ask_to_read_the_connection_again_make_one_reading(
    connection: Callable[..., str], server: Server
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url, password="old-key-of-ours"))
    server.script.append(REFUSED)
    with pytest.raises(UnauthorizedError):
        await client.send(call())
    client._transports._read_at -= transport_cache.REREAD_INTERVAL
    connection("nugen", host=server.url, password="new-key-of-ours")
    assert await asyncio.gather(*(client.reread() for _ in range(10))) == [True] * 10
    # Whoever asks again at once is told of what was read just now.
    connection("nugen", host=server.url, password="newest-key-of-ours")
    assert await client.reread() is True
    server.script.append(READY)
    await client.send(call())
    assert keys(server)[-1] == "new-key-of-ours"
    await client.release()


async def test_a_connection_that_is_gone_when_it_is_read_again_is_a_passing_failure(
    connection: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_cache, "REREAD_INTERVAL", 0.0)
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.script.append(REFUSED)
    with pytest.raises(UnauthorizedError):
        await client.send(call())
    monkeypatch.delenv("AIRFLOW_CONN_NUGEN_DEFAULT")
    with pytest.raises(TransportError):
        await client.reread()
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
    connection("nugen", host=server.url, password="new-key-of-ours")
    client._transports._read_at -= 2 * transport_cache.SETTINGS_TTL
    await client.send(call())
    await refreshed(client)
    await client.send(call())
    assert keys(server)[1:] == [keys(server)[0]] * 2 + ["new-key-of-ours"]
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


@pytest.mark.parametrize(("header", "longest"), [(None, PAUSE), ("5", 5), ("999999", MAX_THROTTLE_WAIT)])
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
    connection("nugen", host=server.url, password="new-key-of-ours")
    assert await client.reread() is True
    assert first is not None
    assert not first.session.closed
    server.over.set()
    assert (await poll).status == "READY"
    assert first.session.closed
    assert "new-key-of-ours" not in keys(server)
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
    connection("nugen", host=server.url, extra=extra, password="new-key-of-ours")
    await client.reread()
    assert [answer.status for answer in await asyncio.gather(*polls)] == ["READY"] * 4
    assert keys(server)[1:] == ["new-key-of-ours"] * 4
    await client.release()


async def test_a_refused_key_is_asked_once_for_all_and_again_after_a_while(
    connection: Callable[..., str], server: Server
) -> None:
    client = AsyncClient.acquire(NUGEN, connection("nugen", host=server.url))
    server.script.append(REFUSED)
    ended = await asyncio.gather(*(client.send(call(f"a-{n}")) for n in range(200)), return_exceptions=True)
    assert {type(e) for e in ended} == {UnauthorizedError}
    assert len(server.seen) == 1
    client._refused_at -= client_module.REFUSED_KEY_TTL
    server.script.append(READY)
    assert (await client.send(call())).status == "READY"
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
