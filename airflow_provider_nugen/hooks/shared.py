"""
One client per connection and event loop, shared by all waits of a triggerer.

One session, so that a poll needs no new TCP connection and no TLS handshake; one reading of the connection, since
each goes over a socket to the triggerer's supervisor. Read again when the service refuses the key, and after a
while, because keys rotate and hosts move. Closed when the last user leaves.
"""

from __future__ import annotations

import asyncio
import time
from typing import TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import ApiError, UnauthorizedError
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.hooks.connection import aread_settings
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.hooks.transport import AsyncTransport, explain

T = TypeVar("T")

#: The connection is read again after so many seconds.
FRESH = 300.0
#: However many waits ask for it, the connection is read again only every so many seconds.
REREAD_INTERVAL = 2.0

_Key = tuple[str, str]
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, SharedClient]] = WeakKeyDictionary()


class SharedClient:
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
        #: The settings whose key the service refused, and how it said so.
        self._refusal: tuple[Settings, UnauthorizedError] | None = None

    @classmethod
    def acquire(cls, service: Service, conn_id: str) -> SharedClient:
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
            if self._transport is not None:
                await self._transport.close()

    async def send(self, call: Call[T]) -> T:
        """
        Send one call and read the answer, without retrying.

        :raises ApiError: whatever went wrong, explained.
        """
        transport = self._transport
        if transport is None or time.monotonic() - self._read_at > FRESH:
            transport = await self._open()
        settings = transport.settings
        try:
            if self._refusal is not None and self._refusal[0] is settings:
                # The service has refused this key already: it need not hear the same from every wait.
                refusal = self._refusal[1]
                raise UnauthorizedError(refusal.problem, status=refusal.status, hint=refusal.hint)
            response = await transport.send(call.request(settings.revision, self.conn_id))
            return call.read(response, self.conn_id)
        except ApiError as e:
            if isinstance(e, UnauthorizedError):
                self._refusal = settings, e
            raise explain(e, call, settings) from None

    async def reread(self) -> bool:
        """
        Read the connection again because the service refused the key.

        :return: whether the connection is another one than the refused.
        :raises ApiError: if it cannot be read.
        """
        await self._open(reread=True)
        return self._refusal is None or self._transport is None or self._transport.settings is not self._refusal[0]

    async def _open(self, reread: bool = False) -> AsyncTransport:
        """Return a transport with fresh settings; one reading serves all who wait for it."""
        async with self._reading:
            old, age = self._transport, time.monotonic() - self._read_at
            if old is not None and age < (REREAD_INTERVAL if reread else FRESH):
                return old
            try:
                settings = await aread_settings(self.service, self.conn_id)
                if old is None or settings != old.settings:
                    self._transport = await AsyncTransport.open(settings)
            except ApiError:
                if old is None or reread:
                    raise
                # What was read before has worked so far: a database that is down must not end a wait.
                self._read_at = time.monotonic() - FRESH + 10 * REREAD_INTERVAL
                return old
            self._read_at = time.monotonic()
            if old is not None and old is not self._transport:
                # A poll that is under way on it fails as a dropped connection does, and is tried again.
                await old.close()
            assert self._transport is not None  # noqa: S101  # set above, or kept because nothing changed
            return self._transport
