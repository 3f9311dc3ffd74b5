"""
The two transports: requests and aiohttp, each as thin as it gets.

Both send what a :class:`~airflow_provider_nugen.api.endpoint.Request` says and return what came back, or raise an
error of :mod:`~airflow_provider_nugen.api.errors`. Neither follows redirects, reads ``.netrc`` (whose password would
replace the key), retries, or reads more than :data:`MAX_BODY`.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
import requests
import yarl
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from airflow_provider_nugen import __version__
from airflow_provider_nugen.api.endpoint import Call, RawResponse, Request
from airflow_provider_nugen.api.errors import (
    ApiError,
    CertificateError,
    ConnectionSettingsError,
    TransportError,
    UnreadableResponseError,
)
from airflow_provider_nugen.hooks.settings import Settings

#: The longest response body that is read, in bytes.
MAX_BODY = 16 * 2**20
#: How long an idle connection is kept, in seconds: longer than the longest usual pause between two polls, since each
#: new connection is a TLS handshake. (aiohttp's default is 15 s.)
KEEP_ALIVE = 900.0

#: The request never left: no connection to the service, or none to the proxy or through it.
_NOT_SENT = (
    NewConnectionError,
    ConnectTimeoutError,
    ProxyError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
)
_HEADERS = {"Accept": "application/json", "User-Agent": f"airflow-provider-nugen/{__version__}"}


def proxy_for(settings: Settings) -> str | None:
    """Choose the proxy: the connection's, else ``HTTP(S)_PROXY`` unless ``NO_PROXY`` names the host."""
    url = settings.base_url
    proxy: str | None = settings.proxy or select_proxy(url, get_environ_proxies(url))
    return proxy


def ca_bundle(settings: Settings) -> str | bool:
    """Choose what to verify certificates with, the same for both transports; ``False`` = not at all."""
    if settings.verify is not True:
        return settings.verify
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return next(filter(None, map(os.environ.get, names)), None) or DEFAULT_CA_BUNDLE_PATH


def _missing_bundle(bundle: object) -> ConnectionSettingsError:
    return ConnectionSettingsError(
        f"the CA bundle {str(bundle)!r} cannot be read.", hint="Correct the extra 'verify' of the connection."
    )


def _too_large() -> UnreadableResponseError:
    return UnreadableResponseError(f"the answer is larger than {MAX_BODY // 2**20} MiB.")


def _chain(error: BaseException, outer: BaseException | None) -> Iterator[BaseException]:
    """
    Walk from an exception to what caused it; urllib3 keeps the cause in ``reason`` and ``args``.

    :param error: the exception.
    :param outer: what was being handled before: Python puts it at the end of the chain, though it caused nothing.
    """
    seen = {id(outer)}
    todo: list[object] = [error]
    while todo:
        e = todo.pop(0)
        if isinstance(e, BaseException) and id(e) not in seen:
            seen.add(id(e))
            yield e
            todo += [e.__cause__, e.__context__, getattr(e, "reason", None), *e.args]


def _transport_error(error: Exception, settings: Settings, outer: BaseException | None) -> ApiError:
    chain = list(_chain(error, outer))
    if any(isinstance(e, ssl.SSLError) and getattr(e, "library", None) in ("X509", "PEM") for e in chain):
        return _missing_bundle(ca_bundle(settings))  # what cannot be read is ours, not the server's
    if any(isinstance(e, ssl.SSLCertVerificationError) for e in chain):
        return CertificateError(
            f"the TLS certificate of {settings.base_url} does not verify: {chain[-1]}.",
            hint="Set the extra 'verify' of the connection to the path of the right CA bundle.",
        )
    deepest = next((e for e in reversed(chain) if isinstance(e, OSError) and e.strerror), chain[-1])
    why = settings.scrub(f"{type(deepest).__name__}: {deepest}".rstrip(": ."))
    if any(isinstance(e, (TimeoutError, requests.Timeout)) for e in chain):
        why = f"no answer within {settings.timeout:g} s"
    return TransportError(
        f"{settings.base_url} could not be reached ({why}).",
        hint="Begin the base URL (Host) with http:// if the server speaks plain http."
        if "WRONG_VERSION_NUMBER" in why
        else "Check the base URL (Host) of the connection and the network.",
        sent=not any(isinstance(e, _NOT_SENT) for e in chain),
    )


def add_context(error: ApiError, call: Call[Any], settings: Settings) -> ApiError:
    """Complete an error: say what was tried, and take the key out should the service have repeated it."""
    error.context = error.context or call.context(settings.conn_id)
    error.problem = settings.scrub(error.problem)
    error.args = (error.problem,)  # what repr() shows
    return error


