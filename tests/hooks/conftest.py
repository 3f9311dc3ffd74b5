"""A real HTTP server on loopback, and what the hook tests share."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_nugen.hooks import request_queue
from devtools.certificates import make_certificate

#: Instead of an answer: close the connection, or do not answer.
DROP, HANG = "drop", "hang"


@dataclass
class Answer:
    """What the server answers; ``length`` may promise more than there is."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass
class RequestRecord:
    """What the server was asked."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Server(ThreadingHTTPServer):
    """Answers from a script, then by a rule (``{}`` without one), and remembers what it was asked."""

    daemon_threads = True
    request_queue_size = 200

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.script: deque[Answer | str] = deque()
        self.rule: Callable[[RequestRecord], Answer] = lambda request: Answer()
        self.seen: list[RequestRecord] = []
        self.asked = threading.Event()
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.server_port}"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients of these tests break off; that is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self) -> None:
        server = self.server
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        record = RequestRecord(self.command, self.path, dict(self.headers), body)
        server.seen.append(record)
        server.asked.set()
        answer = server.script.popleft() if server.script else server.rule(record)
        if isinstance(answer, str):
            if answer == HANG:
                server.over.wait()
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
        self.end_headers()
        self.wfile.write(answer.body)
        self.close_connection = answer.length is not None

    do_GET = do_POST = do_PUT = do_DELETE = do_CONNECT = answer

    def log_message(self, *args: Any) -> None:
        """Answer nothing."""


def served(server: Server) -> Iterator[Server]:
    """Let a server answer until the test is over."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server over plain http."""
    yield from served(Server())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its private key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    make_certificate(path)
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[Server]:
    """A server over https, whose certificate nobody trusts by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    yield from served(Server(context))


@pytest.fixture
def refused() -> str:
    """The URL of a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def _monotonic(slept: list[float], real: Callable[[], float] = time.monotonic) -> float:
    return real() + sum(slept)


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody sleeps; what they would have slept is here."""
    slept: list[float] = []
    own, really = threading.current_thread(), (time.sleep, asyncio.sleep)

    # Simulators that are shared with other tests sleep in threads of their own.
    def sleep(seconds: float) -> None:
        slept.append(seconds) if threading.current_thread() is own else really[0](seconds)

    async def asleep(seconds: float, *args: Any) -> None:
        slept.append(seconds) if threading.current_thread() is own else await really[1](seconds, *args)

    # The loop's own clock stays right.
    clock = SimpleNamespace(time=time.time, monotonic=partial(_monotonic, slept))
    monkeypatch.setattr(request_queue, "time", clock)
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(asyncio, "sleep", asleep)
    return slept


@dataclass
class Deployment:
    """
    How a deployment of Nugen answers: as revision B or C, by a router of its own, or by a gateway that has lost it.

    :param speaks: the revisions whose paths it has.
    """

    speaks: str = "B"

    def __call__(self, request: RequestRecord) -> Answer:
        """Answer one request."""
        if request.target == "/api/v3/models/base":
            return Answer(body=b'{"models": []}')
        answers = [
            answer
            for revisions, method, pattern, answer in _ROUTES
            if set(revisions) & set(self.speaks) and re.fullmatch(pattern, request.target) and method == request.method
        ]
        return answers[0] if answers else NO_ROUTE


REFUSED = Answer(401, b'{"detail": "bad key"}')
NO_ROUTE = Answer(404, b'{"detail": "Not Found"}')
NO_MODEL = Answer(404, b'{"detail": "Model not found"}')
_READY = Answer(body=b'{"status": "READY"}')
_ROUTES = (
    ("B", "GET", r"/api/v3/alignment-project/status/gone", NO_MODEL),
    ("C", "GET", r"/api/v3/alignment-projects/gone/status", NO_MODEL),
    ("B", "GET", r"/api/v3/alignment-project/status/[^/]+", _READY),
    ("C", "GET", r"/api/v3/alignment-projects/[^/]+/status", _READY),
    ("BC", "GET", r"/api/v3/evaluations/[^/]+/status", Answer(body=b'{"evaluation_id": "e-1", "status": "READY"}')),
    ("B", "POST", r"/api/v3/alignment-project/create", Answer(body=b'{"alignment_id": "a-b"}')),
    ("C", "POST", r"/api/v3/alignment-projects/create", Answer(body=b'{"alignment_id": "a-c"}')),
    ("B", "POST", r"/api/v3/documents", Answer(body=b'["d-b"]')),
    ("C", "POST", r"/api/v3/documents/create", Answer(body=b'["d-c"]')),
    ("B", "POST", r"/api/v3/models/deploy-model/[^/]+", Answer(body=b'"m-b"')),
    ("C", "POST", r"/api/v3/models/[^/]+/deployment(\?early=true)?", Answer(body=b'"m-c"')),
)


@pytest.fixture
def deployment(server: Server) -> Deployment:
    """Let the server be a deployment of Nugen that speaks revision B, until it is told otherwise."""
    server.rule = deployment = Deployment()
    return deployment


@pytest.fixture
def hidden(key: str) -> Callable[[object], None]:
    """Check that something shows the key neither to people nor to developers."""

    def check(thing: object) -> None:
        shown = f"{thing!s} {thing!r}" + (f" {thing.args!r}" if isinstance(thing, BaseException) else "")
        assert key not in shown

    return check
