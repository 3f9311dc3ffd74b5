"""
Bytes that nobody would send, to both transports: the same outcome, in time, and nothing that could harm others.

``AIRFLOW_PROVIDER_NUGEN_FUZZ_EXAMPLES`` in the environment tries more of them, and ``FUZZ_SEED`` others.
"""

from __future__ import annotations

import gzip
import os
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPResponse
from typing import Any, TypeVar

import msgspec
import pytest
import requests

from airflow_provider_nugen.api import response
from airflow_provider_nugen.api.errors import ApiError, TransportError
from airflow_provider_nugen.api.nugen.endpoints import ALIGNMENT_STATUS, LIST_ALIGNMENTS
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks import transport
from airflow_provider_nugen.hooks.failures import explained
from airflow_provider_nugen.hooks.http_response import StrictResponse, _Reader
from airflow_provider_nugen.hooks.network import MAX_BODY
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.hooks.sync_transport import _Connection, _Session

from .raw_server import GUARD, SENDERS, RawServer, Script, outcome, raw_server

T = TypeVar("T")

#: Cases that are tried, the same ones each time: a minute's work.
EXAMPLES = int(os.environ.get("AIRFLOW_PROVIDER_NUGEN_FUZZ_EXAMPLES") or 4000)
SEED = int(os.environ.get("FUZZ_SEED", "0"))
#: Cases that have found something, whatever number is tried.
FOUND = (7122,)
#: A small body that unpacks to twice of what is read.
BOMB = gzip.compress(b"x" * 2**25)
#: The timeout of the connection, in seconds.
TIMEOUT = 0.5


