"""Every class of error is explained on the page on troubleshooting: what it means, and what to do."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from airflow_provider_nugen import exceptions
from airflow_provider_nugen.api import errors

PAGE = (Path(__file__).parents[1] / "docs" / "troubleshooting.rst").read_text(encoding="utf-8")
#: The table of each module: class, meaning, advice.
ROWS = re.compile(r"^   \* - ``(\w+)``\n     - ((?:.+\n)(?: {7}.+\n)*)     - ((?:.+\n)(?: {7}.+\n)*)", re.MULTILINE)
TABLES = {
    exceptions: PAGE[PAGE.index("The task fails") : PAGE.index("What the service or the network said")],
    errors: PAGE[PAGE.index("What the service or the network said") : PAGE.index("Nothing fails")],
}


def classes_of(module: ModuleType) -> list[str]:
    """List the errors that a module declares."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == module.__name__
    ]


@pytest.mark.parametrize("module", TABLES, ids=lambda module: module.__name__)
def test_every_error_is_explained_and_nothing_that_there_is_not(module: ModuleType) -> None:
    rows = ROWS.findall(TABLES[module])
    assert sorted(name for name, _, _ in rows) == sorted(classes_of(module))
    assert [name for name, meaning, advice in rows if len(meaning.split()) < 4 or not advice.strip()] == []
