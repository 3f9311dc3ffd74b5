"""How requests travel: by which proxy, trusting whom, how much at the most. The same for both transports."""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment

import certifi

from airflow_provider_nugen import __version__
from airflow_provider_nugen.api.errors import ConnectionSettingsError
from airflow_provider_nugen.hooks.address import Address, proxy_url
from airflow_provider_nugen.hooks.settings import Settings

#: The longest response body that is read, in bytes; before and after it is unpacked.
MAX_BODY = 16 * 2**20
#: How long an idle connection is kept, in seconds: longer than the longest usual pause between two polls, since each
#: new connection is a TLS handshake. (aiohttp's default is 15 s.)
KEEP_ALIVE = 900.0
#: Headers of every request. Both transports ask for one encoding, and unpack it in one place.
HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"airflow-provider-nugen/{__version__}",
}


@dataclass(frozen=True)
class Network:
    """
    The way of one connection's requests.

    :param settings: the connection.
    :param proxy: the URL of the proxy, if there is one; may carry a password, so never shown.
    :param ca_bundle: the file or directory to verify certificates with; ``False`` = not at all.
    """

    settings: Settings
    proxy: str | None = field(repr=False)
    ca_bundle: str | bool

    @classmethod
    def of(cls, settings: Settings) -> Network:
        """
        Decide about proxy and certificates.

        :raises ConnectionSettingsError: for a proxy in the environment that cannot be used.
        """
        return cls(settings, _proxy(settings), _ca_bundle(settings))

    def scrub(self, text: str) -> str:
        """Return a text without the key and the proxy's password, should a library repeat them."""
        text = self.settings.scrub(text)
        for secret in self._proxy_secrets:
            text = text.replace(secret, "***")
        return text

    @cached_property
    def _proxy_secrets(self) -> tuple[str, ...]:
        password = (urlsplit(self.proxy).password if self.proxy else None) or ""
        return tuple(filter(None, {password, unquote(password)}))


def _ca_bundle(settings: Settings) -> str | bool:
    if settings.verify is not True:
        return settings.verify
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return next(filter(None, map(os.environ.get, names)), None) or certifi.where()


def _proxy(settings: Settings) -> str | None:
    """
    Choose the proxy: the connection's, else ``HTTP(S)_PROXY`` unless ``NO_PROXY`` names the host.

    This machine is never asked through a proxy: the key would go there, unencrypted.
    """
    base = Address.of(settings.base_url)
    if base.is_loopback:
        return None
    if settings.proxy:
        return settings.proxy
    proxies = getproxies_environment()
    for kind in (base.scheme, "all"):
        if text := proxies.get(kind):
            if _bypassed(base, proxies.get("no", "")):
                return None
            try:
                return proxy_url(text)
            except ValueError as e:
                raise ConnectionSettingsError(
                    f"the proxy of the environment ({kind.upper()}_PROXY) is not the URL of an http proxy: {e}.",
                    hint="Correct the variable, name the host in NO_PROXY, or set the extra 'proxy' of the connection.",
                ) from None
    return None


def _bypassed(base: Address, no_proxy: str) -> bool:
    """Decide whether ``NO_PROXY`` names a host: by name, domain, ``name:port``, IP address, network, or ``*``."""
    entries = [entry.strip().lower().removeprefix("*.").strip(".") for entry in no_proxy.split(",")]
    host = base.host.rstrip(".")
    for entry in filter(None, entries):
        if entry == "*" or any(f".{name}".endswith(f".{entry}") for name in (host, f"{host}:{base.port}")):
            return True
        with suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False):
                return True
    return False
