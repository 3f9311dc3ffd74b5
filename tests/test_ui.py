"""What Airflow's web interface is told about the tasks: colours that tell them apart, and how arguments are shown."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

from airflow_provider_nugen.get_provider_info import get_provider_info
from airflow_provider_nugen.tasks import ServiceTask
from airflow_provider_nugen.ui import RENDERERS, Color

MODULES = {
    name for kind in ("operators", "sensors") for entry in get_provider_info()[kind] for name in entry["python-modules"]
}
#: All classes with arguments that are shown.
TASKS: list[Any] = sorted(
    {
        value
        for name in MODULES
        for value in vars(importlib.import_module(name)).values()
        if inspect.isclass(value) and issubclass(value, ServiceTask) and value.template_fields
    },
    key=lambda cls: cls.__name__,
)


def expected(name: str) -> Color:
    """Return the colour of a class by its name: the tables of the documentation say the same in words."""
    if name.endswith("Sensor"):
        return Color.WAITING
    if any(word in name for word in ("Undeploy", "Demote", "Cancel")):
        return Color.CLEANING
    if any(word in name for word in ("Create", "UploadDocuments", "UploadBenchmark", "Deploy")):
        return Color.STARTING
    return Color.ASKING


@pytest.mark.parametrize("task", TASKS, ids=lambda cls: cls.__name__)
def test_the_colour_tells_what_a_task_does(task: Any) -> None:
    assert task.ui_color == expected(task.__name__)


def test_every_list_and_every_dict_is_shown_as_json_and_every_name_is_an_argument() -> None:
    fields = {field for task in TASKS for field in task.template_fields}
    assert fields >= RENDERERS.keys()
    lists = {field for field in fields if field.endswith(("_ids", "_extra", "files", "prompts"))}
    assert {field for field in lists if RENDERERS.get(field) != "json"} == set()
    assert all(task.template_fields_renderers is RENDERERS for task in TASKS)
