"""A server that answers as a recording does."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .recordings import Call


@dataclass(frozen=True)
class Request:
    """
    A request that came.

    :param call: its method and path, without the prefix.
    :param body: its JSON body, or its bytes as text.
    :param status: the status of the answer.
    """

    call: str
    body: Any
    status: int


class Replay:
    """
    What is answered to which call.

    Several answers to one call come in their order. Where a change (POST, DELETE) lies between two answers to a GET,
    the second one waits for it; the last answer stays. A call that was not recorded gets the router's own answer.

    :param calls: the recording.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self._answers: dict[str, list[int]] = defaultdict(list)
        for index, call in enumerate(calls):
            self._answers[call.name].append(index)
        self._served: set[int] = set()
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.url = ""

    def answer(self, call: Call) -> Call:
        """Return the recorded call, for a request whose body is ``call.body``."""
        with self._lock:
            answer = self._answer(call)
            self.requests.append(Request(call.name, call.body, answer.status or 0))
            return answer

    def _answer(self, call: Call) -> Call:
        answers = self._answers.get(call.name)
        if answers is None:
            known = any(other.path == call.path for other in self._calls)
            status, detail = (405, "Method Not Allowed") if known else (404, "Not Found")
            return Call(call.method, call.path, status, {"detail": detail})
        while len(answers) > 1 and answers[0] in self._served and self._is_due(answers[0], answers[1]):
            answers.pop(0)
        self._served.add(answers[0])
        return self._calls[answers[0]]

    def _is_due(self, current: int, following: int) -> bool:
        if self._calls[current].method != "GET":
            return True
        changes = [index for index in range(current, following) if self._calls[index].method != "GET"]
        return not changes or changes[-1] in self._served

    def asked(self, call: str) -> int:
        """Count the requests for a call that was recorded."""
        return sum(request.call == call for request in self.requests)

    def bodies(self, call: str) -> list[Any]:
        """Return the bodies of the requests for a call."""
        return [request.body for request in self.requests if request.call == call]


def _handler(replay: Replay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
            body = json.loads(raw) if "json" in self.headers.get("Content-Type", "") else raw
            found = replay.answer(Call(self.command, self.path.split("?")[0], None, body))
            sent = found.body.encode() if found.status == 500 else json.dumps(found.body).encode()
            self.send_response(found.status or 200)
            self.send_header("Content-Type", "text/plain" if found.status == 500 else "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return Handler


@contextlib.contextmanager
def serve(calls: Sequence[Call]) -> Iterator[Replay]:
    """Answer on 127.0.0.1, for the time of a ``with`` block."""
    replay = Replay(calls)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(replay)) as server:
        server.daemon_threads = True
        replay.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield replay
        finally:
            server.shutdown()
            thread.join(10)