class Bytes:
    """
    Makes answers.

    :param seed: makes the same answer again.
    :param key: a key that the answer may repeat.
    """

    def __init__(self, seed: str, key: str) -> None:
        self.random = random.Random(seed)
        self.key = key
        self.code = b""

    def script(self) -> Script:
        """Make an answer, right or wrong, with its timing."""
        answer = self.status_line() + self.head_and_body()
        for _ in range(self.random.choice([0, 0, 0, 0, 1, 2])):
            answer = self.mutate(answer)
        timing = self.random.random()
        if timing < 0.03:
            return Script([answer], hang=True)
        if timing < 0.06:
            forever = self.random.choice([b"x", b"\r\n", b"1\r\nx\r\n", b"x: y\r\n"])
            return Script([answer[: self.random.randrange(len(answer) + 1)]], pause=0.02, forever=forever)
        if timing < 0.1:
            cuts = sorted(self.random.sample(range(len(answer) + 1), 2)) if answer else [0, 0]
            return Script([answer[: cuts[0]], answer[cuts[0] : cuts[1]], answer[cuts[1] :]], pause=0.01)
        return Script([answer])

    def one_of(self, *choices: T) -> T:
        """Choose; the first choice, which is the right one, more often than the others."""
        return choices[0] if self.random.random() < 0.5 else self.random.choice(choices)

    def status_line(self) -> bytes:
        code = self.one_of(
            b"200",
            b"401",
            b"404",
            b"429",
            b"500",
            b"503",
            b"302",
            b"304",
            b"204",
            b"100",
            b"101",
            b"103",
            b"199",
            b"99",
            b"1000",
            b"-200",
            b"2OO",
            b"",
            b"600",
            b"999",
            b"200 ",
        )
        self.code = code
        version = self.one_of(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"ICY", b"")
        line: bytes = (
            version + b" " + code + self.one_of(b" OK", b"", b" ", b" \xff\xfe", b" " + self.key.encode(), b" a\0b")
        )
        end = self.one_of(b"\r\n", b"\n", b"\r", b"")
        if code in (b"100", b"103") and self.random.random() < 0.8:
            return line + b"\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\n"
        return line + end

    def head_and_body(self) -> bytes:
        body = self.body()
        headers = [b"Content-Type: application/json"] * self.random.randint(0, 1)
        if self.random.random() < 0.2:
            packed = gzip.compress(body)
            body = self.random.choice([packed, body, packed[:-3], packed + b"x", packed + packed, b"", BOMB])
            headers.append(b"Content-Encoding: " + self.one_of(b"gzip", b"GZIP", b"deflate", b"br", b"zstd", b"x", b""))
        if self.code == b"302":
            headers.append(
                b"Location: " + self.one_of(b"http://[", b"/x", b"http://\xff\xfe:99999/", b"http://a:b/", b"x" * 5000)
            )
        framing = self.random.random()
        if framing < 0.4:
            length = len(body)
            value = self.one_of(
                length,
                length - 1,
                length + 1,
                -1,
                0,
                2**40,
                2**70,
                "",
                "x",
                f"+{length}",
                f"{length},{length}",
                f" {length} ",
                f"{length}.0",
                f"0x{length:x}",
                f"{length}_0",
            )
            headers.append(f"Content-Length: {value}".encode())
            if self.random.random() < 0.05:
                headers.append(f"Content-Length: {self.one_of(length, length + 1)}".encode())
        elif framing < 0.8:
            headers.append(
                b"Transfer-Encoding: " + self.one_of(b"chunked", b"Chunked", b"gzip, chunked", b"x", b"", b"chunked, x")
            )
            body = self.chunks(body)
            if self.random.random() < 0.05:
                headers.append(b"Content-Length: %d" % len(body))
        if self.random.random() < 0.3:
            headers.append(self.header())
        self.random.shuffle(headers)
        end = self.one_of(b"\r\n", b"\r\n", b"\n")
        return end.join([*headers, b"", b""]) + body

    def header(self) -> bytes:
        header: bytes = self.one_of(
            b"Retry-After: "
            + self.one_of(b"7", b"-1", b"9" * 400, b"Wed, 21 Oct 2015 07:28:00 GMT", b"\xe9", self.key.encode()),
            b"Location: http://[",
            b"Location: http://\xff\xfe:99999/",
            b"Set-Cookie: a=b; Domain=\xff",
            b"Set-Cookie: =;=;",
            b"Connection: close",
            b"Connection: keep-alive",
            b"Connection: upgrade",
            b"Upgrade: websocket",
            b"X: " + b"y" * 9000,
            b"X" * 9000 + b": y",
            b"no colon",
            b": no name",
            b"X : y",
            b" folded: x",
            b"X: a\0b",
            b"X: \xff",
            b"X(y): z",
            b"X:",
            b"\r\n".join(b"x%d: y" % n for n in range(140)),
            b"Trailer: x",
            b"Date: x",
        )
        return header

    def chunks(self, body: bytes) -> bytes:
        size = self.one_of(
            f"{len(body):x}",
            f"{len(body):X}",
            f"-{len(body):x}",
            f"+{len(body):x}",
            f"0x{len(body):x}",
            "",
            "g",
            f"{len(body):x};a=b",
            f"{len(body):x} ",
            f" {len(body):x}",
            f"{len(body) + 1:x}",
            "f" * 15,
            "f" * 40,
            f"{len(body):020x}",
            f"{len(body):x}_0",
            "\u0663",
        )
        end = self.one_of(
            b"0\r\n\r\n", b"0\r\n", b"", b"0\r\nx: y\r\n\r\n", b"0\r\nx\r\n\r\n", b"00\r\n\r\n", b"-0\r\n\r\n", b"0\n\n"
        )
        chunks: bytes = (
            str(size).encode()
            + self.one_of(b"\r\n", b"\n", b"\r")
            + body
            + self.one_of(b"\r\n", b"", b"xx", b"\n")
            + end
        )
        return chunks

    def body(self) -> bytes:
        status = self.one_of(
            '"READY"', '"\\ud83d"', "9" * 30, "9" * 6000, "NaN", "1e999", "null", "[[[]]]", '"\\u0000"', '"\ufffe"'
        )
        escaped = "".join(self.one_of(char, f"\\u{ord(char):04x}", f"\\u{ord(char):04X}") for char in self.key)
        extra = self.random.choice(
            [
                '"id": "a-1"',
                f'"error": "{self.key}"',
                f'"error": "{escaped}"',
                f'"{escaped}": 1',
                '"x": ' + "[" * 200 + "]" * 200,
                '"document_ids": [' + ", ".join(["{}"] * 3000) + "]",
                '"alignment_projects": [' + ", ".join(["1"] * 3000) + "]",
                '"detail": "Not Found"',
                f'"detail": [{{"loc": ["{escaped}"], "msg": "\\ud800"}}]',
                '"data": {"status": "\\udfff"}',
            ]
        )
        body = f'{{"status": {status}, {extra}}}'.encode()
        return self.one_of(
            body,
            b"",
            b"<html>",
            body[:-1],
            b"\xef\xbb\xbf" + body,
            b"\xed\xa0\x80",
            body.decode().encode("utf-16"),
            b"[" * 100_000,
            b'"\xff"',
            b"9" * 10_000,
            body + b" " * 70_000,
            b'"' + b"\\u0041" * 20_000 + b'"',
        )

    def mutate(self, data: bytes) -> bytes:
        at = (
            self.random.randrange(len(data) + 1)
            if self.random.random() < 0.3
            else self.random.randrange(min(len(data), 200) + 1)
        )
        kind = self.random.choice(["cut", "insert", "delete", "replace"])
        new = self.random.choice([b"\0", b"\r\n", b"\n", b"\r", b" ", b":", b"-", b"\xff", b"0", b"\t", b"\r\n\r\n"])
        if kind == "cut":
            return data[:at]
        if kind == "delete":
            return data[:at] + data[at + 1 :]
        return data[:at] + new + data[at + (kind == "replace") :]


