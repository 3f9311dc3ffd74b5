"""SeekrFlow, simulated."""

from __future__ import annotations

from http.client import responses
from operator import itemgetter
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader

from airflow_provider_nugen.simulator.http import Id, check, invalid, json_object, timestamp, whole, world_of
from airflow_provider_nugen.simulator.state import SimulatorState
from airflow_provider_nugen.simulator.timeline import Job, Stage

JOB_TYPES = ("principle_files", "context_grounded_files", "context_grounded_vector_db")
ALIGNMENT_WORDS = ("pending", "queued", "running", "completed")

_key = APIKeyHeader(name="Authorization", auto_error=False)


class SeekrError(Exception):
    """An error in the service's own shape."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def error_body(status: int, message: str, path: str) -> dict[str, Any]:
    """Write an error as the service does."""
    return {"error": responses.get(status, "Error"), "message": message, "status": status, "requestUrl": path}


async def seekr_error(request: Request, error: Exception) -> JSONResponse:
    """Answer with an error in the service's own shape."""
    assert isinstance(error, SeekrError)  # noqa: S101  # registered for nothing else
    return JSONResponse(error_body(error.status, error.message, request.url.path), error.status)


def authorized(world: SimulatorState, header: str | None) -> bool:
    """Return whether a request has the right key, the way SeekrFlow wants it: bare."""
    return header == world.api_key


async def authorize(request: Request, _: Annotated[Any, Security(_key)]) -> None:
    """Refuse a request without the right key, or for a team that the key does not belong to."""
    world, team = world_of(request), request.headers.get("x-team-id", "")
    if not authorized(world, request.headers.get("Authorization")):
        raise SeekrError(401, "Invalid API key")
    if team and world.config.seekr_team_ids is not None and team not in world.config.seekr_team_ids:
        raise SeekrError(403, f"You are not a member of team {team}")


async def _deprecated(response: Response) -> None:
    # RFC 9745, which the vendor's client reads; the date is made up.
    response.headers["Deprecation"] = "@1785542400"
    response.headers["Link"] = '</v1/flow/data-jobs>; rel="successor-version"'


