"""
One client per connection and event loop, shared by all waits of a triggerer.

One session, so that a poll needs no new TCP connection and no TLS handshake; one reading of the connection, since
each goes over a socket to the triggerer's supervisor. Read again when the service refuses the key, and after a
while, because keys rotate and hosts move. Closed when the last user leaves.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_nugen.api.endpoint import Call, RawResponse
from airflow_provider_nugen.api.errors import ApiError, TransportError, retry_after_seconds
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.hooks.connection import aread_settings
from airflow_provider_nugen.hooks.failures import explained
from airflow_provider_nugen.hooks.rate_limit import RateLimiter
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.hooks.transport import async_transport

if TYPE_CHECKING:
    from airflow_provider_nugen.hooks.async_transport import AsyncTransport

T = TypeVar("T")

#: The connection is read again after so many seconds.
SETTINGS_TTL = 300.0
#: At the most so many requests are under way at once: a thousand waits that wake together take turns, rather than open
#: a thousand connections.
MAX_IN_FLIGHT = 100
#: For so many seconds nobody asks again with a key that the service has refused.
REFUSED_KEY_TTL = 30.0
#: However many waits ask for it, the connection is read again only every so many seconds.
REREAD_INTERVAL = 2.0

_Key = tuple[str, str]
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, AsyncClient]] = WeakKeyDictionary()


class AsyncClient:
    """
    Sends calls through one connection. Get it with :meth:`acquire`, give it back with :meth:`release`.

    :param service: the service.
    :param conn_id: the Airflow connection.
    """

    def __init__(self, service: Service, conn_id: str) -> None:
        self.service = service
        self.conn_id = conn_id
        self._users = 0
        self._transport: AsyncTransport | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._pace = RateLimiter()
        self._turns = asyncio.Lock()
        #: The settings with which a request has come back, well or not: until then one goes ahead of all others.
        self._tried: Settings | None = None
        self._trying = asyncio.Lock()
        #: The settings whose key the service refused, and how it said so: it need not hear the same from every wait.
        self._refused: Settings | None = None
        self._refusal: RawResponse | None = None
        self._refused_at = 0.0

    @classmethod
    def acquire(cls, service: Service, conn_id: str) -> AsyncClient:
        """Get the client of the running event loop; the first user makes it."""
        clients = _clients.setdefault(asyncio.get_running_loop(), {})
        key = service.conn_type, conn_id
        client = clients.get(key)
        if client is None:
            client = clients[key] = cls(service, conn_id)
        client._users += 1
        return client

    async def release(self) -> None:
        """Give the client back; the last user closes it."""
        self._users -= 1
        if self._users == 0:
            clients = _clients.get(asyncio.get_running_loop(), {})
            clients.pop((self.service.conn_type, self.conn_id), None)
            if self._refreshing is not None:
                self._refreshing.cancel()
                await asyncio.wait([self._refreshing])
            if self._transport is not None:
                await self._transport.close()

    async def fetch(self, call: Call[Any], queue_timeout: float = math.inf) -> RawResponse:
        """
        Send one call when it is its turn, without retrying and without reading the answer.

        Only looks queue. What changes something, which is cancelling a job, goes first.

        :param call: the call.
        :param queue_timeout: the most seconds to wait for its turn.
        :raises ApiError: if no answer came, or it was not its turn in time; explained.
        """
        if self._transport is None:
            await self._open()
        elif time.monotonic() - self._read_at > SETTINGS_TTL and self._refreshing is None:
            # Nobody waits for that: what was read before has worked so far.
            self._refreshing = asyncio.create_task(self._refresh())
        if call.endpoint.method != "GET":
            return await self._ask(call)
        await self._take_turn(call, queue_timeout)
        try:
            if self._settings is not self._tried:
                async with self._trying:
                    if self._settings is not self._tried:
                        return await self._ask(call)
            return await self._ask(call)
        finally:
            self._in_flight.release()

    @property
    def _settings(self) -> Settings | None:
        return self._transport.settings if self._transport is not None else None

    async def _take_turn(self, call: Call[Any], queue_timeout: float) -> None:
        if not (self._in_flight.locked() or self._turns.locked() or self._pace.delay(time.monotonic())):
            await self._in_flight.acquire()  # at once
            self._pace.acquire(time.monotonic())
            return
        try:
            async with asyncio.timeout(None if queue_timeout == math.inf else queue_timeout):
                await self._in_flight.acquire()
                try:
                    async with self._turns:
                        while pause := self._pace.delay(time.monotonic()):  # noqa: ASYNC110  # it may grow meanwhile
                            await asyncio.sleep(pause)
                        self._pace.acquire(time.monotonic())
                except BaseException:
                    self._in_flight.release()
                    raise
        except TimeoutError:
            raise TransportError(
                f"within {queue_timeout:.0f} s it was not its turn among the requests through this connection.",
                context=call.context(self.conn_id),
                hint="Raise poke_interval or max_requests_per_second, or wait less at the same time.",
                sent=False,
            ) from None

    async def _ask(self, call: Call[Any]) -> RawResponse:
        """Send a call with what is known of the connection now."""
        transport, sent_at = self._transport, time.monotonic()
        assert transport is not None  # noqa: S101  # there is one from the first fetch to the last release
        settings = transport.settings
        if self._refusal is not None and self._refused is settings and sent_at - self._refused_at < REFUSED_KEY_TTL:
            return self._refusal
        transport.in_flight += 1
        try:
            with explained(call, settings):
                response = await transport.send(call.request(settings.revision, self.conn_id))
        finally:
            self._tried = settings
            transport.in_flight -= 1
            await self._retire(transport)
        if response.status == 401:
            self._refused, self._refusal, self._refused_at = settings, response, time.monotonic()
        elif response.status == 429:
            retry_after = retry_after_seconds(response.retry_after, time.time())
            self._pace.slow_down(time.monotonic(), sent_at, retry_after)
        else:
            self._pace.speed_up()
        return response

    async def _retire(self, transport: AsyncTransport) -> None:
        """Close a transport that another one has replaced, when nobody uses it any more."""
        if transport is not self._transport and not transport.in_flight:
            await transport.close()

    async def _refresh(self) -> None:
        try:
            await self._open()
        finally:
            self._refreshing = None

    async def send(self, call: Call[T]) -> T:
        """
        Send one call when it is its turn, and read the answer, without retrying.

        :raises ApiError: whatever went wrong, explained.
        """
        return call.read(await self.fetch(call), self.conn_id)

    async def reread(self) -> bool:
        """
        Read the connection again because the service refused the key.

        :return: whether the connection is another one than the refused.
        :raises ApiError: if it cannot be read.
        """
        await self._open(reread=True)
        return self._transport is None or self._transport.settings is not self._refused

    async def _open(self, reread: bool = False) -> AsyncTransport:
        """Return a transport with fresh settings; one reading serves all who wait for it."""
        async with self._reading:
            old, age = self._transport, time.monotonic() - self._read_at
            # What was read before the service refused the key, however recently, is no answer to that.
            outdated = reread and self._read_at < self._refused_at
            if old is not None and not outdated and age < (REREAD_INTERVAL if reread else SETTINGS_TTL):
                return old
            try:
                settings = await aread_settings(self.service, self.conn_id)
                if old is None or settings != old.settings:
                    self._transport = await async_transport(settings)
                    self._pace.per_second = settings.max_requests_per_second
            except ApiError:
                if old is None or reread:
                    raise
                # What was read before has worked so far: a database that is down must not end a wait.
                self._read_at = time.monotonic() - SETTINGS_TTL + 10 * REREAD_INTERVAL
                return old
            self._read_at = time.monotonic()
            if old is not None:
                await self._retire(old)
            assert self._transport is not None  # noqa: S101  # set above, or kept because nothing changed
            return self._transport
