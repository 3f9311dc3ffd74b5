"""Running the simulator: in a thread for tests, or as a program."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from airflow_provider_nugen.simulator.app import create_app
from airflow_provider_nugen.simulator.state import SimulatorState

#: Seconds for which an idle connection is kept: longer than a client's usual pause between two polls.
KEEP_ALIVE = 900
_START_TIMEOUT = 30.0


class Simulator:
    """
    A running simulator.

    :param url: where it answers.
    :param world: what it knows; its methods are those of the ``/_simulator`` routes.
    """

    def __init__(self, url: str, world: SimulatorState) -> None:
        self.url = url
        self.world = world

    def __getattr__(self, name: str) -> Any:
        """Pass on what can be seen and done to :class:`~airflow_provider_nugen.simulator.state.SimulatorState`."""
        return getattr(self.world, name)

    def nugen_connection(self) -> dict[str, Any]:
        """Return the fields of an Airflow connection to the simulated Nugen."""
        revision = "C" if self.world.revision == "C" else "B"
        return self._connection("nugen", {"api_revision": revision})

    def seekr_connection(self, team_id: str | None = None) -> dict[str, Any]:
        """Return the fields of an Airflow connection to the simulated SeekrFlow."""
        return self._connection("seekr", {"team_id": team_id} if team_id else {})

    def _connection(self, conn_type: str, extra: dict[str, Any]) -> dict[str, Any]:
        return {"conn_type": conn_type, "host": self.url, "password": self.world.api_key, "extra": extra}


def listen(host: str, port: int) -> socket.socket:
    """Open the server's socket; port 0 = any free one."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(4096)
    except BaseException:
        sock.close()
        raise
    return sock


def make_server(app: FastAPI, **options: Any) -> uvicorn.Server:
    """Configure uvicorn for many clients that come back seldom."""
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        # The app writes the Date header, by the clock of the simulated services.
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
        **options,
    )
    return uvicorn.Server(config)


@contextlib.contextmanager
def run_simulator(
    *, port: int = 0, certfile: str | None = None, keyfile: str | None = None, **app_options: Any
) -> Iterator[Simulator]:
    """
    Run the simulator on 127.0.0.1 in a thread, for the time of a ``with`` block.

    :param port: where to listen; 0 = any free port.
    :param certfile: a TLS certificate, to answer on https.
    :param keyfile: its key.
    :param app_options: see :func:`~airflow_provider_nugen.simulator.create_app`.
    """
    app = create_app(**app_options)
    server = make_server(app, ssl_certfile=certfile, ssl_keyfile=keyfile)
    with listen("127.0.0.1", port) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="simulator", daemon=True)
        thread.start()
        try:
            end = time.monotonic() + _START_TIMEOUT
            while not server.started:
                if not thread.is_alive() or time.monotonic() > end:
                    raise RuntimeError("the simulator did not start")
                time.sleep(0.005)
            scheme = "https" if certfile else "http"
            yield Simulator(f"{scheme}://127.0.0.1:{sock.getsockname()[1]}", app.state.world)
        finally:
            server.should_exit = True
            thread.join(_START_TIMEOUT)
