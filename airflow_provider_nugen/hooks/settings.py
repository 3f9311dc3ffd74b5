"""An Airflow connection, read once into frozen settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from airflow_provider_nugen.api.errors import ConnectionSettingsError
from airflow_provider_nugen.api.service import Service, is_header_value, read_boolean
from airflow_provider_nugen.hooks.address import Address, port_number, proxy_url, url_path


class ConnectionLike(Protocol):
    """The fields of an Airflow connection that are read."""

    conn_id: str
    conn_type: str | None
    host: str | None
    port: int | None
    schema: str | None
    password: str | None
    extra: str | None


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
    :param timeout: seconds to wait for a whole answer; for a file that is sent, seconds that it may stand still.
    :param verify: whether to verify the TLS certificate, or the path of a CA bundle to verify it with.
    :param proxy: the proxy to use instead of the environment's; may carry a password, so never shown.
    :param allow_http: whether the key may go out unencrypted.
    :param max_requests_per_second: the most requests per second that one process sends.
    :param extras: the value of every extra by its name, also of those that are above.
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
    allow_http: bool = False
    max_requests_per_second: float | None = None
    extras: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    unknown_extras: tuple[str, ...] = ()

    def all_headers(self) -> dict[str, str]:
        """Return the headers of every request, the key among them."""
        return {"Authorization": self.service.authorization(self.api_key), **dict(self.headers)}

    @cached_property
    def api_key_bytes(self) -> bytes:
        """The key as it could stand in a response."""
        return self.api_key.encode()

    def scrub(self, text: str) -> str:
        """Return a text without the key, should a service or a library repeat it."""
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
            raise wrong("the Extra field is not a JSON object.", 'Enter an object such as {"timeout": 30}.')
        values = {}
        for extra in service.extras:
            try:
                values[extra.name] = extra.read(raw.get(extra.name))
            except ValueError as e:
                raise wrong(f"extra {extra.name!r} {e}.", f"Correct {extra.name!r} in the Extra field.") from None
        return cls(
            service=service,
            conn_id=conn.conn_id,
            base_url=_base_url(service, conn, values["allow_http"], wrong),
            api_key=_api_key(conn.password, wrong),
            revision=values.get("api_revision") or "",
            headers=tuple(
                (extra.header, values[extra.name]) for extra in service.extras if extra.header and values[extra.name]
            ),
            timeout=values["timeout"],
            verify=_verify(values["verify"]),
            proxy=_proxy(values["proxy"], wrong),
            allow_http=values["allow_http"],
            max_requests_per_second=values["max_requests_per_second"],
            extras=values,
            unknown_extras=tuple(sorted(raw.keys() - values.keys())),
        )


def _raw_extras(text: str | None) -> dict[str, Any] | None:
    try:
        raw = json.loads(text) if text and text.strip() else {}
    except (ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) else None


def _api_key(password: str | None, wrong: Any) -> str:
    key = (password or "").strip()
    if not key:
        raise wrong("the API key (password) is empty.", "Enter it.")
    if key.lower().startswith("bearer "):
        raise wrong("the API key (password) begins with 'Bearer '.", "Enter the bare key.")
    if not is_header_value(key):
        raise wrong("the API key (password) has characters that no HTTP header can carry.", "Copy the key again.")
    return key


def _base_url(service: Service, conn: ConnectionLike, allow_http: bool, wrong: Any) -> str:
    host = (conn.host or "").strip() or service.base_url
    if "://" not in host:
        host = f"{conn.schema if conn.schema in ('http', 'https') else 'https'}://{host}"
    hint = f"Enter the base URL (Host), such as {service.base_url}, or leave it empty."
    try:
        url = Address.of(host)
        if url.user is not None:
            raise ValueError("it names a user")
        if conn.port and not url.port:
            url = replace(url, port=port_number(conn.port))
        path = url_path(url.rest)
    except ValueError as e:
        raise wrong(f"the base URL (Host) is not an http(s) URL: {e}.", hint) from None
    if url.scheme == "http" and not allow_http and not url.is_loopback:
        raise wrong(
            f"the key would go to {url.host} unencrypted.",
            "Use https, or set the extra 'allow_http' to true if you know that the network is private.",
        )
    return f"{url}{path.rstrip('/')}"


def _verify(value: str | None) -> bool | str:
    """Read ``verify``: true, false, or the path of a CA bundle."""
    try:
        return True if value is None else read_boolean(value)
    except ValueError:
        return str(value)


def _proxy(value: str | None, wrong: Any) -> str | None:
    try:
        return proxy_url(value) if value else None
    except ValueError as e:
        raise wrong(
            f"extra 'proxy' is not the URL of an http(s) proxy: {e}.", "Correct 'proxy' in the Extra field."
        ) from None
