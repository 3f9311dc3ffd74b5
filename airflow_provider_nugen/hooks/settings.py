"""An Airflow connection, read once into frozen settings."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from airflow_provider_nugen.api.errors import ConnectionSettingsError
from airflow_provider_nugen.api.service import AUTO, Service


class ConnectionLike(Protocol):
    """What is read of an Airflow connection."""

    conn_id: str
    conn_type: str | None
    host: str | None
    port: int | None
    schema: str | None
    password: str | None
    extra: str | None


class _Extras(BaseModel):
    """The extras of both connection types; values may be text, as from a form or a URI."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    timeout: float = Field(30.0, gt=0, le=86_400, allow_inf_nan=False)
    verify: Annotated[bool | str, Field(union_mode="left_to_right")] = True
    proxy: str | None = Field(None, pattern=r"^https?://[^/\s]+")
    allow_http: bool = False
    max_requests_per_second: float | None = Field(None, gt=0, allow_inf_nan=False)
    api_revision: str | None = None
    team_id: str | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _empty_means_default(cls, value: Any, info: Any) -> Any:
        # A form sends empty text for a field that nobody filled in.
        empty = value is None or (isinstance(value, str) and not value.strip())
        return cls.model_fields[info.field_name].default if empty else value


#: Extras that every connection type has; ``api_revision`` and the header extras belong to their service.
COMMON_EXTRAS = ("timeout", "verify", "proxy", "allow_http", "max_requests_per_second")


@dataclass(frozen=True)
class Settings:
    """
    All that is needed to talk to a service through one connection.

    :param service: the service.
    :param conn_id: the Airflow connection.
    :param base_url: where the service lives, without a slash at the end.
    :param api_key: the key; never shown.
    :param revision: the API revision, ``auto`` to find out; empty for a service that has no revisions.
    :param headers: further headers, such as SeekrFlow's team.
    :param timeout: seconds to wait for a connection, and for an answer.
    :param verify: whether to verify the TLS certificate, or the path of a CA bundle to verify it with.
    :param proxy: the proxy to use instead of the environment's; may carry a password, so never shown.
    :param max_requests_per_second: the most requests per second that one process sends.
    :param unknown_extras: extras that mean nothing here, worth a warning.
    """

    service: Service
    conn_id: str
    base_url: str
    api_key: str = field(repr=False)
    revision: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 30.0
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    max_requests_per_second: float | None = None
    unknown_extras: tuple[str, ...] = ()

    def all_headers(self) -> dict[str, str]:
        """Make the headers of every request, the key among them."""
        return {"Authorization": self.service.authorization(self.api_key), **dict(self.headers)}

    @cached_property
    def api_key_bytes(self) -> bytes:
        """The key as it could stand in a response."""
        return self.api_key.encode()

    def scrub(self, text: str) -> str:
        """Take the key out of a text, should a service or a library repeat it."""
        return text.replace(self.api_key, "***")

    @classmethod
    def from_connection(cls, service: Service, conn: ConnectionLike) -> Settings:
        """
        Read an Airflow connection.

        Reads ``extra`` instead of ``extra_dejson``: each read of the latter sends a message to the supervisor.

        :raises ConnectionSettingsError: naming the field that is missing or wrong.
        """
        context = f"{service.name} (connection {conn.conn_id!r})"

        def wrong(problem: str, hint: str) -> ConnectionSettingsError:
            return ConnectionSettingsError(problem, context=context, hint=hint)

        if conn.conn_type and conn.conn_type != service.conn_type:
            raise wrong(
                f"the connection has the type {conn.conn_type!r}.",
                f"Use one of the type {service.conn_type!r}, so that no key goes to another service.",
            )
        raw = _raw_extras(conn.extra)
        if raw is None:
            raise wrong("the Extra field is no JSON object.", 'Enter an object such as {"timeout": 30}.')
        try:
            extras = _Extras.model_validate(raw)
        except ValidationError as e:
            first = e.errors(include_url=False, include_input=False)[0]
            name = first["loc"][0]
            raise wrong(f"extra {name!r}: {first['msg']}.", f"Correct {name!r} in the Extra field.") from None
        revision = (extras.api_revision or AUTO).strip()
        revision = revision.lower() if revision.lower() == AUTO else revision.upper()
        if service.revisions != ("",) and revision not in (AUTO, *service.revisions):
            known = " or ".join((AUTO, *service.revisions))
            raise wrong(f"extra 'api_revision' is {extras.api_revision!r}.", f"Set it to {known}.")
        known_extras = {*COMMON_EXTRAS, *service.header_extras}
        if service.revisions != ("",):
            known_extras.add("api_revision")
        headers = tuple(
            (header, value.strip())
            for extra, header in service.header_extras.items()
            if (value := getattr(extras, extra))
        )
        for header, value in headers:
            if not _printable(value):
                raise wrong(f"the value for header {header!r} has characters that no header can carry.", "")
        return cls(
            service=service,
            conn_id=conn.conn_id,
            base_url=_base_url(service, conn, extras.allow_http, wrong),
            api_key=_api_key(conn.password, wrong),
            revision=revision if service.revisions != ("",) else "",
            headers=headers,
            timeout=extras.timeout,
            verify=extras.verify,
            proxy=extras.proxy,
            max_requests_per_second=extras.max_requests_per_second,
            unknown_extras=tuple(sorted(raw.keys() - known_extras)),
        )


def _raw_extras(text: str | None) -> dict[str, Any] | None:
    try:
        raw = json.loads(text) if text and text.strip() else {}
    except ValueError:
        return None
    return raw if isinstance(raw, dict) else None


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _api_key(password: str | None, wrong: Any) -> str:
    key = (password or "").strip()
    if not key:
        raise wrong("the API key (password) is empty.", "Enter it.")
    if key.lower().startswith("bearer "):
        raise wrong("the API key (password) begins with 'Bearer '.", "Enter the bare key.")
    if not _printable(key):
        raise wrong("the API key (password) has characters that no HTTP header can carry.", "Copy the key again.")
    return key


def _base_url(service: Service, conn: ConnectionLike, allow_http: bool, wrong: Any) -> str:
    host = (conn.host or "").strip() or service.base_url
    if "://" not in host:
        host = f"{conn.schema if conn.schema in ('http', 'https') else 'https'}://{host}"
    hint = f"Enter the base URL (Host), such as {service.base_url}, or leave it empty."
    try:
        url = urlsplit(host)
        name, port = url.hostname, url.port
        (name or "").encode("idna")  # as the transports will: a label may be too long, or empty
    except ValueError:
        raise wrong("the base URL (Host) is no URL.", hint) from None
    odd = url.query or url.fragment or "@" in url.netloc or " " in host or not host.isprintable()
    if url.scheme not in ("http", "https") or not name or odd:
        raise wrong("the base URL (Host) is none of an HTTP service.", hint)
    if url.scheme == "http" and not allow_http and not _is_loopback(name):
        raise wrong(
            f"the key would go to {name} unencrypted.",
            "Use https, or set the extra 'allow_http' to true if you know that the network is private.",
        )
    netloc = url.netloc if port or not conn.port else f"{url.netloc}:{conn.port}"
    return f"{url.scheme}://{netloc}{url.path.rstrip('/')}"


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
