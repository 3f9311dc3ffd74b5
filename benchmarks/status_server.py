"""The server that the triggers poll: answers that every job runs, and counts."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import socket
import ssl

from aiohttp import web

from benchmarks.kinds import COUNT, INTERVAL
from benchmarks.samples import report

#: Seconds that an answer takes.
LATENCY = 0.02
#: Seconds that an idle connection is kept: a client that makes a new one does so on purpose.
KEEP_ALIVE = 900.0


class StatusServer:
    """
    Answers every request the same.

    :param body: the answer, in which :data:`~benchmarks.kinds.COUNT` stands for the number of the request.
    :param status: its HTTP status.
    :param spread: the most seconds that the first answer about a job takes longer, so that jobs whose waits begin
        together are not asked for together for ever.
    """

    def __init__(self, body: str, status: int, spread: float) -> None:
        self.body = body.replace(f'"{COUNT}"', COUNT)
        self.status = status
        self.spread = spread
        self.connections = 0
        self.polls = 0
        self.jobs: set[tuple[str, bytes]] = set()
        self._http = web.Server(self._answer, access_log=None, keepalive_timeout=KEEP_ALIVE)
        self._delays = (n * 0.618034 % 1 for n in itertools.count())

    def accept(self) -> asyncio.Protocol:
        """Take a new connection."""
        self.connections += 1
        return self._http()

    def counters(self) -> dict[str, float]:
        """Return how many TCP connections, requests and jobs there were so far."""
        return {"connections": self.connections, "polls": self.polls, "jobs": len(self.jobs)}

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.polls += 1
        body = self.body.replace(COUNT, str(self.polls))
        # Some name the job in the path, some in the body.
        job = request.path_qs, await request.read()
        first = job not in self.jobs
        self.jobs.add(job)
        await asyncio.sleep(LATENCY + (self.spread * next(self._delays) if first else 0))
        return web.Response(text=body, status=self.status, content_type="application/json")


async def main() -> None:
    """Serve on the listening socket that is standard input; write samples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.status_server", description=__doc__)
    parser.add_argument("--body", required=True)
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--spread", type=float, default=INTERVAL)
    parser.add_argument("--samples", type=int, required=True, help="file descriptor that samples are written to")
    parser.add_argument("--certificate", help="certificate and key, to answer on https")
    arguments = parser.parse_args()
    context = None
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate)
    server = StatusServer(arguments.body, arguments.status, arguments.spread)
    listening = socket.socket(fileno=0)
    await asyncio.get_running_loop().create_server(server.accept, sock=listening, ssl=context, backlog=4096)
    await report(os.fdopen(arguments.samples, "w", buffering=1), server.counters)


if __name__ == "__main__":
    asyncio.run(main())
