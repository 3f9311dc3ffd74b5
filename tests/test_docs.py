"""The documentation is built out of what it shows: it breaks when that does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from airflow_provider_nugen.api.endpoint import Endpoint, PerRevision
from airflow_provider_nugen.api.nugen import endpoints as nugen
from airflow_provider_nugen.api.seekr import endpoints as seekr

pytestmark = pytest.mark.newest

PROJECT = Path(__file__).parents[1]
INCLUDE = re.compile(r"^\.\. (?:literal)?include:: (\S+)$((?:\n +:\S+: .*)*)", re.MULTILINE)
INCLUDES = [
    (page, match[1], re.findall(r":(?:start-at|end-before): (.+)", match[2]))
    for page in sorted((PROJECT / "docs").glob("*.rst"))
    for match in INCLUDE.finditer(page.read_text(encoding="utf-8"))
]


def build(docs: Path) -> subprocess.CompletedProcess[str]:
    """Build as ``make docs`` does, without writing pages."""
    options = ["--builder", "dummy", "--fail-on-warning", "--keep-going", "--quiet"]
    command = [sys.executable, "-m", "sphinx", *options, str(docs), str(docs / "_build")]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_broken_include_fails_the_build(tmp_path: Path) -> None:
    for name in ("docs", "example_dags", "tests/user"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("_build", "__pycache__"))
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(PROJECT / name, tmp_path)
    assert build(tmp_path / "docs").returncode == 0
    (tmp_path / "example_dags" / "seekr_alignment.py").unlink()
    example = tmp_path / "example_dags" / "nugen_evaluate_many.py"
    broken_code = example.read_text(encoding="utf-8").replace(
        "evaluate = CreateEvaluationOperator", "evaluation = None"
    )
    example.write_text(broken_code, encoding="utf-8")
    broken = build(tmp_path / "docs")
    assert broken.returncode != 0
    assert re.search(r"seekr\.rst:\d+: WARNING: Include file .*seekr_alignment\.py' not found", broken.stderr)
    assert re.search(r"nugen\.rst:\d+: WARNING: start-at pattern not found: evaluate = ", broken.stderr)


def test_every_example_is_shown() -> None:
    shown = {Path(included).name for _, included, _ in INCLUDES}
    assert {path.name for path in (PROJECT / "example_dags").glob("*.py")} <= shown


@pytest.mark.parametrize(("page", "included", "marks"), INCLUDES, ids=lambda value: Path(str(value)).name)
def test_what_is_included_is_there(page: Path, included: str, marks: list[str]) -> None:
    text = (page.parent / included).read_text(encoding="utf-8")
    assert [mark for mark in marks if mark not in text] == []


def test_the_test_in_the_readme_is_one_that_runs() -> None:
    test = (PROJECT / "tests" / "user" / "test_my_dag.py").read_text(encoding="utf-8")
    assert f"```python\n{test[test.index('import json') :]}```" in (PROJECT / "README.md").read_text(encoding="utf-8")


def test_every_link_of_the_readme_leads_somewhere() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("https://", "#"))]
    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_every_picture_is_shown() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (PROJECT / "docs").glob("*.[rm]*"))
    shown = re.findall(r"(?:image:: |\]\()images/([^\s)]+)", pages)
    assert sorted(shown) == sorted(path.name for path in (PROJECT / "docs" / "images").iterdir())


@pytest.mark.parametrize(("module", "page"), [(nugen, "nugen-api.rst"), (seekr, "seekr-api.rst")])
def test_every_endpoint_is_among_the_facts(module: ModuleType, page: str) -> None:
    text = re.sub(r"\{[^}]*\}", "{}", (PROJECT / "docs" / page).read_text(encoding="utf-8"))
    named = set(re.findall(r"(?:GET|POST|PUT|DELETE) /[^\s`?]*", text))
    paths: set[str] = set()
    for endpoint in vars(module).values():
        if isinstance(endpoint, Endpoint):
            revisions = endpoint.path.values.values() if isinstance(endpoint.path, PerRevision) else [endpoint.path]
            paths |= {f"{endpoint.method} {path}" for path in revisions if path is not None}
    assert len(paths) > 20
    short = {re.sub(r" (/api/v3|/v1/flow)/", " /", re.sub(r"\{[^}]*\}", "{}", path)) for path in paths}
    assert short <= named
