"""The queue of all polls through one connection: how many are under way at once, and how fast they follow."""

from __future__ import annotations

import asyncio
import math
import time

from airflow_provider_nugen.api.errors import TransportError, retry_after_seconds
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks.rate_limit import RateLimiter

#: At most this many requests are under way at once: a thousand waits that wake together take turns, rather than open a
#: thousand connections.
MAX_IN_FLIGHT = 100


class RequestQueue:
    """Lets requests pass one by one: :meth:`acquire` before the request, :meth:`release` after it."""

    def __init__(self) -> None:
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._limiter = RateLimiter()
        self._turns = asyncio.Lock()

    async def acquire(self, per_second: float | None, queue_timeout: float = math.inf) -> None:
        """
        Wait for the turn of a request.

        :param per_second: the most requests per second; ``None`` = no limit.
        :param queue_timeout: the most seconds to wait.
        :raises TransportError: if that was not enough.
        """
        self._limiter.per_second = per_second
        if not (self._in_flight.locked() or self._turns.locked() or self._limiter.delay(time.monotonic())):
            await self._in_flight.acquire()  # at once
            self._limiter.acquire(time.monotonic())
            return
        try:
            async with asyncio.timeout(None if queue_timeout == math.inf else queue_timeout):
                await self._in_flight.acquire()
                try:
                    async with self._turns:
                        while pause := self._limiter.delay(time.monotonic()):  # noqa: ASYNC110  # it may grow meanwhile
                            await asyncio.sleep(pause)
                        self._limiter.acquire(time.monotonic())
                except BaseException:
                    self._in_flight.release()
                    raise
        except TimeoutError:
            raise TransportError(
                f"the request waited {queue_timeout:.0f} s in this connection's rate-limit queue.",
                hint="Raise poke_interval or max_requests_per_second, or run fewer waits at the same time.",
                sent=False,
            ) from None

    def release(self) -> None:
        """End a request that has had its turn."""
        self._in_flight.release()

    def repeat(self) -> None:
        """Count a request that goes out at once in the place of one that was not processed: the next ones wait."""
        self._limiter.acquire(time.monotonic())

    def on_response(self, response: RawResponse, sent_at: float) -> None:
        """
        Go slower after a 429, faster after any other answer.

        :param response: the answer.
        :param sent_at: when its request was sent, by ``time.monotonic()``.
        """
        if response.status == 429:
            retry_after = retry_after_seconds(response.retry_after, time.time())
            self._limiter.slow_down(time.monotonic(), sent_at, retry_after)
        elif response.status != 401:
            self._limiter.speed_up()
