"""Nugen, simulated. How its API revisions differ is data, in ``revisions.py``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.routing import Match
from starlette.types import Scope

from airflow_provider_nugen.simulator.http import world_of
from airflow_provider_nugen.simulator.nugen.alignments import Alignments
from airflow_provider_nugen.simulator.nugen.documents import Documents
from airflow_provider_nugen.simulator.nugen.evaluations import Evaluations
from airflow_provider_nugen.simulator.nugen.models import Models
from airflow_provider_nugen.simulator.nugen.service import BASE_MODELS, BROKEN_MODEL, FROZEN_MODEL, Service
from airflow_provider_nugen.simulator.revisions import ROUTES, V3
from airflow_provider_nugen.simulator.state import Revision, SimulatorState

__all__ = ["BASE_MODELS", "BROKEN_MODEL", "FROZEN_MODEL", "authorized", "nugen_router"]

_bearer = HTTPBearer(auto_error=False)


def authorized(world: SimulatorState, header: str | None) -> bool:
    """Return whether a request has the right key, the way Nugen wants it."""
    return header == f"Bearer {world.api_key}"


async def _authorize(request: Request, _: Annotated[Any, Security(_bearer)]) -> None:
    if not authorized(world_of(request), request.headers.get("Authorization")):
        raise HTTPException(401, "Invalid or missing API key")


class _Route(APIRoute):
    """A route that exists only while the service speaks one of its revisions."""

    revisions: tuple[Revision, ...] = ("A", "B", "C")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["app"].state.world.revision not in self.revisions:
            return Match.NONE, {}
        return super().matches(scope)


class _EarlierRoute(_Route):
    """A route of the revisions before C."""

    revisions = ("A", "B")


class _RouteOfC(_Route):
    """A route of revision C."""

    revisions = ("C",)


def nugen_router(world: SimulatorState) -> APIRouter:
    """
    Build the routes of Nugen, of all revisions.

    :param world: what the service knows.
    """
    service = Service(world)
    documents = Documents(service)
    alignments = Alignments(service, documents)
    models = Models(service, alignments)
    parts = (documents, alignments, models, Evaluations(service, documents, alignments, models))
    router = APIRouter(prefix=V3, dependencies=[Depends(_authorize)], tags=["nugen"])
    handlers: dict[str, Callable[..., Any]] = dict(
        member for part in parts for member in inspect.getmembers(part, inspect.ismethod)
    )
    for operation, (method, earlier, path_c) in ROUTES.items():
        routes: list[tuple[type[_Route], str | None]] = (
            [(_Route, earlier)] if earlier == path_c else [(_EarlierRoute, earlier), (_RouteOfC, path_c)]
        )
        for route, path in routes:
            if path is not None:
                router.add_api_route(
                    path,
                    handlers[operation],
                    methods=[method],
                    name=operation,
                    response_model=None,
                    route_class_override=route,
                )
    return router
