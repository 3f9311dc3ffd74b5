"""
A gateway before the simulated services, which does to answers what they cannot: poison them, or reset connections.

Runs as a program of its own, which forwards every request to the simulator and the answer back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from devtools.network import LOCALHOST
from devtools.program import PROJECT
from devtools.server import Server

CONTROL = b"/_gateway"
END_OF_HEAD = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
#: Text that was cut in the middle of an emoji and has a NUL, which PostgreSQL cannot hold; and an integer that no
#: machine type holds.
POISON_TEXT, POISON_NUMBER = "cut \0 \ud83d", 10**40
#: Fields that an answer may have and that say nothing about where the job stands.
POISONED_FIELDS = ("error", "status_message", "description", "instructions", "name", "title", "eta_minutes", "note")


def poisoned(body: bytes) -> bytes:
    """
    Return a JSON object with texts and numbers that break whoever passes them on.

    :param body: the object.
    """
    answer = json.loads(body)
    if isinstance(answer, dict):
        for name in POISONED_FIELDS:
            answer[name] = POISON_NUMBER if name == "eta_minutes" else POISON_TEXT
        answer[POISON_TEXT] = [POISON_NUMBER, -POISON_NUMBER]
    return json.dumps(answer).encode("ascii")


class Gateway:
    """
    The program: forwards one request and its answer after the other, byte for byte, except where a fault strikes.

    Knows bodies with a ``Content-Length`` only, which is what the simulator sends.

    :param port: the port of the simulator.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.fault = ""
        #: The fault happens to every n-th request (reset), or to one of n paths (poison).
        self.every = 1
        self.struck = 0
        self._seen = 0
        #: The paths that were requested, numbered as they came.
        self._paths: dict[bytes, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Serve one connection to its end.

        :param reader: what the client sends.
        :param writer: what the client gets.
        """
        upstream: asyncio.StreamWriter | None = None
        try:
            source, upstream = await asyncio.open_connection(LOCALHOST, self.port)
            while await self._exchange(reader, writer, source, upstream):
                pass
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            # The client left, or the simulator did before it had said anything.
            writer.transport.abort()
        finally:
            if upstream:
                upstream.close()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        source: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> bool:
        """Forward one request and its answer; return whether another one may follow."""
        head = await reader.readuntil(END_OF_HEAD)
        body = await reader.readexactly(_length(head))
        path = head.split()[1]
        if path == CONTROL:
            writer.write(self._control(body))
            return True
        upstream.write(head + body)
        self._seen += 1
        head = await source.readuntil(END_OF_HEAD)
        if self.fault == "reset" and self._seen % self.every == 0:
            self.struck += 1
            writer.transport.abort()
            return False
        try:
            body = await source.readexactly(_length(head))
        except asyncio.IncompleteReadError as error:
            # Cut short by the simulator on purpose.
            writer.write(head + error.partial)
            return False
        if (
            self.fault == "poison"
            and head.split()[1] == b"200"
            and self._paths.setdefault(path, len(self._paths)) % self.every == 0
        ):
            self.struck += 1
            body = poisoned(body)
            head = CONTENT_LENGTH.sub(b"content-length: %d" % len(body), head)
        writer.write(head + body)
        await writer.drain()
        return True

    def _control(self, order: bytes) -> bytes:
        """Set the fault, and build the answer: how often the one before it struck."""
        answer = json.dumps({"struck": self.struck}).encode()
        fault = json.loads(order)
        self.fault, self.every, self.struck, self._seen = fault["fault"], fault["every"], 0, 0
        self._paths.clear()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer


def _length(head: bytes) -> int:
    found = CONTENT_LENGTH.search(head)
    return int(found[1]) if found else 0


class GatewayServer(Server):
    """
    The gateway as a process.

    :param folder: folder for its files; must not exist.
    :param target: port of the simulator.
    """

    def __init__(self, folder: Path, target: int) -> None:
        self._target = target
        super().__init__("gateway", folder, {"PYTHONPATH": str(PROJECT)})
        self.url = f"http://{LOCALHOST}:{self.port}"

    @property
    def command(self) -> Sequence[str]:
        """Program and arguments."""
        return [sys.executable, "-m", "devtools.gateway", "--port", str(self.port), "--target", str(self._target)]

    def prepare(self) -> None:
        """Make the folder of its log."""
        self.folder.mkdir()

    def set_fault(self, fault: str, every: int = 1) -> int:
        """
        Let something go wrong from now on, and return how many requests the fault before it struck.

        :param fault: ``poison``, ``reset`` or ``""`` (nothing).
        :param every: n: reset every n-th request; poison the answers about one of n jobs.
        """
        order: dict[str, Any] = {"fault": fault, "every": every}
        with requests.Session() as session:
            session.trust_env = False
            response = session.put(self.url + CONTROL.decode(), json=order, timeout=30)
        response.raise_for_status()
        return int(response.json()["struck"])


async def _serve(port: int, target: int) -> None:
    server = await asyncio.start_server(Gateway(target).serve, LOCALHOST, port, backlog=1024)
    await server.serve_forever()


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m devtools.gateway", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", type=int, required=True, help="port of the simulator")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.port, arguments.target))


if __name__ == "__main__":
    main()
