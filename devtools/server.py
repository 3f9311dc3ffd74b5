"""The one wrapper of a server that runs as a process, and can be killed and started again."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from devtools.network import accepts_connections, free_port
from devtools.polling import wait_until
from devtools.processes import Processes, child_environment


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
        wait_until(
            lambda: accepts_connections(self.port),
            timeout,
            f"{self.name} does not answer on port {self.port}; see {self.folder}",
            interval=0.1,
            check=self.processes.check,
        )

    def stop(self, sig: signal.Signals | None = None) -> None:
        """
        End it, and return when it has ended.

        :param sig: signal, by default the one that ends it in order.
        """
        self.processes.kill(self.name, sig or self.stop_signal)
