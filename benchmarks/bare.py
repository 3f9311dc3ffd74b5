"""The least that a waiting trigger can do: the practical floor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from airflow.triggers.base import BaseTrigger, TriggerEvent

_session: aiohttp.ClientSession | None = None


class BareTrigger(BaseTrigger):
    """
    Asks for a JSON object until its status is another one; reads no connection and handles no error.

    :param url: where to ask.
    :param interval: seconds between two polls.
    """

    def __init__(self, url: str, interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.url = url
        self.interval = interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process needs to continue the wait."""
        return f"{__name__}.BareTrigger", {"url": self.url, "interval": self.interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, through one session for all."""
        global _session
        if _session is None:
            _session = aiohttp.ClientSession()
        while True:
            async with _session.get(self.url) as response:
                answer = json.loads(await response.read())
            if answer["status"] != "PROCESSING":
                break
            await asyncio.sleep(self.interval)
        yield TriggerEvent(answer)
