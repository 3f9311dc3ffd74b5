"""The transport of triggers: aiohttp, on one event loop."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from typing import Any

import aiohttp
import yarl

from airflow_provider_nugen.api.endpoint import Request
from airflow_provider_nugen.api.errors import InvalidInputError
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks.failures import Library, broken, missing_bundle, too_large, translated
from airflow_provider_nugen.hooks.network import HEADERS, KEEP_ALIVE, MAX_BODY, Network
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.hooks.transport import has_body, received

#: What is larger is unpacked and parsed in a thread, in bytes: other waits need the loop meanwhile. A usual answer has
#: 2 KiB.
LARGE_BODY = 2**16
_AIOHTTP = Library(
    # ValueError: what its parser has not foreseen in an answer.
    expected=(aiohttp.ClientError, TimeoutError, OSError, ValueError),
    not_sent=(aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError),
    timeouts=(TimeoutError,),
)


class AsyncTransport:
    """Sends with aiohttp, on one event loop. Made by :meth:`open`, closed by :meth:`close`."""

    def __init__(self, network: Network, session: aiohttp.ClientSession) -> None:
        self.settings = network.settings
        self.session = session
        self._network = network
        #: How many requests are under way, as its owner counts them.
        self.in_flight = 0
        # aiohttp sends a session's headers to the proxy, too, when it asks for a tunnel: not the key.
        self._headers = self.settings.all_headers() if network.proxy else None

    @classmethod
    async def open(cls, settings: Settings) -> AsyncTransport:
        """
        Make a transport.

        :raises ConnectionSettingsError: for a CA bundle that cannot be read, or a proxy that cannot be used.
        """
        network = Network.of(settings)
        context: ssl.SSLContext | bool = False
        if settings.base_url.startswith("https:") and network.ca_bundle:
            # Reads a whole CA bundle, for which no other wait on this loop should pay.
            context = await asyncio.to_thread(_ssl_context, str(network.ca_bundle))
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, keepalive_timeout=KEEP_ALIVE, limit=0),
            headers=HEADERS if network.proxy else {**HEADERS, **settings.all_headers()},
            timeout=aiohttp.ClientTimeout(total=settings.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return cls(network, session)

    async def send(self, request: Request) -> RawResponse:
        """Send a request and read the answer; raises what ``SyncTransport.send`` raises, and takes no files."""
        if request.uploads:
            raise InvalidInputError("files are sent by workers only.", hint="Use the hook's method 'request'.")
        with translated(self._network, _AIOHTTP):
            async with self.session.request(
                request.method,
                yarl.URL(self.settings.base_url + request.target, encoded=True),
                json=request.json,
                headers=self._headers,
                proxy=self._network.proxy,
                allow_redirects=False,
            ) as response:
                header = response.headers.get
                if response.version not in (aiohttp.HttpVersion10, aiohttp.HttpVersion11):
                    raise broken("its version is not HTTP/1")
                if has_body(response.status, response.headers.getall("Transfer-Encoding", ())):
                    body = await _read(response)
                else:
                    body = b""
                    response.close()
            arguments = response.status, body, header, self.settings
            if len(body) <= LARGE_BODY and "Content-Encoding" not in response.headers:
                return received(*arguments)
            return await asyncio.to_thread(_received_and_parsed, *arguments)

    async def close(self) -> None:
        """Close all connections."""
        await self.session.close()


def _received_and_parsed(*arguments: Any) -> RawResponse:
    response = received(*arguments)
    with suppress(ValueError, RecursionError):
        response.json()
    return response


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= MAX_BODY:
        return await response.read()
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            response.close()
            raise too_large()
    return bytes(body)


def _ssl_context(bundle: str) -> ssl.SSLContext:
    try:
        if os.path.isdir(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError, ValueError):
        raise missing_bundle(bundle) from None
