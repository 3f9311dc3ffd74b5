"""The ``/_simulator`` routes: what tests can see and do over HTTP. They need no key."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Request

from airflow_provider_nugen.simulator.faults import Fault
from airflow_provider_nugen.simulator.http import Id, world_of
from airflow_provider_nugen.simulator.state import Revision
from airflow_provider_nugen.simulator.timeline import Job

router = APIRouter(prefix="/_simulator", tags=["simulator"])


def _show(request: Request, job: Job) -> dict[str, Any]:
    now = world_of(request).now()
    return {**asdict(job), "word": job.word(now), "done": job.done(now)}


def _job(request: Request, job_id: str) -> Job:
    try:
        return world_of(request).job(job_id)
    except KeyError as e:
        raise HTTPException(404, e.args[0]) from None


@router.get("/requests")
async def requests(request: Request) -> list[dict[str, Any]]:
    """List the requests that came to both services, oldest first: never the key, only whether it was right."""
    return [asdict(seen) for seen in world_of(request).requests]


@router.delete("/requests", status_code=204)
async def clear_requests(request: Request) -> None:
    """Forget the requests that came."""
    world_of(request).clear_requests()


@router.get("/jobs")
async def jobs(request: Request) -> list[dict[str, Any]]:
    """List all jobs, documents and benchmarks."""
    return [_show(request, job) for job in world_of(request).jobs.values()]


@router.post("/jobs", status_code=201)
async def add_job(
    request: Request,
    kind: Annotated[str, Body()],
    id: Annotated[str, Body()],
    stages: Annotated[list[tuple[str, float]], Body(description="status words and real seconds; the last one lasts")],
    inputs: Annotated[dict[str, Any] | None, Body()] = None,
    overrides: Annotated[dict[str, Any] | None, Body(description="fields of its answers")] = None,
    scope: Annotated[str, Body(description="SeekrFlow's team")] = "",
) -> dict[str, Any]:
    """Create a job with an id and a life of your choice."""
    try:
        job = world_of(request).add_job(kind, id, stages, inputs=inputs or {}, overrides=overrides or {}, scope=scope)
    except ValueError as e:
        raise HTTPException(422, str(e)) from None
    return _show(request, job)


@router.post("/jobs/{job_id}/fail")
async def fail_job(request: Request, job_id: Id, reason: Annotated[str, Body(embed=True)] = "") -> dict[str, Any]:
    """Let a job fail now."""
    job = _job(request, job_id)
    world_of(request).fail_job(job.id, reason)
    return _show(request, job)


@router.post("/jobs/{job_id}/stop")
async def stop_job(request: Request, job_id: Id) -> dict[str, Any]:
    """Let a job be stopped now."""
    job = _job(request, job_id)
    world_of(request).stop_job(job.id)
    return _show(request, job)


@router.post("/jobs/{job_id}/finish")
async def finish_job(request: Request, job_id: Id) -> dict[str, Any]:
    """Let a job be done now."""
    job = _job(request, job_id)
    world_of(request).finish_job(job.id)
    return _show(request, job)


@router.patch("/jobs/{job_id}")
async def override_job(request: Request, job_id: Id, fields: dict[str, Any]) -> dict[str, Any]:
    """Set fields of a job's answers, e.g. ``{"status": "DREAMING"}``; ``{}`` takes all of them back."""
    job = _job(request, job_id)
    world_of(request).override_job(job.id, **fields)
    return _show(request, job)


@router.get("/faults")
async def faults(request: Request) -> list[Fault]:
    """List what goes wrong, and how often it did."""
    return world_of(request).faults


@router.post("/faults", status_code=201)
async def add_fault(request: Request, fault: Fault) -> Fault:
    """Let something go wrong from now on."""
    return world_of(request).add_fault(fault)


@router.delete("/faults", status_code=204)
async def clear_faults(request: Request) -> None:
    """Let nothing go wrong any more."""
    world_of(request).clear_faults()


@router.get("/revision")
async def revision(request: Request) -> Revision:
    """Return the API revision that Nugen speaks."""
    return world_of(request).revision


@router.put("/revision", status_code=204)
async def switch_revision(request: Request, revision: Annotated[Revision, Body(embed=True)]) -> None:
    """Let Nugen speak another API revision from now on; the jobs keep their ids."""
    world_of(request).switch_revision(revision)


@router.put("/key", status_code=204)
async def rotate_key(request: Request, api_key: Annotated[str, Body(embed=True)]) -> None:
    """Accept only this key from now on."""
    world_of(request).rotate_key(api_key)
