"""What all tests need: an Airflow of their own, and connections."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# Airflow reads its configuration when it is imported, so this comes before anything that imports it: the tests must
# neither read nor write the user's own Airflow.
for _name in [
    name for name in os.environ if name == "AIRFLOW_CONFIG" or name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))
]:
    del os.environ[_name]
_HOME = Path(tempfile.mkdtemp(prefix="airflow-provider-nugen-tests-"))
os.environ["AIRFLOW_HOME"] = str(_HOME)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# How fast a busy machine is says nothing about the code. The examples are the same each time, so that a run says
# something about the change that it tests; HYPOTHESIS_SEARCH=1 searches for new ones. Few of them for every change, and
# as many as AIRFLOW_PROVIDER_NUGEN_FUZZ_EXAMPLES says on demand.
settings.register_profile(
    "tests",
    deadline=None,
    max_examples=int(os.environ.get("AIRFLOW_PROVIDER_NUGEN_FUZZ_EXAMPLES") or 60),
    derandomize=not os.environ.get("HYPOTHESIS_SEARCH"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")

#: What would lead requests elsewhere, or make it trust others.
_NETWORK_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")

#: The key of every connection of the tests; must turn up nowhere but in the Authorization header.
KEY = "key-5ecret-0123456789"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, a whole Airflow, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


class OneAirflow(LoadScopeScheduling):  # type: ignore[misc]  # no types
    """Hands each test to whichever process is free, but all that share an Airflow to one: it is started once."""

    def _split_scope(self, nodeid: str) -> str:
        return "airflow" if nodeid.startswith("tests/e2e/") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneAirflow:
    """Schedule by path: xdist's own groups do nothing under pytest 9.2, which ignores what they do to an id."""
    return OneAirflow(config, log)


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take proxies, CA bundles and .netrc of the machine out of the tests."""
    for name in (*_NETWORK_VARIABLES, *map(str.lower, _NETWORK_VARIABLES), *_CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", os.devnull)


@pytest.fixture(autouse=True)
def unknown_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test find out for itself which API revision a service speaks."""
    from airflow_provider_nugen.hooks import revision

    monkeypatch.setattr(revision, "_spoken", {})


@pytest.fixture
def key() -> str:
    """The API key of the connections that :func:`connection` makes."""
    return KEY


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """
    Make Airflow connections: ``connection("nugen", host=..., extra={...})`` returns the connection id.

    They live in the environment, as JSON, so that no database is needed.
    """

    def make(conn_type: str, conn_id: str | None = None, *, password: str | None = KEY, **fields: Any) -> str:
        conn_id = conn_id or f"{conn_type}_default"
        value = {"conn_type": conn_type, "password": password, **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(value))
        return conn_id

    return make
