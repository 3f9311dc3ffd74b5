"""
What both transports have in common: what an answer becomes, whatever library has read it.

Both send what a :class:`~airflow_provider_nugen.api.endpoint.Request` says and return what came back, or raise an
error of :mod:`~airflow_provider_nugen.api.errors`. Neither follows redirects, keeps cookies, reads ``.netrc`` (whose
password would replace the key), retries, or reads more than :data:`~airflow_provider_nugen.hooks.network.MAX_BODY`.
Each is a module of its own, imported when the first one is made: a DAG file that imports sensors loads no HTTP library.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks.failures import broken, too_large
from airflow_provider_nugen.hooks.network import MAX_BODY
from airflow_provider_nugen.hooks.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_nugen.hooks.async_transport import AsyncTransport
    from airflow_provider_nugen.hooks.sync_transport import SyncTransport

#: A header that is longer than this many characters says nothing that we need.
MAX_HEADER = 200


def sync_transport(settings: Settings) -> SyncTransport:
    """
    Make the transport for workers.

    :raises ConnectionSettingsError: for a proxy in the environment that cannot be used.
    """
    from airflow_provider_nugen.hooks.sync_transport import SyncTransport

    return SyncTransport(settings)


async def async_transport(settings: Settings) -> AsyncTransport:
    """
    Make the transport for the running event loop.

    :raises ConnectionSettingsError: for a CA bundle that cannot be read, or a proxy that cannot be used.
    """
    from airflow_provider_nugen.hooks.async_transport import AsyncTransport

    return await AsyncTransport.open(settings)


def has_body(status: int, codings: Sequence[str]) -> bool:
    """
    Return whether the body of an answer is worth reading: that of a redirect, which is not followed, is not.

    :param status: the HTTP status.
    :param codings: the values of all headers ``Transfer-Encoding``, as sent.
    :raises TransportError: for what is not the end of an answer: 1xx, which offers another protocol; and for a body
        whose end nobody can tell.
    """
    if status < 200:
        raise broken(f"HTTP {status} is not the end of it")
    if codings and [coding.strip().lower() for coding in codings] != ["chunked"]:
        raise broken("its Transfer-Encoding is not chunked")
    return not 300 <= status < 400 and status != 204


def received(status: int, body: bytes, header: Callable[[str], str | None], settings: Settings) -> RawResponse:
    """
    Make the answer out of what a library has read.

    :param status: the HTTP status.
    :param body: the body as it was sent, still packed.
    :param header: returns the first value of a header.
    :param settings: the connection, whose key must not get into a log or an XCom should the service repeat it.
    :raises TransportError: for a body that cannot be unpacked.
    :raises UnreadableResponseError: for one that is too large then.
    """
    encoding = (header("Content-Encoding") or "").strip().lower()
    if body and encoding not in ("", "identity"):
        body = _unpack(body, encoding)

    def text(name: str) -> str | None:
        value = (header(name) or "").strip()
        if not value or len(value) > MAX_HEADER or not (value.isascii() and value.isprintable()):
            return None
        return settings.scrub(value)

    if settings.api_key_bytes in body:
        body = body.replace(settings.api_key_bytes, b"***")
    response = RawResponse(status, body, text("Retry-After"), text("Deprecation"), date=text("Date"))
    if b"\\" in body:
        _scrub_escaped(response, settings.api_key)
    return response


def _scrub_escaped(response: RawResponse, key: str) -> None:
    r"""Take a key out that stands in JSON behind escapes, such as ``\u006b``: written anew, it has one spelling."""
    try:
        text = json.dumps(response.json())
    except (ValueError, RecursionError):
        return  # nobody will see more of it than its beginning, as it was sent
    escaped = json.dumps(key)[1:-1]
    if escaped in text:
        response.replace_body(text.replace(escaped, "***").encode())


def _unpack(body: bytes, encoding: str) -> bytes:
    if encoding not in ("gzip", "x-gzip"):
        raise broken("its Content-Encoding is not one that was asked for")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(body, MAX_BODY + 1)
    except zlib.error:
        raise broken("its body is not gzip") from None
    if len(unpacked) > MAX_BODY:
        raise too_large()
    if not unpacker.eof or unpacker.unused_data:
        raise broken("its body is cut short, or continues after the end")
    return unpacked