def check(result: RawResponse | ApiError, key: str, settings: Settings) -> tuple[Any, ...]:
    """Check what one transport made of an answer; return what the other one must make of it, too."""
    if isinstance(result, ApiError):
        shown(result, key)
        return type(result), result.transient, result.maybe_processed
    assert key.encode() not in result.body
    assert key not in repr(result)
    msgspec.json.encode([result.retry_after, result.deprecation, result.date])
    readings = []
    for call in (ALIGNMENT_STATUS.call(alignment_id="a-1"), LIST_ALIGNMENTS.call()):
        try:
            with explained(call, settings):
                reading: Any = call.read(result, settings.conn_id)
        except ApiError as e:
            shown(e, key)
            msgspec.json.encode(getattr(e, "payload", None))
            reading = type(e)
        else:
            items = reading if isinstance(reading, list) else [reading]
            assert key not in msgspec.json.encode([item.model_dump(mode="json") for item in items]).decode()
        readings.append(repr(reading))
    return result.status, result.body, result.retry_after, *readings


def shown(error: ApiError, key: str) -> None:
    text = f"{error} {error!r} {error.args!r} {getattr(error, 'payload', '')!r} {error.retry_after}"
    assert key not in text
    assert len(text) < 500_000
    msgspec.json.encode([str(error), error.hint, error.context])


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


def test_both_transports_make_the_same_of_any_bytes(server: RawServer, key: str) -> None:
    settings = Settings(NUGEN, "my_conn", server.url, key, timeout=TIMEOUT)
    for number in (*range(EXAMPLES), *FOUND):
        seed = f"{SEED}-{number}"
        assert_same(server, settings, seed, Bytes(seed, key).script())


def assert_same(server: RawServer, settings: Settings, seed: str, script: Script, guard: float = GUARD) -> None:
    server.script = script
    # A busy machine can let one of them run out of time: what differs must differ again with more of it.
    for patient in (settings, replace(settings, timeout=10 * settings.timeout)):
        results = {name: outcome(send, patient, guard=guard) for name, send in SENDERS.items()}
        seen = {name: check(result, settings.api_key, settings) for name, result in results.items()}
        if seen["requests"] == seen["aiohttp"]:
            return
        if is_redirect(results["requests"]) and isinstance(results["aiohttp"], TransportError):
            return  # nobody reads the body of a redirect; aiohttp may have met the damage in it beside the headers
        if "continues after its end" in str(results["requests"]) and isinstance(results["aiohttp"], RawResponse):
            return  # what comes after the end is seen or not: aiohttp does not read on if the headers came before it
    raise AssertionError(f"seed {seed}: {b''.join(script.pieces)[:300]!r} {results}")


def is_redirect(result: RawResponse | ApiError) -> bool:
    return isinstance(result, RawResponse) and 300 <= result.status < 400


#: Faults that were there once, and the number of a case that finds each, unless the cases have changed.
FAULTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], int]] = {
    "surrogates, and integers of more than 64 bits": (
        lambda m: m.setattr(response, "safe_json", lambda value: value),
        158,
    ),
    "a time-out for each read": (lambda m: m.setattr(_Reader, "readinto", lambda r, b: r._sock.recv_into(b)), 575),
    "the chunks of http.client": (lambda m: m.setattr(_Connection, "response_class", HTTPResponse), 0),
    "1xx as an answer": (lambda m: m.setattr(StrictResponse, "begin", HTTPResponse.begin), 0),
    "the address of a redirect is parsed": (
        lambda m: m.setattr(_Session, "get_redirect_target", requests.Session.get_redirect_target),
        190,
    ),
    "a key behind escapes": (lambda m: m.setattr(transport, "_scrub_escaped", lambda response, key: None), 270),
    "a key in plain sight": (lambda m: m.setattr(Settings, "api_key_bytes", b"another key"), 131),
    "half a gzip": (
        lambda m: m.setattr(transport, "_unpack", lambda body, _: zlib.decompressobj(31).decompress(body, MAX_BODY)),
        54,
    ),
}
#: Cases after which a fault would have been found.
MANY = 1500


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_is_put_back_is_found(
    server: RawServer, key: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    settings = Settings(NUGEN, "my_conn", server.url, key, timeout=TIMEOUT)
    put_back, first = FAULTS[fault]
    put_back(monkeypatch)

    def finds(seed: str) -> bool:
        try:
            assert_same(server, settings, seed, Bytes(seed, key).script(), guard=15 * TIMEOUT)
        except Exception as e:
            print(f"{fault}: found by seed {seed}: {type(e).__name__}")
            return True
        return False

    assert any(finds(f"0-{number}") for number in range(first, first + MANY)), f"{MANY} cases do not find it"
