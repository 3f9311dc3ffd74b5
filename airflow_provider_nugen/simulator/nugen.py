"""
Nugen, simulated.

The differences between its API revisions are data: which route an operation has, and what fields and words are called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Security, UploadFile
from fastapi.security import HTTPBearer
from starlette.datastructures import UploadFile as FormFile

from airflow_provider_nugen.simulator.http import Id, check, json_object, timestamp, world_of
from airflow_provider_nugen.simulator.timeline import BROKEN, Job
from airflow_provider_nugen.simulator.world import Revision, World

V3 = "/api/v3"
#: Operation → (method, path in revisions A and B, path in revision C).
ROUTES: dict[str, tuple[str, str, str]] = {
    "alignment_status": ("GET", "/alignment-project/status/{id}", "/alignment-projects/{id}/status"),
    "create_alignment": ("POST", "/alignment-project/create", "/alignment-projects/create"),
    "list_alignments": ("GET", "/alignment-project", "/alignment-projects/list"),
    "alignment_detail": ("GET", "/alignment-project/{id}", "/alignment-projects/{id}"),
    "upload_documents": ("POST", "/documents", "/documents/create"),
    "document_status": ("GET", "/documents/{id}", "/documents/{id}/status"),
    "create_benchmark": ("POST", "/benchmark/create", "/benchmarks/create"),
    "upload_benchmark": ("POST", "/benchmark/upload", "/benchmarks/upload"),
    "benchmark_status": ("GET", "/benchmark/status/{id}", "/benchmarks/{id}/status"),
    "deploy": ("POST", "/models/deploy-model/{model_id}", "/models/{model_id}/deployment"),
    "deploy_status": ("GET", "/models/deploy-model/{model_id}/status", "/models/{model_id}/deployment/status"),
    "undeploy": ("DELETE", "/models/undeploy-model/{model_id}", "/models/undeploy-model/{model_id}"),
    "undeploy_status": (
        "GET",
        "/models/undeploy-model/{model_id}/status",
        "/models/undeploy-model/{model_id}/status",
    ),
    "create_evaluation": ("POST", "/evaluations", "/evaluations/create"),
    "evaluation_status": ("GET", "/evaluations/{evaluation_id}/status", "/evaluations/{evaluation_id}/status"),
    "evaluation_results": ("GET", "/evaluations/{evaluation_id}/results", "/evaluations/{evaluation_id}/results"),
    "list_evaluations": ("GET", "/evaluations", "/evaluations"),
    "base_models": ("GET", "/models/base", "/models/base"),
    "aligned_models": ("GET", "/models/aligned", "/models/aligned"),
}
#: What revisions A and C call a field of revision B, in requests and answers.
NAMES: dict[Revision, dict[str, str]] = {
    "A": {"alignment_id": "id", "alignment_name": "name", "document_ids": "documents"},
    "B": {},
    "C": {"base_model": "base_model_id", "created_date": "created_at", "completed_date": "completed_at"},
}
REQUEST_NAMES: dict[Revision, dict[str, str]] = {
    "A": {},
    "B": {},
    "C": {
        "name": "alignment_name",
        "base_model": "base_model_id",
        "documents": "document_ids",
        "model_id_2": "baseline_model_id",
        "benchmark_name": "benchmark_name",
    },
}
#: What revision A says instead of revision B's words.
WORDS: dict[Revision, dict[str, str]] = {"A": {"PROCESSING": "PENDING", "READY": "COMPLETED"}, "B": {}, "C": {}}
#: The words a deployment goes through.
DEPLOYMENT_WORDS: dict[Revision, tuple[str, str]] = {
    "A": ("PENDING", "COMPLETED"),
    "B": ("PENDING", "COMPLETED"),
    "C": ("DEPLOYING", "DEPLOYED"),
}
#: The questions of a benchmark item.
QUESTION_FIELDS: dict[Revision, tuple[str, str, str]] = {
    "A": ("question_num", "question", "answer"),
    "B": ("question_num", "question", "answer"),
    "C": ("sample_num", "instruction", "response"),
}
BASE_MODELS = ("nugen-flash-instruct", "nugen-pro-instruct")
#: Cannot be aligned: refused at once.
FROZEN_MODEL = "nugen-frozen"
#: Accepted, but the alignment fails.
BROKEN_MODEL = "nugen-broken"
QUESTIONS = 10
MAX_DOCUMENT = 100 * 2**20

_bearer = HTTPBearer(auto_error=False)


def authorized(world: World, header: str | None) -> bool:
    """Say whether a request has the right key, the way Nugen wants it."""
    return header == f"Bearer {world.api_key}"


def _authorize(request: Request, _: Annotated[Any, Security(_bearer)]) -> None:
    if not authorized(world_of(request), request.headers.get("Authorization")):
        raise HTTPException(401, "Invalid or missing API key")


def score(*names: str) -> float:
    """Make up an accuracy that is the same each time, and higher for aligned models than for base models."""
    noise = int(hashlib.sha256("/".join(names).encode()).hexdigest(), 16) % 1000 / 1000
    return round((0.6 if names[0] in BASE_MODELS else 0.85) + noise / 10, 4)


class Nugen:
    """
    The routes of Nugen.

    :param world: what the service knows.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.revision = world.config.nugen_revision
        self.router = APIRouter(prefix=V3, dependencies=[Depends(_authorize)], tags=["nugen"])
        for operation, (method, path, path_c) in ROUTES.items():
            handler: Callable[..., Any] = getattr(self, operation)
            self.router.add_api_route(
                path_c if self.revision == "C" else path, handler, methods=[method], name=operation
            )

    # Finding and showing things.

    def _get(self, kind: str, job_id: str, name: str) -> Job:
        job = self.world.find(kind, job_id)
        if job is None:
            raise HTTPException(404, f"{name} not found")
        return job

    def _time(self, seconds: float | None) -> str | None:
        return timestamp(seconds, self.world.config.plain_timestamps)

    def _word(self, word: str) -> str:
        word = WORDS[self.revision].get(word, word)
        return word.lower() if self.revision == "A" else word

    def _named(self, fields: dict[str, Any]) -> dict[str, Any]:
        names = NAMES[self.revision]
        return {names.get(name, name): value for name, value in fields.items()}

    async def _body(self, request: Request, required: dict[str, type], optional: dict[str, type]) -> dict[str, Any]:
        """Read a body in the revision's names; return it in revision B's."""
        names, body = REQUEST_NAMES[self.revision], await json_object(request)
        check(
            body,
            {names.get(name, name): kind for name, kind in required.items()},
            {names.get(name, name): kind for name, kind in optional.items()},
        )
        return {name: body.get(names.get(name, name)) for name in (*required, *optional)}

    def _ready(self, kind: str, job_id: str, name: str) -> None:
        job = self.world.find(kind, job_id)
        if job is None or job.word(self.world.now()) != "READY":
            raise HTTPException(404, f"{name} {job_id} not found")

    def _known_model(self, model_id: str) -> None:
        if model_id not in BASE_MODELS and self._alignment_of(model_id) is None:
            raise HTTPException(404, "Model not found")

    def _alignment_of(self, model_id: str) -> Job | None:
        """Find the alignment whose model it is, once that is trained."""
        now = self.world.now()
        for job in self.world.all("alignment"):
            if model_id == f"{job.id}-model" and job.reached("READY", now):
                return job
        return None

    # Alignments.

    async def create_alignment(self, request: Request) -> dict[str, Any]:
        body = await self._body(
            request,
            {"name": str, "base_model": str, "document_ids": list},
            {"benchmark_id": str, "description": str, "workflow_id": str},
        )
        if body["base_model"] == FROZEN_MODEL or body["base_model"] not in (*BASE_MODELS, BROKEN_MODEL):
            raise HTTPException(400, f"Base model {body['base_model']} cannot be aligned")
        for document in body["document_ids"]:
            self._ready("document", str(document), "Document")
        words = ["PROCESSING", "READY"]
        if body["benchmark_id"]:
            self._ready("benchmark", body["benchmark_id"], "Benchmark")
            words += ["DEPLOYING", "EVALUATING", "UNDEPLOYED", "EVALUATED"]
        if self.revision == "C":
            words.insert(0, "QUEUED")
        fails = "Training failed: the base model cannot be loaded" if body["base_model"] == BROKEN_MODEL else None
        job = self.world.add_job(
            "alignment", None, self.world.stages("alignment", *words), inputs=body, fails_with=fails
        )
        return self._named({"alignment_id": job.id, "status": self._word(job.word(self.world.now()))})

    def _alignment(self, job: Job) -> dict[str, Any]:
        now, inputs = self.world.now(), job.inputs
        word, trained = job.word(now), job.reached("READY", now)
        documents = inputs.get("document_ids") or []
        evaluated = word == "EVALUATED"
        fields = {
            "alignment_id": job.id,
            "alignment_name": inputs.get("name") or job.id,
            "base_model": inputs.get("base_model") or BASE_MODELS[0],
            "status": self._word(word),
            "created_date": self._time(job.created),
            "completed_date": self._time(job.end(now)),
            "document_ids": documents,
            "document_count": len(documents),
            "creator": "user@example.com",
            "performance_metrics": None,
            "progress": round(100 * job.progress(now)),
            "estimated_completion": self._time(None if job.done(now) else job.created + job.duration),
            "error": job.reason if word in BROKEN else None,
            "evaluation_id": f"{job.id}-evaluation" if job.reached("DEPLOYING", now) else None,
            "model_id": f"{job.id}-model" if trained else None,
            "gpu_training_completed": True if trained else (False if word in BROKEN else None),
        }
        if evaluated:
            before, after = score(str(fields["base_model"]), job.id), score(job.id)
            fields["performance_metrics"] = {
                "accuracy_before": before,
                "accuracy_after": after,
                "uncertainty_before": round(1 - before, 4),
                "uncertainty_after": round(1 - after, 4),
                "domain_violations_before": 12,
                "domain_violations_after": 2,
            }
        if self.revision == "C":
            fields |= {
                "queue_position": 1 if word == "QUEUED" else None,
                "eta_seconds": job.remaining(now),
                "early_deployable": not trained and job.progress(now) > 0.5,
                "stage_failures": [f"{word.lower()}: {job.reason}"] if word == "FAILED" and job.reason else [],
                "degraded": False,
            }
        return self._named({**fields, **job.overrides})

    async def alignment_status(self, id: Id) -> dict[str, Any]:
        job = self._get("alignment", id, "Alignment")
        fields = self._alignment(job)
        if not self.world.config.enveloped:
            return fields
        return {
            "status": fields["status"],
            "data": fields,
            "start_time": self._time(job.created),
            "end_time": self._time(job.end(self.world.now())),
            "gpu_training_completed": fields["gpu_training_completed"],
        }

    async def alignment_detail(self, id: Id) -> dict[str, Any]:
        fields = self._alignment(self._get("alignment", id, "Alignment"))
        # Revision A's detail page writes upper case, its status page lower case.
        return {**fields, "status": fields["status"].upper()}

    async def list_alignments(self) -> dict[str, Any]:
        return {"alignment_projects": [self._alignment(job) for job in self.world.all("alignment")]}

    # Documents and benchmarks.

    async def upload_documents(self, files: list[UploadFile]) -> dict[str, Any]:
        for file in files:
            for job in self.world.all("document"):
                if job.inputs.get("name") == file.filename:
                    detail = {"message": f"Document {file.filename} already exists", "document_id": job.id}
                    raise HTTPException(409, detail)
            if (file.size or 0) > MAX_DOCUMENT:
                raise HTTPException(413, f"{file.filename} is larger than 100 MB")
        stages = self.world.stages("document", "PROCESSING", "READY")
        return {
            "document_ids": [
                self.world.add_job("document", None, list(stages), inputs={"name": f.filename, "size": f.size}).id
                for f in files
            ]
        }

    def _thing(self, kind: str, job_id: str) -> dict[str, Any]:
        job, now = self._get(kind, job_id, kind.capitalize()), self.world.now()
        word = job.word(now)
        return {
            f"{kind}_id": job.id,
            "status": self._word(word),
            "error": job.reason if word in BROKEN else None,
            **job.overrides,
        }

    async def document_status(self, id: Id) -> dict[str, Any]:
        return self._thing("document", id)

    async def create_benchmark(self, request: Request) -> dict[str, Any]:
        body = await self._body(request, {"documents": list}, {"num_questions": int})
        for document in body["documents"]:
            self._ready("document", str(document), "Document")
        return self._new_benchmark(body)

    async def upload_benchmark(self, request: Request) -> dict[str, Any]:
        form = await request.form()
        name = "benchmark_name" if self.revision == "C" else "name"
        fields = {key: form.get(key) for key in ("file", name, "document_id")}
        check(fields, {"file": object, name: str, "document_id": str})
        file = fields["file"]
        if not isinstance(file, FormFile):
            raise HTTPException(400, "file must be a file")
        try:
            items = json.loads(await file.read())
        except ValueError:
            raise HTTPException(400, "The file is no JSON") from None
        wanted = set(QUESTION_FIELDS[self.revision])
        if not isinstance(items, list) or not items:
            raise HTTPException(400, "The file must be a JSON array of questions")
        for number, item in enumerate(items):
            if not isinstance(item, dict) or not wanted <= item.keys():
                raise HTTPException(400, f"Item {number} must have the fields {sorted(wanted)}")
        self._ready("document", str(fields["document_id"]), "Document")
        return self._new_benchmark({"name": fields[name], "num_questions": len(items)})

    def _new_benchmark(self, inputs: dict[str, Any]) -> dict[str, Any]:
        job = self.world.add_job(
            "benchmark", None, self.world.stages("benchmark", "PROCESSING", "READY"), inputs=inputs
        )
        count = "n_samples" if self.revision == "C" else "num_questions"
        return {
            "benchmark_id": job.id,
            "status": self._word(job.word(self.world.now())),
            count: inputs.get("num_questions"),
        }

    async def benchmark_status(self, id: Id) -> dict[str, Any]:
        return self._thing("benchmark", id)

    # Deploying.

    async def deploy(self, model_id: Id, early: bool = False) -> str:
        alignment = self._alignment_of(model_id)
        if alignment is None and self.revision == "C" and early:
            training = self.world.find("alignment", model_id.removesuffix("-model"))
            if training is None:
                raise HTTPException(404, "Model not found")
            if training.progress(self.world.now()) <= 0.5:
                raise HTTPException(409, "There is no checkpoint to deploy yet")
        elif alignment is None:
            raise HTTPException(404, "Model not found")
        self.world.jobs.pop(("undeployment", model_id), None)
        self.world.add_job("deployment", model_id, self.world.stages("deployment", *DEPLOYMENT_WORDS[self.revision]))
        return model_id

    async def undeploy(self, model_id: Id) -> dict[str, Any]:
        deployment = self.world.find("deployment", model_id)
        if deployment is None and self._alignment_of(model_id) is None:
            raise HTTPException(404, "Model not found")
        if deployment is None or self.world.find("undeployment", model_id) is not None:
            raise HTTPException(400, "Model is already undeployed")
        deployment.cut_off("STOPPED", self.world.now())
        self.world.add_job("undeployment", model_id, self.world.stages("undeployment", "PENDING", "COMPLETED"))
        return {"model_id": model_id}

    def _task(self, job: Job, done: str, word: str | None = None) -> dict[str, Any]:
        now = self.world.now()
        word = word or job.word(now)
        message = done if job.done(now) and word not in BROKEN else job.reason
        fields = {
            "model_id": job.id,
            "status": self._word(word),
            "result": {"message": message} if message else None,
            "start_time": self._time(job.created),
            "end_time": self._time(job.end(now)),
        }
        return {**fields, **job.overrides}

    async def deploy_status(self, model_id: Id) -> dict[str, Any]:
        gone = self.revision == "C" and self.world.find("undeployment", model_id) is not None
        job = self.world.find("deployment", model_id)
        if job is None and self.revision == "C" and self._alignment_of(model_id):
            return {"model_id": model_id, "status": "UNDEPLOYED", "result": None}
        job = self._get("deployment", model_id, "Model")
        return self._task(job, "Model deployed", "UNDEPLOYED" if gone else None)

    async def undeploy_status(self, model_id: Id) -> dict[str, Any]:
        return self._task(self._get("undeployment", model_id, "Model"), "Model undeployed")

    # Evaluations.

    async def create_evaluation(self, request: Request) -> dict[str, Any]:
        body = await self._body(
            request,
            {"model_id": str, "benchmark_id": str},
            {"model_id_2": str, "custom_metrics": object, "evaluation_name": str},
        )
        for model_id in filter(None, (body["model_id"], body["model_id_2"])):
            self._known_model(model_id)
        self._ready("benchmark", body["benchmark_id"], "Benchmark")
        job = self.world.add_job(
            "evaluation", None, self.world.stages("evaluation", "PROCESSING", "READY"), inputs=body
        )
        return {**self._evaluation(job), "message": "Evaluation started"}

    def _evaluation(self, job: Job) -> dict[str, Any]:
        return {
            "evaluation_id": job.id,
            "model_id": job.inputs.get("model_id"),
            "benchmark_id": job.inputs.get("benchmark_id") or "benchmark-demo-1",
            "status": self._word(job.word(self.world.now())),
            "created_at": self._time(job.created),
        }

    def _find_evaluation(self, evaluation_id: str) -> Job:
        """Look an evaluation up, also one that an alignment began by itself."""
        job = self.world.find("evaluation", evaluation_id)
        alignment = self.world.find("alignment", evaluation_id.removesuffix("-evaluation"))
        if job is None and alignment is not None and alignment.reached("DEPLOYING", self.world.now()):
            inputs = {"model_id": f"{alignment.id}-model", "benchmark_id": alignment.inputs.get("benchmark_id")}
            stages = self.world.stages("evaluation", "PROCESSING", "READY")
            job = self.world.add_job("evaluation", evaluation_id, stages, inputs=inputs)
        return job or self._get("evaluation", evaluation_id, "Evaluation")

    async def evaluation_status(self, evaluation_id: Id) -> dict[str, Any]:
        job, now = self._find_evaluation(evaluation_id), self.world.now()
        done = int(QUESTIONS * job.progress(now))
        shown = self._evaluation(job)
        fields = {
            **{name: shown[name] for name in ("evaluation_id", "status", "benchmark_id")},
            "progress": f"{done}/{QUESTIONS} questions",
            "questions_completed": done,
            "total_questions": QUESTIONS,
            "avg_time_per_question": round(job.duration / QUESTIONS, 3),
            "eta_seconds": job.remaining(now),
            "start_time": self._time(job.created),
            "end_time": self._time(job.end(now)),
        }
        return {**fields, **job.overrides}

    async def evaluation_results(self, evaluation_id: Id) -> dict[str, Any]:
        job, now = self._find_evaluation(evaluation_id), self.world.now()
        if not job.done(now) or job.word(now) in BROKEN:
            raise HTTPException(400, "Evaluation is not finished")
        shown, other = self._evaluation(job), job.inputs.get("model_id_2")
        model, benchmark = str(shown["model_id"]), str(shown["benchmark_id"])
        fields = {
            **{name: shown[name] for name in ("evaluation_id", "model_id", "benchmark_id", "status")},
            "raw_answers_count": QUESTIONS,
            "completed_at": self._time(job.end(now)),
        }
        accuracy = score(model, benchmark)
        if other is None:
            metrics = {"accuracy": accuracy, "uncertainty": round(1 - accuracy, 4)}
            return {**fields, "method": "eval", "metrics": metrics}
        baseline = score(other, benchmark)
        return {
            **fields,
            "method": "eval-compare",
            "model_id_2": other,
            "eval_model": {"accuracy": accuracy, "uncertainty": round(1 - accuracy, 4)},
            "base_model": {"accuracy": baseline, "uncertainty": round(1 - baseline, 4)},
            "comparison": {"accuracy": round(accuracy - baseline, 4)},
        }

    async def list_evaluations(
        self,
        status: str | None = None,
        model_id: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        shown = [
            {**fields, "metrics": None}
            for fields in map(self._evaluation, reversed(self.world.all("evaluation")))
            if status in (None, fields["status"]) and model_id in (None, fields["model_id"])
        ]
        return {
            "user_id": "user-1",
            "evaluations": shown[offset : offset + limit],
            "total": len(shown),
            "limit": limit,
            "offset": offset,
        }

    # Models.

    async def base_models(self, limit: Annotated[int, Query(ge=1)] = 100) -> dict[str, Any]:
        return {"models": [{"id": name, "name": name} for name in BASE_MODELS][:limit]}

    async def aligned_models(self) -> dict[str, Any]:
        models = []
        for job in self.world.all("alignment"):
            model_id, now = f"{job.id}-model", self.world.now()
            if self._alignment_of(model_id) is None:
                continue
            deployment, undeployment = (self.world.find(k, model_id) for k in ("deployment", "undeployment"))
            status = "UNDEPLOYED"
            if undeployment:
                status = "UNDEPLOYED" if undeployment.done(now) else "UNDEPLOYING"
            elif deployment:
                status = "DEPLOYED" if deployment.done(now) else "DEPLOYING"
            models.append(
                {
                    "model_id": model_id,
                    "alignment_id": job.id,
                    "model_name": job.inputs.get("name"),
                    "status": self._word(job.word(now)),
                    "deployment_status": status,
                }
            )
        return {"domain_aligned_models": models}
