"""
Addresses of services and proxies, in the one form that all HTTP clients read in the same way.

requests, urllib3, yarl, aiohttp and ssl differ in what they take for a host. What is here taken is a subset that none
of them chokes on, written in ASCII.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?")
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")

_ESCAPE, _UNRESERVED = re.compile("%[0-9A-Fa-f]{2}"), re.compile("[A-Za-z0-9._~-]")


@dataclass(frozen=True)
class Address:
    """
    Where an HTTP server is.

    :param scheme: ``http`` or ``https``.
    :param host: a name in ASCII, or an IP address (without brackets).
    :param port: the port, if it is not the scheme's.
    :param user: the user, not quoted; ``None`` if none is named.
    :param password: the password, not quoted.
    :param rest: path, query and fragment as they stood there.
    """

    scheme: str
    host: str
    port: int | None = None
    user: str | None = None
    password: str = ""
    rest: str = ""

    @classmethod
    def of(cls, url: str) -> Address:
        """
        Read a URL.

        :raises ValueError: saying what is wrong, without repeating the URL, which may hold a password.
        """
        scheme, _, after = url.strip().partition("://")
        if scheme.lower() not in ("http", "https"):
            raise ValueError("it begins with neither http:// nor https://")
        netloc = re.split(r"[/?#]", after, maxsplit=1)[0]
        try:
            parts = urlsplit(f"//{netloc}")
            name, port = parts.hostname, parts.port
            user = None if parts.username is None else unquote(parts.username, errors="strict")
            password = unquote(parts.password or "", errors="strict")
        except ValueError:
            raise ValueError("host or port cannot be read") from None
        return cls(
            scheme=scheme.lower(),
            host=_host(name or "", bracketed="[" in netloc),
            port=None if port is None else port_number(port),
            user=user,
            password=password,
            rest=after[len(netloc) :],
        )

    @property
    def is_loopback(self) -> bool:
        """It is this machine."""
        if self.host.removesuffix(".") == "localhost":
            return True
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{f':{self.port}' if self.port else ''}"


def _host(name: str, bracketed: bool) -> str:
    if not name:
        raise ValueError("it names no host")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        if bracketed:
            raise ValueError("what is in brackets is not an IP address") from None
    else:
        if "%" in name:
            raise ValueError("an address with a zone cannot be used")
        return str(address)
    if not name.isascii():
        import idna  # as requests and yarl do, which bring it

        try:
            name = idna.encode(name, uts46=True).decode()
        except (UnicodeError, ValueError):
            raise ValueError("the host is not a name that the DNS can hold") from None
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError("the host is not a name that the DNS can hold")
    return name


def port_number(port: object) -> int:
    """
    Read a port.

    :raises ValueError: if it is not one.
    """
    try:
        number = int(str(port))
    except ValueError:
        number = 0
    if not 0 < number < 2**16:
        raise ValueError("the port is not a number from 1 to 65535")
    return number


def url_path(path: str) -> str:
    """
    Read the path of a base URL, and quote what no URL can hold.

    :raises ValueError: if it has a query, or segments that clients resolve.
    """
    if "?" in path or "#" in path:
        raise ValueError("it has a query or a fragment")
    try:
        path = quote(path, safe="%/~!$&'()*+,;=:@")
    except UnicodeEncodeError:
        raise ValueError("the path is not valid text") from None
    plain = unquote(path)
    if not _PATH.fullmatch(path) or not plain.isprintable() or " " in plain:
        raise ValueError("the path is not one of a URL")
    if any(unquote(segment) in (".", "..") for segment in path.split("/")):
        raise ValueError("the path has dots as a segment")
    return _ESCAPE.sub(_one_spelling, path)


def _one_spelling(escape: re.Match[str]) -> str:
    char = unquote(escape[0])
    return char if _UNRESERVED.fullmatch(char) else escape[0].upper()


def proxy_url(text: str) -> str:
    """
    Read the address of a proxy: ``proxy.example:3128`` is one over http, as everywhere.

    :raises ValueError: saying what is wrong, without repeating the text, which may hold a password.
    """
    proxy = Address.of(text if "://" in text else f"http://{text}")
    if proxy.rest.strip("/"):
        raise ValueError("it has a path")
    if proxy.user is None:
        return str(proxy)
    try:
        f"{proxy.user}:{proxy.password}".encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("user or password has characters that no header can carry") from None
    if ":" in proxy.user:
        raise ValueError("the user has a colon")
    userinfo = f"{quote(proxy.user, safe='')}:{quote(proxy.password, safe='')}"
    return str(proxy).replace("://", f"://{userinfo}@", 1)
