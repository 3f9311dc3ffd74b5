"""The simulated services as a process, and what can be done to them."""

from __future__ import annotations

import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from devtools.network import LOCALHOST
from devtools.server import Server

KEY_VARIABLE = "AIRFLOW_PROVIDER_NUGEN_SIMULATOR_KEY"


class SimulatorServer(Server):
    """
    Nugen and SeekrFlow, behind an API key made for this run, with jobs that survive a restart.

    :param folder: folder for its files; must not exist.
    :param speed: how many seconds of a simulated job pass in one second.
    """

    def __init__(self, folder: Path, speed: float = 1.0) -> None:
        self.api_key = secrets.token_urlsafe(24)
        #: Requests that would change something at the service; it forgets its requests when it ends.
        self.changes: list[str] = []
        self._speed = speed
        # In the environment, since every process on the machine can read the command line.
        super().__init__("simulator", folder, {KEY_VARIABLE: self.api_key})
        self.url = f"http://{LOCALHOST}:{self.port}"
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def command(self) -> Sequence[str]:
        """Program and arguments."""
        return [
            *(sys.executable, "-m", "airflow_provider_nugen.simulator"),
            *("--host", LOCALHOST, "--port", str(self.port), "--speed", f"{self._speed:g}"),
            *("--state-file", str(self.folder / "jobs.json")),
        ]

    def prepare(self) -> None:
        """Make the folder of the state file."""
        self.folder.mkdir()

    def stop(self, sig: signal.Signals | None = None) -> None:
        """
        End it, and return when it has ended.

        :param sig: signal, by default the one that ends it in order.
        """
        self.note_changes()
        super().stop(sig)

    def note_changes(self) -> None:
        """Remember which requests would have changed something, and let the simulator forget all requests."""
        self.changes += [
            f"{seen['method']} {seen['path']}" for seen in self._send("GET", "requests") if seen["method"] != "GET"
        ]
        self._send("DELETE", "requests")

    def set_job(self, kind: str, job_id: str, stages: Sequence[tuple[str, float]]) -> None:
        """
        Create a job, or give it another life from now on.

        :param kind: its kind.
        :param job_id: its id.
        :param stages: status words and seconds; the last one lasts.
        """
        self._send("POST", "jobs", json={"kind": kind, "id": job_id, "stages": list(stages)})

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs."""
        jobs: list[dict[str, Any]] = self._send("GET", "jobs")
        return jobs

    def add_fault(self, **fault: Any) -> None:
        """
        Let something go wrong from now on.

        :param fault: see :class:`airflow_provider_nugen.simulator.faults.Fault`.
        """
        self._send("POST", "faults", json=fault)

    def clear_faults(self) -> int:
        """Let nothing go wrong any more, and return how often something did."""
        struck = sum(int(fault["struck"]) for fault in self._send("GET", "faults"))
        self._send("DELETE", "faults")
        return struck

    def rotate_key(self, api_key: str) -> None:
        """
        Accept only another key from now on.

        :param api_key: the key.
        """
        self._send("PUT", "key", json={"api_key": api_key})
        self.api_key = api_key

    def _send(self, method: str, path: str, **options: Any) -> Any:
        response = self._session.request(method, f"{self.url}/_simulator/{path}", timeout=30, **options)
        response.raise_for_status()
        return response.json() if response.content else None
