"""What Airflow is told about this provider."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from airflow_provider_nugen.api.service import Extra
from airflow_provider_nugen.api.services import SERVICES


def _conn_field(extra: Extra) -> dict[str, Any]:
    """Declare an extra for the form of Airflow 3.2 and later: JSON schema with a label."""
    schema: dict[str, Any] = {"type": [extra.type, "null"]}
    if extra.default is not None:
        schema["default"] = extra.default
    if extra.choices:
        schema["enum"] = list(extra.choices)
    return {"label": extra.label, "description": extra.description, "schema": schema}


def get_provider_info() -> dict[str, Any]:
    """Describe the provider, as Airflow's ``provider_info.schema.json`` wants it."""

    def modules(package: str, name: str | None = None) -> list[dict[str, Any]]:
        names = {service.name: f"airflow_provider_nugen.{package}.{name or service.conn_type}" for service in SERVICES}
        # A service need not have sensors and operators of its own.
        return [
            {"integration-name": service, "python-modules": [module]}
            for service, module in names.items()
            if find_spec(module)
        ]

    return {
        "package-name": "airflow-provider-nugen",
        "name": "Nugen and SeekrFlow",
        "description": "Start model-alignment jobs on Nugen and SeekrFlow, and wait for them without holding a worker.",
        "integrations": [
            {"integration-name": service.name, "external-doc-url": service.base_url, "tags": ["service"]}
            for service in SERVICES
        ],
        "operators": modules("operators"),
        "sensors": modules("sensors"),
        "hooks": modules("hooks"),
        "triggers": [
            {"integration-name": service.name, "python-modules": [f"airflow_provider_nugen.triggers.{module}"]}
            for service in SERVICES
            for module in ("job", "watch")
        ],
        "asset-uris": [
            {
                "schemes": [service.conn_type for service in SERVICES],
                "handler": "airflow_provider_nugen.asset_uris.sanitize_uri",
                "to_openlineage_converter": "airflow_provider_nugen.asset_uris.convert_asset_to_openlineage",
            }
        ],
        "connection-types": [
            {
                "connection-type": service.conn_type,
                "hook-class-name": service.hook_class_name,
                "hook-name": service.name,
                "ui-field-behaviour": {name.replace("_", "-"): value for name, value in service.form_behaviour.items()},
                "conn-fields": {extra.name: _conn_field(extra) for extra in service.extras},
            }
            for service in SERVICES
        ],
    }
