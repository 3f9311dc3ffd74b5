"""A hundred waits on one event loop do not hold it up."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_nugen.triggers.job import JobTrigger

from .test_job import ending

WAITS = 100
#: Seconds; a callback that takes longer is slow.
SLOW = 0.05
_SCHEDSTAT = Path("/proc/thread-self/schedstat")


class FairLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands while the machine lets the thread wait for a processor: that is nobody's fault."""

    def time(self) -> float:
        waited = int(_SCHEDSTAT.read_text().split()[1]) / 1e9 if _SCHEDSTAT.exists() else 0.0
        return time.monotonic() - waited


@pytest.fixture
def slow_service(connection: Callable[..., str]) -> Iterator[str]:
    """
    Simulate a service that takes its time to answer, in a process of its own.

    In a thread it would compete with the loop for Python's lock. Whatever asks it, or anything like it, in a way that
    blocks the loop, does so for longer than :data:`SLOW`.
    """
    command = [sys.executable, "-m", "airflow_provider_nugen.simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
            job = {"kind": "alignment", "id": "a-1", "stages": [["PROCESSING", 0]]}
            _send("POST", f"{url}/_simulator/jobs", json=job)
            _send("POST", f"{url}/_simulator/faults", json={"action": "delay", "seconds": 2 * SLOW})
            connection("nugen", host=url, password="demo-key")
            yield url
        finally:
            process.terminate()


def _send(method: str, url: str, **options: Any) -> Any:
    response = requests.request(method, url, timeout=30, **options)
    response.raise_for_status()
    return response.json() if response.content else None


async def polls(url: str, at_least: int = 0) -> int:
    """Count the polls; wait until there is a number of them."""
    for _ in range(300):
        count = len(await asyncio.to_thread(_send, "GET", f"{url}/_simulator/requests"))
        if count >= at_least:
            return count
        await asyncio.sleep(0.3)
    raise AssertionError(f"only {count} polls")


async def watch(url: str, slow: list[str], disturb: Callable[[], None] | None) -> list[str]:
    """Let all wait, and return what was slow after each of them has polled for the first time."""
    loop = asyncio.get_running_loop()
    triggers = [
        JobTrigger("nugen.alignment", "a-1", "nugen_default", poke_interval=0.5, use_eta=False, began=time.time())
        for _ in range(WAITS)
    ]
    before = await polls(url)
    waits = [asyncio.create_task(ending(trigger)) for trigger in triggers]
    try:
        await polls(url, before + 2 * WAITS)
        slow.clear()
        loop.slow_callback_duration = SLOW
        if disturb is not None:
            loop.call_soon(disturb)
        await polls(url, before + 4 * WAITS)
        return list(slow)
    finally:
        for wait in waits:
            wait.cancel()
        for wait in waits:
            with suppress(asyncio.CancelledError):
                await wait


def oversleep() -> None:
    """Do what no callback should."""
    time.sleep(2 * SLOW)


def test_no_callback_is_slow_after_the_first_poll(slow_service: str, caplog: pytest.LogCaptureFixture) -> None:
    slow: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg.startswith("Executing"):
                slow.append(record.getMessage())

    logger, listener = logging.getLogger("asyncio"), Listener()
    logger.addHandler(listener)
    # What the tests before left behind is not swept up now.
    gc.collect()
    gc.freeze()
    try:
        with asyncio.Runner(debug=True, loop_factory=FairLoop) as runner:
            # What happens each time is the provider's; what happens now and then is the machine's.
            for last in (False, False, True):
                found = runner.run(watch(slow_service, slow, None))
                assert not (found and last), found
                if not found:
                    break
            # It would have been noticed.
            found = runner.run(watch(slow_service, slow, oversleep))
            assert any("oversleep" in text for text in found)
    finally:
        gc.unfreeze()
        logger.removeHandler(listener)
