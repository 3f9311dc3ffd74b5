"""
The connection forms of both services, as data.

Airflow 3.2 and later reads them from the provider's metadata; 3.1 asks the hooks for widgets. This module imports
neither Airflow nor a hook, since every Airflow command reads the metadata when it starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FormField:
    """
    One extra of a connection.

    :param name: the extra.
    :param label: how the form calls it.
    :param description: what it does.
    :param type: its JSON type.
    :param default: what it is when nobody fills it in, if the form shall show that.
    :param choices: the values it may have, if they are few.
    """

    name: str
    label: str
    description: str
    type: str = "string"
    default: Any = None
    choices: tuple[str, ...] = ()

    def declaration(self) -> dict[str, Any]:
        """Declare the field as Airflow 3.2 and later wants it: JSON schema with a label."""
        schema: dict[str, Any] = {"type": [self.type, "null"]}
        if self.default is not None:
            schema["default"] = self.default
        if self.choices:
            schema["enum"] = list(self.choices)
        return {"label": self.label, "description": self.description, "schema": schema}


@dataclass(frozen=True)
class Form:
    """The form of one connection type."""

    conn_type: str
    label: str
    url: str
    hook_class_name: str
    placeholders: Mapping[str, str]
    fields: tuple[FormField, ...]
    hidden_fields: tuple[str, ...] = ("login", "schema")
    relabeling: tuple[tuple[str, str], ...] = (("host", "Base URL"), ("password", "API key"))


#: Airflow 3.3.2 tests no connection without a port (corrected later: apache/airflow#73298).
_PORT = "empty; for the Test button of Airflow 3.3.2: 443"
_KEY = "the bare key, without 'Bearer'"

_COMMON = (
    FormField("timeout", "Timeout", "Seconds to wait for a connection, and for an answer.", type="number", default=30),
    FormField(
        "verify",
        "Verify TLS",
        "true, false, or the path of a CA bundle to verify the server's certificate with. Empty: true.",
    ),
    FormField("proxy", "Proxy", "URL of a proxy. Empty: the one in the environment, if any."),
    FormField(
        "allow_http",
        "Allow http",
        "Send the key unencrypted, to a host that is not this machine. Only for private networks.",
        type="boolean",
        default=False,
    ),
    FormField(
        "max_requests_per_second",
        "Max requests per second",
        "The most requests per second that one triggerer sends through this connection. Empty: no limit.",
        type="number",
    ),
)

FORMS = (
    Form(
        conn_type="nugen",
        label="Nugen",
        url="https://api.nugen.in",
        hook_class_name="airflow_provider_nugen.hooks.nugen.NugenHook",
        placeholders={"host": "https://api.nugen.in", "port": _PORT, "password": _KEY},
        fields=(
            FormField(
                "api_revision",
                "API revision",
                "auto (find out), B (the published contract) or C (the live service since about September 2026).",
                default="auto",
                choices=("auto", "B", "C"),
            ),
            *_COMMON,
        ),
    ),
    Form(
        conn_type="seekr",
        label="SeekrFlow",
        url="https://flow.seekr.com",
        hook_class_name="airflow_provider_nugen.hooks.seekr.SeekrHook",
        placeholders={"host": "https://flow.seekr.com", "port": _PORT, "password": _KEY},
        fields=(
            FormField(
                "team_id",
                "Team id",
                "The team to work in; without it calls work on the personal workspace of the key's owner.",
            ),
            *_COMMON,
        ),
    ),
)
