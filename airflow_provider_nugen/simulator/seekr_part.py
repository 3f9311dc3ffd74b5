"""What the parts of the simulated SeekrFlow share: who sees what, times, pages of lists, refusals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Query, Request

from airflow_provider_nugen.simulator.http import invalid, timestamp
from airflow_provider_nugen.simulator.seekr import SeekrError, authorize
from airflow_provider_nugen.simulator.state import SimulatorState
from airflow_provider_nugen.simulator.timeline import Job

Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0)]

_NAMES = {"seekr_file": "File", "fine_tune": "Fine-tune", "seekr_deployment": "Deployment"}


def one_of(field: str, allowed: Iterable[str]) -> Exception:
    """Return the refusal of a value that is not one of those allowed."""
    return invalid((("body", *field.split(".")), f"Input should be one of {', '.join(allowed)}", "enum"))


class SeekrPart:
    """
    A part of the service; :attr:`ROUTES` has the methods that answer requests.

    :param world: what the service knows.
    """

    #: Name of a method, HTTP method, path.
    ROUTES: ClassVar[tuple[tuple[str, str, str], ...]]

    def __init__(self, world: SimulatorState) -> None:
        self.world = world
        self.router = APIRouter(tags=["seekr"])
        for name, method, path in self.ROUTES:
            self.router.add_api_route(
                path,
                getattr(self, name),
                methods=[method],
                name=f"seekr_{name}",
                dependencies=[Depends(authorize)],
                status_code={"create_deployment": 201, "delete_fine_tune": 204}.get(name, 200),
            )

    def _find(self, kind: str, job_id: str, request: Request) -> Job:
        """Return a thing, which is visible only to the team that made it."""
        job = self.world.find(kind, job_id)
        if job is None or job.scope != team(request):
            raise SeekrError(404, f"{_NAMES[kind]} {job_id} not found")
        return job

    def _own(self, kind: str, request: Request) -> list[Job]:
        return [job for job in self.world.all(kind) if job.scope == team(request)]

    def _listed(self, kind: str, request: Request) -> list[Job]:
        """Return the things of the request's team that a list shows."""
        return self.world.listed(self._own(kind, request))

    def _time(self, seconds: float | None) -> str | None:
        return timestamp(seconds, skew=self.world.config.clock_skew)

    def _dated(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Show an item of a list with its time, or without."""
        return {**fields, "created_at": None} if self.world.config.null_times else fields


def team(request: Request) -> str:
    """Return the team that a request is sent for; empty text for none."""
    return request.headers.get("x-team-id", "")
