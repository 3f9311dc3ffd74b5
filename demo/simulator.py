"""The simulated services as a process."""

from __future__ import annotations

import secrets
import socket
import sys
import time
from pathlib import Path
from typing import Self

from demo.local_airflow import free_port
from demo.processes import Processes
from demo.settings import LOCALHOST, child_environment

KEY_VARIABLE = "AIRFLOW_PROVIDER_NUGEN_SIMULATOR_KEY"


class Simulator:
    """
    Nugen and SeekrFlow on 127.0.0.1, behind an API key made up for this run.

    :param folder: folder for its log.
    :param speed: how many seconds of a simulated job go by in one second.
    """

    def __init__(self, folder: Path, speed: float) -> None:
        self.api_key = secrets.token_urlsafe(24)
        self.port = free_port()
        self.url = f"http://{LOCALHOST}:{self.port}"
        self.log = folder / "simulator.log"
        self._command = [
            *(sys.executable, "-m", "airflow_provider_nugen.simulator"),
            *("--host", LOCALHOST, "--port", str(self.port), "--speed", f"{speed:g}"),
        ]
        self._processes = Processes(
            logs=folder,
            # In the environment, since every process on the machine can read the command line.
            env=child_environment({KEY_VARIABLE: self.api_key}),
            cwd=folder,
        )

    def __enter__(self) -> Self:
        self.log.unlink(missing_ok=True)
        try:
            self._processes.start("simulator", self._command)
        except BaseException:
            self._processes.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._processes.stop()

    def wait_until_up(self, timeout: float = 30) -> None:
        """
        Wait until it accepts connections.

        :param timeout: seconds.
        :raises ServiceDied: if it ended; with its log.
        :raises TimeoutError: if this takes longer.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._processes.check()
            with socket.socket() as probe:
                if probe.connect_ex((LOCALHOST, self.port)) == 0:
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"The simulator does not answer at {self.url}; see {self.log}")
            time.sleep(0.1)
