"""Models: the lists of them, deploying and undeploying, and asking one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import HTTPException, Query, Request

from airflow_provider_nugen.simulator.http import Id, whole
from airflow_provider_nugen.simulator.inference import completion, question
from airflow_provider_nugen.simulator.nugen.alignments import Alignments
from airflow_provider_nugen.simulator.nugen.service import BASE_MODELS, FROZEN_MODEL, Service, score
from airflow_provider_nugen.simulator.revisions import DEPLOYMENT_WORDS
from airflow_provider_nugen.simulator.timeline import Job


class Models:
    """
    The routes of models.

    :param service: the service.
    :param alignments: where aligned models come from.
    """

    def __init__(self, service: Service, alignments: Alignments) -> None:
        self.service = service
        self.alignments = alignments
        self.world = service.world

    # Deploying. A model has one deployment and one undeployment at most, under its own id.

    def _undeployment(self, model_id: str) -> Job | None:
        """Return an undeployment, unless it came to nothing."""
        job = self.world.find("undeployment", model_id)
        return None if job is None or job.broken(self.service.now()) else job

    def status(self, model_id: str) -> str:
        """Return a model's deployment status."""
        now, undeployment = self.service.now(), self._undeployment(model_id)
        if undeployment:
            return "UNDEPLOYED" if undeployment.done(now) else "UNDEPLOYING"
        deployment = self.world.find("deployment", model_id)
        if deployment and not deployment.broken(now):
            return "DEPLOYED" if deployment.done(now) else "DEPLOYING"
        alignment = self.alignments.of_model(model_id)
        return (self.alignments.automatic_deployment(alignment) if alignment else None) or "UNDEPLOYED"

    async def deploy(self, model_id: Id, early: bool = False) -> str | dict[str, str]:
        if self.alignments.of_model(model_id) is None:
            # The model of an alignment that is being trained is known too, but can only be deployed early.
            alignments = self.world.all("alignment")
            training = next((job for job in alignments if model_id in (self.alignments.model(job), job.id)), None)
            if training is None or not early or self.service.revision != "C":
                raise HTTPException(404, "Model not found")
            if not self.alignments.checkpoint(training):
                raise HTTPException(409, "There is no checkpoint to deploy yet")
        if (status := self.status(model_id)) != "UNDEPLOYED":
            if self.service.revision == "C" and status != "UNDEPLOYING":
                raise HTTPException(400, "Model is already deployed or being deployed")
            detail = f"Model cannot be redeployed. Current status: {status}"
            raise HTTPException(self.service.config.deploy_conflict_status, detail)
        self.world.jobs.pop(("undeployment", model_id), None)
        stages = self.world.stages("deployment", *DEPLOYMENT_WORDS[self.service.revision])
        self.world.add_job("deployment", model_id, stages)
        # Both shapes occur.
        return {"model_id": model_id} if self.service.revision == "C" else model_id

    async def undeploy(self, model_id: Id) -> str | dict[str, str]:
        deployment = self.world.find("deployment", model_id)
        if deployment is None and self.alignments.of_model(model_id) is None:
            raise HTTPException(404, "Model not found")
        status, again = self.status(model_id), 400
        if status in ("UNDEPLOYED", "UNDEPLOYING"):
            if self.service.revision == "C":
                again = self.service.config.undeploy_again_status
            if again >= 400:
                raise HTTPException(again, "Model is already undeployed")
            return model_id
        if status == "DEPLOYING" and self.service.config.refuse_undeploy_while_deploying:
            raise HTTPException(409, "Model cannot be undeployed. Current status: DEPLOYING")
        if deployment is not None:
            deployment.end_early("STOPPED", self.service.now())
        self.world.add_job("undeployment", model_id, self.world.stages("undeployment", "PENDING", "COMPLETED"))
        return model_id if self.service.revision == "C" else {"model_id": model_id}

    def _task(self, job: Job, result: dict[str, str]) -> dict[str, Any]:
        now, reason = self.service.now(), self.service.reason(job)
        failed = {"message": reason} if reason else None
        fields = {
            "model_id": job.id,
            "status": self.service.word(job.word(now)),
            "result": result if job.done(now) and not job.broken(now) else failed,
            **self.service.request_times(job),
        }
        return {**fields, **job.overrides}

    async def deploy_status(self, model_id: Id) -> dict[str, Any]:
        result = {"deployment_status": "DEPLOYED"}
        if self.service.revision != "C":
            return self._earlier_deploy_status(model_id, result)
        # Revision C tells how the model is, not what became of a task.
        job, status = self.world.find("deployment", model_id), self.status(model_id)
        if job is None:
            if self.alignments.of_model(model_id) is None:
                raise HTTPException(404, "Model not found")
            return {"model_id": model_id, "status": status}
        if self._undeployment(model_id) is not None:
            return {"model_id": model_id, "status": status, **job.overrides}
        fields = self._task(job, result)
        if job.broken(self.service.now()):
            reason = self.service.reason(job)
            told = {"error": reason} if reason else {}
            fields = {**fields, "status": "UNDEPLOYED", "result": None, **told, **job.overrides}
        elif fields["status"] == "COMPLETED" and "status" not in job.overrides:
            # Deployed before the service spoke revision C.
            fields["status"] = "DEPLOYED"
        return fields

    def _earlier_deploy_status(self, model_id: str, result: dict[str, str]) -> dict[str, Any]:
        alignment = self.alignments.of_model(model_id)
        automatic = self.alignments.automatic_deployment(alignment) if alignment else None
        if automatic is None or self.world.find("deployment", model_id):
            return self._task(self.service.get("deployment", model_id, "Model"), result)
        # No task of the caller's, but the model is deployed for its automatic evaluation.
        word = "PENDING" if automatic == "DEPLOYING" else "COMPLETED"
        now = self.service.time(self.service.now())
        fields = {"model_id": model_id, "status": self.service.word(word), "result": {"deployment_status": automatic}}
        return {**fields, "start_time": now, "end_time": now}

    async def undeploy_status(self, model_id: Id) -> dict[str, Any]:
        return self._task(self.service.get("undeployment", model_id, "Model"), {"message": "Model undeployed"})

    # Lists.

    async def base_models(self, limit: Annotated[int, Query(ge=1)] = 100) -> dict[str, Any]:
        models = [
            {
                "model_id": name,
                "model_name": name.replace("-", " ").title(),
                "parameters": "3B",
                "alignment_ready": ready,
                "available_on_request": name == FROZEN_MODEL,
                "type": "base",
            }
            for name, ready in BASE_MODELS.items()
        ]
        return {"models": models[:limit]}

    async def aligned_models(
        self,
        status: str | None = None,
        limit: Annotated[int | None, Query(ge=1)] = None,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        jobs = self.service.unpaged([job for job in self.world.all("alignment") if self.alignments.trained(job)])
        models = [self._aligned(job) for job in jobs]
        if self.service.revision == "C":
            models = [model for model in models if status in (None, model["deployment_status"])]
            models = models[offset:][:limit]
        return {"domain_aligned_models": models}

    def _aligned(self, alignment: Job) -> dict[str, Any]:
        model_id, fields = self.alignments.model(alignment), self.alignments.fields(alignment)
        name = self.world.list_name(alignment, fields["alignment_name"])
        status = self.service.word(self.status(model_id))
        if self.service.revision == "C":
            return {
                "model_id": model_id,
                "model_name": name,
                "base_model_id": fields["base_model"],
                "alignment_id": alignment.id,
                "deployment_status": status,
            }
        return {
            "id": model_id,
            "alignment_id": alignment.id,
            "name": name,
            "base_model": fields["base_model"],
            "status": fields["status"],
            "deployment_status": status,
        }

    async def model_detail(self, model_id: Id) -> dict[str, Any]:
        alignments = self.world.all("alignment")
        alignment = next((job for job in alignments if self.alignments.model(job) == model_id), None)
        if alignment is None:
            raise HTTPException(404, "Model not found")
        now, deployment = self.service.now(), self.world.find("deployment", model_id)
        fields, evaluation = self.alignments.fields(alignment), self.alignments.evaluation_of(alignment)
        word = self.service.word(evaluation.word(now)) if evaluation else None
        return {
            "model_id": model_id,
            "model_name": fields["alignment_name"],
            "base_model_id": fields["base_model"],
            "alignment_id": alignment.id,
            "deployment_status": self.status(model_id),
            "error": self.service.reason(deployment) if deployment else None,
            "progress": int(100 * deployment.progress(now)) if deployment else None,
            "eta_seconds": whole(deployment.remaining(now)) if deployment else None,
            "performance_metrics": fields["performance_metrics"],
            "evaluation_data": {
                "evaluation_id": fields["evaluation_id"],
                "status": word,
                "all_evaluations": [{"evaluation_id": evaluation.id, "status": word}] if evaluation else [],
            },
        }

    # Asking a model.

    async def chat_completion(self, request: Request) -> dict[str, Any]:
        model_id, prompt = await question(request, prompt_truncate_len=int)
        if model_id in BASE_MODELS:
            return completion(self.world, model_id, prompt, aligned=False)
        self._require_deployed(model_id)
        confidence = round(100 * score(model_id, prompt), 2)
        return completion(self.world, model_id, prompt, aligned=True, confidence_score=confidence)

    def _require_deployed(self, model_id: str) -> None:
        deployment = self.world.find("deployment", model_id)
        if deployment is None and self.alignments.of_model(model_id) is None:
            raise HTTPException(404, "Model not found")
        if self.status(model_id) != "DEPLOYED":
            raise HTTPException(400, "Model not deployed")
        deployed = deployment.end(self.service.now()) if deployment else None
        warming = self.world.stages("deployment", "WARMING", "DEPLOYED")[0].seconds
        if deployed is not None and self.service.now() < deployed + warming:
            raise HTTPException(502, "Bad Gateway")
