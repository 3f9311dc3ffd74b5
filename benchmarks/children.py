"""The processes that a benchmark starts, and the samples that they write."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from benchmarks.samples import Sample
from devtools.processes import Processes, Service

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Child:
    """
    A running process.

    :param processes: the processes of this run.
    :param service: this one of them.
    """

    def __init__(self, processes: Processes, service: Service) -> None:
        self.samples: list[Sample] = []
        self._processes = processes
        self._service = service

    @property
    def memory(self) -> int:
        """Resident memory, in bytes."""
        return int(Path(f"/proc/{self._service.pid}/statm").read_text().split()[1]) * _PAGE

    def pin(self, core: int) -> None:
        """
        Let it run on one processor core only.

        :param core: number of the core.
        """
        os.sched_setaffinity(self._service.pid, {core})

    def check(self) -> None:
        """
        Make sure that all processes of this run are alive.

        :raises ServiceDied: if one is not; with the end of its log.
        """
        self._processes.check()

    async def read(self, source: int) -> None:
        """
        Collect its samples until it ends.

        :param source: reading end of the pipe that it writes them to.
        """
        reader = asyncio.StreamReader()
        pipe = os.fdopen(source, "rb")
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            async for line in reader:
                if line.endswith(b"}\n"):
                    self.samples.append(json.loads(line))
        finally:
            transport.close()


@contextlib.asynccontextmanager
async def run_child(
    processes: Processes, module: str, *arguments: str, stdin: int, pass_fds: Collection[int] = ()
) -> AsyncIterator[Child]:
    """
    Run a module of this package for the time of a ``with`` block; it writes samples to the descriptor ``--samples``.

    :param processes: starts it, and ends it whatever happens.
    :param module: its name.
    :param arguments: its arguments.
    :param stdin: file descriptor of its standard input.
    :param pass_fds: further file descriptors that it gets.
    """
    source, sink = os.pipe()
    try:
        command = [sys.executable, "-m", module, *arguments, "--samples", str(sink)]
        service = processes.start(module, command, stdin, [*pass_fds, sink])
    finally:
        os.close(sink)
    child = Child(processes, service)
    reading = asyncio.create_task(child.read(source))
    try:
        yield child
    finally:
        processes.end([service], grace=0)
        await reading
