"""The same answer for the same bytes: one table for both transports."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_nugen.api.endpoint import Request
from airflow_provider_nugen.api.errors import ApiError, TransportError, UnreadableResponseError
from airflow_provider_nugen.api.nugen.endpoints import ALIGNMENT_STATUS
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks.network import MAX_BODY
from airflow_provider_nugen.hooks.settings import Settings

from .raw_server import SENDERS, RawServer, Script, Send, outcome, raw_server

OK = b"HTTP/1.1 200 OK\r\n"
READY = b'{"status": "READY"}'
LENGTH = b"Content-Length: %d\r\n\r\n" % len(READY)
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def chunked(*chunks: bytes) -> bytes:
    return OK + CHUNKED + b"".join(chunks)


GOOD = RawResponse(200, READY)
#: What is sent, and what comes of it.
TABLE: dict[str, tuple[bytes, RawResponse | type[ApiError]]] = {
    "length": (OK + LENGTH + READY, GOOD),
    "until the end": (OK + b"\r\n" + READY, GOOD),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + LENGTH + READY, GOOD),
    "no reason": (b"HTTP/1.1 200\r\n" + LENGTH + READY, GOOD),
    "chunks": (
        chunked(b"2\r\n" + READY[:2] + b"\r\n", b"11;a=b\r\n" + READY[2:] + b"\r\n", b"0\r\nx: y\r\n\r\n"),
        GOOD,
    ),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + LENGTH + READY, GOOD),
    "continue and processing": (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK + LENGTH + READY, GOOD),
    "switching protocols": (b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", TransportError),
    "early hints only": (b"HTTP/1.1 103 Early Hints\r\n\r\n", TransportError),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", TransportError),
    "nothing": (b"", TransportError),
    "another version": (b"HTTP/2.0 200 OK\r\n" + LENGTH + READY, TransportError),
    "an odd status": (b"HTTP/1.1 2OO OK\r\n" + LENGTH + READY, TransportError),
    "a status of four digits": (b"HTTP/1.1 1000 OK\r\n" + LENGTH + READY, TransportError),
    "a header that is none": (OK + b"no colon\r\n" + LENGTH + READY, TransportError),
    "a header that continues": (
        b"HTTP/1.1 503 S\r\nRetry-After: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
        RawResponse(503, b"", "1 2"),
    ),
    "a long header": (OK + b"X: " + b"y" * 2**17 + b"\r\n" + LENGTH + READY, TransportError),
    "cut short": (OK + b"Content-Length: 100\r\n\r\n" + READY, TransportError),
    "a negative length": (OK + b"Content-Length: -1\r\n\r\n" + READY, TransportError),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 19\r\n\r\n" + READY, TransportError),
    "a length and chunks": (OK + b"Content-Length: 1\r\n" + CHUNKED + b"0\r\n\r\n", TransportError),
    "a negative chunk": (chunked(b"-13\r\n" + READY + b"\r\n0\r\n\r\n"), TransportError),
    "a chunk with a sign": (chunked(b"+13\r\n" + READY + b"\r\n0\r\n\r\n"), TransportError),
    "a chunk as Python writes it": (chunked(b"0x13\r\n" + READY + b"\r\n0\r\n\r\n"), TransportError),
    "a chunk without a length": (chunked(b"\r\n" + READY + b"\r\n0\r\n\r\n"), TransportError),
    "a garbled chunk": (chunked(b"zz\r\n" + READY + b"\r\n0\r\n\r\n"), TransportError),
    "a huge chunk": (chunked(b"f" * 40 + b"\r\n" + READY + b"\r\n0\r\n\r\n"), TransportError),
    "a chunk that is too long": (chunked(b"2\r\n" + READY + b"\r\n0\r\n\r\n"), TransportError),
    "a chunk without CR": (chunked(b"13\n" + READY + b"\r\n0\r\n\r\n"), TransportError),
    "lines without CR": (OK.replace(b"\r", b"") + LENGTH.replace(b"\r", b"") + READY, GOOD),
    "a chunk with zeros": (chunked(b"0" * 30 + b"13\r\n" + READY + b"\r\n0\r\n\r\n"), GOOD),
    "no last chunk": (chunked(b"13\r\n" + READY + b"\r\n"), TransportError),
    "no end of the last chunk": (chunked(b"13\r\n" + READY + b"\r\n0\r\n"), TransportError),
    "more than its length": (OK + LENGTH + READY + READY, TransportError),
    "another coding": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", TransportError),
    "a coding with a tab": (
        OK + b"Transfer-Encoding: chunked\t\r\n\r\n2\r\nhi\r\n",
        RawResponse(200, b"2\r\nhi\r\n"),
    ),
    "two codings": (OK + b"Transfer-Encoding: chunked\r\n" + CHUNKED + b"0\r\n\r\n", TransportError),
    "gzip": (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(READY), GOOD),
    "no gzip": (OK + b"Content-Encoding: gzip\r\n\r\n" + READY, TransportError),
    "half a gzip": (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(READY)[:-4], TransportError),
    "an encoding not asked for": (OK + b"Content-Encoding: br\r\n\r\n" + READY, TransportError),
    "a bomb": (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * MAX_BODY * 2), UnreadableResponseError),
    "a redirect to nowhere": (
        b"HTTP/1.1 302 F\r\nLocation: http://[\r\nContent-Length: 2\r\n\r\nhi",
        RawResponse(302, b""),
    ),
    "a redirect to garbage": (b"HTTP/1.1 301 F\r\nLocation: http://\xff\xfe:99999\r\n\r\n", RawResponse(301, b"")),
    "no content": (b"HTTP/1.1 204 N\r\n\r\n", RawResponse(204, b"")),
    "asked to wait": (b"HTTP/1.1 503 S\r\nretry-after: 7\r\nRetry-After: 9\r\n\r\n", RawResponse(503, b"", "7")),
    "asked in no words": (b"HTTP/1.1 503 S\r\nRetry-After: \xe9\r\n\r\n", RawResponse(503, b"")),
    "asked at length": (b"HTTP/1.1 503 S\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n", RawResponse(503, b"")),
}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


@pytest.fixture(params=SENDERS)
def send(request: pytest.FixtureRequest) -> Send:
    return SENDERS[request.param]


@pytest.fixture
def settings(server: RawServer, key: str) -> Settings:
    return Settings(NUGEN, "my_conn", server.url, key, timeout=20)


@pytest.mark.parametrize("name", TABLE)
def test_the_same_bytes_are_the_same_answer(send: Send, server: RawServer, settings: Settings, name: str) -> None:
    sent, expected = TABLE[name]
    server.script = Script([sent])
    result = outcome(send, settings)
    if isinstance(expected, RawResponse):
        assert result == expected
    else:
        assert type(result) is expected
        assert result.transient
        assert result.maybe_processed


@pytest.mark.parametrize(
    "script",
    [
        Script([], hang=True),
        Script([b"HTTP/1.1 200 "], forever=b"O", pause=0.1),
        Script([OK], forever=b"x: y\r\n", pause=0.1),
        Script([b"HTTP/1.1 100 C\r\n\r\n"], forever=b"HTTP/1.1 100 C\r\n\r\n", pause=0.1),
        Script([OK + b"Content-Length: 1000000\r\n\r\n"], forever=b"x", pause=0.1),
        Script([OK + b"\r\n"], forever=b"x", pause=0.1),
        Script([OK + CHUNKED], forever=b"1\r\nx\r\n", pause=0.1),
        Script([OK + CHUNKED + b"2"], hang=True),
    ],
    ids=["nothing", "status", "headers", "1xx", "length", "until the end", "chunks", "half a chunk"],
)
def test_an_answer_that_drips_ends_with_the_timeout(
    send: Send, server: RawServer, settings: Settings, script: Script
) -> None:
    server.script = script
    result = outcome(send, replace(settings, timeout=0.5))
    assert type(result) is TransportError
    assert "no answer within 0.5 s" in str(result)
    assert (result.transient, result.maybe_processed) == (True, True)


def test_the_body_of_a_redirect_is_not_read(send: Send, server: RawServer, settings: Settings) -> None:
    server.script = Script([b"HTTP/1.1 302 F\r\nLocation: /x\r\n\r\n"], forever=b"x" * 2**16)
    assert outcome(send, settings) == RawResponse(302, b"")
    assert server.sent < MAX_BODY


def test_no_cookie_is_kept(server: RawServer, settings: Settings) -> None:
    from airflow_provider_nugen.hooks.sync_transport import SyncTransport

    server.script = Script([OK + b"Set-Cookie: a=b; Path=/\r\nConnection: close\r\n" + LENGTH + READY])
    transport = SyncTransport(settings)
    for _ in range(2):
        transport.send(Request("GET", "/x"))
    transport.close()
    assert len(server.requests) == 2
    assert b"cookie" not in server.requests[1].lower()
    assert not transport.session.cookies


@pytest.mark.parametrize(
    "template", ['{{"status": "READY", "error": "you sent {}!"}}', '{{"status": "READY", "{}": 1}}']
)
@pytest.mark.parametrize("size", [0, 2**17])
def test_a_key_that_is_repeated_is_taken_out_also_behind_escapes(
    send: Send, server: RawServer, settings: Settings, key: str, template: str, size: int
) -> None:
    for spelled in (key, "".join(f"\\u{ord(char):04x}" for char in key), key.replace("k", "\\u006B")):
        body = template.format(spelled).encode() + b" " * size
        server.script = Script([OK + b"Content-Length: %d\r\n\r\n" % len(body) + body])
        response = outcome(send, settings)
        assert isinstance(response, RawResponse)
        assert "***" in str(response.json())
        assert key not in f"{response.json()} {response.body.decode()}"
        assert key not in str(json.loads(response.body))
        assert ALIGNMENT_STATUS.call(alignment_id="a").read(response, "c").status == "READY"


def test_a_key_in_a_header_is_taken_out(send: Send, server: RawServer, settings: Settings, key: str) -> None:
    server.script = Script([b"HTTP/1.1 503 " + key.encode() + b"\r\nRetry-After: " + key.encode() + b"\r\n\r\n"])
    result: Any = outcome(send, settings)
    assert result.retry_after == "***"
    assert key not in repr(result)
