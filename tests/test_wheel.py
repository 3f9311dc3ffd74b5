"""What is published: built as ``make dist`` does, installed where nothing else is, and used from there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen import __version__

pytestmark = pytest.mark.dist

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "airflow_provider_nugen"
NAME = f"airflow_provider_nugen-{__version__}"

IMPORT_EVERYTHING = """
import importlib, json, pkgutil
import airflow_provider_nugen
names = [m.name for m in pkgutil.walk_packages(airflow_provider_nugen.__path__, "airflow_provider_nugen.")]
for name in names:
    importlib.import_module(name)
print(json.dumps({"from": airflow_provider_nugen.__file__, "modules": names}))
"""


def run(*command: str | Path, **options: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=900, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with sdist and wheel."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, PROJECT)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel, which was built from the sdist."""
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    return python


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Where to run it: outside the project, with an Airflow home of its own."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {"cwd": home, "env": {**kept, "HOME": str(home), "AIRFLOW_HOME": str(home / "airflow")}}


def test_there_is_one_sdist_and_one_wheel_for_every_platform(dist: Path) -> None:
    assert {path.name for path in dist.iterdir()} == {f"{NAME}.tar.gz", f"{NAME}-py3-none-any.whl"}


def test_the_wheel_has_the_package_the_license_and_nothing_else(wheel: Path) -> None:
    package = {
        str(path.relative_to(PROJECT)) for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    assert {"airflow_provider_nugen/py.typed", "airflow_provider_nugen/simulator/__main__.py"} <= package
    info = f"{NAME}.dist-info"
    beside = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert set(zipfile.ZipFile(wheel).namelist()) == package | beside


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(f"{NAME}.dist-info/METADATA").decode()
    assert "Classifier: Framework :: Apache Airflow\n" in metadata
    assert "Classifier: Framework :: Apache Airflow :: Provider\n" in metadata
    assert "Classifier: Typing :: Typed\n" in metadata
    assert "Requires-Dist: apache-airflow>=3.1\n" in metadata
    assert archive.read(f"{NAME}.dist-info/licenses/LICENSE") == (PROJECT / "LICENSE").read_bytes()


def test_the_sdist_has_what_is_needed_to_go_on_working(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        top = {name.split("/")[1] for name in archive.getnames()}
    assert {
        "airflow_provider_nugen",
        "demo",
        "devtools",
        "docs",
        "example_dags",
        "tests",
        "Makefile",
        "pyproject.toml",
    } <= top
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "PKG-INFO"} <= top


def test_every_module_can_be_imported(installed: Path, clean: dict[str, Any]) -> None:
    done = json.loads(run(installed, "-W", "error::SyntaxWarning", "-c", IMPORT_EVERYTHING, **clean).splitlines()[-1])
    assert Path(done["from"]).is_relative_to(installed.parents[1])
    expected = {
        ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
    }
    assert set(done["modules"]) == expected - {"airflow_provider_nugen"}


def test_airflow_finds_the_provider(installed: Path, clean: dict[str, Any]) -> None:
    printed = run(installed, "-m", "airflow", "providers", "list", "--output", "plain", **clean)
    assert re.search(rf"^airflow-provider-nugen\s.*\s{re.escape(__version__)}$", printed, re.MULTILINE)


def test_the_simulator_explains_itself(installed: Path, clean: dict[str, Any]) -> None:
    printed = run(installed, "-m", "airflow_provider_nugen.simulator", "--help", **clean)
    assert "usage: python -m airflow_provider_nugen.simulator" in printed


def test_the_simulator_starts_answers_and_stops(installed: Path, clean: dict[str, Any]) -> None:
    command = [str(installed), "-m", "airflow_provider_nugen.simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **clean) as simulator:
        try:
            assert simulator.stdout is not None
            found = re.search(r"http://\S+", simulator.stdout.readline())
            assert found
            request = urllib.request.Request(f"{found[0]}/api/v3/models/base")
            request.add_header("Authorization", "Bearer demo-key")
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert json.load(answer)["models"]
        finally:
            simulator.terminate()
        assert simulator.wait(30) == 0
