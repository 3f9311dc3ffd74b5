"""Files go out as they are: names, contents, and a little at a time."""

from __future__ import annotations

import io
import time
import tracemalloc
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from python_multipart.multipart import parse_options_header

from airflow_provider_nugen.api.endpoint import Request, Upload
from airflow_provider_nugen.api.errors import InvalidInputError, TransportError
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks.multipart import Multipart
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.hooks.sync_transport import SyncTransport

from .conftest import Server
from .raw_server import Script, outcome, raw_server, send_async, send_sync


def upload(name: str = "a.txt", content: bytes = b"hello", **fields: Any) -> Upload:
    return Upload("files", name, lambda: io.BytesIO(content), **fields)


def sent(server: Server, settings: Settings, request: Request) -> bytes:
    transport = SyncTransport(settings)
    transport.send(request)
    transport.close()
    return server.seen[-1].body


@pytest.fixture
def settings(server: Server, key: str) -> Settings:
    return Settings(NUGEN, "my_conn", server.url, key)


def test_fields_and_files_go_out_with_their_length(server: Server, settings: Settings) -> None:
    form = {"categories": ["a", "b"], "names": "ü"}
    body = sent(
        server, settings, Request("POST", "/x", form=form, uploads=[upload(), upload("b.bin", b"\0\r\n--\xff")])
    )
    headers = server.seen[0].headers
    assert headers["Content-Length"] == str(len(body))
    assert "Transfer-Encoding" not in headers
    assert headers["Content-Type"].startswith("multipart/form-data; boundary=")
    boundary = b"--" + headers["Content-Type"].partition("boundary=")[2].encode()
    parts = body.split(boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    assert [part.split(b"\r\n\r\n", 1)[1] for part in parts[1:-1]] == [
        b"a\r\n",
        b"b\r\n",
        "ü\r\n".encode(),
        b"hello\r\n",
        b"\0\r\n--\xff\r\n",
    ]


@pytest.mark.parametrize(
    ("name", "arrives"),
    [
        ("my handbook (v2).txt", "my handbook (v2).txt"),
        ("größe ☃.txt", "größe ☃.txt"),
        ("100%.txt", "100%.txt"),
        ("a;b='c'.txt", "a;b='c'.txt"),
        ('say "hi".txt', 'say "hi".txt'),
        ("back\\slash.txt", "back\\slash.txt"),
        ('both \\".txt', 'both \\".txt'),
        ("two\r\nlines.txt", "two%0D%0Alines.txt"),
        ("half\udcff.txt", "half\ufffd.txt"),
    ],
)
def test_a_name_arrives_as_it_is(server: Server, settings: Settings, name: str, arrives: str) -> None:
    body = sent(server, settings, Request("POST", "/x", uploads=[upload(name)]))
    (line,) = [line for line in body.split(b"\r\n") if line.startswith(b"Content-Disposition")]
    _, options = parse_options_header(line.removeprefix(b"Content-Disposition: "))
    assert {key.decode(): value.decode() for key, value in options.items()} == {"name": "files", "filename": arrives}


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_sent(server: Server, settings: Settings) -> None:
    opened: list[BinaryIO] = []

    def first() -> BinaryIO:
        opened.append(io.BytesIO(b"x"))
        return opened[0]

    def missing() -> BinaryIO:
        raise FileNotFoundError(2, "No such file or directory")

    uploads = [Upload("files", "a", first), Upload("files", "gone.txt", missing)]
    error = outcome(send_sync, settings, Request("POST", "/x", uploads=uploads))
    assert type(error) is InvalidInputError
    assert "'gone.txt' cannot be read (No such file or directory)" in str(error)
    assert opened[0].closed
    assert server.seen == []


def test_a_file_that_becomes_shorter_ends_the_request(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 100)
    with Multipart({}, [Upload("files", "a.txt", lambda: path.open("rb"))]) as body:
        path.write_bytes(b"")
        with pytest.raises(InvalidInputError, match=r"'a.txt' has become shorter"):
            list(body)


def test_the_files_are_closed(server: Server, settings: Settings) -> None:
    opened: list[BinaryIO] = []

    def file() -> BinaryIO:
        opened.append(io.BytesIO(b"x"))
        return opened[-1]

    sent(server, settings, Request("POST", "/x", uploads=[Upload("files", "a", file)]))
    assert [f.closed for f in opened] == [True]


class Slow(io.BytesIO):
    """Gives 100 bytes every 50 ms."""

    def read(self, size: int | None = -1) -> bytes:
        time.sleep(0.05)
        return super().read(100)


def test_a_file_that_takes_longer_than_the_timeout_arrives(server: Server, key: str) -> None:
    settings = Settings(NUGEN, "my_conn", server.url, key, timeout=1)
    body = sent(server, settings, Request("POST", "/x", uploads=[Upload("files", "a", lambda: Slow(b"x" * 3000))]))
    assert body.count(b"x") >= 3000


def test_a_large_file_needs_little_memory(key: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**27)
    with raw_server() as server:
        server.script = Script([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
        settings = Settings(NUGEN, "my_conn", server.url, key)
        tracemalloc.start()
        try:
            response = outcome(
                send_sync, settings, Request("POST", "/x", uploads=[Upload("files", "a", lambda: path.open("rb"))])
            )
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert isinstance(response, RawResponse)
    assert peak < 2**24


def test_what_stands_still_is_ended(key: str) -> None:
    with raw_server() as server:
        server.script = Script([], hang=True)
        settings = Settings(NUGEN, "my_conn", server.url, key, timeout=0.3)
        error = outcome(send_sync, settings, Request("POST", "/x", uploads=[upload(content=b"x" * 2**24)]))
    assert type(error) is TransportError
    assert "no answer within 0.3 s" in str(error)


def test_files_are_sent_by_workers_only(settings: Settings, server: Server) -> None:
    error = outcome(send_async, settings, Request("POST", "/x", uploads=[upload()]))
    assert type(error) is InvalidInputError
    assert server.seen == []
