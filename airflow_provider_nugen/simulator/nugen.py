"""Nugen, simulated. How its API revisions differ is data, in ``revisions.py``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import zip_longest
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request, Security, UploadFile
from fastapi.security import HTTPBearer
from starlette.datastructures import UploadFile as FormFile

from airflow_provider_nugen.simulator.http import Id, Kinds, check, json_object, timestamp, whole, world_of
from airflow_provider_nugen.simulator.revisions import (
    AUTOMATIC_EVALUATION,
    DEPLOYMENT_WORDS,
    MODEL_NAMES,
    NAMES,
    QUESTION_FIELDS,
    REQUEST_NAMES,
    ROUTES,
    TRAINED,
    V3,
    WORDS,
    WORK,
)
from airflow_provider_nugen.simulator.timeline import Job, Stage
from airflow_provider_nugen.simulator.world import Revision, SimulatorState

#: Cannot be aligned: refused at once.
FROZEN_MODEL = "nugen-frozen"
#: Accepted, but the alignment fails.
BROKEN_MODEL = "nugen-broken"
BASE_MODELS = ("nugen-flash-instruct", "nugen-pro-instruct", FROZEN_MODEL, BROKEN_MODEL)
QUESTIONS = 10
#: Bytes of a document, or a benchmark.
MAX_FILE = 100 * 2**20

_bearer = HTTPBearer(auto_error=False)


def authorized(world: SimulatorState, header: str | None) -> bool:
    """Say whether a request has the right key, the way Nugen wants it."""
    return header == f"Bearer {world.api_key}"


async def authorize(request: Request, _: Annotated[Any, Security(_bearer)]) -> None:
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

    def __init__(self, world: SimulatorState) -> None:
        self.world = world
        self.revision = world.config.nugen_revision
        self.router = APIRouter(prefix=V3, dependencies=[Depends(authorize)], tags=["nugen"])
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

    def _named(self, fields: dict[str, Any], names: dict[Revision, dict[str, str]] = NAMES) -> dict[str, Any]:
        return {names[self.revision].get(name, name): value for name, value in fields.items()}

    async def _body(self, request: Request, required: Kinds, optional: Kinds) -> dict[str, Any]:
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

    def _alignment_of(self, model_id: str) -> Job | None:
        """Find the alignment whose model it is, once that is trained."""
        return next((j for j in self.world.all("alignment") if self._model(j) == model_id and self._trained(j)), None)

    # Alignments.

    async def create_alignment(self, request: Request) -> dict[str, Any]:
        body = await self._body(
            request,
            {"name": str, "base_model": str, "document_ids": list},
            {"benchmark_id": str, "description": str, "workflow_id": str},
        )
        if body["base_model"] == FROZEN_MODEL or body["base_model"] not in BASE_MODELS:
            raise HTTPException(400, f"Base model {body['base_model']} cannot be aligned")
        for document in body["document_ids"]:
            self._ready("document", document, "Document")
        words = [*WORK[self.revision], "READY"]
        if body["benchmark_id"]:
            self._ready("benchmark", body["benchmark_id"], "Benchmark")
            words += AUTOMATIC_EVALUATION
        job = self.world.add_job("alignment", None, self.world.stages("alignment", *words), inputs=body)
        if body["base_model"] == BROKEN_MODEL:
            half = (job.start("PROCESSING") + job.start("READY")) / 2
            job.end_early("FAILED", half, "Training failed: the base model cannot be loaded")
            self.world.save()
        return self._named({"alignment_id": job.id, "status": self._word(job.word(self.world.now()))})

    def _model(self, alignment: Job) -> str:
        return str(alignment.overrides.get("model_id") or f"{alignment.id}-model")

    def _trained(self, alignment: Job) -> bool:
        return not TRAINED.isdisjoint(map(str.upper, alignment.passed(self.world.now())))

    def _until_trained(self, alignment: Job) -> float | None:
        """Say how many seconds the training still takes: what the service estimates is when the model is there."""
        now = self.world.now()
        ready = next((stage.word for stage in alignment.stages if stage.word.upper() in TRAINED), None)
        if ready is None or self._trained(alignment) or alignment.broken(now):
            return None
        return alignment.start(ready) - now

    def _checkpoint(self, alignment: Job) -> bool:
        """Say whether an alignment that is being trained has something that can be deployed early."""
        now = self.world.now()
        return alignment.word(now) == "PROCESSING" and alignment.step_progress(now) > 0.5

    def _evaluation_of(self, alignment: Job) -> Job | None:
        """Make the record of the evaluation that an alignment has begun by itself."""
        now = self.world.now()
        begun = next((word for word in alignment.passed(now) if word in AUTOMATIC_EVALUATION), None)
        if begun is None:
            return None
        start, end = alignment.start(begun), alignment.start(alignment.last)
        job = Job(
            kind="evaluation",
            id=f"{alignment.id}-evaluation",
            created=start,
            stages=[Stage("PROCESSING", end - start), Stage("READY")],
            inputs={"model_id": self._model(alignment), "benchmark_id": alignment.inputs.get("benchmark_id")},
        )
        if alignment.broken(now):
            job.ended, job.reason = alignment.ended, alignment.reason
        return job

    def _alignment(self, job: Job) -> dict[str, Any]:
        now, inputs = self.world.now(), job.inputs
        word, trained, broken, remaining = job.word(now), self._trained(job), job.broken(now), self._until_trained(job)
        documents = inputs.get("document_ids") or []
        evaluation = self._evaluation_of(job)
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
            "progress": int(100 * job.progress(now)),
            "estimated_completion": self._time(None if remaining is None else now + remaining),
            "error": job.reason if broken else None,
            "evaluation_id": evaluation.id if evaluation else None,
            "model_id": self._model(job) if trained else None,
            "gpu_training_completed": True if trained else (False if broken else None),
        }
        if word == "EVALUATED":
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
                "eta_seconds": whole(remaining),
                "early_deployable": self._checkpoint(job),
                "stage_failures": [f"training: {job.reason}"] if broken and job.reason else [],
                "degraded": False,
            }
        overrides = {name: value for name, value in job.overrides.items() if name != "envelope"}
        return self._named({**fields, **overrides})

    async def alignment_status(self, id: Id) -> dict[str, Any]:
        job = self._get("alignment", id, "Alignment")
        fields = self._alignment(job)
        if not self.world.config.enveloped:
            return fields
        envelope = {
            "status": fields["status"],
            "data": fields,
            "start_time": self._time(job.created),
            "end_time": self._time(job.end(self.world.now())),
            "gpu_training_completed": fields["gpu_training_completed"],
        }
        return {**envelope, **job.overrides.get("envelope", {})}

    async def alignment_detail(self, id: Id) -> dict[str, Any]:
        fields = self._alignment(self._get("alignment", id, "Alignment"))
        # Revision A's detail page writes upper case, its status page lower case.
        return {**fields, "status": fields["status"].upper()}

    async def list_alignments(self) -> dict[str, Any]:
        return {"alignment_projects": [self._alignment(job) for job in self.world.all("alignment")]}

    # Documents and benchmarks.

    async def upload_documents(
        self, files: list[UploadFile], names: Annotated[list[str] | None, Form()] = None
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
                raise HTTPException(400, f"{name} is no text file")
        ids = [
            self.world.add_job(
                "document", None, self.world.stages("document", "PROCESSING", "READY"), inputs={"name": name}
            ).id
            for name in wanted
        ]
        # Both occur.
        return ids if self.revision == "A" else {"document_ids": ids}

    def _thing(self, kind: str, job_id: str) -> dict[str, Any]:
        job, now = self._get(kind, job_id, kind.capitalize()), self.world.now()
        return {
            f"{kind}_id": job.id,
            "status": self._word(job.word(now)),
            "error": job.reason if job.broken(now) else None,
            **job.overrides,
        }

    async def document_status(self, id: Id) -> dict[str, Any]:
        return self._thing("document", id)

    async def create_benchmark(self, request: Request) -> dict[str, Any]:
        body = await self._body(request, {"documents": list}, {"num_questions": int})
        for document in body["documents"]:
            self._ready("document", document, "Document")
        return self._new_benchmark(body)

    async def upload_benchmark(self, request: Request) -> dict[str, Any]:
        form = await request.form()
        name = "benchmark_name" if self.revision == "C" else "name"
        fields = {key: form.get(key) for key in ("file", name, "document_id")}
        check(fields, {"file": object, name: str, "document_id": str})
        file = fields["file"]
        if not isinstance(file, FormFile):
            raise HTTPException(400, "file must be a file")
        if (file.size or 0) > MAX_FILE:
            raise HTTPException(413, "The file is larger than 100 MB")
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
            count: inputs.get("num_questions") or QUESTIONS,
        }

    async def benchmark_status(self, id: Id) -> dict[str, Any]:
        return self._thing("benchmark", id)

    # Deploying.

    async def deploy(self, model_id: Id, early: bool = False) -> str:
        if self._alignment_of(model_id) is None:
            # The model of an alignment that is being trained is known too, but can only be deployed early.
            alignments = self.world.all("alignment")
            training = next((job for job in alignments if model_id in (self._model(job), job.id)), None)
            if training is None or not early or self.revision != "C":
                raise HTTPException(404, "Model not found")
            if not self._checkpoint(training):
                raise HTTPException(409, "There is no checkpoint to deploy yet")
        self.world.jobs.pop(("undeployment", model_id), None)
        self.world.add_job("deployment", model_id, self.world.stages("deployment", *DEPLOYMENT_WORDS[self.revision]))
        return model_id

    def _undeployment(self, model_id: str) -> Job | None:
        """Find an undeployment, unless it came to nothing."""
        job = self.world.find("undeployment", model_id)
        return None if job is None or job.broken(self.world.now()) else job

    async def undeploy(self, model_id: Id) -> dict[str, Any]:
        deployment = self.world.find("deployment", model_id)
        if deployment is None and self._alignment_of(model_id) is None:
            raise HTTPException(404, "Model not found")
        if deployment is None or self._undeployment(model_id) is not None:
            raise HTTPException(400, "Model is already undeployed")
        deployment.end_early("STOPPED", self.world.now())
        self.world.add_job("undeployment", model_id, self.world.stages("undeployment", "PENDING", "COMPLETED"))
        return {"model_id": model_id}

    def _task(self, job: Job, done: str) -> dict[str, Any]:
        now = self.world.now()
        message = job.reason if job.broken(now) else (done if job.done(now) else None)
        fields = {
            "model_id": job.id,
            "status": self._word(job.word(now)),
            "result": {"message": message} if message else None,
            "start_time": self._time(job.created),
            "end_time": self._time(job.end(now)),
        }
        return {**fields, **job.overrides}

    async def deploy_status(self, model_id: Id) -> dict[str, Any]:
        job, undeployed = self.world.find("deployment", model_id), {"model_id": model_id, "status": "UNDEPLOYED"}
        if self.revision != "C":
            return self._task(self._get("deployment", model_id, "Model"), "Model deployed")
        # Revision C says how the model is, not what became of a task.
        if job is None:
            if self._alignment_of(model_id) is None:
                raise HTTPException(404, "Model not found")
            return undeployed
        if self._undeployment(model_id) is not None:
            return {**undeployed, **job.overrides}
        fields = self._task(job, "Model deployed")
        if job.broken(self.world.now()):
            fields = {**fields, **undeployed, "error": job.reason, **job.overrides}
        return fields

    async def undeploy_status(self, model_id: Id) -> dict[str, Any]:
        return self._task(self._get("undeployment", model_id, "Model"), "Model undeployed")

    # Evaluations.

    async def create_evaluation(self, request: Request) -> dict[str, Any]:
        body = await self._body(
            request,
            {"model_id": str, "benchmark_id": str},
            {"model_id_2": str, "custom_metrics": (dict, list), "evaluation_name": str},
        )
        for model_id in filter(None, (body["model_id"], body["model_id_2"])):
            if model_id not in BASE_MODELS and self._alignment_of(model_id) is None:
                raise HTTPException(404, f"Model {model_id} not found")
        self._ready("benchmark", body["benchmark_id"], "Benchmark")
        job = self.world.add_job(
            "evaluation", None, self.world.stages("evaluation", *WORK[self.revision], "READY"), inputs=body
        )
        return {**self._evaluation(job), "message": "Evaluation started"}

    def _evaluation(self, job: Job) -> dict[str, Any]:
        fields = {
            "evaluation_id": job.id,
            "model_id": job.inputs.get("model_id"),
            "benchmark_id": job.inputs.get("benchmark_id") or "benchmark-demo-1",
            "status": self._word(job.word(self.world.now())),
            "created_at": self._time(job.created),
        }
        return {name: job.overrides.get(name, value) for name, value in fields.items()}

    def _evaluations(self) -> dict[str, Job]:
        """Find all evaluations, also those that alignments have begun by themselves; oldest first."""
        automatic = filter(None, map(self._evaluation_of, self.world.all("alignment")))
        jobs = {job.id: job for job in (*automatic, *self.world.all("evaluation"))}
        return dict(sorted(jobs.items(), key=lambda item: item[1].created))

    def _find_evaluation(self, evaluation_id: str) -> Job:
        job = self.world.find("evaluation", evaluation_id)
        alignment = self.world.find("alignment", evaluation_id.removesuffix("-evaluation"))
        if job is None and alignment is not None and alignment.id != evaluation_id:
            job = self._evaluation_of(alignment)
        if job is None:
            raise HTTPException(404, "Evaluation not found")
        return job

    async def evaluation_status(self, evaluation_id: Id) -> dict[str, Any]:
        job, now = self._find_evaluation(evaluation_id), self.world.now()
        answered = int(QUESTIONS * job.progress(now))
        shown = self._evaluation(job)
        fields = {
            **{name: shown[name] for name in ("evaluation_id", "status", "benchmark_id")},
            "progress": f"{answered}/{QUESTIONS} questions",
            "questions_completed": answered,
            "total_questions": QUESTIONS,
            "avg_time_per_question": round(job.duration / QUESTIONS, 3),
            "eta_seconds": whole(job.remaining(now)),
            "start_time": self._time(job.created),
            "end_time": self._time(job.end(now)),
        }
        if job.broken(now):
            fields["error"] = job.reason
        return {**fields, **job.overrides}

    def _metrics(self, model_id: str, benchmark_id: str) -> dict[str, float]:
        accuracy = score(model_id, benchmark_id)
        return {"accuracy": accuracy, "uncertainty": round(1 - accuracy, 4)}

    async def evaluation_results(self, evaluation_id: Id) -> dict[str, Any]:
        job, now = self._find_evaluation(evaluation_id), self.world.now()
        if not job.done(now) or job.broken(now):
            raise HTTPException(400, "Evaluation is not finished")
        shown, other = self._evaluation(job), job.inputs.get("model_id_2")
        fields = {
            **{name: shown[name] for name in ("evaluation_id", "model_id", "benchmark_id", "status")},
            "raw_answers_count": QUESTIONS,
            "completed_at": self._time(job.end(now)),
        }
        metrics = self._metrics(str(shown["model_id"]), shown["benchmark_id"])
        if other is None:
            return {**fields, "method": "eval", "metrics": metrics}
        baseline = self._metrics(other, shown["benchmark_id"])
        return {
            **fields,
            "method": "eval-compare",
            "model_id_2": other,
            "eval_model": metrics,
            "base_model": baseline,
            "comparison": {name: round(value - baseline[name], 4) for name, value in metrics.items()},
        }

    async def list_evaluations(
        self,
        status: str | None = None,
        model_id: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        now, shown = self.world.now(), []
        for job in reversed(self._evaluations().values()):
            fields = self._evaluation(job)
            if status in (None, fields["status"]) and model_id in (None, fields["model_id"]):
                done = job.done(now) and not job.broken(now)
                metrics = self._metrics(str(fields["model_id"]), fields["benchmark_id"]) if done else None
                shown.append({**fields, "metrics": metrics})
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
        return {"domain_aligned_models": [*map(self._aligned, filter(self._trained, self.world.all("alignment")))]}

    def _aligned(self, alignment: Job) -> dict[str, Any]:
        model_id, now = self._model(alignment), self.world.now()
        deployment, undeployment = self.world.find("deployment", model_id), self._undeployment(model_id)
        status = "UNDEPLOYED"
        if undeployment:
            status = "UNDEPLOYED" if undeployment.done(now) else "UNDEPLOYING"
        elif deployment and not deployment.broken(now):
            status = "DEPLOYED" if deployment.done(now) else "DEPLOYING"
        fields = {
            "model_id": model_id,
            "alignment_id": alignment.id,
            "model_name": alignment.inputs.get("name") or alignment.id,
            "base_model": alignment.inputs.get("base_model") or BASE_MODELS[0],
            "status": self._word(alignment.word(now)),
            "deployment_status": self._word(status),
        }
        return self._named(fields, MODEL_NAMES)
