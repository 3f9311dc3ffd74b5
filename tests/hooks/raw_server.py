"""A server that answers with bytes, whatever they are; and both transports as functions."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from airflow_provider_nugen.api.endpoint import Request
from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks.async_transport import AsyncTransport
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.hooks.sync_transport import SyncTransport

Send = Callable[[Settings, Request], RawResponse]
#: Seconds after which a request hangs for good, and its test fails.
GUARD = 60.0


def send_sync(settings: Settings, request: Request) -> RawResponse:
    """Send one request with requests."""
    transport = SyncTransport(settings)
    try:
        return transport.send(request)
    finally:
        transport.close()


def send_async(settings: Settings, request: Request) -> RawResponse:
    """Send one request with aiohttp."""

    async def send() -> RawResponse:
        transport = await AsyncTransport.open(settings)
        try:
            return await transport.send(request)
        finally:
            await transport.close()

    return asyncio.run(send())


SENDERS: dict[str, Send] = {"requests": send_sync, "aiohttp": send_async}


@dataclass
class Script:
    """
    What the server does with each connection, once it has read a request.

    :param pieces: what it sends, one after the other.
    :param pause: seconds between two pieces.
    :param forever: what it sends again and again then.
    :param hang: it leaves the connection open at the end.
    """

    pieces: Sequence[bytes] = ()
    pause: float = 0.0
    forever: bytes = b""
    hang: bool = False


class RawServer:
    """Answers every connection by its script, and counts what it could send."""

    def __init__(self) -> None:
        self.script = Script()
        self.sent = 0
        self.requests: list[bytes] = []
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads = ThreadPoolExecutor(8)
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._threads.submit(self._serve, connection, self.script)

    def _serve(self, connection: socket.socket, script: Script) -> None:
        with suppress(OSError), connection:
            connection.settimeout(GUARD)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(2**16) or b"\r\n\r\n"
            self.requests.append(head)
            for number, piece in enumerate(script.pieces):
                if number and self._over.wait(script.pause):
                    return
                connection.sendall(piece)
                self.sent += len(piece)
            while script.forever and not self._over.wait(script.pause):
                connection.sendall(script.forever)
                self.sent += len(script.forever)
            if script.hang:
                while connection.recv(2**16):
                    pass
            else:
                # Otherwise what was not read of the request makes a reset out of the end.
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(1)
                while connection.recv(2**16):
                    pass

    def close(self) -> None:
        """Stop serving."""
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._acceptor.join()
        self._threads.shutdown(wait=False, cancel_futures=True)


@contextmanager
def raw_server() -> Iterator[RawServer]:
    """Serve while the context is open."""
    server = RawServer()
    try:
        yield server
    finally:
        server.close()


_threads = ThreadPoolExecutor(4)


def outcome(
    send: Send, settings: Settings, request: Request | None = None, guard: float = GUARD
) -> RawResponse | ApiError:
    """
    Send a request; return what came back, or the error.

    :raises TimeoutError: if it hangs.
    """

    def attempt() -> RawResponse | ApiError:
        try:
            return send(settings, request or Request("GET", "/x"))
        except ApiError as e:
            return e

    return _threads.submit(attempt).result(guard)
