"""What Airflow is told about this provider."""

from __future__ import annotations

from typing import Any

from airflow_provider_nugen.hooks.forms import FORMS


def get_provider_info() -> dict[str, Any]:
    """Describe the provider, as Airflow's ``provider_info.schema.json`` wants it."""

    def modules(package: str) -> list[dict[str, Any]]:
        return [
            {"integration-name": form.label, "python-modules": [f"airflow_provider_nugen.{package}.{form.conn_type}"]}
            for form in FORMS
        ]

    return {
        "package-name": "airflow-provider-nugen",
        "name": "Nugen and SeekrFlow",
        "description": "Start model-alignment jobs on Nugen and SeekrFlow, and wait for them without holding a worker.",
        "integrations": [
            {"integration-name": form.label, "external-doc-url": form.url, "tags": ["service"]} for form in FORMS
        ],
        "operators": modules("operators"),
        "sensors": modules("sensors"),
        "hooks": modules("hooks"),
        "triggers": [
            {"integration-name": form.label, "python-modules": ["airflow_provider_nugen.triggers.job"]}
            for form in FORMS
        ],
        "connection-types": [
            {
                "connection-type": form.conn_type,
                "hook-class-name": form.hook_class_name,
                "hook-name": form.label,
                "ui-field-behaviour": {
                    "hidden-fields": list(form.hidden_fields),
                    "relabeling": dict(form.relabeling),
                    "placeholders": dict(form.placeholders),
                },
                "conn-fields": {field.name: field.declaration() for field in form.fields},
            }
            for form in FORMS
        ],
    }
