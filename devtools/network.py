"""Where everything listens."""

from __future__ import annotations

import socket

LOCALHOST = "127.0.0.1"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def accepts_connections(port: int) -> bool:
    """
    Return whether somebody listens on a port of 127.0.0.1.

    :param port: the port.
    """
    with socket.socket() as probe:
        return probe.connect_ex((LOCALHOST, port)) == 0
