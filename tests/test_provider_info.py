"""What Airflow is told about this provider is right, and Airflow shows it."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points, version
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

import airflow_provider_nugen
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.api.services import SERVICES
from airflow_provider_nugen.get_provider_info import get_provider_info

PACKAGE = "airflow-provider-nugen"
INFO = get_provider_info()
LISTED = ("hooks", "operators", "sensors", "triggers")
BASES: dict[str, type] = {
    "hooks": BaseHook,
    "operators": BaseOperator,
    "sensors": BaseSensorOperator,
    "triggers": BaseTrigger,
}


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((files("airflow") / name).read_text())
    return loaded


def all_modules() -> list[str]:
    path, prefix = airflow_provider_nugen.__path__, "airflow_provider_nugen."
    # The lineage needs the OpenLineage provider: tests/lineage.
    left_out = ("__main__", ".lineage")
    return [module.name for module in pkgutil.walk_packages(path, prefix) if not module.name.endswith(left_out)]


def for_dags(kind: str) -> dict[str, str]:
    """Find the classes that users are meant to use, which nothing is derived from: name to module."""
    classes = {
        value
        for name in all_modules()
        if name.startswith(f"airflow_provider_nugen.{kind}.")
        for value in vars(importlib.import_module(name)).values()
        if inspect.isclass(value) and value.__module__ == name and issubclass(value, BASES[kind])
    }
    return {c.__name__: public_module(c) for c in classes if not any(c in other.__mro__[1:] for other in classes)}


def public_module(cls: type) -> str:
    """Return the module that users import a class from: the package, if that has it, too."""
    package = cls.__module__.rpartition(".")[0]
    return package if getattr(importlib.import_module(package), cls.__name__, None) is cls else cls.__module__


def listed_modules(kind: str) -> set[str]:
    return {module for entry in INFO[kind] for module in entry["python-modules"]}


# The metadata.


def test_the_metadata_is_what_airflow_wants() -> None:
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_the_parts_of_the_metadata_are_what_a_provider_of_airflows_own_would_have() -> None:
    properties = schema("provider.yaml.schema.json")["properties"]
    for name in INFO.keys() & properties.keys():
        jsonschema.validate(INFO[name], properties[name])


def test_airflow_finds_the_metadata_by_the_entry_point() -> None:
    (found,) = entry_points(group="apache_airflow_provider", module="airflow_provider_nugen.get_provider_info")
    assert found.load() is get_provider_info


def test_every_entry_belongs_to_an_integration() -> None:
    integrations = {integration["integration-name"] for integration in INFO["integrations"]}
    assert integrations == {service.name for service in SERVICES}
    assert {entry["integration-name"] for kind in LISTED for entry in INFO[kind]} == integrations


@pytest.mark.parametrize("kind", LISTED)
def test_every_class_for_dags_is_in_a_module_that_is_listed_and_no_other_module_is(kind: str) -> None:
    classes = for_dags(kind)
    assert classes
    assert listed_modules(kind) == set(classes.values())


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.conn_type)
def test_the_hook_class_of_a_connection_type_can_be_imported(service: Service) -> None:
    (entry,) = [entry for entry in INFO["connection-types"] if entry["connection-type"] == service.conn_type]
    module, name = entry["hook-class-name"].rsplit(".", 1)
    assert for_dags("hooks")[name] == module
    assert entry["hook-name"] == service.name


def test_a_service_without_sensors_and_operators_is_listed_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = replace(SERVICES[0], name="Bare", conn_type="bare")
    monkeypatch.setattr("airflow_provider_nugen.get_provider_info.SERVICES", (bare,))
    info = get_provider_info()
    assert [info[kind] for kind in ("operators", "sensors", "hooks")] == [[], [], []]
    assert info["connection-types"][0]["hook-class-name"] == "airflow_provider_nugen.hooks.bare.BareHook"


def test_every_module_can_be_imported() -> None:
    assert all(importlib.import_module(name) for name in all_modules())


def test_the_metadata_alone_imports_neither_airflow_nor_a_client() -> None:
    heavy = "{'airflow', 'requests', 'aiohttp', 'pydantic'}"
    code = f"""
import sys
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.api.services import SERVICES
from airflow_provider_nugen.get_provider_info import get_provider_info
get_provider_info()
print({heavy} & sys.modules.keys())
"""
    assert run("-c", code).strip() == "set()"


def test_a_dag_file_that_imports_sensors_and_operators_loads_no_http_library() -> None:
    modules = sorted(listed_modules("sensors") | listed_modules("operators") | listed_modules("hooks"))
    code = f"""
import re
import sys
import airflow.sdk
from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator
loaded = set(sys.modules)
import {", ".join(modules)}
print(sorted({{"aiohttp", "requests", "urllib3", "yarl", "tenacity", "rich"}} & (sys.modules.keys() - loaded)))
needless = r"airflow_provider_nugen\\..*(models|transport|client|trigger|settings|network|waiter|gating)"
print([name for name in sys.modules if re.match(needless, name)])
"""
    assert run("-c", code).split() == ["[]", "[]"]


def test_neither_airflow_sdk_nor_a_task_that_resumes_loads_what_sends() -> None:
    code = """
import sys
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor
from airflow_provider_nugen.waiting.result import Outcome, WaitResult
task = AlignmentStatusSensor(task_id="wait", alignment_id="a-1")
class TaskInstance:
    def xcom_push(self, key, value):
        print(key, value)
