"""
Ends every process of a run after the run itself has died, even by SIGKILL.

Runs as a program of its own, which holds the reading end of a pipe. Whoever started it holds the other end: when that
process is gone, however it ended, the kernel closes the pipe, and the guardian kills what is left. PR_SET_PDEATHSIG
would tell the direct children only, not the workers and triggers that they forked, it is bound to the starting thread,
and it exists on Linux only.

Imports nothing of this package, so that it can be started by its path and is up at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from typing import TextIO

import psutil  # type: ignore[import-untyped]


def session_tree(leaders: Collection[int]) -> list[psutil.Process]:
    """
    Return the live processes of these sessions and all their descendants.

    Sessions and not process groups: Airflow gives each task a process group of its own. Descendants too, because
    BashOperator starts its shell in a new session.

    :param leaders: ids of the processes that opened the sessions; they may have ended already.
    """
    found: dict[int, psutil.Process] = {}
    children: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            children.setdefault(process.ppid(), []).append(process)
            if process.pid in leaders or os.getsid(process.pid) in leaders:
                found[process.pid] = process
    unvisited = list(found)
    while unvisited:
        for child in children.get(unvisited.pop(), []):
            if child.pid not in found:
                found[child.pid] = child
                unvisited.append(child.pid)
    return list(found.values())


def send(leaders: Collection[int], sig: signal.Signals) -> None:
    """
    Send a signal to everything in these sessions, and to all descendants.

    :param leaders: ids of the processes that opened the sessions.
    :param sig: signal.
    """
    _send_to(session_tree(leaders), sig)


def kill_all(leaders: Collection[int], seen: Collection[psutil.Process] = (), timeout: float = 10) -> None:
    """
    Kill these sessions with all their descendants, and return when nothing of them is alive.

    :param leaders: ids of the processes that opened the sessions.
    :param seen: processes found earlier, which may have lost their parents since and so cannot be found any more.
    :param timeout: seconds after which processes that the kernel will not let go (uninterruptible I/O) are given up.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        alive = {*session_tree(leaders), *(process for process in seen if _alive(process))}
        if not alive:
            return
        _send_to(alive, signal.SIGKILL)
        time.sleep(0.05)


def _send_to(processes: Collection[psutil.Process], sig: signal.Signals) -> None:
    for process in processes:
        # psutil compares the start time before it sends, so that a process id used again is never hit.
        with suppress(psutil.Error):
            process.send_signal(sig)


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def guard(commands: TextIO) -> None:
    """
    Follow ``watch PID`` and ``forget PID`` lines until the pipe is closed, then kill what is still watched.

    :param commands: reading end of the pipe.
    """
    watched: set[int] = set()
    for line in commands:
        verb, pid = line.split()
        if verb == "watch":
            watched.add(int(pid))
        else:
            watched.discard(int(pid))
    kill_all(watched)


if __name__ == "__main__":
    guard(sys.stdin)
