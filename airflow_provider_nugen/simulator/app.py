"""Both services as one ASGI application."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any, Unpack

from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from airflow_provider_nugen import __version__
from airflow_provider_nugen.simulator import control, nugen, seekr, seekr_files, seekr_training
from airflow_provider_nugen.simulator.faults import Fault
from airflow_provider_nugen.simulator.state import (
    DEFAULT_KEY,
    PROFILES,
    Config,
    Profile,
    RequestRecord,
    Revision,
    SimulatorState,
    Unkindness,
)

#: Prefix of the paths → name, and what says whether a request has the right key.
_SERVICES = {
    "/api/v3/": ("nugen", nugen.authorized),
    "/v1/flow/": ("seekr", seekr.authorized),
    "/v1/inference/": ("seekr", seekr.authorized),
}


def create_app(
    *,
    api_key: str = DEFAULT_KEY,
    seekr_team_ids: Iterable[str] | None = None,
    nugen_revision: Revision = "B",
    enveloped: bool = True,
    plain_timestamps: bool = False,
    speed: float = 1.0,
    durations: Mapping[str, Mapping[str, float]] | None = None,
    faults: Iterable[Fault | dict[str, Any]] = (),
    clock: Callable[[], float] = time.time,
    state_file: Path | None = None,
    profile: Profile = "plain",
    **unkindness: Unpack[Unkindness],
) -> FastAPI:
    """
    Build the simulator of Nugen and SeekrFlow. ``app.state.world`` is what it knows.

    :param api_key: the key that both services accept.
    :param seekr_team_ids: the teams that the key belongs to; ``None`` = any.
    :param nugen_revision: the API revision that Nugen speaks; the routes of the others do not exist. Another one from
        now on: :meth:`SimulatorState.switch_revision`.
    :param enveloped: whether an alignment status comes in the contract's envelope, or flat.
    :param plain_timestamps: whether Nugen writes times without a zone.
    :param speed: simulated seconds per second.
    :param durations: how many simulated seconds the stages of a kind of job last, where not as long as usual.
    :param faults: what goes wrong from the beginning.
    :param clock: tells the time in epoch seconds.
    :param state_file: keeps the jobs over a restart.
    :param profile: ``"plain"``, or ``"strict"``: all that the services may do to a client.
    :param unkindness: the same one by one, see :class:`~airflow_provider_nugen.simulator.state.Config`.
    :raises ValueError: if an option makes no sense.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r} is not one of {', '.join(PROFILES)}")
    options: Unkindness = {**PROFILES[profile], **unkindness}
    config = Config(
        api_key=api_key,
        seekr_team_ids=None if seekr_team_ids is None else frozenset(seekr_team_ids),
        nugen_revision=nugen_revision,
        enveloped=enveloped,
        plain_timestamps=plain_timestamps,
        speed=speed,
        durations=durations or {},
        clock=clock,
        state_file=state_file,
        **options,
    )
    world = SimulatorState(config, faults)
    app = SimulatorApp(world)
    alignments = seekr.Seekr(world)
    files = seekr_files.SeekrFiles(world, alignments)
    training = seekr_training.SeekrTraining(world, files)
    for router in (nugen.nugen_router(world), alignments.router, files.router, training.router, control.router):
        # Not include_router, which builds every route a second time: no router here is included with other options.
        app.router.routes.extend(router.routes)
    app.add_exception_handler(seekr.SeekrError, seekr.seekr_error)
    return app


class SimulatorApp(FastAPI):
    """
    The application, with what happens on the wire: raw paths, faults, and the log of requests.

    No middleware, since even the outermost one does not see the server's own ``send``, which has the connection.

    :param world: what the simulator knows.
    """

    def __init__(self, world: SimulatorState) -> None:
        super().__init__(title="Simulator of Nugen and SeekrFlow", version=__version__)
        self.world = self.state.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        # Routing on the path as it was sent: decoded, an id with a slash in it would be two segments.
        scope["path"] = path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").split("?")[0]
        service, authorized = next((s for prefix, s in _SERVICES.items() if path.startswith(prefix)), ("", None))
        if authorized is None:
            await super().__call__(scope, receive, send)
            return
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"").decode("latin-1")
        at, right, recorded = self.world.now(), authorized(self.world, header), False

        def record(status: int | None = None) -> None:
            """Record the request, once: before its answer, so that whoever has the answer finds it."""
            nonlocal recorded
            if recorded:
                return
            recorded = True
            self.world.record(
                RequestRecord(
                    at=at,
                    service=service,
                    operation=self._operation(scope),
                    method=scope["method"],
                    path=path,
                    status=status,
                    authorized=right,
                    client_port=(scope.get("client") or ("", 0))[1],
                )
            )

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                record(message["status"])
                # The clock by which a client can tell how old something is.
                clock = formatdate(self.world.now() + self.world.config.clock_skew, usegmt=True)
                message["headers"] = [*message["headers"], (b"date", clock.encode())]
            await send(message)

        try:
            await self._answer(scope, receive, send, watched, service, record)
        finally:
            record()

    def _operation(self, scope: Scope) -> str:
        """Return the name of a request's route: the one that the router has found, or would find."""
        found = scope.get("route")
        if found is None:
            found = next((route for route in self.routes if route.matches(scope)[0] is Match.FULL), None)
        return str(getattr(found, "name", ""))

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, watched: Send, service: str, record: Callable[[], None]
    ) -> None:
        faults = list(self.world.faults)
        operation = self._operation(scope) if faults else ""
        for fault in faults:
            if not fault.matches(service, operation, scope["method"], scope["path"]):
                continue
            if fault.action == "delay":
                await asyncio.sleep(fault.seconds)
                continue
            if fault.processed:
                await super().__call__(scope, receive, _swallow)
            if fault.action in ("drop", "truncate"):
                record()
            await self._break(fault, service, scope["path"], send, watched)
            return
        await super().__call__(scope, receive, watched)

    async def _break(self, fault: Fault, service: str, path: str, send: Send, watched: Send) -> None:
        if fault.action == "drop":
            _transport(send).abort()
        elif fault.action == "truncate":
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
            _transport(send).write(head + b'{"status": "PROCESSING", "progress": 1')
            _transport(send).close()
        elif fault.action == "status":
            extra = [(b"retry-after", fault.retry_after.encode())] if fault.retry_after else []
            body: dict[str, Any] = {"detail": f"Simulated {fault.status}"}
            if service == "seekr" and fault.status < 500:
                body = seekr.error_body(fault.status, f"Simulated {fault.status}", path)
            await _respond(watched, fault.status, json.dumps(body).encode(), extra)
        elif fault.action == "malformed":
            await _respond(watched, 200, b'{"status": "PROCESSING", "data": {')
        elif fault.action == "html":
            await _respond(watched, 200, b"<!doctype html><title>Maintenance</title>", kind=b"text/html")
        else:
            await _respond(watched, 200, b'{"status": "PROCESSING", "x": "' + b"x" * 17 * 2**20 + b'"}')


async def _swallow(message: Message) -> None:
    """Take an answer that nobody is to see."""


async def _respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Iterable[tuple[bytes, bytes]] = (),
    kind: bytes = b"application/json",
) -> None:
    start = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


def _transport(send: Send) -> asyncio.Transport:
    """Return the connection: uvicorn's ``send`` is a method of the object that has it."""
    transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]
    return transport
