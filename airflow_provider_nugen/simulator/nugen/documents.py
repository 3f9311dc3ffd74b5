"""Documents, and the benchmarks that are made of them."""

from __future__ import annotations

import json
import mimetypes
import uuid
from itertools import zip_longest
from typing import Annotated, Any

from fastapi import Form, HTTPException, Request, UploadFile
from starlette.datastructures import UploadFile as FormFile

from airflow_provider_nugen.simulator.http import Id, check
from airflow_provider_nugen.simulator.nugen.service import QUESTIONS, Service
from airflow_provider_nugen.simulator.revisions import QUESTION_FIELDS
from airflow_provider_nugen.simulator.timeline import Job

#: Bytes of a document, or a benchmark.
MAX_FILE = 100 * 2**20


class Documents:
    """
    The routes of documents and benchmarks.

    :param service: the service.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.world = service.world

    # Documents. Their jobs have the document's id; the id of the task that reads one is among its inputs.

    async def upload_documents(
        self,
        files: list[UploadFile],
        names: Annotated[list[str] | None, Form()] = None,
        categories: Annotated[list[str] | None, Form()] = None,
    ) -> list[str] | dict[str, list[str]]:
        known = {job.inputs.get("name"): job.id for job in self.world.all("document")}
        wanted = [given or file.filename for file, given in zip_longest(files, (names or [])[: len(files)])]
        for file, name in zip(files, wanted, strict=True):
            if name in known:
                detail = {"message": f"Document {name} already exists", "document_id": known[name]}
                raise HTTPException(409, detail)
            if (file.size or 0) > MAX_FILE:
                raise HTTPException(413, f"{name} is larger than 100 MB")
            if b"\0" in await file.read(8192):
                raise HTTPException(400, f"{name} is not a text file")
        ids = []
        for file, name in zip(files, wanted, strict=True):
            inputs = {"name": name, "size": file.size, "categories": categories or []}
            if self.service.revision != "C":
                inputs["task_id"] = f"task-{uuid.uuid4().hex[:12]}"
            stages = self.world.stages("document", "PROCESSING", "READY")
            job = self.world.add_job("document", None, stages, inputs=inputs)
            ids.append(job.inputs.get("task_id", job.id))
        # Both shapes occur.
        return ids if self.service.revision == "A" else {"document_ids": ids}

    def _document_of(self, status_id: str) -> Job:
        """
        Return the document that a status route is asked for.

        Before revision C that is done by the task's id; a document that no upload made is its own task.
        """
        either = self.service.revision == "C" or self.service.config.status_by_document_id
        for job in self.world.all("document"):
            task_id = job.inputs.get("task_id", job.id)
            if status_id == task_id or (either and status_id == job.id):
                return job
        raise HTTPException(404, "Document not found")

    async def document_status(self, id: Id) -> dict[str, Any]:
        job = self._document_of(id)
        now, reason = self.service.now(), self.service.reason(job)
        known = self.service.revision == "C" or job.word(now) == "READY"
        fields = {"status": self.service.word(job.word(now)), "document_id": job.id if known else None}
        return {**fields, **({"error": reason} if reason else {}), **job.overrides}

    async def list_documents(self) -> dict[str, Any]:
        return {"documents": [self._listed_document(job) for job in self.service.unpaged(self.world.all("document"))]}

    def _listed_document(self, job: Job) -> dict[str, Any]:
        now, name = self.service.now(), str(job.inputs.get("name") or f"{job.id}.txt")
        return {
            "id": job.id,
            "filename": self.world.list_name(job, name),
            "type": mimetypes.guess_type(name)[0] or "text/plain",
            "size": job.inputs.get("size"),
            "upload_date": self.service.list_time(job.created),
            "status": self.service.word(job.word(now)),
            "categories": job.inputs.get("categories") or [],
            "uploader": "user@example.com",
            "processing_progress": int(100 * job.progress(now)),
            **job.overrides,
        }

    async def delete_document(self, id: Id) -> dict[str, Any]:
        self.service.delete(self.service.get("document", id, "Document"))
        return {"document_id": id, "message": "Document deleted"}

    # Benchmarks.

    async def create_benchmark(self, request: Request) -> dict[str, Any]:
        body = await self.service.body(request, {"documents": list, "num_questions": int}, {"benchmark_name": str})
        for document in body["documents"]:
            self.service.require_ready("document", document, "Document")
        body["name"] = body.pop("benchmark_name") if self.service.revision == "C" else None
        return self._created(self._new_benchmark(body, "PROCESSING", "READY"))

    async def upload_benchmark(self, request: Request) -> dict[str, Any]:
        form = await request.form()
        name = "benchmark_name" if self.service.revision == "C" else "name"
        documents = [str(value) for value in form.getlist("document_id") if value]
        fields = {"file": form.get("file"), name: form.get(name), "document_id": documents or None}
        check(fields, {"file": object, name: str, "document_id": list})
        items = await self._questions(fields["file"])
        for document in documents:
            self.service.require_ready("document", document, "Document")
        if self.service.revision == "C":
            self._refuse_known(str(fields[name]))
        inputs = {"name": fields[name], "documents": documents, "num_questions": len(items), "questions": items}
        job = self._new_benchmark(inputs, "READY")
        questions = await self.benchmark_questions(job.id)
        return {**self._created(job), "benchmark_name": fields[name], **_only(questions, "questions", self._count)}

    async def _questions(self, file: object) -> list[dict[str, Any]]:
        """Read the questions of an uploaded file, in revision B's names and with a number each."""
        if not isinstance(file, FormFile):
            raise HTTPException(400, "file must be a file")
        if (file.size or 0) > MAX_FILE:
            raise HTTPException(413, "The file is larger than 100 MB")
        try:
            items = json.loads(await file.read())
        except ValueError:
            raise HTTPException(400, "The file is not JSON") from None
        if not isinstance(items, list) or not items:
            raise HTTPException(400, "The file must be a JSON array of questions")
        wanted = set(QUESTION_FIELDS[self.service.revision])
        for number, item in enumerate(items):
            if not isinstance(item, dict) or not wanted <= item.keys():
                raise HTTPException(400, f"Item {number} must have the fields {sorted(wanted)}")
        question, answer = QUESTION_FIELDS[self.service.revision][-2:]
        return [
            {"question_num": number, "question": item[question], "answer": item[answer], "image_url": None}
            for number, item in enumerate(items, 1)
        ]

    def _refuse_known(self, name: str) -> None:
        for job in self.world.all("benchmark"):
            if job.inputs.get("name") == name:
                detail = {"message": f"Benchmark {name} already exists", "benchmark_id": job.id}
                raise HTTPException(409, detail)

    @property
    def _count(self) -> str:
        return "n_samples" if self.service.revision == "C" else "num_questions"

    def _new_benchmark(self, inputs: dict[str, Any], *words: str) -> Job:
        return self.world.add_job("benchmark", None, self.world.stages("benchmark", *words), inputs=inputs)

    def _created(self, job: Job) -> dict[str, Any]:
        return {"benchmark_id": job.id, "status": self.service.word(job.word(self.service.now()))}

    def _name(self, job: Job) -> str:
        return str(job.inputs.get("name") or f"generated_{job.id}")

    async def benchmark_status(self, id: Id) -> dict[str, Any]:
        job = self.service.get("benchmark", id, "Benchmark")
        reason = self.service.reason(job)
        return {
            **self._created(job),
            "benchmark_name": self._name(job),
            **self.service.request_times(job),
            **({"error": reason} if reason else {}),
            **job.overrides,
        }

    def questions_of(self, benchmark_id: str) -> int:
        """Return how many questions a benchmark has."""
        job = self.world.find("benchmark", benchmark_id)
        return int((job.inputs.get("num_questions") if job else None) or QUESTIONS)

    async def benchmark_questions(self, id: Id) -> dict[str, Any]:
        job = self.service.get("benchmark", id, "Benchmark")
        ready = job.word(self.service.now()) == "READY"
        made = [
            {"question_num": n, "question": f"Question {n}?", "answer": f"Answer {n}.", "image_url": None}
            for n in range(1, self.questions_of(job.id) + 1)
        ]
        return {
            **self._created(job),
            "benchmark_name": self._name(job),
            "document_ids": job.inputs.get("documents") or [],
            self._count: self.questions_of(job.id),
            "questions": (job.inputs.get("questions") or made) if ready else [],
        }

    async def list_benchmarks(self) -> dict[str, Any]:
        jobs = self.service.unpaged(self.world.all("benchmark"))
        return {"benchmarks": [self._listed_benchmark(job) for job in jobs]}

    def _listed_benchmark(self, job: Job) -> dict[str, Any]:
        time = self.service.list_time(job.created)
        return {
            "id": job.id,
            "benchmark_name": self.world.list_name(job, self._name(job)),
            "status": self.service.word(job.word(self.service.now())),
            "documents": job.inputs.get("documents") or [],
            "num_questions": self.questions_of(job.id),
            "created_at": time,
            "updated_at": time,
            **job.overrides,
        }

    async def delete_benchmark(self, id: Id) -> dict[str, Any]:
        self.service.delete(self.service.get("benchmark", id, "Benchmark"))
        return {"benchmark_id": id, "message": "Benchmark deleted"}


def _only(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: fields[name] for name in names}
