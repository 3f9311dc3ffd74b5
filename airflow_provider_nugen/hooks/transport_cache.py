"""
One reading of a connection, and the transport that was opened with it, for all waits that share them.

Each reading goes over a socket to the triggerer's supervisor, each session costs a TLS handshake. The connection is
read again after a while and after the service refused the key, because keys rotate and hosts move.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.hooks.connection import aread_settings
from airflow_provider_nugen.hooks.revision import SpokenRevision, spoken_revision
from airflow_provider_nugen.hooks.transport import async_transport

if TYPE_CHECKING:
    from airflow_provider_nugen.hooks.async_transport import AsyncTransport

#: The connection is read again after this many seconds.
SETTINGS_TTL = 300.0
#: However many waits ask for it, the connection is read again only every this many seconds.
REREAD_INTERVAL = 2.0


class TransportCache:
    """
    Keeps the open transport of one connection.

    :param service: the service.
    :param conn_id: the Airflow connection.
    """

    def __init__(self, service: Service, conn_id: str) -> None:
        self._service = service
        self._conn_id = conn_id
        self._transport: AsyncTransport | None = None
        self._revision: SpokenRevision | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()
        self._refreshing: asyncio.Task[AsyncTransport] | None = None

    @property
    def transport(self) -> AsyncTransport:
        """The transport, which :meth:`open` has opened."""
        assert self._transport is not None  # noqa: S101
        return self._transport

    @property
    def revision(self) -> SpokenRevision:
        """The API revision that the service of the transport speaks."""
        assert self._revision is not None  # noqa: S101  # set with the transport
        return self._revision

    @property
    def is_open(self) -> bool:
        """Whether there is a transport. A connection that was read long ago is read again in the background."""
        if self._transport is None:
            return False
        if time.monotonic() - self._read_at > SETTINGS_TTL and self._refreshing is None:
            # Nobody waits for that: what was read before has worked so far.
            self._refreshing = asyncio.create_task(self._refresh())
        return True

    async def _refresh(self) -> AsyncTransport:
        try:
            return await self.open()
        finally:
            self._refreshing = None

    async def open(self, refused_at: float | None = None) -> AsyncTransport:
        """
        Return a transport with fresh settings; one reading serves all who wait for it.

        :param refused_at: when the service refused the key, by ``time.monotonic()``: what was read before that,
            however recently, does not count as fresh.
        :raises ApiError: if the connection cannot be read, and there is no transport or its key was refused.
        """
        async with self._reading:
            old, age = self._transport, time.monotonic() - self._read_at
            outdated = refused_at is not None and self._read_at < refused_at
            if old is not None and not outdated and age < (SETTINGS_TTL if refused_at is None else REREAD_INTERVAL):
                return old
            try:
                settings = await aread_settings(self._service, self._conn_id, known_to_exist=True)
                if old is None or settings != old.settings:
                    self._transport, self._revision = await async_transport(settings), spoken_revision(settings)
            except ApiError:
                if old is None or refused_at is not None:
                    raise
                # What was read before has worked so far: a database that is down must not end a wait.
                self._read_at = time.monotonic() - SETTINGS_TTL + 10 * REREAD_INTERVAL
                return old
            self._read_at = time.monotonic()
            if old is not None:
                await self.retire(old)
            return self.transport

    async def retire(self, transport: AsyncTransport) -> None:
        """Close a transport if another one has replaced it and nobody uses it any more."""
        if transport is not self._transport and not transport.in_flight:
            await transport.close()

    async def close(self) -> None:
        """Close the transport."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])
        if self._transport is not None:
            await self._transport.close()
