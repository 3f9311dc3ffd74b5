"""SeekrFlow, simulated: from fine-tunes over deployments to models that answer."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from fastapi import Request

from airflow_provider_nugen.simulator.http import Id, check, invalid, json_object
from airflow_provider_nugen.simulator.inference import completion, question
from airflow_provider_nugen.simulator.seekr import SeekrError
from airflow_provider_nugen.simulator.seekr_files import TRAINING_PURPOSES, SeekrFiles
from airflow_provider_nugen.simulator.seekr_part import Limit, Offset, SeekrPart, one_of, team
from airflow_provider_nugen.simulator.state import SimulatorState
from airflow_provider_nugen.simulator.timeline import Job, Stage

#: Samples that a fine-tune needs.
MIN_SAMPLES = 100
#: Samples of a file that an alignment made.
OUTPUT_SAMPLES = 500
BASE_MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.2-1B-Instruct")
FINE_TUNE_TYPES = ("STANDARD", "PREFERENCE", "REINFORCEMENT")
ACCELERATORS = ("GAUDI2", "GAUDI3", "A100", "A10", "H100", "MI300X")
FINE_TUNE_WORDS = ("pending", "queued", "running", "completed")
MODEL_TYPES = ("Fine-tuned Run", "Base Model")
#: Events of an epoch.
EVENTS = 4
#: What is there from the beginning.
PROJECT = 1


def _length(body: dict[str, Any], field: str, least: int, most: int) -> None:
    if not least <= len(body[field]) <= most:
        raise invalid((("body", field), f"String should have {least} to {most} characters", "string_length"))


def _between(body: dict[str, Any], field: str, least: int, most: int) -> None:
    value = body.get(field.rpartition(".")[2])
    if value is not None and not least <= value <= most:
        raise invalid((("body", *field.split(".")), f"Input should be {least} to {most}", "range"))


class SeekrTraining(SeekrPart):
    """
    The routes of SeekrFlow for fine-tunes, deployments and chat.

    :param world: what the service knows.
    :param files: the routes for files.
    """

    ROUTES = (
        ("projects", "GET", "/v1/flow/projects"),
        ("create_fine_tune", "POST", "/v1/flow/fine-tune"),
        ("list_fine_tunes", "GET", "/v1/flow/fine-tunes"),
        ("fine_tune", "GET", "/v1/flow/fine-tunes/{fine_tune_id}"),
        ("cancel_fine_tune", "PUT", "/v1/flow/fine-tunes/{fine_tune_id}/cancel"),
        ("fine_tune_events", "GET", "/v1/flow/fine-tunes/{fine_tune_id}/events"),
        ("delete_fine_tune", "DELETE", "/v1/flow/fine-tunes/{fine_tune_id}"),
        ("create_deployment", "POST", "/v1/flow/deployments"),
        ("list_deployments", "GET", "/v1/flow/deployments"),
        ("deployment", "GET", "/v1/flow/deployments/{deployment_id}"),
        ("promote", "PUT", "/v1/flow/deployments/{deployment_id}/promote"),
        ("demote", "PUT", "/v1/flow/deployments/{deployment_id}/demote"),
        ("chat", "POST", "/v1/inference/chat/completions"),
    )

    def __init__(self, world: SimulatorState, files: SeekrFiles) -> None:
        super().__init__(world)
        self.files = files
        self.router.add_api_route("/v1/flow/health", self.health, methods=["GET"], name="seekr_health")

    async def health(self) -> dict[str, Any]:
        return {"status": "ok", "version": "simulated"}

    async def projects(self, request: Request, skip: Offset = 0, limit: Limit = 100) -> dict[str, Any]:
        """List the one project that there is."""
        now = self._time(self.world.now())
        fields = {
            "id": PROJECT,
            "name": "Simulated project",
            "description": "There from the beginning",
            "user_id": 1,
            **dict.fromkeys(("created_at", "updated_at", "last_modified"), now),
            "runs": len(self._own("fine_tune", request)),
            "runs_deployed": len(self._own("seekr_deployment", request)),
        }
        return {"data": [fields][skip : skip + limit]}

    # Fine-tunes.

    def _fine_tune(self, job: Job) -> dict[str, Any]:
        now, word, done = self.world.now(), job.word(self.world.now()), job.end(self.world.now())
        training, infrastructure = job.inputs.get("training_config", {}), job.inputs.get("infrastructure_config", {})
        fields = {
            "id": job.id,
            "status": word,
            "fine_tune_type": "STANDARD",
            "pre_train": False,
            **{name: training.get(name) for name in ("model", "training_files", "n_epochs", "experiment_name")},
            **{name: value for name, value in training.items() if value is not None},
            "accel_type": infrastructure.get("accel_type") or ACCELERATORS[0],
            "n_accel": infrastructure.get("n_accel") or 1,
            "n_node": infrastructure.get("n_node") or 1,
            "project_id": job.inputs.get("project_id") or PROJECT,
            "description": job.inputs.get("description"),
            "created_at": self._time(job.created),
            "completed_at": self._time(done) if word == "completed" else None,
            "events": None,
            "inference_available": word == "completed",
            "error_analysis": job.reason if job.broken(now) and word == "failed" else None,
            "deleted_at": None,
        }
        return {**fields, **job.overrides}

    async def create_fine_tune(self, request: Request) -> dict[str, Any]:
        body = await json_object(request)
        check(body, {"project_id": int, "training_config": dict, "infrastructure_config": dict}, {"description": str})
        training, infrastructure = body["training_config"], body["infrastructure_config"]
        check(
            training,
            {"training_files": list, "model": str, "n_epochs": int},
            {
                "learning_rate": (int, float),
                "n_checkpoints": int,
                "batch_size": int,
                "experiment_name": str,
                "max_length": int,
                "pre_train": bool,
                "fine_tune_type": str,
                "lora_config": dict,
                "validation_files": list,
                "beta": (int, float),
            },
        )
        check(infrastructure, {"accel_type": str, "n_accel": int}, {"n_node": int})
        _between(training, "training_config.batch_size", 1, 1024)
        _between(training, "training_config.n_epochs", 1, 1000)
        if training.get("fine_tune_type") not in (None, *FINE_TUNE_TYPES):
            raise one_of("training_config.fine_tune_type", FINE_TUNE_TYPES)
        if infrastructure["accel_type"] not in ACCELERATORS:
            raise one_of("infrastructure_config.accel_type", ACCELERATORS)
        if not training["training_files"]:
            raise invalid(
                (("body", "training_config", "training_files"), "List should have at least 1 item", "too_short")
            )
        if body["project_id"] != PROJECT:
            raise SeekrError(404, f"Project {body['project_id']} not found")
        if training["model"] not in BASE_MODELS:
            raise SeekrError(404, f"Model {training['model']} not found")
        samples = 0
        for file_id in (*training["training_files"], *(training.get("validation_files") or ())):
            file = self.files.get(file_id, request)
            if file["purpose"] not in TRAINING_PURPOSES:
                raise SeekrError(400, f"File {file_id} has the purpose {file['purpose']}")
            found = self.world.find("seekr_file", file_id)
            # What is in other files is not read.
            enough = found is None or found.inputs["type"] != "jsonl"
            samples += OUTPUT_SAMPLES if enough or found is None else found.inputs["samples"]
        stages = self.world.stages("fine_tune", *FINE_TUNE_WORDS)
        job = self.world.add_job("fine_tune", f"ft-{uuid.uuid4().hex[:12]}", stages, inputs=body, scope=team(request))
        if samples < MIN_SAMPLES:
            # Known only when it runs, and is paid for.
            reason = f"The training files have {samples} samples; at least {MIN_SAMPLES} are needed."
            job.end_early("failed", job.start("running"), reason)
            self.world.save()
        return self._fine_tune(job)

    def _fine_tune_item(self, job: Job) -> dict[str, Any]:
        fields = self._fine_tune(job)
        if fields["experiment_name"] is not None:
            fields["experiment_name"] = self.world.list_name(job, fields["experiment_name"])
        return self._dated(fields)

    async def list_fine_tunes(self, request: Request, project_id: int | None = None) -> dict[str, Any]:
        jobs = [self._fine_tune_item(job) for job in self._listed("fine_tune", request)]
        return {"object": "list", "data": [job for job in jobs if project_id in (None, job["project_id"])]}

    async def fine_tune(self, fine_tune_id: Id, request: Request) -> dict[str, Any]:
        return self._fine_tune(self._find("fine_tune", fine_tune_id, request))

    async def cancel_fine_tune(self, fine_tune_id: Id, request: Request) -> dict[str, Any]:
        job = self._find("fine_tune", fine_tune_id, request)
        job.end_early("cancelled", self.world.now(), "Cancelled by the user")
        self.world.save()
        return self._fine_tune(job)

    async def fine_tune_events(self, fine_tune_id: Id, request: Request) -> dict[str, Any]:
        job = self._find("fine_tune", fine_tune_id, request)
        now, epochs = self.world.now(), job.inputs.get("training_config", {}).get("n_epochs") or 1
        begin = job.start("running") if "running" in (stage.word for stage in job.stages) else None
        if begin is None or now < begin:
            return {"object": "list", "data": []}
        whole = next(stage.seconds for stage in job.stages if stage.word == "running") or 1.0
        trained = min(((job.end(now) or now) - begin) / whole, 1.0)
        events = [
            {
                "object": "fine-tune-event",
                "created_at": self._time(begin + whole * number / (EVENTS * epochs)),
                "loss": round(2.5 / (1 + number / EVENTS), 4),
                "epoch": number / EVENTS,
            }
            for number in range(1, int(round(trained * EVENTS * epochs, 3)) + 1)
        ]
        return {"object": "list", "data": events}

    async def delete_fine_tune(self, fine_tune_id: Id, request: Request) -> None:
        job = self._find("fine_tune", fine_tune_id, request)
        del self.world.jobs[job.kind, job.id]
        self.world.save()

    # Deployments.

    def _deployment(self, job: Job) -> dict[str, Any]:
        now = self.world.now()
        active = [stage.word for stage in job.stages][-1:] == ["Active"]
        fields = {
            "id": job.id,
            "status": job.word(now),
            "model_type": MODEL_TYPES[0],
            "name": job.id,
            "description": "",
            "n_instances": 1,
            **job.inputs,
            "hardware_type": "Dedicated",
            "processor": "GAUDI2",
            "created_at": self._time(job.created),
            "last_deployed_at": self._time(job.start("Active")) if active and job.word(now) == "Active" else None,
            "updated_at": self._time(now),
            "total_input_tokens": 0,
            "total_output_tokens": 0,
            "user_id": 1,
            "team_id": job.scope or None,
        }
        return {**fields, **job.overrides}

    def _start(self, job: Job) -> None:
        """Let a deployment begin to start now."""
        now = self.world.now()
        job.stages = [
            Stage("Inactive", now - job.created),
            *self.world.stages("seekr_deployment", "Pending", "Active"),
        ]
        job.ended = job.reason = None
        self.world.save()

    async def create_deployment(self, request: Request) -> dict[str, Any]:
        body = await json_object(request)
        check(body, {"model_type": str, "model_id": str, "name": str, "description": str, "n_instances": int})
        if body["model_type"] not in MODEL_TYPES:
            raise one_of("model_type", MODEL_TYPES)
        _length(body, "name", 5, 100)
        _length(body, "description", 5, 1000)
        _between(body, "n_instances", 1, 50)
        if body["model_type"] == "Base Model":
            if body["model_id"] not in BASE_MODELS:
                raise SeekrError(404, f"Model {body['model_id']} not found")
        elif (word := self._find("fine_tune", body["model_id"], request).word(self.world.now())) != "completed":
            raise SeekrError(409, f"Fine-tune {body['model_id']} is {word}, not completed")
        job = self.world.add_job(
            "seekr_deployment",
            f"deployment-{uuid.uuid4().hex[:12]}",
            [Stage("Inactive")],
            inputs={name: body[name] for name in ("model_type", "model_id", "name", "description", "n_instances")},
            scope=team(request),
        )
        if self.world.config.seekr_deployments_start:
            self._start(job)
        return self._deployment(job)

    def _deployment_item(self, job: Job) -> dict[str, Any]:
        fields = self._deployment(job)
        return {**self._dated(fields), "name": self.world.list_name(job, fields["name"])}

    async def list_deployments(
        self,
        request: Request,
        deployment_status: Literal["Inactive", "Pending", "Active", "Failed", "Started", "Success"] | None = None,
        fine_tune_id: str | None = None,
        skip: Offset = 0,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        shown = [
            deployment
            for deployment in map(self._deployment_item, self._listed("seekr_deployment", request))
            if deployment_status in (None, deployment["status"]) and fine_tune_id in (None, deployment["model_id"])
        ]
        return {"data": shown[skip : skip + limit]}

    async def deployment(self, deployment_id: Id, request: Request) -> dict[str, Any]:
        return self._deployment(self._find("seekr_deployment", deployment_id, request))

    async def promote(self, deployment_id: Id, request: Request) -> dict[str, Any]:
        job = self._find("seekr_deployment", deployment_id, request)
        if (word := job.word(self.world.now())) not in ("Inactive", "Failed"):
            raise SeekrError(409, f"Deployment {deployment_id} is {word} already")
        self._start(job)
        return self._deployment(job)

    async def demote(self, deployment_id: Id, request: Request) -> dict[str, Any]:
        job = self._find("seekr_deployment", deployment_id, request)
        if job.word(self.world.now()) == "Inactive":
            raise SeekrError(409, f"Deployment {deployment_id} is Inactive already")
        job.ended = ("Inactive", self.world.now())
        self.world.save()
        return self._deployment(job)

    # Asking models.

    async def chat(self, request: Request) -> dict[str, Any]:
        model, prompt = await question(
            request,
            max_completion_tokens=int,
            stop=object,
            repetition_penalty=(int, float),
            response_format=dict,
            tool_choice=object,
        )
        if model in BASE_MODELS:
            return completion(self.world, model, prompt, aligned=False)
        job = self._find("seekr_deployment", model, request)
        now = self.world.now()
        if job.word(now) != "Active":
            raise SeekrError(400, f"Model not deployed: deployment {model} is {job.word(now)}")
        warming = self.world.stages("seekr_deployment", "Warming", "Active")[0].seconds
        if (elapsed := now - job.start("Active")) < warming:
            # Both occur.
            raise SeekrError((502, 504)[int(elapsed) % 2], "The model does not answer")
        return completion(self.world, model, prompt, aligned=job.inputs.get("model_type") != "Base Model")
