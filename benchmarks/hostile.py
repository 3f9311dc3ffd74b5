"""
Measure how long an answer that is anything at all holds up the other waits on the event loop of a triggerer.

Of 200 waits one gets the answer at every poll; the jobs of the others end together, and so must their waits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from aiohttp import web

from airflow_provider_nugen.triggers.job import JobTrigger

#: Seconds between two polls.
INTERVAL = 1.0
#: Seconds from the beginning to the end of the jobs: a trigger fires no event before that.
LIFE = 12.0
#: Seconds between two samples of the lag.
SAMPLE = 0.005
MIB = 2**20
_SCHEDSTAT = Path("/proc/thread-self/schedstat")


def _filled(item: bytes, size: int) -> bytes:
    """Return a status whose unknown field is a list of items, of a size in bytes."""
    head, tail = b'{"status": "PROCESSING", "x": [', b'0], "stage_failures": null}'
    return head + (item + b",") * ((size - len(head) - len(tail)) // (len(item) + 1)) + tail


#: What the one wait is answered.
ANSWERS: dict[str, Callable[[], bytes]] = {
    "an ordinary one": lambda: b'{"status": "PROCESSING"}',
    "300,000 items of a wrong type": lambda: json.dumps(
        {"status": "PROCESSING", **dict.fromkeys(("stage_failures", "documents"), [1] * 300_000)}
    ).encode(),
    "a list of 300,000 items": lambda: json.dumps([{"status": "PROCESSING"}] * 300_000).encode()[: 15 * MIB],
    "16 MiB of numbers": lambda: _filled(b"1", 16 * MIB - 1),
    "16 MiB of objects": lambda: _filled(b'{"a":1}', 16 * MIB - 1),
    "16 MiB of halves of emojis": lambda: _filled(b'"\\ud83d"', 16 * MIB - 1),
    "16 MiB of long integers": lambda: _filled(b"9" * 400, 16 * MIB - 1),
    "16 MiB of one text": lambda: b'{"status": "PROCESSING", "error": "' + b"x" * (16 * MIB - 100) + b'"}',
    "nested 8,000,000 levels deep": lambda: b"[" * 8_000_000 + b"]" * 8_000_000,
    "nested 900 levels deep, 8,000 times": lambda: _filled(b"[" * 900 + b"]" * 900, 14 * MIB),
    "over the limit": lambda: b"x" * (17 * MIB),
}


async def serve(name: str, life: float) -> None:
    """
    Answer polls: those for the job ``hostile`` badly; for all others that they run, until they have ended.

    :param name: the answer.
    :param life: seconds until they end.
    """
    body, began = ANSWERS[name](), time.time()

    async def answer(request: web.BaseRequest) -> web.Response:
        if "hostile" in request.path:
            return web.Response(body=body, content_type="application/json")
        word = "READY" if time.time() >= began + life else "PROCESSING"
        return web.json_response({"status": word, "model_id": "m", "stage_failures": None})

    server = await asyncio.get_running_loop().create_server(web.Server(answer, access_log=None), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], began + life, flush=True)  # the starter reads it
    await asyncio.Event().wait()


async def measure(end: float, waits: int) -> tuple[float, list[float]]:
    """
    Let all wait, and return the worst lag of the loop, and how long after the end of their jobs the waits ended.

    :param end: when the jobs end, in epoch seconds.
    :param waits: how many waits there are beside the one.
    """
    lag = 0.0

    def not_run() -> float:
        # What the machine does meanwhile is nobody's fault.
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9 if _SCHEDSTAT.exists() else 0.0

    async def sample() -> None:
        nonlocal lag
        await asyncio.sleep(1)
        while True:
            began, waited = time.perf_counter(), not_run()
            await asyncio.sleep(SAMPLE)
            lag = max(lag, time.perf_counter() - began - (not_run() - waited) - SAMPLE)

    async def wait(job_id: str) -> float:
        trigger = JobTrigger("nugen.alignment", job_id, "hostile", poke_interval=INTERVAL, use_eta=False, seen=True)
        async for event in trigger.run():
            if event.payload["outcome"] != "succeeded":
                raise RuntimeError(f"{job_id}: {event.payload}")
            break
        return time.time() - end

    tasks = [asyncio.create_task(sample()), asyncio.create_task(wait("hostile"))]
    late = await asyncio.gather(*(wait(f"job-{number}") for number in range(waits)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return lag, list(late)


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Print a line for each answer.

    :param arguments: command line arguments, those of the program by default.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--waits", type=int, default=199, help="waits beside the one that is answered badly")
    parser.add_argument("--only", default="", help="only answers with this text in their names")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        asyncio.run(serve(options.serve, LIFE))
        return
    write = sys.stdout.write
    write("| answer | worst lag of the loop, ms | the others ended after, s (median) | (last) |\n|---|--:|--:|--:|\n")
    for name in ANSWERS:
        if options.only not in name:
            continue
        command = [sys.executable, "-m", "benchmarks.hostile", "--serve", name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                port, end = server.stdout.readline().split()
                os.environ["AIRFLOW_CONN_HOSTILE"] = json.dumps(
                    {
                        "conn_type": "nugen",
                        "password": "a-key",
                        "host": f"http://127.0.0.1:{port}",
                        "extra": {"api_revision": "B"},
                    }
                )
                with structlog.testing.capture_logs():
                    lag, late = asyncio.run(measure(float(end), options.waits))
            finally:
                server.terminate()
        write(f"| {name} | {lag * 1000:.0f} | {statistics.median(late):.2f} | {max(late):.2f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
