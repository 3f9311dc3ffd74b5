"""The connection forms agree with the hooks and with what the settings read."""

from __future__ import annotations

import importlib
import json

import pytest

from airflow_provider_nugen.hooks.forms import FORMS, Form, FormField
from airflow_provider_nugen.hooks.settings import COMMON_EXTRAS, Settings

from .test_settings import Conn


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.conn_type)
def test_a_form_belongs_to_its_hook(form: Form) -> None:
    module, name = form.hook_class_name.rsplit(".", 1)
    hook_class = getattr(importlib.import_module(module), name)
    assert (form.conn_type, form.label) == (hook_class.conn_type, hook_class.hook_name)
    assert form.url == form.placeholders["host"] == hook_class.service.base_url
    assert hook_class.service.conn_type == form.conn_type


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.conn_type)
def test_a_form_has_every_extra_that_is_read_and_no_other(form: Form) -> None:
    module, name = form.hook_class_name.rsplit(".", 1)
    service = getattr(importlib.import_module(module), name).service
    own = set(service.header_extras) | ({"api_revision"} if service.revisions != ("",) else set())
    assert {field.name for field in form.fields} == set(COMMON_EXTRAS) | own
    filled = {"timeout": "5", "verify": "false", "proxy": "http://p:1", "allow_http": "true", "api_revision": "C"}
    extra = json.dumps({field.name: filled.get(field.name, "7") for field in form.fields})
    assert Settings.from_connection(service, Conn(extra=extra)).unknown_extras == ()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.conn_type)
def test_the_defaults_of_a_form_are_the_defaults_of_the_settings(form: Form) -> None:
    module, name = form.hook_class_name.rsplit(".", 1)
    service = getattr(importlib.import_module(module), name).service
    defaults = {field.name: field.default for field in form.fields if field.default is not None}
    assert Settings.from_connection(service, Conn(extra=json.dumps(defaults))) == Settings.from_connection(
        service, Conn()
    )
    for field in form.fields:
        assert not field.choices or set(field.choices) == {"auto", *service.revisions}


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        (FormField("x", "X", "About x."), {"type": ["string", "null"]}),
        (FormField("x", "X", "About x.", type="number", default=30), {"type": ["number", "null"], "default": 30}),
        (
            FormField("x", "X", "About x.", default="B", choices=("B", "C")),
            {"type": ["string", "null"], "default": "B", "enum": ["B", "C"]},
        ),
        (
            FormField("x", "X", "About x.", type="boolean", default=False),
            {"type": ["boolean", "null"], "default": False},
        ),
    ],
)
def test_a_field_is_declared_as_json_schema(field: FormField, schema: dict[str, object]) -> None:
    assert field.declaration() == {"label": "X", "description": "About x.", "schema": schema}