event = WaitResult(Outcome.SUCCEEDED, "done", {"status": "READY", "model_id": "m-1"}).to_event()
print(task.resume_execution("execute_complete", {"event": event}, {"ti": TaskInstance()}))
print(sorted(name for name in ("aiohttp", "requests", "urllib3", "yarl") if name in sys.modules))
print(sorted(name for name in sys.modules if name.startswith("airflow_provider_nugen") and "transport" in name))
"""
    assert run("-c", code).splitlines()[-4:] == [
        "model_id m-1",
        "{'status': 'READY', 'model_id': 'm-1'}",
        "[]",
        "[]",
    ]


# What Airflow makes of it.


@cache
def run(*arguments: str) -> str:
    """Run Python in a process of its own, with the tests' AIRFLOW_HOME."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "DeprecationWarning" not in done.stderr
    return done.stdout


def providers(*arguments: str) -> list[dict[str, Any]]:
    """Run ``airflow providers``; what Airflow logs before its answer is left out."""
    printed = run("-m", "airflow", "providers", *arguments, "--output", "json")
    rows: list[dict[str, Any]] = json.loads(printed[printed.index("\n[") if not printed.startswith("[") else 0 :])
    return rows


def of_this_package(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["package_name"] == PACKAGE]


def test_airflow_providers_list() -> None:
    (row,) = of_this_package(providers("list"))
    assert row["version"] == version(PACKAGE) == airflow_provider_nugen.__version__
    assert row["description"].startswith("Start model-alignment jobs on Nugen and SeekrFlow")


def test_airflow_providers_get() -> None:
    (row,) = providers("get", PACKAGE, "--full")
    assert row["package-name"] == PACKAGE
    # Airflow prints some values as text.
    assert [entry["connection-type"] for entry in row["connection-types"]] == [
        service.conn_type for service in SERVICES
    ]
    for kind in LISTED:
        assert row[kind] == INFO[kind]


def test_airflow_providers_hooks() -> None:
    assert {
        (row["connection_type"], row["class"], row["conn_id_attribute_name"], row["hook_name"])
        for row in of_this_package(providers("hooks"))
    } == {
        (service.conn_type, service.hook_class_name, f"{service.conn_type}_conn_id", service.name)
        for service in SERVICES
    }


def test_airflow_providers_triggers() -> None:
    assert {(row["class"], row["integration_name"]) for row in of_this_package(providers("triggers"))} == {
        (f"airflow_provider_nugen.triggers.{module}", service.name)
        for module in ("job", "watch")
        for service in SERVICES
    }


def test_airflow_finds_the_hooks_without_a_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hooks = ProvidersManager().hooks
        found = [hooks[service.conn_type] for service in SERVICES]
    assert not [warning for warning in caught if "airflow_provider_nugen" in str(warning.message)]
    assert [(hook.hook_name, hook.connection_testable) for hook in found if hook] == [
        (service.name, True) for service in SERVICES
    ]


#: Puts the forms together as the API server does for the UI.
FORMS_OF_THE_UI = """
import json
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
print("FORMS", json.dumps({meta.connection_type: meta.model_dump() for meta in HookMetaService.hook_meta_data()}))
"""


def form_of_the_ui(service: Service) -> dict[str, Any]:
    printed = run("-c", FORMS_OF_THE_UI)
    shown: dict[str, Any] = json.loads(printed.split("FORMS ")[-1])[service.conn_type]
    return shown


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.conn_type)
def test_the_form_of_the_ui_has_the_standard_fields_that_mean_something(service: Service) -> None:
    fields = form_of_the_ui(service)["standard_fields"]
    assert {name for name, field in fields.items() if field and field["hidden"]} == {"login", "url_schema"}
    assert (fields["host"]["title"], fields["host"]["placeholder"]) == ("Base URL", service.base_url)
    assert fields["password"]["title"] == "API key"
    assert "without 'Bearer'" in fields["password"]["placeholder"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.conn_type)
def test_the_form_of_the_ui_has_every_extra_in_our_order(service: Service) -> None:
    shown = form_of_the_ui(service)["extra_fields"]
    assert list(shown) == [field.name for field in service.extras]
    for field in service.extras:
        of_field = shown[field.name]
        assert (of_field["schema"]["title"], of_field["description"]) == (field.label, field.description)
        assert of_field["schema"].get("enum", []) == list(field.choices)
        assert "null" in of_field["schema"]["type"]
        # Airflow 3.1 has text fields only, beside the check boxes.
        assert of_field["value"] in (field.default, None if field.default is None else str(field.default))


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.conn_type)
def test_airflow_3_1_finds_the_methods_in_the_hook_class_itself(service: Service) -> None:
    module, name = service.hook_class_name.rsplit(".", 1)
    hook_class = getattr(importlib.import_module(module), name)
    assert {"get_connection_form_widgets", "get_ui_field_behaviour"} <= vars(hook_class).keys()
    behaviour = hook_class.get_ui_field_behaviour()
    jsonschema.validate(behaviour, schema("customized_form_field_behaviours.schema.json"))
    (entry,) = [entry for entry in INFO["connection-types"] if entry["connection-type"] == service.conn_type]
    assert {key.replace("_", "-"): value for key, value in behaviour.items()} == entry["ui-field-behaviour"]
