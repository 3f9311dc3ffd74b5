"""Nugen: the service."""

from __future__ import annotations

from airflow_provider_nugen.api.service import AUTO, Extra, Service

_REVISIONS = ("B", "C")

NUGEN = Service(
    name="Nugen",
    conn_type="nugen",
    base_url="https://api.nugen.in",
    authorization=lambda key: f"Bearer {key}",
    revisions=_REVISIONS,
    own_extras=(
        Extra(
            "api_revision",
            "API revision",
            "auto (find out), B (the published contract) or C (the live service since about September 2026).",
            default=AUTO,
            choices=(AUTO, *_REVISIONS),
        ),
    ),
    hints={
        400: "Check the arguments against what the service says.",
        401: "Check the API key (password) of the connection: the bare key, without 'Bearer'.",
        402: "Check the credit of the Nugen account that the key belongs to.",
        403: "The key is valid but may not do this: check what the account of the key is allowed to.",
        404: "Check the id, and that the key in the connection belongs to the account that owns it.",
        413: "Split the file or make it smaller.",
        422: "Correct the argument that the service names.",
    },
    wrong_route_hint=(
        "The service has no such path: set the extra 'api_revision' of the connection to the other revision "
        "(B or C), and check its base URL (Host)."
    ),
    key_check="/api/v3/models/base",
)
