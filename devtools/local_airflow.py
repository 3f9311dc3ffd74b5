"""A private, real Airflow: scheduler, dag-processor, triggerers and api-server as processes of their own."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from devtools import settings
from devtools.client import AirflowClient
from devtools.network import LOCALHOST, free_port
from devtools.polling import wait_until
from devtools.processes import Processes, child_environment

LOCK = "local-airflow.lock"
HEALTH_NAMES = ("metadatabase", "scheduler", "triggerer", "dag_processor")
JOB_TYPES = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag-processor": "DagProcessorJob"}


class LocalAirflow(AirflowClient):
    """
    An Airflow of our own, from an empty database, which ends with the context or with this program.

    It listens on 127.0.0.1 only and takes nothing from the user's own Airflow. The methods of
    :class:`devtools.client.AirflowClient` talk to it.

    :param home: its AIRFLOW_HOME, with configuration, database and logs. Wiped at the start, left behind at the end.
    :param dags: folder, or folders, with DAG files.
    :param connections: connections by their ids, see :meth:`AirflowClient.add_connection`. They are sent to the
        api-server once it runs, so that the only copy of a secret is the encrypted one in the database.
    :param config: settings named ``AIRFLOW__SECTION__KEY``, which win over those set here.
    :param env: environment variables for all processes.
    :param database_url: SQLAlchemy URL of an empty metadata database; SQLite in ``home`` by default.
    :param triggerers: number of triggerers. Without any, nothing that is deferred continues.
    :param triggerer_health_check_threshold: seconds without a heartbeat (one is sent every 2 s) after which the
        triggers of a triggerer are given to another one. Airflow's default; tests that kill triggerers want less.
    :param start_timeout: seconds without progress after which the start has failed.
    :param say: called with a line of text whenever something has happened.
    """

    def __init__(
        self,
        home: Path,
        dags: Path | Sequence[Path],
        *,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        config: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        database_url: str | None = None,
        triggerers: int = 1,
        triggerer_health_check_threshold: float = 30,
        start_timeout: float = 120,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.home = home.absolute()
        self.logs = self.home / "logs"
        self.port = free_port()
        self._dags = [folder.absolute() for folder in ([dags] if isinstance(dags, Path) else dags)]
        self._connections = dict(connections or {})
        self._env = dict(env or {})
        self._triggerers = triggerers
        self._start_timeout = start_timeout
        self._say = say
        self._processes: Processes | None = None
        self._lock: int | None = None
        self._settings = settings.airflow_settings(
            home=self.home,
            dags=self._dags,
            port=self.port,
            database_url=database_url or f"sqlite:///{self.home / 'airflow.db'}",
            triggerer_health_check_threshold=triggerer_health_check_threshold,
        ) | dict(config or {})
        super().__init__(f"http://{LOCALHOST}:{self.port}", settings.USER, password="")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def processes(self) -> Processes:
        """The running processes."""
        if self._processes is None:
            raise RuntimeError("This Airflow is not running")
        return self._processes

    def start(self) -> None:
        """
        Create the home and the database, start everything, and return when it is healthy.

        :raises ServiceDied: if a process ends; with the end of its log.
        :raises TimeoutError: if something is not healthy in time.
        """
        try:
            self._lock = claim_home(self.home)
            for folder in ("logs", "plugins"):
                (self.home / folder).mkdir()
            settings.write_config(self.home / "airflow.cfg", self._settings)
            self.password = settings.write_passwords(self.home / "passwords.json")
            self._processes = Processes(
                logs=self.logs,
                env=child_environment({"AIRFLOW_HOME": str(self.home), **self._env}),
                cwd=self.home,
                keep_open=[self._lock],
            )
            # The slowest to start, and busy with imports for longer than the database takes.
            self._start_service("api-server")
            self._processes.run("db-migrate", _airflow("db", "migrate"), self._start_timeout)
            self._say("metadata database created")
            self._start_service("scheduler")
            self._start_service("dag-processor")
            for index in range(self._triggerers):
                self._start_service(triggerer_name(index))
            self.wait_until_healthy()
            self.login()
            for conn_id, connection in self._connections.items():
                self.add_connection(conn_id, connection)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process. Does nothing the second time."""
        if self._processes is not None:
            services = self._processes.services
            try:
                # The others first: their last words go to the api-server. It needs seconds to end, doing nothing.
                self._processes.end([services[name] for name in services if name != "api-server"], grace=5)
            finally:
                self._processes.stop(grace=1)
                self._processes = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def check(self) -> None:
        """
        Make sure that every process runs which was not ended on purpose.

        :raises ServiceDied: if one does not; with the end of its log.
        """
        self.processes.check()

    def wait_until_healthy(self, timeout: float | None = None) -> None:
        """
        Wait until the api-server answers and every running component has sent a heartbeat.

        :param timeout: seconds without one more healthy component.
        :raises TimeoutError: if this takes longer.
        """
        wanted = {name for name in HEALTH_NAMES if name != "triggerer" or self._triggerers}
        health: dict[str, str | None] = {}
        healthy: set[str] = set()

        def all_healthy() -> bool:
            health.update(self.health())
            for name in HEALTH_NAMES:
                if health.get(name) == "healthy" and name not in healthy:
                    healthy.add(name)
                    self._say(f"{name} is healthy")
            if not health:
                return False
            # Its first answer takes seconds: without this one, the first tasks would sit on their workers that long.
            return self.execution_api_answers() and wanted <= healthy

        wait_until(
            all_healthy,
            timeout or self._start_timeout,
            lambda: f"not healthy yet: {health}",
            check=self.check,
            progress=lambda: len(healthy),
        )

    # Breaking and mending

    def kill(self, service: str, sig: signal.Signals = signal.SIGKILL, timeout: float = 30) -> None:
        """
        Send a signal to a process and wait for its end; SIGKILL, SIGSTOP and SIGCONT also hit everything it has forked.

        :param service: ``api-server``, ``scheduler``, ``dag-processor`` or ``triggerer-N``.
        :param sig: signal.
        :param timeout: seconds to wait; after SIGTERM, the scheduler waits for the tasks on its workers.
        """
        self.processes.kill(service, sig, timeout)

    def restart(self, service: str, sig: signal.Signals = signal.SIGTERM) -> None:
        """
        End a process if it still runs, start it again, and wait until it works.

        :param service: see :meth:`kill`.
        :param sig: signal to end it with.
        """
        if self.processes.services[service].alive:
            self.kill(service, sig)
        self._start_and_wait(service)

    def start_triggerer(self) -> int:
        """Start one more triggerer, wait until it works, and return its index."""
        index = sum(name.startswith("triggerer-") for name in self.processes.services)
        self._start_and_wait(triggerer_name(index))
        return index

    def kill_triggerer(self, index: int = 0, sig: signal.Signals = signal.SIGKILL) -> None:
        """
        Send a signal to a triggerer, see :meth:`kill`.

        :param index: which one, counted from 0.
        :param sig: signal.
        """
        self.kill(triggerer_name(index), sig)

    def restart_triggerer(self, index: int = 0, sig: signal.Signals = signal.SIGTERM) -> None:
        """
        End a triggerer, see :meth:`restart`.

        :param index: which one, counted from 0.
        :param sig: signal to end it with.
        """
        self.restart(triggerer_name(index), sig)

    def service_log(self, service: str, lines: int = 25) -> str:
        """
        Return the end of a process's log.

        :param service: see :meth:`kill`.
        :param lines: how many lines.
        """
        return self.processes.services[service].tail(lines)

    def _start_and_wait(self, name: str) -> None:
        if name == "api-server":
            self._start_service(name)
            self.wait_until_healthy()
            return
        # Not the health: Airflow calls a component healthy for a while after its death.
        job_type = JOB_TYPES[name.rstrip("-0123456789")]
        before = self.jobs(job_type)
        self._start_service(name)
        wait_until(
            lambda: self.jobs(job_type) > before,
            self._start_timeout,
            f"{name} has sent no heartbeat",
            check=self.check,
        )

    def _start_service(self, name: str) -> None:
        self.processes.start(name, _airflow(*self._arguments(name)))

    def _arguments(self, name: str) -> list[str]:
        # --skip-serve-logs: the servers for logs would listen on all interfaces, and the api-server can read the files.
        if name == "api-server":
            return ["api-server", "--host", LOCALHOST, "--port", str(self.port), "--workers", "1"]
        if name == "scheduler":
            return ["scheduler", "--skip-serve-logs"]
        if name == "dag-processor":
            return ["dag-processor"]
        return ["triggerer", "--skip-serve-logs"]


