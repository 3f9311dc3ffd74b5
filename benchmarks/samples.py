"""The samples that the measured process and the server write, many times a second."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import TextIO

#: Seconds between two samples.
TICK = 0.05

#: ``at``: when, by the clock that all processes share; ``cpu``: seconds used so far; ``lag``: how many seconds late
#: the event loop was; and what else there is to count.
Sample = dict[str, float]


async def report(out: TextIO, counters: Callable[[], Mapping[str, float]] = dict) -> None:
    """
    Write samples, one JSON object per line, for ever.

    :param out: where to; must not buffer lines.
    :param counters: gives what else belongs into a sample.
    """
    while True:
        due = time.monotonic() + TICK
        await asyncio.sleep(TICK)
        now = time.monotonic()
        out.write(json.dumps({"at": now, "cpu": time.process_time(), "lag": now - due, **counters()}) + "\n")
