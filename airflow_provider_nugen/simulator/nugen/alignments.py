"""Alignments, and what becomes of their models by themselves."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any

from fastapi import HTTPException, Query, Request

from airflow_provider_nugen.simulator.http import Id, whole
from airflow_provider_nugen.simulator.nugen.documents import Documents
from airflow_provider_nugen.simulator.nugen.service import BASE_MODELS, BROKEN_MODEL, FROZEN_MODEL, Service, score
from airflow_provider_nugen.simulator.revisions import TRAINED, TRAINING
from airflow_provider_nugen.simulator.timeline import Job, Stage

#: The word of an alignment during its automatic evaluation → the status of its model.
_AUTOMATIC = {"DEPLOYING": "DEPLOYING", "EVALUATING": "DEPLOYED"}


class Alignments:
    """
    The routes of alignments.

    :param service: the service.
    :param documents: its documents and benchmarks.
    """

    def __init__(self, service: Service, documents: Documents) -> None:
        self.service = service
        self.documents = documents
        self.world = service.world

    async def create_alignment(self, request: Request) -> dict[str, Any]:
        body = await self.service.body(
            request,
            {"name": str, "base_model": str, "document_ids": list},
            {"benchmark_id": str, "description": str, "workflow_id": str},
        )
        if body["base_model"] == FROZEN_MODEL or body["base_model"] not in BASE_MODELS:
            raise HTTPException(400, f"Base model {body['base_model']} cannot be aligned")
        for document in body["document_ids"]:
            self.service.require_ready("document", document, "Document")
        if body["benchmark_id"]:
            self.service.require_ready("benchmark", body["benchmark_id"], "Benchmark")
        stages = self._stages(with_benchmark=bool(body["benchmark_id"]))
        job = self.world.add_job("alignment", None, stages, inputs={**body, "model_id": self._new_model_id(body)})
        if body["base_model"] == BROKEN_MODEL:
            half = (job.start("PROCESSING") + job.start("READY")) / 2
            job.end_early("FAILED", half, "Training failed: the base model cannot be loaded")
            self.world.save()
        return self.service.named({"alignment_id": job.id, "status": self._word(job)})

    def _stages(self, *, with_benchmark: bool) -> list[Stage]:
        words = [*TRAINING[self.service.revision], "READY"]
        if not with_benchmark:
            return self.world.stages("alignment", *words)
        # Revision B reads READY again while the model is torn down after its evaluation.
        torn_down = ["TEARDOWN"] if self.service.revision == "B" else []
        stages = self.world.stages(
            "alignment", *words, "DEPLOYING", "EVALUATING", *torn_down, "UNDEPLOYED", "EVALUATED"
        )
        for stage in stages:
            if stage.word == "TEARDOWN":
                stage.word = "READY"
        return stages

    def _new_model_id(self, body: dict[str, Any]) -> str:
        """Make up a model's id: in revisions A and B out of the name, with a dash at the front."""
        if self.service.revision == "C":
            return f"model_{uuid.uuid4().hex[:14]}"
        slug = re.sub(r"[^a-z0-9]+", "-", body["name"].lower()).strip("-")[:60]
        return f"-{slug}-alignment-{uuid.uuid4().hex[:15]}"

    # What other parts ask.

    def model(self, alignment: Job) -> str:
        """Return the id of an alignment's model, which can be known before it is trained."""
        return str(alignment.overrides.get("model_id") or alignment.inputs.get("model_id") or f"{alignment.id}-model")

    def trained(self, alignment: Job) -> bool:
        """Return whether an alignment is trained."""
        return not TRAINED.isdisjoint(map(str.upper, alignment.passed(self.service.now())))

    def of_model(self, model_id: str) -> Job | None:
        """Return the alignment whose model it is, once that is trained."""
        alignments = self.world.all("alignment")
        return next((job for job in alignments if self.model(job) == model_id and self.trained(job)), None)

    def checkpoint(self, alignment: Job) -> bool:
        """Return whether an alignment that is being trained has something that can be deployed early."""
        now = self.service.now()
        return alignment.word(now) == "PROCESSING" and alignment.step_progress(now) > 0.5

    def automatic_deployment(self, alignment: Job) -> str | None:
        """Return the status of a model that its alignment has deployed by itself; ``None`` if it is undeployed."""
        passed = alignment.passed(self.service.now())
        if alignment.broken(self.service.now()):
            return None
        if passed[-1] == "READY" and "EVALUATING" in passed:
            return "UNDEPLOYING"
        return _AUTOMATIC.get(passed[-1])

    def evaluation_of(self, alignment: Job) -> Job | None:
        """Make the record of the evaluation that an alignment has begun by itself."""
        now = self.service.now()
        passed = alignment.passed(now)
        begun = next((word for word in passed if word in ("DEPLOYING", "EVALUATING", "UNDEPLOYED", "EVALUATED")), None)
        if begun is None:
            return None
        words = [stage.word for stage in alignment.stages]
        start = alignment.start(begun)
        end = alignment.after("EVALUATING") if "EVALUATING" in words else alignment.start(alignment.last)
        job = Job(
            kind="evaluation",
            id=f"{alignment.id}-evaluation",
            created=start,
            stages=[Stage("PROCESSING", end - start), Stage("READY")],
            inputs={
                "model_id": self.model(alignment),
                "model_id_2": self._base_model(alignment),
                "benchmark_id": alignment.inputs.get("benchmark_id"),
            },
        )
        if alignment.broken(now) and alignment.ended and alignment.ended[1] <= job.created + job.duration:
            job.ended, job.reason = alignment.ended, alignment.reason
        return job

    def _base_model(self, alignment: Job) -> str:
        return str(alignment.inputs.get("base_model") or next(iter(BASE_MODELS)))

    def _word(self, job: Job) -> str:
        word = job.word(self.service.now())
        if self.service.config.automatic_evaluation == "ready" and word in ("DEPLOYING", "EVALUATING", "UNDEPLOYED"):
            word = "READY"
        return self.service.word(word)

    # Answers.

    def _until_trained(self, alignment: Job) -> float | None:
        """Return how many seconds the training still takes: what the service estimates is when the model is there."""
        now = self.service.now()
        ready = next((stage.word for stage in alignment.stages if stage.word.upper() in TRAINED), None)
        if ready is None or self.trained(alignment) or alignment.broken(now):
            return None
        return alignment.start(ready) - now

    def fields(self, job: Job) -> dict[str, Any]:
        """Return what is known of an alignment, in revision B's names; without what is overridden."""
        now, inputs = self.service.now(), job.inputs
        trained, broken, remaining = self.trained(job), job.broken(now), self._until_trained(job)
        documents = inputs.get("document_ids") or []
        evaluation = self.evaluation_of(job)
        reason = self.service.reason(job)
        fields = {
            "alignment_id": job.id,
            "alignment_name": inputs.get("name") or job.id,
            "base_model": self._base_model(job),
            "status": self._word(job),
            "created_date": self.service.time(job.created),
            "completed_date": None if broken else self.service.time(job.end(now)),
            "document_ids": documents,
            "document_count": len(documents),
            "creator": "user@example.com",
            "performance_metrics": None,
            "progress": int(100 * job.progress(now)),
            "estimated_completion": self.service.time(None if remaining is None else now + remaining),
            "error": reason,
            "evaluation_id": evaluation.id if evaluation else None,
            "model_id": self.model(job) if trained else None,
            "gpu_training_completed": True if trained else (False if broken else None),
        }
        if job.word(now) == "EVALUATED":
            before, after = score(str(fields["base_model"]), job.id), score(job.id)
            fields["performance_metrics"] = {
                "accuracy_before": before,
                "accuracy_after": after,
                "uncertainty_before": round(1 - before, 4),
                "uncertainty_after": round(1 - after, 4),
                "domain_violations_before": 12,
                "domain_violations_after": 2,
            }
        if self.service.revision == "C":
            fields |= {
                "queue_position": 1 if job.word(now) == "QUEUED" else None,
                "eta_seconds": whole(remaining),
                "early_deployable": self.checkpoint(job),
                "stage_failures": [f"training: {reason}"] if reason else [],
                "degraded": False,
            }
        return fields

    def _shown(self, job: Job) -> dict[str, Any]:
        overrides = {name: value for name, value in job.overrides.items() if name != "envelope"}
        return self.service.named({**self.fields(job), **overrides})

    async def alignment_status(self, id: Id) -> dict[str, Any]:
        job = self.service.get("alignment", id, "Alignment")
        fields = self._shown(job)
        if not self.service.config.enveloped:
            return fields
        envelope = {
            "status": self.service.word("PENDING") if self.service.config.differing_envelope else fields["status"],
            "data": fields,
            **self.service.request_times(job),
            "gpu_training_completed": fields["gpu_training_completed"],
        }
        return {**envelope, **job.overrides.get("envelope", {})}

    async def alignment_detail(self, id: Id) -> dict[str, Any]:
        fields = self._shown(self.service.get("alignment", id, "Alignment"))
        # Revision A's detail page writes upper case, its status page lower case.
        return {**fields, "status": fields["status"].upper()}

    async def list_alignments(self, limit: Annotated[int | None, Query(ge=1)] = None) -> dict[str, Any]:
        jobs = self.service.unpaged(self.world.all("alignment"))
        shown = [self._listed(job) for job in jobs]
        return {"alignment_projects": shown[:limit] if self.service.revision == "C" else shown}

    def _listed(self, job: Job) -> dict[str, Any]:
        names = self.service.named({name: name for name in ("alignment_name", "created_date", "completed_date")})
        fields = self._shown(job)
        for name in names:
            if "name" in name and isinstance(fields[name], str):
                fields[name] = self.world.list_name(job, fields[name])
            elif self.service.config.null_times:
                fields[name] = None
        if self.service.revision == "C":
            return {name: fields[name] for name in ("alignment_id", "alignment_name", "base_model_id", "status")}
        return fields

    async def delete_alignment(self, id: Id) -> dict[str, Any]:
        job = self.service.get("alignment", id, "Alignment")
        deployment = self.world.find("deployment", self.model(job))
        undeployed = self.world.find("undeployment", self.model(job))
        if (deployment and not deployment.broken(self.service.now()) and not undeployed) or self.automatic_deployment(
            job
        ):
            raise HTTPException(400, "The alignment's model is deployed")
        self.service.delete(job)
        return {"alignment_id": id, "message": "Alignment deleted"}
