"""One Airflow for all end-to-end tests, and the services that it talks to: its start takes longer than most of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_nugen.simulator import Simulator, run_simulator
from devtools.local_airflow import LocalAirflow

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_dags"
#: Seconds without a heartbeat after which a triggerer's triggers are given to another one.
GIVEN_UP = 6
WRONG_KEY = f"wrong-{secrets.token_hex(12)}"


@pytest.fixture(scope="session")
def quick() -> Iterator[Simulator]:
    """Services whose jobs take seconds, and which deploy at once."""
    at_once = {"deployment": {"PENDING": 0.0, "DEPLOYING": 0.0, "WARMING": 0.0}, "undeployment": {"PENDING": 0.0}}
    with run_simulator(api_key=f"key-{secrets.token_hex(12)}", speed=60, durations=at_once) as running:
        yield running


@pytest.fixture(scope="session")
def endless() -> Iterator[Simulator]:
    """A SeekrFlow whose jobs take hours."""
    hours = {"running": 36_000.0, "file_processing": 36_000.0}
    durations = {"seekr_alignment": {"pending": 0.0, "queued": 0.0, **hours}, "data_job": hours}
    with run_simulator(api_key=f"key-{secrets.token_hex(12)}", durations=durations) as running:
        yield running


@pytest.fixture(scope="session")
def airflow(quick: Simulator, endless: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """The Airflow. Of its triggerers, only the first one runs when a module is done with it."""
    connections = {
        "nugen_default": quick.nugen_connection(),
        "nugen_wrong_key": {**quick.nugen_connection(), "password": WRONG_KEY},
        "seekr_default": quick.seekr_connection("team-e2e"),
        "seekr_endless": endless.seekr_connection("team-e2e"),
    }
    home = tmp_path_factory.mktemp("e2e") / "airflow"
    with LocalAirflow(
        home,
        [EXAMPLES, HERE / "dags"],
        connections=connections,
        triggerer_health_check_threshold=GIVEN_UP,
    ) as running:
        assert _processes_of(home)
        yield running
    assert _processes_of(home) == []


def _processes_of(home: Path) -> list[str]:
    """List the processes that this Airflow has started, those of its tasks included."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"AIRFLOW_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found
