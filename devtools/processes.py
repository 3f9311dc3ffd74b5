"""Child processes that never outlive the program that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from devtools import guardian
from devtools.network import LOCALHOST


class ServiceDied(RuntimeError):
    """A process that should run has ended; the message has the end of its log."""


class Service:
    """
    One program, running in a session of its own together with everything that it forks.

    :param name: shown in messages, and the name of the log file.
    :param command: program and arguments.
    :param log: file that standard output and error are appended to.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.may_end = False
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the session; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def returncode(self) -> int | None:
        """What the program returned, None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self._process is not None and self._process.poll() is None

    def start(
        self, env: Mapping[str, str], cwd: Path, stdin: int = subprocess.DEVNULL, pass_fds: Collection[int] = ()
    ) -> None:
        """
        Start the program.

        :param env: its whole environment.
        :param cwd: its working directory.
        :param stdin: file descriptor of its standard input.
        :param pass_fds: further file descriptors that it gets, under the same numbers.
        """
        self.may_end = False
        with self.log.open("ab") as log, _signals_held_back():
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self.command,
                env=dict(env),
                cwd=cwd,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(pass_fds),
                # Ctrl-C in the terminal must reach our own program only, which then ends its services in order.
                start_new_session=True,
            )

    def wait(self, timeout: float) -> bool:
        """
        Wait until the program has ended.

        :param timeout: seconds.
        :return: whether it has ended.
        """
        if self._process is None:
            return True
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def signal(self, sig: signal.Signals) -> None:
        """
        Send a signal as an operator or a broken machine would.

        A polite signal goes to the program, which passes it on as it likes (as Kubernetes and systemd do it). SIGKILL,
        SIGSTOP and SIGCONT hit the whole session: when a machine dies or hangs, nothing on it is spared.

        :param sig: signal to send.
        """
        if sig in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT):
            guardian.send([self.pid], sig)
        elif self.alive:
            os.kill(self.pid, sig)

    def tail(self, lines: int = 25) -> str:
        """
        Return the end of what the program has written since its last start.

        :param lines: how many lines.
        """
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


class Processes:
    """
    Starts services and ends them all, with everything they forked: on leaving the context, and when this program dies.

    :param logs: folder of the log files.
    :param env: environment of every service.
    :param cwd: working directory of every service.
    :param keep_open: file descriptors that the guardian holds until nothing is left (a lock on the folder, say).
    """

    def __init__(self, *, logs: Path, env: Mapping[str, str], cwd: Path, keep_open: Collection[int] = ()) -> None:
        self.services: dict[str, Service] = {}
        self._logs = logs
        self._env = dict(env)
        self._cwd = cwd
        self._keep_open = tuple(keep_open)
        self._guardian: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(
        self, name: str, command: Sequence[str], stdin: int = subprocess.DEVNULL, pass_fds: Collection[int] = ()
    ) -> Service:
        """
        Start a service, or start it again after it ended.

        :param name: unique name.
        :param command: program and arguments.
        :param stdin: file descriptor of its standard input.
        :param pass_fds: further file descriptors that it gets, under the same numbers.
        """
        service = self.services.setdefault(name, Service(name, command, self._logs / f"{name}.log"))
        if service.alive:
            raise ValueError(f"{name} is running already")
        self._tell_guardian("forget", service.pid)
        service.start(self._env, self._cwd, stdin, pass_fds)
        self._tell_guardian("watch", service.pid)
        return service

    def run(self, name: str, command: Sequence[str], timeout: float) -> None:
        """
        Run a program to its end.

        :param name: unique name.
        :param command: program and arguments.
        :param timeout: seconds.
        :raises ServiceDied: if it fails or takes too long.
        """
        service = self.start(name, command)
        service.may_end = True
        if not service.wait(timeout):
            self.end([service], grace=0)
            raise ServiceDied(f"{name} took longer than {timeout:.0f} s.\n{_log_excerpt(service)}")
        if service.returncode:
            raise ServiceDied(f"{name} failed with {service.returncode}.\n{_log_excerpt(service)}")

    def check(self) -> None:
        """
        Make sure that every service runs that was not ended on purpose.

        :raises ServiceDied: if one does not.
        """
        for service in self.services.values():
            if not service.alive and not service.may_end:
                raise ServiceDied(f"{service.name} ended with {service.returncode}.\n{_log_excerpt(service)}")

    def kill(self, name: str, sig: signal.Signals, timeout: float = 30) -> None:
        """
        Send a signal to a service, and wait for its end if the signal is one that ends it.

        :param name: name of the service.
        :param sig: signal, see :meth:`Service.signal`.
        :param timeout: seconds to wait for the end.
        """
        service = self.services[name]
        if sig in (signal.SIGSTOP, signal.SIGCONT):
            service.signal(sig)
            return
        service.may_end = True
        service.signal(sig)
        if not service.wait(timeout):
            raise ServiceDied(f"{name} still runs {timeout:.0f} s after {sig.name}.\n{_log_excerpt(service)}")
        self.end([service], grace=0)

    def end(self, services: Collection[Service], grace: float) -> None:
        """
        End services: SIGTERM, a grace, then SIGKILL for whatever is left of them.

        :param services: services to end, all at the same time.
        :param grace: seconds between the two.
        """
        # The kernel does not give an id away as long as a session is named after it: where the id of a program that has
        # ended belongs to somebody, its session is empty, and that somebody is not a child of this process.
        leaders = {service.pid for service in services if service.pid and (service.alive or not _exists(service.pid))}
        # What was forked by a process that ends is an orphan afterwards; if it also has its own session, it could not
        # be found any more.
        seen = guardian.session_tree(leaders)
        deadline = time.monotonic() + grace
        for service in services:
            service.may_end = True
            if grace:
                service.signal(signal.SIGTERM)
        for service in services:
            service.wait(max(0.0, deadline - time.monotonic()))
        guardian.kill_all(leaders, seen)
        for service in services:
            service.wait(5)
            self._tell_guardian("forget", service.pid)

    def stop(self, grace: float = 5) -> None:
        """
        End everything. Does nothing the second time.

        :param grace: seconds between SIGTERM and SIGKILL.
        """
        try:
            self.end([service for service in self.services.values() if service.pid], grace)
        finally:
            self.services.clear()
            if self._guardian is not None:
                assert self._guardian.stdin is not None
                with suppress(BrokenPipeError):
                    self._guardian.stdin.close()
                self._guardian.wait()
                self._guardian = None

    def _tell_guardian(self, verb: str, pid: int) -> None:
        if not pid:
            return
        if self._guardian is None:
            with _signals_held_back():
                self._guardian = subprocess.Popen(
                    [sys.executable, "-P", guardian.__file__],
                    stdin=subprocess.PIPE,
                    # Without this, a reader of our output would wait for the guardian when we are gone.
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=self._keep_open,
                    text=True,
                )
        assert self._guardian.stdin is not None
        with suppress(BrokenPipeError):
            print(verb, pid, file=self._guardian.stdin, flush=True)


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """
    Return the environment for a child process: the inherited one, without anything about the user's own Airflow.

    Python reads and writes UTF-8 in it, whatever the locale: Airflow opens its own files without naming an encoding.

    :param extra: variables to add.
    """
    # COVERAGE_: measuring a whole Airflow would make it slow.
    foreign = ("AIRFLOW_", "COVERAGE_")
    env = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith(foreign)}
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name), LOCALHOST, "localhost"]))
    return env | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "NO_COLOR": "1"} | dict(extra)


def _exists(pid: int) -> bool:
    try:
        os.getsid(pid)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """
    Let the handlers of signals run after the block instead of in the middle of it.

    Handlers raise exceptions (KeyboardInterrupt for one). Between the fork and the return of Popen, that would leave a
    process that nobody knows of. Blocking the signals is no way out: the new process would inherit that.
    """
    pending: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if callable(signal.getsignal(sig)):
                handlers[sig] = signal.signal(sig, lambda number, frame: pending.append(number))
    try:
        yield
    finally:
        for sig, handler in handlers.items():
            signal.signal(sig, handler)
        if pending:
            signal.raise_signal(signal.Signals(pending[0]))


def _log_excerpt(service: Service) -> str:
    return f"--- end of {service.log} ---\n{service.tail()}\n---"