def _raw(status: int, body: bytes, headers: Mapping[str, str], settings: Settings) -> RawResponse:
    # Should a service repeat the key, it must not get into a log or an XCom.
    if settings.api_key_bytes in body:
        body = body.replace(settings.api_key_bytes, b"***")
    return RawResponse(status, body, headers.get("Retry-After"), headers.get("Deprecation"), date=headers.get("Date"))


class SyncTransport:
    """Sends with requests. One per hook; closed by :meth:`close`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.session = session = requests.Session()
        # What is worth taking from the environment is taken explicitly: .netrc is not.
        session.trust_env = False
        session.headers.update(_HEADERS)
        session.headers.update(settings.all_headers())
        session.verify = ca_bundle(settings)
        if proxy := proxy_for(settings):
            session.proxies = {"http": proxy, "https": proxy}

    def send(self, request: Request) -> RawResponse:
        """
        Send a request and read the answer.

        :raises TransportError: if no complete answer arrived.
        :raises CertificateError: if the server is not who it says.
        :raises UnreadableResponseError: if the answer is too large.
        """
        settings, outer = self.settings, sys.exception()
        try:
            with self.session.request(
                request.method,
                settings.base_url + request.target,
                json=request.json,
                data=dict(request.form or {}) or None,
                timeout=settings.timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = bytearray()
                for chunk in response.iter_content(2**16):
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise _too_large()
                return _raw(response.status_code, bytes(body), response.headers, settings)
        except requests.RequestException as e:
            raise _transport_error(e, settings, outer) from None
        except OSError as e:  # requests raises it bare for a CA bundle that is not there
            raise _missing_bundle(self.session.verify) from e

    def close(self) -> None:
        """Close all connections."""
        self.session.close()


class AsyncTransport:
    """Sends with aiohttp, on one event loop. Made by :meth:`open`, closed by :meth:`close`."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession, proxy: str | None) -> None:
        self.settings = settings
        self.session = session
        self.proxy = proxy
        #: How many requests are under way, as its owner counts them.
        self.in_flight = 0
        # aiohttp sends a session's headers to the proxy, too, when it asks for a tunnel: not the key.
        self._headers = settings.all_headers() if proxy else None

    @classmethod
    async def open(cls, settings: Settings) -> AsyncTransport:
        """
        Make a transport.

        :raises ConnectionSettingsError: for a CA bundle that cannot be read.
        """
        bundle, proxy = ca_bundle(settings), proxy_for(settings)
        context: ssl.SSLContext | bool = False
        if settings.base_url.startswith("https:") and bundle:
            # Takes 20 ms, which no other wait on this loop should pay for.
            context = await asyncio.to_thread(_ssl_context, str(bundle))
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, keepalive_timeout=KEEP_ALIVE, limit=0),
            headers=_HEADERS if proxy else {**_HEADERS, **settings.all_headers()},
            timeout=aiohttp.ClientTimeout(total=settings.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return cls(settings, session, proxy)

    async def send(self, request: Request) -> RawResponse:
        """Send a request and read the answer; raises what :meth:`SyncTransport.send` raises."""
        body, outer = self._body(request) if request.method != "GET" else {}, sys.exception()
        try:
            async with self.session.request(
                request.method,
                yarl.URL(self.settings.base_url + request.target, encoded=True),
                headers=self._headers,
                proxy=self.proxy,
                allow_redirects=False,
                **body,
            ) as response:
                return _raw(response.status, await _read(response), response.headers, self.settings)
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise _transport_error(e, self.settings, outer) from None

    def _body(self, request: Request) -> dict[str, Any]:
        if not request.uploads:
            return {"json": request.json}
        form = aiohttp.FormData()
        for name, value in (request.form or {}).items():
            for item in [value] if isinstance(value, str) else value:
                form.add_field(name, item)
        for upload in request.uploads:
            form.add_field(upload.field, upload.open(), filename=upload.name)
        # A large file takes long: what counts is that it goes on.
        seconds = self.settings.timeout
        return {"data": form, "timeout": aiohttp.ClientTimeout(sock_connect=seconds, sock_read=seconds)}

    async def close(self) -> None:
        """Close all connections."""
        await self.session.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= MAX_BODY and "Content-Encoding" not in response.headers:
        return await response.read()
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            response.close()
            raise _too_large()
    return bytes(body)


def _ssl_context(bundle: str) -> ssl.SSLContext:
    try:
        if os.path.isdir(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError):
        raise _missing_bundle(bundle) from None
