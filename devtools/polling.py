"""The one way to wait for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    timeout: float,
    what: str | Callable[[], str],
    *,
    interval: float = 0.25,
    check: Callable[[], object] = lambda: None,
    progress: Callable[[], object] | None = None,
) -> T:
    """
    Call a condition until it returns something true, and return that.

    :param condition: what is waited for.
    :param timeout: seconds. With ``progress``: seconds without any progress, since how long the whole takes depends on
        what else the machine does.
    :param what: for the message of the error: what is missing.
    :param interval: seconds between two calls.
    :param check: called before each call; raises when waiting has become pointless.
    :param progress: returns a value that changes whenever there is progress.
    :raises TimeoutError: if it does not come true in time.
    """
    deadline = time.monotonic() + timeout
    reached = progress() if progress else None
    while True:
        check()
        if value := condition():
            return value
        if progress and (now_reached := progress()) != reached:
            reached = now_reached
            deadline = time.monotonic() + timeout
        if time.monotonic() > deadline:
            missing = what if isinstance(what, str) else what()
            raise TimeoutError(f"After {timeout:.0f} s{' without any progress' if progress else ''}: {missing}")
        time.sleep(interval)
