"""One identity per service: everything that is said of one can be derived from it."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_nugen.api.service import COMMON_EXTRAS, Extra, Service
from airflow_provider_nugen.api.services import SERVICES, declared
from airflow_provider_nugen.get_provider_info import get_provider_info
from airflow_provider_nugen.hooks.settings import Settings
from tests.hooks.test_settings import Conn


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.conn_type)
def test_the_hook_of_a_service_has_its_names(service: Service) -> None:
    module, name = service.hook_class_name.rsplit(".", 1)
    hook_class = getattr(importlib.import_module(module), name)
    assert hook_class.service is service
    assert (hook_class.conn_type, hook_class.hook_name) == (service.conn_type, service.name)
    assert hook_class.conn_name_attr == f"{service.conn_type}_conn_id"
    assert hook_class.default_conn_name == f"{service.conn_type}_default"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.conn_type)
def test_the_defaults_of_a_form_are_the_defaults_of_the_settings(service: Service) -> None:
    values = Settings.from_connection(service, Conn()).extras
    assert values == {extra.name: extra.default for extra in service.extras}


def test_a_new_extra_is_in_the_form_is_read_and_goes_out_if_it_is_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    region = Extra("region", "Region", "Where to work.", default="eu", choices=("eu", "us"), header="x-region")
    depth = Extra("depth", "Depth", "How deep.", type="number")
    nugen = replace(SERVICES[0], own_extras=(*SERVICES[0].own_extras, region, depth))
    monkeypatch.setattr("airflow_provider_nugen.get_provider_info.SERVICES", (nugen,))
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    assert fields["region"] == {
        "label": "Region",
        "description": "Where to work.",
        "schema": {"type": ["string", "null"], "default": "eu", "enum": ["eu", "us"]},
    }
    assert fields["depth"]["schema"] == {"type": ["number", "null"]}
    settings = Settings.from_connection(nugen, Conn(extra='{"region": " US", "depth": "7"}'))
    assert settings.all_headers()["x-region"] == "us"
    assert settings.extras["depth"] == 7.0
    assert settings.unknown_extras == ()


def test_an_extra_that_is_declared_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Nugen: the extras \['timeout'\] are declared twice"):
        replace(SERVICES[0], own_extras=(COMMON_EXTRAS[0],))


@pytest.mark.parametrize(
    ("extra", "value", "problem"),
    [
        (Extra("x", "X", "", type="number"), True, "must be a positive number"),
        (Extra("x", "X", "", type="number"), 10**400, "must be a positive number"),
        (Extra("x", "X", "", type="number", maximum=5), 6, "must be a positive number of at most 5"),
        (Extra("x", "X", "", type="boolean"), "maybe", "must be true or false"),
        (Extra("x", "X", "", choices=("a", "b")), "c", "must be a or b"),
        (Extra("x", "X", ""), ["a"], "must be text"),
        (Extra("x", "X", "", header="x-x"), "a\nb", "has characters that the header 'x-x' cannot carry"),
    ],
)
def test_a_value_that_is_wrong_is_refused(extra: Extra, value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        extra.read(value)


def test_a_service_whose_file_is_missing_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"airflow_provider_nugen\.api\.third"):
        declared("third")


def test_a_service_that_its_file_does_not_declare_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("airflow_provider_nugen.api.seekr.service")
    monkeypatch.setattr(module, "SEEKR", replace(module.SEEKR, conn_type="sekr"))
    with pytest.raises(ValueError, match=r"api\.seekr\.service must declare one Service with conn_type='seekr'"):
        declared("seekr")
