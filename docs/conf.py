"""Sphinx configuration: ``make docs``."""

from __future__ import annotations

from airflow_provider_nugen import __version__

project = "airflow-provider-nugen"
author = "The airflow-provider-nugen authors"
copyright = f"2026, {author}"  # the name that Sphinx wants
release = version = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"airflow-provider-nugen {release}"
exclude_patterns = ["_build"]

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
