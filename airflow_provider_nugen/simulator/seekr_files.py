"""The files of SeekrFlow, simulated: those that were uploaded, and those that alignments have made."""

from __future__ import annotations

import uuid
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Any, Literal

from fastapi import Request, Response
from starlette.datastructures import UploadFile

from airflow_provider_nugen.simulator.http import Id, check, invalid, json_object
from airflow_provider_nugen.simulator.seekr import Seekr, SeekrError
from airflow_provider_nugen.simulator.seekr_part import Limit, Offset, SeekrPart, one_of, team
from airflow_provider_nugen.simulator.state import SimulatorState
from airflow_provider_nugen.simulator.timeline import Job, Stage

TRAINING_PURPOSES = ("fine-tune", "preference-fine-tune", "reinforcement-fine-tune", "pre-train")
PURPOSES = ("alignment", *TRAINING_PURPOSES)
TRAINING_TYPES = ("jsonl", "parquet", "pt")
ALIGNMENT_TYPES = (
    *("html", "md", "rst", "rtf", "txt", "xml", "json", "jsonl", "csv", "doc", "docx", "pdf", "ppt", "pptx"),
)
#: Bytes of a file.
MAX_FILE = 4 * 2**30
#: The contents of larger files are counted, but not kept.
KEPT = 2**20


class SeekrFiles(SeekrPart):
    """
    The routes of SeekrFlow for files.

    :param world: what the service knows.
    :param seekr: the routes for alignments, whose outputs are files.
    """

    ROUTES = (
        ("upload_file", "PUT", "/v1/flow/files"),
        ("upload_files", "PUT", "/v1/flow/bulk_files"),
        ("validate_metadata", "POST", "/v1/flow/files/validate_metadata"),
        ("list_files", "GET", "/v1/flow/files"),
        ("file", "GET", "/v1/flow/files/{file_id}"),
        ("file_content", "GET", "/v1/flow/files/{file_id}/content"),
        ("delete_file", "DELETE", "/v1/flow/files/{file_id}"),
    )

    def __init__(self, world: SimulatorState, seekr: Seekr) -> None:
        super().__init__(world)
        self.seekr = seekr
        #: Contents of files by id; not kept over a restart.
        self._contents: dict[str, bytes] = {}

    def _file(self, job: Job) -> dict[str, Any]:
        fields = {
            "id": job.id,
            "object": "file",
            "created_at": self._time(job.created),
            "created_by": "user-1",
            **{name: job.inputs.get(name) for name in ("type", "purpose", "filename", "bytes")},
        }
        return {**fields, **job.overrides}

    def _outputs(self, request: Request) -> list[dict[str, Any]]:
        """List the files that alignments have made."""
        made = [
            output
            for job in self._own("seekr_alignment", request)
            if job.word(self.world.now()) == "completed"
            for output in self.seekr.output_files(job)
        ]
        return [{"object": "file", "type": output.pop("file_type"), **output} for output in made]

    def _files(self, request: Request) -> list[dict[str, Any]]:
        return [*map(self._file, self._own("seekr_file", request)), *self._outputs(request)]

    async def _upload(self, request: Request, most: int) -> list[dict[str, Any]]:
        async with request.form(max_files=most + 1) as form:
            files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
            purpose = form.get("purpose")
            problems = [] if files else [(("body", "files"), "Field required", "missing")]
            if len(files) > most:
                problems.append((("body", "files"), f"List should have at most {most} items", "too_long"))
            if purpose is None:
                problems.append((("body", "purpose"), "Field required", "missing"))
            if problems:
                raise invalid(*problems)
            if purpose not in PURPOSES:
                raise one_of("purpose", PURPOSES)
            for file in files:
                if problem := _refusal(str(file.filename or ""), str(purpose), file.size or 0):
                    raise SeekrError(*problem)
            return [await self._add_file(file, str(purpose), team(request)) for file in files]

    async def _add_file(self, file: UploadFile, purpose: str, team: str) -> dict[str, Any]:
        file_id, size, samples, last = f"file-{uuid.uuid4().hex[:12]}", file.size or 0, 0, b""
        if size <= KEPT:
            self._contents[file_id] = await file.read()
            await file.seek(0)
        while chunk := await file.read(2**20):
            samples, last = samples + chunk.count(b"\n"), chunk[-1:]
        samples += last not in (b"", b"\n")
        filename = PurePosixPath(str(file.filename)).name
        inputs = {"type": _suffix(filename), "purpose": purpose, "filename": filename, "bytes": size}
        job = self.world.add_job(
            "seekr_file", file_id, [Stage("READY")], inputs={**inputs, "samples": samples}, scope=team
        )
        return self._file(job)

    async def upload_file(self, request: Request) -> dict[str, Any]:
        return (await self._upload(request, 1))[0]

    async def upload_files(self, request: Request) -> list[dict[str, Any]]:
        return await self._upload(request, 1000)

    async def validate_metadata(self, request: Request) -> dict[str, Any]:
        """Answer the vendor's client, which asks before it uploads for an alignment."""
        body = await json_object(request)
        check(body, {"purpose": str, "suffix": str, "size": int})
        problem = _refusal(f"x.{body['suffix']}", body["purpose"], body["size"])
        return {"is_valid": problem is None, "errors": problem[1] if problem else None}

    async def list_files(
        self,
        request: Request,
        purpose: Literal[PURPOSES] | None = None,  # type: ignore[valid-type]
        sort_by: Literal["created_at", "filename", "type", "bytes"] = "created_at",
        sort_order: Literal["asc", "desc"] = "desc",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        listed = [*map(self._file, self._listed("seekr_file", request)), *self._outputs(request)]
        files = [file for file in listed if purpose in (None, file["purpose"])]
        files.sort(key=itemgetter(sort_by))
        if sort_order == "desc":
            files.reverse()
        return {"object": "list", "data": files[offset : offset + limit]}

    def get(self, file_id: str, request: Request) -> dict[str, Any]:
        """Return a file, which is visible only to the team that made it."""
        file = next((file for file in self._files(request) if file["id"] == file_id), None)
        if file is None:
            raise SeekrError(404, f"File {file_id} not found")
        return file

    async def file(self, file_id: Id, request: Request) -> dict[str, Any]:
        return self.get(file_id, request)

    async def file_content(self, file_id: Id, request: Request) -> Response:
        self.get(file_id, request)
        if file_id not in self._contents:
            raise SeekrError(404, f"The content of file {file_id} is not kept by the simulator")
        return Response(self._contents[file_id], media_type="application/octet-stream")

    async def delete_file(self, file_id: Id, request: Request) -> dict[str, Any]:
        job = self._find("seekr_file", file_id, request)
        del self.world.jobs[job.kind, job.id]
        self._contents.pop(file_id, None)
        self.world.save()
        return {"id": file_id, "object": "file", "deleted": True}


def _suffix(filename: str) -> str:
    return PurePosixPath(filename).suffix.removeprefix(".").lower()


def _refusal(filename: str, purpose: str, size: int) -> tuple[int, str] | None:
    """Return why a file is refused, as HTTP status and words."""
    allowed = ALIGNMENT_TYPES if purpose == "alignment" else TRAINING_TYPES
    if _suffix(filename) not in allowed:
        return 400, f"{filename}: type {_suffix(filename)!r} is not allowed for purpose {purpose}"
    if not size:
        return 400, f"{filename} is empty"
    if size > MAX_FILE:
        return 413, f"{filename} is larger than 4 GB"
    return None
