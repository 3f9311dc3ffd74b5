"""
One client per connection and event loop, shared by all waits of a triggerer.

One session, one reading of the connection, one queue. Closed when the last user leaves.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any, TypeVar

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.hooks.deprecation import log_deprecation
from airflow_provider_nugen.hooks.failures import explained
from airflow_provider_nugen.hooks.key_check import KeyCheck
from airflow_provider_nugen.hooks.registry import LoopRegistry
from airflow_provider_nugen.hooks.request_queue import RequestQueue
from airflow_provider_nugen.hooks.revision import ROUTER_STATUSES
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.hooks.transport_cache import TransportCache

T = TypeVar("T")

#: After these the service has processed nothing, and the same call may succeed at once in another way.
_ASK_AGAIN = frozenset({401, *ROUTER_STATUSES})

#: Seconds that the first request through a connection goes ahead of all others, at the most: its answer may drip.
MAX_LEAD = 3.0

clients: LoopRegistry[AsyncClient] = LoopRegistry()


class AsyncClient:
    """
    Sends calls through one connection. Get it with :meth:`acquire`, give it back with :meth:`release`.

    :param service: the service.
    :param conn_id: the Airflow connection.
    """

    def __init__(self, service: Service, conn_id: str) -> None:
        self.service = service
        self.conn_id = conn_id
        self._transports = TransportCache(service, conn_id)
        self._queue = RequestQueue()
        self._key_check = KeyCheck()
        #: The settings that have been tried: until a request has come back, well or not, one goes ahead of all others.
        self._tried: Settings | None = None
        self._trying = asyncio.Lock()
        #: The settings of the last refused request, and when it was refused.
        self._refused: tuple[Settings, float] | None = None

    @classmethod
    def acquire(cls, service: Service, conn_id: str) -> AsyncClient:
        """Return the client of the running event loop; the first user makes it."""
        return clients.acquire((service.conn_type, conn_id), lambda: cls(service, conn_id))

    async def release(self) -> None:
        """Give the client back; the last user closes it."""
        if clients.release((self.service.conn_type, self.conn_id)):
            await self._transports.close()

    async def fetch(self, call: Call[Any], queue_timeout: float = math.inf) -> RawResponse:
        """
        Send one call when it is its turn, without retrying and without reading the answer.

        What was not processed is sent once more: after a 401, which made the client read the connection again, and
        after the router's own 404 if the API revision is open. Only polls queue. What changes something, which is
        cancelling a job, goes first.

        :param call: the call.
        :param queue_timeout: the most seconds to wait for its turn.
        :raises WrongRouteError: if no API revision that may be spoken has the path.
        :raises ApiError: if no answer came, or it was not its turn in time; explained.
        """
        if not self._transports.is_open:
            await self._transports.open()
        if call.endpoint.method != "GET":
            return await self._ask_until_processed(call)
        try:
            await self._queue.acquire(self._settings.max_requests_per_second, queue_timeout)
        except ApiError as e:
            e.context = call.context(self.conn_id)
            raise
        try:
            if self._settings is not self._tried and await self._may_lead():
                try:
                    if self._settings is not self._tried:
                        try:
                            return await self._ask_until_processed(call)
                        finally:
                            self._tried = self._settings
                finally:
                    self._trying.release()
            response = await self._ask(call)
            if response.status in _ASK_AGAIN or not self._transports.revision.is_proven:
                return await self._ask_again(call, response)
            return response
        finally:
            self._queue.release()

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
        settings, refused_at = self._refused or (None, time.monotonic())
        return (await self._transports.open(refused_at)).settings is not settings

    @property
    def _settings(self) -> Settings:
        return self._transports.transport.settings

    async def _may_lead(self) -> bool:
        """Wait until nobody goes ahead; return whether that is so, and nobody else will meanwhile."""
        try:
            async with asyncio.timeout(MAX_LEAD):
                return await self._trying.acquire()
        except TimeoutError:
            return False

    async def _ask_until_processed(self, call: Call[Any]) -> RawResponse:
        return await self._ask_again(call, await self._ask(call))

    async def _ask_again(self, call: Call[Any], response: RawResponse) -> RawResponse:
        """Send a call again if its answer says that it was not processed, and that another way is open."""
        response = await self._ask_in_other_revision(call, response)
        if response.status != 401:
            return response
        if not call.ids:
            self._key_check.record(self._settings, response)
        if not await self.reread() and await self._key_check.is_refused(self._transports.transport):
            return response
        self._queue.repeat()
        return await self._ask_in_other_revision(call, await self._ask(call))

    async def _ask_in_other_revision(self, call: Call[Any], response: RawResponse) -> RawResponse:
        revision = self._transports.revision
        other = revision.next_for(call, response)
        if other is None:
            return response
        self._queue.repeat()
        answer = await self._ask(call, other)
        revision.next_for(call, answer, response)
        return answer

    async def _ask(self, call: Call[Any], revision: str | None = None) -> RawResponse:
        """Send a call with what is known of the connection now; in the API revision that is spoken, or another one."""
        transports, sent_at = self._transports, time.monotonic()
        transport = transports.transport
        settings = transport.settings
        refusal = self._key_check.refusal(settings, sent_at)
        if refusal is not None:
            return refusal
        if revision is None:
            revision = transports.revision.first_for(call)
        transport.in_flight += 1
        try:
            with explained(call, settings):
                response = await transport.send(call.request(revision, self.conn_id))
        finally:
            transport.in_flight -= 1
            if transport is not transports.transport:
                await transports.retire(transport)
        response.revision = revision
        self._queue.on_response(response, sent_at)
        if response.status == 401:
            self._refused = settings, time.monotonic()
        if response.deprecation:
            log_deprecation(call, response)
        return response
