"""The triggerer's supervisor, played: hands out triggers and connections over Airflow's own protocol, and counts."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from benchmarks.kinds import CONN_ID, Kind

_NO_FIELDS = dict.fromkeys(("host", "schema", "login", "password", "port", "extra"))


def workload(kind: Kind, number: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Make the order to run one trigger, as Airflow makes it of a row in its database."""
    from airflow.models.trigger import Trigger

    uuid = f"00000000-0000-4000-8000-{number:012d}"
    return {
        "type": "RunTrigger",
        "id": number,
        "classpath": kind.classpath,
        "encrypted_kwargs": Trigger.encrypt_kwargs(dict(arguments)),
        "ti": {
            "id": uuid,
            "dag_version_id": uuid,
            "dag_id": "bench",
            "task_id": f"wait_{number}",
            "run_id": "manual__2026-01-01T00:00:00+00:00",
            "try_number": 1,
            "map_index": -1,
            "pool_slots": 1,
            "queue": "default",
            "priority_weight": 1,
        },
    }


class WaitEnded(RuntimeError):
    """A wait ended, though no job does."""


class Supervisor:
    """
    Talks to one TriggerRunner.

    :param requests: the socket that TriggerRunner has as standard input at its other end.
    :param logs: the socket it writes its log to.
    :param connection: the fields of the Airflow connection.
    """

    def __init__(self, requests: socket.socket, logs: socket.socket, connection: Mapping[str, Any]) -> None:
        self.received: Counter[str] = Counter()
        self.log_lines = 0
        self.last_log = b""
        self._ended: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._requests = requests
        self._logs = logs
        self._connection = connection
        self._orders: deque[list[dict[str, Any]]] = deque()

    def start(self, workloads: Iterable[dict[str, Any]]) -> None:
        """Have triggers started together, when TriggerRunner asks next."""
        self._orders.append(list(workloads))

    def check(self) -> None:
        """Raise what went wrong, or :class:`WaitEnded`."""
        for task in self.tasks:
            if task.done():
                task.result()
        if self._ended:
            raise WaitEnded(self._ended[0])

    async def serve(self) -> None:
        """Answer TriggerRunner until it is gone."""
        reader, writer = await asyncio.open_connection(sock=self._requests)
        try:
            writer.write(_frame(0, {"type": "StartTriggerer"}))
            while size := await reader.read(1):
                size += await reader.readexactly(3)
                number, message, *_ = msgspec.msgpack.decode(await reader.readexactly(int.from_bytes(size, "big")))
                writer.write(_frame(number, self._answer(message)))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def read_logs(self) -> None:
        """Count the lines of the log until TriggerRunner is gone."""
        reader, writer = await asyncio.open_connection(sock=self._logs)
        try:
            while chunk := await reader.read(1 << 16):
                self.log_lines += chunk.count(b"\n")
                self.last_log = (self.last_log + chunk)[-2000:]
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        self.received[message["type"]] += 1
        match message["type"]:
            case "TriggerStateChanges":
                self._ended += [event for _, event, *_ in message.get("events") or ()]
                # The last line of the traceback.
                self._ended += [(trace or ["?"])[-1].strip() for _, trace in message.get("failures") or ()]
                orders = self._orders.popleft() if self._orders else []
                return {"type": "TriggerStateSync", "to_create": orders, "to_cancel": []}
            case "GetConnection" if message["conn_id"] == CONN_ID:
                return {"type": "ConnectionResult", "conn_id": CONN_ID, **_NO_FIELDS, **self._connection}
            case "GetConnection":
                return {"type": "ErrorResponse", "error": "CONNECTION_NOT_FOUND"}
            case _:
                return None


@asynccontextmanager
async def run_supervisor(
    requests: socket.socket, logs: socket.socket, connection: Mapping[str, Any]
) -> AsyncIterator[Supervisor]:
    """Make a supervisor that works for the time of a ``with`` block; see :class:`Supervisor`."""
    supervisor = Supervisor(requests, logs, connection)
    supervisor.tasks += [asyncio.create_task(supervisor.serve()), asyncio.create_task(supervisor.read_logs())]
    try:
        yield supervisor
    finally:
        for task in supervisor.tasks:
            task.cancel()
        await asyncio.wait(supervisor.tasks)


def _frame(number: int, body: dict[str, Any] | None) -> bytes:
    content = msgspec.msgpack.encode([number, body])
    return len(content).to_bytes(4, "big") + content