class Seekr:
    """
    The routes of SeekrFlow.

    :param world: what the service knows.
    """

    def __init__(self, world: SimulatorState) -> None:
        self.world = world
        self.router = APIRouter(prefix="/v1/flow", dependencies=[Depends(authorize)], tags=["seekr"])
        add = self.router.add_api_route
        old: dict[str, Any] = {"dependencies": [Depends(_deprecated)], "deprecated": True}
        job = "/alignment/{alignment_job_id}"
        add("/alignment/generate", self.generate, methods=["POST"], name="seekr_generate", **old)
        add("/alignment", self.list_alignments, methods=["GET"], name="seekr_list_alignments", **old)
        add(job, self.alignment, methods=["GET"], name="seekr_alignment", **old)
        add(f"{job}/outputs", self.outputs, methods=["GET"], name="seekr_outputs", **old)
        add(f"{job}/cancel", self.cancel, methods=["POST"], name="seekr_cancel", **old)
        add(job, self.delete, methods=["DELETE"], name="seekr_delete", status_code=204, **old)
        jobs, job = "/data-jobs", "/data-jobs/{data_job_id}"
        add(jobs, self.create_data_job, methods=["POST"], name="seekr_create_data_job")
        add(jobs, self.list_data_jobs, methods=["GET"], name="seekr_list_data_jobs")
        add(job, self.data_job, methods=["GET"], name="seekr_data_job")
        add(job, self.change_data_job, methods=["PATCH"], name="seekr_change_data_job")
        add(job, self.delete_data_job, methods=["DELETE"], name="seekr_delete_data_job", status_code=204)
        add(f"{job}/add-files", self.add_files, methods=["POST"], name="seekr_add_files")
        add(f"{job}/start", self.start, methods=["POST"], name="seekr_start_data_job")
        add(f"{job}/cancel", self.cancel_data_job, methods=["POST"], name="seekr_cancel_data_job")

    def _time(self, seconds: float | None) -> str | None:
        return timestamp(seconds, skew=self.world.config.clock_skew)

    def _reason(self, job: Job) -> str | None:
        quiet = self.world.config.failures_without_reason and job.word(self.world.now()) == "failed"
        return None if quiet else job.reason

    def _find(self, kind: str, job_id: str, request: Request) -> Job:
        """A job is visible only to the team that started it."""
        job = self.world.find(kind, job_id)
        if job is None or job.scope != request.headers.get("x-team-id", ""):
            name = "Data job" if kind == "data_job" else "Alignment job"
            raise SeekrError(404, f"{name} {job_id} not found")
        return job

    def _listed(self, kind: str, request: Request) -> list[Job]:
        """Return the jobs of the request's team that a list shows."""
        team = request.headers.get("x-team-id", "")
        return self.world.listed(job for job in self.world.all(kind) if job.scope == team)

    # Alignment jobs.

    def _alignment(self, job: Job) -> dict[str, Any]:
        now = self.world.now()
        word, remaining, done = job.word(now), job.remaining(now), job.end(now)
        running = word == "running"
        completed = word == "completed"
        fields = {
            "id": job.id,
            "created_at": self._time(job.created),
            "updated_at": self._time(done or now),
            "completed_at": self._time(done) if completed else None,
            "stopped_at": self._time(done) if word in ("cancelled", "stopped") else None,
            "status": word,
            "current_step": "generating pairs" if running else None,
            "step_progress": round(100 * job.step_progress(now), 1) if running else None,
            "progress": round(100 * job.progress(now), 1),
            "estimated_completion_at": self._time(now + remaining) if remaining is not None else None,
            "eta_minutes": whole(remaining / 60) if remaining is not None else None,
            "status_message": self._reason(job),
            "output_files": self.output_files(job) if completed else [],
        }
        return {**fields, **job.overrides}

    def output_files(self, job: Job) -> list[dict[str, Any]]:
        created = self._time(job.end(self.world.now()))
        return [
            {
                "id": f"file-{job.id}-{name}",
                "filename": f"{job.id}-{name}.{kind}",
                "bytes": 4096,
                "created_at": created,
                "file_type": kind,
                "purpose": purpose,
            }
            for name, kind, purpose in (("pairs", "jsonl", "fine-tune"), ("summary", "md", "alignment"))
        ]

    def _start_alignment(self, inputs: dict[str, Any], scope: str, job_id: str | None = None) -> Job:
        stages = self.world.stages("seekr_alignment", *ALIGNMENT_WORDS)
        return self.world.add_job("seekr_alignment", job_id, stages, inputs=inputs, scope=scope)

    async def generate(self, request: Request) -> dict[str, Any]:
        body = await json_object(request)
        check(
            body,
            {"instructions": str, "files": list},
            {"system_prompt": str, "type": str, "vector_database_id": str},
        )
        if body.get("type") not in (None, "principle", "context_data"):
            raise invalid((("body", "type"), "Input should be 'principle' or 'context_data'", "enum"))
        return self._alignment(self._start_alignment(body, request.headers.get("x-team-id", "")))

    async def list_alignments(self, request: Request) -> dict[str, Any]:
        jobs = self._listed("seekr_alignment", request)
        return {"object": "list", "data": [self._alignment(job) for job in jobs]}

    async def alignment(self, alignment_job_id: Id, request: Request) -> dict[str, Any]:
        return self._alignment(self._find("seekr_alignment", alignment_job_id, request))

    async def outputs(self, alignment_job_id: Id, request: Request) -> list[dict[str, Any]]:
        job = self._find("seekr_alignment", alignment_job_id, request)
        return self.output_files(job) if job.word(self.world.now()) == "completed" else []

    async def cancel(self, alignment_job_id: Id, request: Request) -> dict[str, Any]:
        job = self._find("seekr_alignment", alignment_job_id, request)
        job.end_early("cancelled", self.world.now(), "Cancelled by the user")
        self.world.save()
        return self._alignment(job)

    async def delete(self, alignment_job_id: Id, request: Request) -> None:
        job = self._find("seekr_alignment", alignment_job_id, request)
        del self.world.jobs[job.kind, job.id]
        self.world.save()

    # Data jobs.

    def _data_job(self, job: Job) -> dict[str, Any]:
        now, linked, inputs = self.world.now(), self.world.linked(job), job.inputs
        last = linked or job
        fields = {
            "id": job.id,
            "user_id": "user-1",
            "team_id": job.scope or None,
            "name": inputs.get("name") or job.id,
            "job_type": inputs.get("job_type") or JOB_TYPES[0],
            "alignment_job_id": linked.id if linked else None,
            "created_at": self._time(job.created),
            "updated_at": self._time(now),
            "status": last.word(now),
            "status_message": self._reason(last),
            "system_prompt": inputs.get("system_prompt"),
            "instructions": inputs.get("instructions"),
        }
        return {**fields, **job.overrides}

    def _detail(self, job: Job) -> dict[str, Any]:
        linked, files = self.world.linked(job), job.inputs.get("file_ids", [])
        timeline = [{"timestamp": self._time(job.created), "event_type": "created", "message": "Data job created"}]
        if linked:
            timeline.append(
                {"timestamp": self._time(linked.created), "event_type": "started", "message": "Alignment started"}
            )
        return {
            **self._data_job(job),
            "alignment_job": self._alignment(linked) if linked else None,
            "ingestion_jobs": [],
            "files": [self._file(job, file_id) for file_id in files],
            "timeline": timeline,
        }

    def _file(self, job: Job, file_id: str) -> dict[str, Any]:
        processed = job.word(self.world.now()) != "file_processing"
        return {
            "file_id": file_id,
            "record_id": f"{job.id}-{file_id}",
            "name": f"{file_id}.txt",
            "type": "txt",
            "status": "completed" if processed else "running",
            "suggested_fix": None,
            "bytes": 4096,
        }

    def _prepare(self, job: Job) -> None:
        """
        Process the files of a data job that was not started, from now on.

        A person must act while it has none, or no system prompt.
        """
        inputs, now = job.inputs, self.world.now()
        files, job_type = inputs.get("file_ids") or [], inputs.get("job_type") or JOB_TYPES[0]
        lacking = []
        if not files and job_type != "context_grounded_vector_db":
            lacking.append("files")
        needs_prompt = job_type != "principle_files" or self.world.config.require_system_prompt
        if needs_prompt and not (inputs.get("system_prompt") or "").strip():
            lacking.append("a system prompt")
        job.reason = f"The data job needs {' and '.join(lacking)}" if lacking else None
        last = "needs_review" if lacking else "ready_to_start"
        job.stages = self.world.stages("data_job", *(["file_processing"] if files else []), last)
        job.stages[0].seconds += now - job.created
        job.ended = None
        self.world.save()

    async def create_data_job(self, request: Request) -> dict[str, Any]:
        body = await json_object(request)
        check(
            body,
            {"name": str, "job_type": str},
            {"system_prompt": str, "instructions": str, "vector_database_id": str},
        )
        if body["job_type"] not in JOB_TYPES:
            raise invalid((("body", "job_type"), f"Input should be one of {', '.join(JOB_TYPES)}", "enum"))
        job = self.world.add_job(
            "data_job",
            None,
            [Stage("needs_review")],
            inputs={**body, "file_ids": []},
            scope=request.headers.get("x-team-id", ""),
        )
        self._prepare(job)
        return self._data_job(job)

    async def change_data_job(self, data_job_id: Id, request: Request) -> dict[str, Any]:
        job, body = self._find("data_job", data_job_id, request), await json_object(request)
        check(body, {}, {"name": str, "system_prompt": str, "instructions": str, "vector_database_id": str})
        self._require_not_started(job)
        job.inputs |= {name: value for name, value in body.items() if name != "job_type"}
        self._prepare(job)
        return self._detail(job)

    def _require_not_started(self, job: Job) -> None:
        if self.world.linked(job) or job.broken(self.world.now()):
            raise SeekrError(409, f"The data job is {self._data_job(job)['status']}: it cannot be changed any more")

    async def list_data_jobs(
        self,
        request: Request,
        job_type: str | None = None,
        sort_by: Literal["name", "created_at", "job_type"] = "created_at",
        sort_order: Literal["asc", "desc"] = "desc",
        limit: Annotated[int, Query(ge=1, le=100)] = 25,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        jobs = [
            shown
            for shown in map(self._data_job, self._listed("data_job", request))
            if job_type in (None, shown["job_type"])
        ]
        jobs.sort(key=itemgetter(sort_by))
        if sort_order == "desc":
            jobs.reverse()
        page = jobs[offset : offset + limit]
        for job in page:
            job["name"] = self.world.list_name(self.world.jobs["data_job", job["id"]], job["name"])
        return {"object": "list", "data": page}

    async def data_job(self, data_job_id: Id, request: Request) -> dict[str, Any]:
        return self._detail(self._find("data_job", data_job_id, request))

    async def delete_data_job(self, data_job_id: Id, request: Request) -> None:
        job = self._find("data_job", data_job_id, request)
        del self.world.jobs[job.kind, job.id]
        self.world.save()

    async def add_files(self, data_job_id: Id, request: Request) -> dict[str, Any]:
        job, body = self._find("data_job", data_job_id, request), await json_object(request)
        check(body, {"file_ids": list}, {"method": str})
        if not body["file_ids"]:
            raise invalid((("body", "file_ids"), "List should have at least 1 item", "too_short"))
        self._require_not_started(job)
        job.inputs["file_ids"] = list(dict.fromkeys([*job.inputs.get("file_ids", []), *body["file_ids"]]))
        self._prepare(job)
        return self._detail(job)

    async def start(self, data_job_id: Id, request: Request) -> dict[str, Any]:
        job = self._find("data_job", data_job_id, request)
        status = self._data_job(job)["status"]
        if status != "ready_to_start":
            raise SeekrError(409, f"The data job is {status}, not ready_to_start")
        self._start_alignment(job.inputs, job.scope, f"{job.id}-alignment")
        return self._detail(job)

    async def cancel_data_job(self, data_job_id: Id, request: Request) -> dict[str, Any]:
        job = self._find("data_job", data_job_id, request)
        running = self.world.linked(job) or job
        running.end_early("cancelled", self.world.now(), "Cancelled by the user")
        self.world.save()
        return self._detail(job)
