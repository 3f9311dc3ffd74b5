"""
The one identity of a service: address, authentication, API revisions, the extras of its connection, help with errors.

Settings, connection forms, hook attributes and the documentation's table are derived from it. Every Airflow command
reads it when it starts, so it needs neither pydantic nor Airflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: The ``api_revision`` of a connection whose service shall show which revision it speaks.
AUTO = "auto"
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


@dataclass(frozen=True)
class Extra:
    """
    One extra of a connection.

    :param name: its key in the Extra field.
    :param label: its name in the connection form.
    :param description: what it does, in one sentence for form and documentation.
    :param type: its JSON type: ``string``, ``number`` (positive) or ``boolean``.
    :param default: its value when nobody fills it in.
    :param choices: the values that it may have, if they are few.
    :param header: the HTTP header that carries it, if one does.
    :param maximum: the largest number that is taken.
    """

    name: str
    label: str
    description: str
    type: str = "string"
    default: Any = None
    choices: tuple[str, ...] = ()
    header: str | None = None
    maximum: float = math.inf

    def read(self, value: Any) -> Any:
        """
        Read a value, which is text if it comes from a form or a URI; empty means the default.

        :param value: the value as the connection has it.
        :raises ValueError: if it is not a value of this extra; says what is, and does not repeat what was there.
        """
        if value is None or (isinstance(value, str) and not value.strip()):
            value = self.default
        if value is None:
            return None
        if self.type == "number":
            return self._number(value)
        if self.type == "boolean":
            return read_boolean(value)
        if isinstance(value, (Mapping, list)):
            raise ValueError("must be text")
        text = str(value).strip()
        if self.choices:
            return next((choice for choice in self.choices if choice.lower() == text.lower()), None) or self._refuse()
        if self.header and not is_header_value(text):
            raise ValueError(f"has characters that the header {self.header!r} cannot carry")
        return text

    def _refuse(self) -> Any:
        raise ValueError(f"must be {' or '.join(self.choices)}")

    def _number(self, value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not (math.isfinite(number) and 0 < number <= self.maximum):
            limit = f" of at most {self.maximum:g}" if math.isfinite(self.maximum) else ""
            raise ValueError(f"must be a positive number{limit}")
        return number


def read_boolean(value: Any) -> bool:
    """
    Read true or false, which may be text.

    :raises ValueError: if it is neither.
    """
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError("must be true or false")
    return text in _TRUE


def is_header_value(text: str) -> bool:
    """Return whether every HTTP client can send a text as the value of a header."""
    return text.isascii() and text.isprintable()


#: The extras that a connection to every service has.
COMMON_EXTRAS = (
    Extra(
        "timeout",
        "Timeout",
        "Seconds to wait for a whole answer; for a file that is sent, seconds that it may stand still.",
        type="number",
        default=30,
        maximum=86_400,
    ),
    Extra(
        "verify",
        "Verify TLS",
        "true, false, or the path of a CA bundle to verify the server's certificate with. Empty: true.",
    ),
    Extra(
        "proxy",
        "Proxy",
        "URL of a proxy, unused for a base URL on this machine. Empty: the one in the environment, if any.",
    ),
    Extra(
        "allow_http",
        "Allow http",
        "Send the key unencrypted, to a host that is not this machine. Only for private networks.",
        type="boolean",
        default=False,
    ),
    Extra(
        "max_requests_per_second",
        "Max requests per second",
        "The most requests per second that one triggerer sends through this connection. Empty: no limit.",
        type="number",
    ),
)


@dataclass(frozen=True)
class Service:
    """
    One hosted service.

    :param name: its name, also in the list of connection types.
    :param conn_type: the Airflow connection type.
    :param base_url: its address unless the connection has another one.
    :param authorization: makes the ``Authorization`` header of the key.
    :param revisions: the API revisions that it may speak, the likeliest first; empty text if it has none.
    :param own_extras: the extras that only a connection to this service has.
    :param hints: what to do next, by HTTP status.
    :param wrong_route_hint: what to do when the router itself answers 404.
    :param key_check: a path that is about no job and the same in all revisions, to check the key with.
    """

    name: str
    conn_type: str
    base_url: str
    authorization: Callable[[str], str]
    revisions: tuple[str, ...] = ("",)
    own_extras: tuple[Extra, ...] = ()
    hints: Mapping[int, str] = field(default_factory=dict)
    wrong_route_hint: str = ""
    key_check: str = ""

    def __post_init__(self) -> None:
        names = [extra.name for extra in self.extras]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{self.name}: the extras {sorted(twice)} are declared twice.")

    @property
    def extras(self) -> tuple[Extra, ...]:
        """All extras of a connection, in the order of the form."""
        return self.own_extras + COMMON_EXTRAS

    @property
    def hook_class_name(self) -> str:
        """Where the hook is."""
        return f"airflow_provider_nugen.hooks.{self.conn_type}.{self.conn_type.capitalize()}Hook"

    @property
    def form_behaviour(self) -> dict[str, Any]:
        """The standard fields of the connection form, as Airflow's ``get_ui_field_behaviour`` wants them."""
        return {
            "hidden_fields": ["login", "schema"],
            "relabeling": {"host": "Base URL", "password": "API key"},
            "placeholders": {
                "host": self.base_url,
                # Airflow 3.3.2 tests no connection without a port (corrected later: apache/airflow#73298).
                "port": "empty; for the Test button of Airflow 3.3.2: 443",
                "password": "the bare key, without 'Bearer'",
            },
        }

    def is_from_router(self, status: int, payload: object) -> bool:
        """
        Tell the router's own 404 from a missing job's.

        Both services are FastAPI applications, whose router answers ``{"detail": "Not Found"}``; a missing job
        is named (``"Model not found"``; see the Nugen page of the documentation). Where the path of one revision is in
        another that of another method, the router answers ``405 {"detail": "Method Not Allowed"}``.
        """
        return (status, payload) in ((404, {"detail": "Not Found"}), (405, {"detail": "Method Not Allowed"}))
