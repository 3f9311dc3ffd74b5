"""
How requests reads an answer: with a deadline for the whole of it, and as strictly as aiohttp's parser.

:mod:`http.client` gives each read a time-out of its own, so that an answer that drips never ends; and it takes what is
not HTTP, such as a chunk of negative length. Both transports must make the same of the same bytes.
"""

from __future__ import annotations

import io
import re
import socket
import time
from http.client import HTTPException, HTTPResponse, IncompleteRead, parse_headers
from typing import Any

#: The longest line, in bytes, and the most headers; aiohttp's limits.
MAX_LINE = 8190
MAX_HEADERS = 128
#: So many bytes are read at once; asyncio's number.
BUFFER = 2**18
_STATUS = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: ([^\r\n]*))?")
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*")
#: A header without a value whose line ends without a line feed.
_EMPTY_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*)\r(?!\n)")
_CHUNK = re.compile(rb"0*([0-9A-Fa-f]{1,15})[ \t]*(?:\r\n|;[^\r\n]*\r?\n)")


class _Reader(io.RawIOBase):
    """
    Reads from a socket until a deadline.

    :param sock: the socket; its time-out, in seconds, is for all reads together.
    :param file: what keeps the socket open until it is closed.
    """

    def __init__(self, sock: socket.socket, file: io.BufferedIOBase) -> None:
        self._sock = sock
        self._file = file
        #: Nothing more is read from the socket.
        self.ended = False
        timeout = sock.gettimeout()
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.ended:
            return 0
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer is not complete in time")
            self._sock.settimeout(left)
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class StrictResponse(HTTPResponse):
    """An answer as :mod:`http.client` gives it, read by the rules of this module."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._source = _Reader(sock, self.fp)
        self.fp = io.BufferedReader(self._source, BUFFER)

    def begin(self) -> None:
        """
        Read status and headers; those of 1xx, which announce an answer, are skipped.

        :raises HTTPException: for what is not HTTP/1.
        """
        if self.headers is not None:
            return
        while True:
            status_line = _STATUS.fullmatch(self._first_line())
            if status_line is None:
                raise HTTPException("the status line is not one")
            lines = self._header_lines()
            self.status = self.code = int(status_line[2])
            if not 100 <= self.status < 200 or self.status == 101:
                break
            if status_line[1] == b"0":
                raise HTTPException("HTTP/1.0 announces nothing")
        self.version = 10 + int(status_line[1])
        self.reason = (status_line[3] or b"").decode("latin-1")
        self.headers = self.msg = parse_headers(io.BytesIO(b"\r\n".join([*lines, b"", b""])))
        self._frame()

    def _first_line(self) -> bytes:
        for _ in range(MAX_HEADERS):
            if line := self._line().lstrip(b"\r"):
                return line
        return b""

    def _line(self) -> bytes:
        return self._line_with_end().removesuffix(b"\n").removesuffix(b"\r")

    def _line_with_end(self) -> bytes:
        line = self.fp.readline(MAX_LINE + 3)
        if not line.endswith(b"\n"):
            raise HTTPException("a line is too long" if len(line) > MAX_LINE else "it ends within a line")
        return line

    def _header_lines(self) -> list[bytes]:
        lines: list[bytes] = []
        rest = b""
        while line := rest or self._line_with_end():
            rest = b""
            if empty := _EMPTY_HEADER.match(line):
                line, rest = empty[1], line[empty.end() :]
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if not line:
                break
            if lines and line[:1] in (b" ", b"\t"):  # a header that continues
                lines[-1] += line
                continue
            if not lines:
                line = line.removeprefix(b" ")
            if not _HEADER.fullmatch(line) or len(lines) == MAX_HEADERS:
                raise HTTPException("a header is not one")
            lines.append(line)
        return lines

    def _frame(self) -> None:
        """Decide where the body ends (RFC 9112, section 6.3)."""
        coding = self.headers.get_all("Transfer-Encoding", [])
        lengths = self.headers.get_all("Content-Length", [])
        if coding and lengths:
            raise HTTPException("it has two lengths")
        # With a tab at the end aiohttp's parser takes it for an unknown coding, and reads until the end.
        self.chunked = bool(coding) and not coding[0].endswith("\t")
        self.chunk_left = None
        self.length = None
        if lengths:
            if len(lengths) > 1 or not re.fullmatch(r"[ \t]*[0-9]{1,18}[ \t]*", lengths[0]):
                raise HTTPException("its length is not a number")
            self.length = int(lengths[0])
        if self.status < 200 or self.status in (204, 304):
            self.length, self.chunked = 0, False
        if self.length == 0:
            self._finish()
        options = ",".join(self.headers.get_all("Connection", [])).lower()
        self.will_close = "close" in options or self.version == 10 or (self.length is None and not self.chunked)

    def read(self, amt: int | None = None) -> bytes:
        """
        Read the body, or a part of it.

        :param amt: the most bytes to read.
        :raises HTTPException: for chunks that are not chunks, and for a body that is too short or too long.
        """
        parts = []
        while amt is None or amt > 0:
            part = self._read_part(2**16 if amt is None else amt)
            if not part:
                break
            parts.append(part)
            amt = None if amt is None else amt - len(part)
        return b"".join(parts)

    def _read_part(self, amt: int) -> bytes:
        if self.fp is None:
            return b""
        if self.chunked:
            return self._read_chunk(amt)
        if self.length is None:
            return self.fp.read(amt)
        data = self._read_some(min(amt, self.length))
        self.length -= len(data)
        if not self.length:
            self._finish()
        return data

    def _read_chunk(self, amt: int) -> bytes:
        if not self.chunk_left:
            size = _CHUNK.fullmatch(self._line_with_end())
            if size is None:
                raise HTTPException("a chunk has no length")
            self.chunk_left = int(size[1], 16)
            if not self.chunk_left:
                self._header_lines()  # the trailer
                self._finish()
                return b""
        data = self._read_some(min(amt, self.chunk_left))
        self.chunk_left -= len(data)
        if not self.chunk_left and self._line():
            raise HTTPException("a chunk is longer than it says")
        return data

    def _read_some(self, amt: int) -> bytes:
        data = self.fp.read(amt)
        if not data:
            raise IncompleteRead(b"", amt)
        return data

    def _finish(self) -> None:
        """
        End the body.

        :raises HTTPException: if more has come than belongs to the answer, as if it were the next one.
        """
        self._source.ended = True
        more = self.fp.peek()
        self.fp.close()
        self.fp = None  # type: ignore[assignment]  # as http.client does at the end
        if more:
            raise HTTPException("it continues after its end")
