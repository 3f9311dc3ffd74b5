"""The transport of workers: requests."""

from __future__ import annotations

from contextlib import ExitStack
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, ReadTimeoutError

from airflow_provider_nugen.api.endpoint import Request
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.hooks.failures import Library, missing_bundle, too_large, translated
from airflow_provider_nugen.hooks.http_response import StrictResponse
from airflow_provider_nugen.hooks.multipart import Multipart
from airflow_provider_nugen.hooks.network import HEADERS, MAX_BODY, Network
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.hooks.transport import has_body, received

_REQUESTS = Library(
    # HTTPError is urllib3's, which requests lets through while a body is read raw.
    expected=(requests.RequestException, HTTPError, ValueError),
    not_sent=(NewConnectionError, ConnectTimeoutError, ProxyError),
    timeouts=(TimeoutError, ReadTimeoutError, requests.Timeout),
)


class _Connection(HTTPConnection):
    response_class = StrictResponse


class _TlsConnection(HTTPSConnection):
    response_class = StrictResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Reads answers as :class:`StrictResponse` does, also behind a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self.poolmanager.pool_classes_by_scheme
        return manager


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find nothing to follow: requests would read the whole body of a redirect, and stumble over its address."""


class SyncTransport:
    """Sends with requests. One per hook; closed by :meth:`close`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._network = network = Network.of(settings)
        self.session = session = _Session()
        session.mount("http://", _Adapter())
        session.mount("https://", _Adapter())
        # What is worth taking from the environment is taken explicitly: .netrc is not.
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers.update({**HEADERS, **settings.all_headers()})
        session.verify = network.ca_bundle
        if network.proxy:
            session.proxies = {"http": network.proxy, "https": network.proxy}

    def send(self, request: Request) -> RawResponse:
        """
        Send a request and read the answer.

        The connection's ``timeout`` is for the whole of it; while files are sent, for each time that nothing moves.

        :raises InvalidInputError: if a file cannot be read.
        :raises TransportError: if no complete answer arrived.
        :raises CertificateError: if the server is not who it says.
        :raises UnreadableResponseError: if the answer is too large.
        """
        settings = self.settings
        with ExitStack() as stack:
            content: dict[str, Any] = {"json": request.json, "timeout": Timeout(total=settings.timeout)}
            if request.uploads:
                multipart = stack.enter_context(Multipart(request.form or {}, request.uploads))
                content = {
                    "data": multipart,
                    "headers": {"Content-Type": multipart.content_type},
                    "timeout": Timeout(connect=settings.timeout, read=settings.timeout),
                }
            stack.enter_context(translated(self._network, _REQUESTS))
            url = settings.base_url + request.target
            try:
                response = self.session.request(request.method, url, allow_redirects=False, stream=True, **content)
            except requests.RequestException:
                raise
            except OSError as e:  # requests raises it bare for a CA bundle that is not there
                raise missing_bundle(self.session.verify) from e
            stack.enter_context(response)
            headers = {name.lower(): value for name, value in reversed(list(response.raw.headers.items()))}

            def header(name: str) -> str | None:
                return headers.get(name.lower())

            body = (
                _read(response)
                if has_body(response.status_code, response.raw.headers.getlist("Transfer-Encoding"))
                else b""
            )
            return received(response.status_code, body, header, settings)

    def close(self) -> None:
        """Close all connections."""
        self.session.close()


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    while chunk := response.raw.read(2**16, decode_content=False):
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large()
    return bytes(body)
