"""One run: a server, a triggerer, and a number of waits of one kind."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.children import Child, run_child
from benchmarks.kinds import INTERVAL, Kind
from benchmarks.samples import Sample
from benchmarks.status_server import LATENCY
from benchmarks.supervisor import Supervisor, run_supervisor, workload
from devtools.network import LOCALHOST
from devtools.processes import Processes, child_environment
from devtools.program import PROJECT

#: Seconds within which the first trigger must poll twice, imports included.
FIRST = 60.0
#: Seconds within which all others must poll once; otherwise the measuring begins without them.
ALL = 45.0
#: Seconds that no process is silent for.
SILENCE = 60.0


_CORES = sorted(os.sched_getaffinity(0))


def claim_machine() -> None:
    """Allow many connections, and leave one processor core, if there are several, to the process that is measured."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.sched_setaffinity(0, _CORES[:-1] or _CORES)


@dataclass(frozen=True)
class Figures:
    """
    What was measured.

    :param cpu: CPU seconds of the triggerer per 1000 polls.
    :param connections: TCP connections per 1000 polls.
    :param lag: the worst lag of the event loop, in seconds.
    :param memory: resident memory per wait, in bytes.
    :param log_lines: log lines per 1000 polls.
    :param lookups: connection lookups per 1000 polls.
    :param polls: polls per second.
    :param due: how many there should be.
    :param polled: how many of the waits had polled when the measuring began.
    :param server: the share of its core that the server used; close to 1, it was the server that was measured.
    """

    cpu: float
    connections: float
    lag: float
    memory: float
    log_lines: float
    lookups: float
    polls: float
    due: float
    polled: float
    server: float

    @classmethod
    def median(cls, runs: list[Self]) -> Self:
        """Return the median of each figure."""
        return cls(*map(median, zip(*map(astuple, runs), strict=True)))


class _Bench:
    def __init__(self, server: Child, triggerer: Child, supervisor: Supervisor) -> None:
        self.server = server
        self.triggerer = triggerer
        self.supervisor = supervisor

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait up to ``seconds`` for a condition; return whether it came true."""
        end = time.monotonic() + seconds
        while not condition():
            for part in (self.server, self.triggerer, self.supervisor):
                part.check()
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.02)
        return True

    async def moment(self) -> dict[str, float]:
        """Wait for the triggerer's next sample, however long its loop is held up, and return all counters."""
        seen = len(self.triggerer.samples)
        if not await self.until(lambda: len(self.triggerer.samples) > seen, SILENCE):
            raise TimeoutError(f"the event loop of the triggerer is held up for {SILENCE:g} s")
        return {
            **{f"server {name}": value for name, value in self.server.samples[-1].items()},
            **self.triggerer.samples[-1],
            "memory": self.triggerer.memory,
            "log lines": self.supervisor.log_lines,
            "lookups": self.supervisor.received["GetConnection"],
        }

    def polled(self, name: str, count: int) -> Callable[[], bool]:
        """Return the condition that the server has counted ``count`` of something."""
        return lambda: bool(self.server.samples) and self.server.samples[-1][name] >= count


async def measure(kind: Kind, waits: int, seconds: float, certificate: Path | None) -> Figures:
    """
    Measure waits of one kind in fresh processes.

    :param kind: the kind.
    :param waits: how many.
    :param seconds: for how long to measure, once all wait.
    :param certificate: certificate and key of the server, for https.
    """
    async with AsyncExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="benchmark-")))
        processes = stack.enter_context(Processes(logs=logs, env=_environment(), cwd=PROJECT))
        listening = stack.enter_context(socket.create_server((LOCALHOST, 0), backlog=4096))
        url = urlsplit(f"{'https' if certificate else 'http'}://{LOCALHOST}:{listening.getsockname()[1]}")
        # What holds up the loop would not spread its waits, but stand in a queue of its own making.
        spread = 0.0 if kind.blocking else INTERVAL
        options = ["--body", json.dumps(kind.answer), "--status", str(kind.status), "--spread", str(spread)]
        options += ["--certificate", str(certificate)] if certificate else []
        server = await stack.enter_async_context(
            run_child(processes, "benchmarks.status_server", *options, stdin=listening.fileno())
        )
        supervisor, triggerer = await _start_triggerer(stack, processes, kind, kind.connection(url), bool(certificate))
        bench = _Bench(server, triggerer, supervisor)

        def order(number: int) -> dict[str, Any]:
            return workload(kind, number, kind.arguments(url, number))

        supervisor.start([order(1)])
        if not await bench.until(bench.polled("polls", 2), FIRST):
            raise TimeoutError(f"the first trigger does not poll: {supervisor.last_log.decode(errors='replace')}")
        await asyncio.sleep(INTERVAL)
        alone = triggerer.memory
        supervisor.start([order(number) for number in range(2, waits + 1)])
        await bench.until(bench.polled("jobs", waits), ALL)
        await asyncio.sleep(2 * INTERVAL)
        begin = await bench.moment()
        await bench.until(lambda: False, seconds)
        end = await bench.moment()
        return _figures(begin, end, alone, waits, triggerer.samples)


def _environment() -> dict[str, str]:
    """Return the environment of the measured processes: with the Airflow that this benchmark has made."""
    return child_environment({name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_")})


async def _start_triggerer(
    stack: AsyncExitStack, processes: Processes, kind: Kind, connection: Mapping[str, Any], tls: bool
) -> tuple[Supervisor, Child]:
    (requests, its_requests), (logs, its_logs) = socket.socketpair(), socket.socketpair()
    supervisor = await stack.enter_async_context(run_supervisor(requests, logs, connection))
    options = ["--kind", kind.name, "--logs", str(its_logs.fileno()), *(["--tls"] if tls else [])]
    with closing(its_requests), closing(its_logs):
        triggerer = await stack.enter_async_context(
            run_child(
                processes,
                "benchmarks.measured",
                *options,
                stdin=its_requests.fileno(),
                pass_fds=[its_logs.fileno()],
            )
        )
    triggerer.pin(_CORES[-1])
    return supervisor, triggerer


def _figures(begin: dict[str, float], end: dict[str, float], alone: int, waits: int, samples: list[Sample]) -> Figures:
    gone = {name: end[name] - begin[name] for name in begin}
    # The two processes take their samples at different times.
    polls = max(gone["server polls"], 1.0)
    polls_per_second = polls / gone["server at"]
    return Figures(
        cpu=1000 * gone["cpu"] / gone["at"] / polls_per_second,
        connections=1000 * gone["server connections"] / polls,
        lag=max(sample["lag"] for sample in samples if begin["at"] < sample["at"] <= end["at"]),
        memory=(end["memory"] - alone) / max(end["server jobs"] - 1, 1),
        log_lines=1000 * gone["log lines"] / polls,
        lookups=1000 * gone["lookups"] / polls,
        polls=polls_per_second,
        due=waits / (INTERVAL + LATENCY),
        polled=begin["server jobs"],
        server=gone["server cpu"] / gone["server at"],
    )
