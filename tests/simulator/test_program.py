"""``python -m airflow_provider_nugen.simulator``, and TLS."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from devtools.certificates import make_certificate
from tests.simulator.conftest import Api

COMMAND = [sys.executable, "-m", "airflow_provider_nugen.simulator"]
KEY_VARIABLE = "AIRFLOW_PROVIDER_NUGEN_SIMULATOR_KEY"


@contextlib.contextmanager
def program(*arguments: str, env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the simulator as a process; yield it, its URL, and what it says."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "default", **(env or {})},
    )
    try:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(3))
        found = re.search(r"http://\S+", said)
        assert found, said
        yield process, found[0], said
    finally:
        process.kill()
        process.communicate()


def base_models(url: str, key: str) -> int:
    answer = requests.get(f"{url}/api/v3/models/base", headers={"Authorization": f"Bearer {key}"}, timeout=10)
    return answer.status_code


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_told_to_and_leaves_nothing(sig: signal.Signals) -> None:
    with program() as (process, url, _), requests.Session() as session:
        # A client that keeps its connection does not hold it up.
        key = {"Authorization": "Bearer demo-key"}
        assert session.get(f"{url}/api/v3/models/base", headers=key, timeout=10).status_code == 200
        process.send_signal(sig)
        rest, errors = process.communicate(timeout=10)
        assert (process.returncode, rest, errors) == (0, "", "")
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(url.rsplit(":", 1)[1]))) != 0


def test_faults_leave_no_trace_on_the_console() -> None:
    with program() as (process, url, _):
        for action in ("drop", "truncate"):
            requests.post(f"{url}/_simulator/faults", json={"action": action, "times": 7}, timeout=10)
            for _ in range(7):
                with pytest.raises(requests.RequestException):
                    base_models(url, "demo-key")
        assert base_models(url, "demo-key") == 200
        process.terminate()
        assert process.communicate(timeout=10) == ("", "")


def test_it_says_how_to_connect() -> None:
    with program("--nugen-revision", "C") as (_, url, said):
        nugen, seekr = (json.loads(found) for found in re.findall(r"='(.*)'", said))
        assert nugen == {"conn_type": "nugen", "host": url, "password": "demo-key", "extra": {"api_revision": "C"}}
        assert (seekr["conn_type"], seekr["host"]) == ("seekr", url)


def test_a_key_that_was_given_is_used_and_not_shown() -> None:
    with program("--api-key", "first-key", env={KEY_VARIABLE: "second-key"}) as (_, url, said):
        assert "first-key" not in said
        assert [base_models(url, key) for key in ("first-key", "second-key", "demo-key")] == [200, 401, 401]
    with program(env={KEY_VARIABLE: "second-key"}) as (_, url, said):
        assert "second-key" not in said
        assert base_models(url, "second-key") == 200


def test_its_options_arrive(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    options = ("--flat", "--plain-timestamps", "--speed", "10", "--seekr-team", "team-1", "--state-file", str(state))
    with program(*options) as (_, url, _):
        jobs = requests.get(f"{url}/_simulator/jobs", timeout=10).json()
        assert [job["id"] for job in jobs] == ["doc-demo-1", "doc-demo-2", "benchmark-demo-1"]
        headers = {"Authorization": "Bearer demo-key"}
        body = {"name": "n", "base_model": "nugen-pro-instruct", "document_ids": ["doc-demo-1"]}
        v3 = f"{url}/api/v3/alignment-project"
        created = requests.post(f"{v3}/create", json=body, headers=headers, timeout=10).json()["alignment_id"]
        status = requests.get(f"{v3}/status/{created}", headers=headers, timeout=10).json()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", status["created_date"])
        headers = {"Authorization": "demo-key", "x-team-id": "team-2"}
        assert requests.get(f"{url}/v1/flow/alignment", headers=headers, timeout=10).status_code == 403
        assert created in state.read_text()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)


def test_help_says_what_there_is() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in (
        "doc-demo-1",
        "benchmark-demo-1",
        "nugen-broken",
        "--speed",
        "--profile",
        "/_simulator/revision",
        "/_simulator/faults",
        KEY_VARIABLE,
    ):
        assert word in done.stdout


@pytest.mark.parametrize(
    "wrong", [("--speed", "0"), ("--speed", "fast"), ("--nugen-revision", "D"), ("--profile", "kind")]
)
def test_options_that_make_no_sense(wrong: tuple[str, str]) -> None:
    done = run(*wrong)
    assert done.returncode == 2
    assert wrong[0] in done.stderr


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert done.returncode == 1
    assert done.stderr == f"Cannot listen on 127.0.0.1, port {port}: Address already in use\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a certificate for 127.0.0.1 that nobody else trusts; return its file, which has the key, too."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    make_certificate(path)
    return str(path)


def test_tls(simulate: Callable[..., Api], certificate: str) -> None:
    api = simulate(certfile=certificate)
    assert api.simulator.url.startswith("https://")
    with pytest.raises(requests.exceptions.SSLError):
        api.call("GET", "/api/v3/models/base")
    assert api.call("GET", "/api/v3/models/base", verify=certificate).status_code == 200


@pytest.mark.parametrize("action", ["drop", "truncate"])
def test_faults_over_tls(simulate: Callable[..., Api], certificate: str, action: str) -> None:
    api = simulate(certfile=certificate, faults=[{"action": action, "times": 2}])
    verified: dict[str, Any] = {"verify": certificate}
    for _ in range(2):
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            api.call("GET", "/api/v3/models/base", **verified)
    assert api.call("GET", "/api/v3/models/base", **verified).status_code == 200
