"""
Whether a service refuses a connection's key for everybody.

A 401 can be about one job, such as one of another account, or a hiccup. So whoever gets one lets the key be checked by
a call that is not about a job: only if that is refused, too, the refusal holds for all who share the connection, and
they need not send the key again for a while.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from airflow_provider_nugen.api.endpoint import Request
from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_nugen.hooks.async_transport import AsyncTransport

#: Seconds that an accepted key counts as accepted.
KEY_CHECK_TTL = 30.0
#: Seconds that a refused key counts as refused: enough for all who poll at that moment. A service that refuses every
#: key for a second must not end the waits whose second poll comes after it, see
#: :data:`~airflow_provider_nugen.waiting.waiter.REFUSAL_RETRY`.
REFUSAL_TTL = 2.0


class KeyCheck:
    """Remembers the last check of a key, and lets nobody check the same one twice."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._checked_at = 0.0
        self._refusal: RawResponse | None = None
        self._checking = asyncio.Lock()

    def refusal(self, settings: Settings, now: float) -> RawResponse | None:
        """
        Return the 401 that holds for everybody, if there is one.

        :param settings: the connection whose key would be sent.
        :param now: the time, by ``time.monotonic()``.
        """
        if self._refusal is None or self._settings is not settings or now - self._checked_at > REFUSAL_TTL:
            return None
        return self._refusal

    def record(self, settings: Settings, response: RawResponse | None) -> None:
        """
        Remember how a call that is not about a job was answered.

        :param settings: the connection.
        :param response: the answer; ``None`` if there was none.
        """
        self._settings, self._checked_at = settings, time.monotonic()
        self._refusal = response if response is not None and response.status == 401 else None

    async def is_refused(self, transport: AsyncTransport) -> bool:
        """
        Return whether the service refuses the key for everybody; asks it unless that was done just now.

        :param transport: the transport that sends the key.
        """
        settings = transport.settings
        async with self._checking:
            ttl = KEY_CHECK_TTL if self._refusal is None else REFUSAL_TTL
            if self._settings is not settings or time.monotonic() - self._checked_at > ttl:
                try:
                    path = settings.service.key_check
                    self.record(settings, await transport.send(Request("GET", path)) if path else None)
                except ApiError:
                    self.record(settings, None)
            return self._refusal is not None