def triggerer_name(index: int) -> str:
    """
    Return the name of a triggerer's process.

    :param index: which one, counted from 0.
    """
    return f"triggerer-{index}"


def claim_home(home: Path, timeout: float = 15) -> int:
    """
    Lock a folder for one Airflow, empty it, and return the descriptor that holds the lock.

    The guardian holds it too, so that after the death of a run the next one waits until its processes are gone.

    :param home: folder; created, or left behind by an earlier run. Any other folder is not touched.
    :param timeout: seconds to wait for the lock.
    :raises RuntimeError: if the folder is something else, or in use.
    """
    marker = home / LOCK
    if home.exists() and not marker.exists() and any(home.iterdir()):
        raise RuntimeError(f"{home} is not empty and was not made by this program; it will not be wiped")
    home.mkdir(parents=True, exist_ok=True)
    lock = os.open(marker, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        wait_until(lambda: _locked(lock), timeout, "locked", interval=0.1)
    except TimeoutError:
        os.close(lock)
        raise RuntimeError(f"Another Airflow is running in {home}; stop it first") from None
    for entry in home.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != marker:
            entry.unlink()
    return lock


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _airflow(*arguments: str) -> list[str]:
    # -P keeps the working directory, with its folders "plugins" and "config", out of sys.path.
    return [sys.executable, "-P", "-m", "airflow", *arguments]
