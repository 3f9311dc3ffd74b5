"""Sphinx configuration: ``make docs``."""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import shutil
import tempfile
from pydoc import locate
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

# The reference imports Airflow, which shall neither read nor write the user's own.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-provider-nugen-docs-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

import airflow_provider_nugen  # noqa: E402
from airflow_provider_nugen.api.service import COMMON_EXTRAS  # noqa: E402
from airflow_provider_nugen.api.services import SERVICES  # noqa: E402

# Imported here, since Sphinx would pretend to be a type checker, which Airflow's own modules do not survive.
for module in pkgutil.walk_packages(airflow_provider_nugen.__path__, "airflow_provider_nugen."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

project = "airflow-provider-nugen"
author = "The airflow-provider-nugen authors"
copyright = f"2026, {author}"  # the name that Sphinx wants
release = version = airflow_provider_nugen.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode", "myst_parser"]
html_theme = "furo"
html_title = f"airflow-provider-nugen {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
exclude_patterns = ["_build"]

# Every reference to a name of this package must lead somewhere; those of others are not resolved.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!airflow_provider_nugen\.).*"),
    # Type variables, and what is private.
    ("py:.*", r".*\.([A-Z](_co)?|_\w+)"),
    # The guide to the simulator shows its fields.
    ("py:class", r".*\.faults\.Fault"),
]

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}

#: The page that shows of a class what a DAG passes to it, and not how it works.
FOR_DAGS = "reference"


def skip(app: Any, what: str, name: str, obj: object, skipped: bool, options: object) -> bool | None:
    """Leave the methods that Airflow calls out of the page for authors of DAGs."""
    modules = ("airflow_provider_nugen.sensors.", "airflow_provider_nugen.operators.")
    of_task = name == "hook_class" or str(getattr(obj, "__module__", modules[0])).startswith(modules)
    return True if what == "class" and of_task and app.env.docname == FOR_DAGS else None


class FieldsOf(SphinxDirective):
    """``.. fields-of:: path.of.Model``: a table of the fields of a pydantic model, out of their declarations."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        model: Any = locate(self.arguments[0])
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 20 60", ""]
        rows = [("field", "default", "meaning")]
        for name, field in model.model_fields.items():
            default = "" if field.is_required() else f"``{field.default}``"
            rows.append(
                (f"``{name}``", default, (field.description or "").replace("`", "``").replace("; ", "\n\n       "))
            )
        lines += [f"   {' ' if cell else '*'} - {text}" for row in rows for cell, text in enumerate(row)]
        return self.parse_text_to_nodes("\n".join(lines))


class Extras(SphinxDirective):
    """``.. extras::``: a table of the extras of all connections, out of their declarations."""

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 25 15 60", ""]
        lines += ["   * - extra", "     - default", "     - meaning"]
        own = [(extra, f"{service.name}: ") for service in SERVICES for extra in service.own_extras]
        for extra, prefix in own + [(extra, "") for extra in COMMON_EXTRAS]:
            default = "" if extra.default is None else f"``{json.dumps(extra.default).strip(chr(34))}``"
            header = f" Sent as ``{extra.header}``." if extra.header else ""
            lines += [f"   * - ``{extra.name}``", f"     - {default}", f"     - {prefix}{extra.description}{header}"]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Any) -> None:
    """Connect what is above."""
    app.connect("autodoc-skip-member", skip)
    app.add_directive("extras", Extras)
    app.add_directive("fields-of", FieldsOf)
