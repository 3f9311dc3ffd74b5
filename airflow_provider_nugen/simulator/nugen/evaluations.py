"""Evaluations and what they measure."""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Any

from fastapi import HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse

from airflow_provider_nugen.simulator.http import Id, whole
from airflow_provider_nugen.simulator.nugen.alignments import Alignments
from airflow_provider_nugen.simulator.nugen.documents import Documents
from airflow_provider_nugen.simulator.nugen.models import Models
from airflow_provider_nugen.simulator.nugen.service import BASE_MODELS, Service, score
from airflow_provider_nugen.simulator.revisions import EVALUATING
from airflow_provider_nugen.simulator.timeline import Job

#: The metrics of which a comparison tells the difference.
COMPARED = ("binary_correctness_mean", "answer_relevance_mean")


class Evaluations:
    """
    The routes of evaluations.

    :param service: the service.
    :param documents: its documents and benchmarks.
    :param alignments: some of which begin an evaluation by themselves.
    :param models: what is evaluated.
    """

    def __init__(self, service: Service, documents: Documents, alignments: Alignments, models: Models) -> None:
        self.service = service
        self.documents = documents
        self.alignments = alignments
        self.models = models
        self.world = service.world
        self._statuses_read: Counter[str] = Counter()

    async def create_evaluation(self, request: Request) -> dict[str, Any]:
        body = await self.service.body(
            request,
            {"model_id": str, "benchmark_id": str},
            {"model_id_2": str, "custom_metrics": (dict, list), "evaluation_name": str},
        )
        for model_id in filter(None, (body["model_id"], body["model_id_2"])):
            if model_id not in BASE_MODELS and self.alignments.of_model(model_id) is None:
                raise HTTPException(404, f"Model {model_id} not found")
        self.service.require_ready("benchmark", body["benchmark_id"], "Benchmark")
        stages = self.world.stages("evaluation", *EVALUATING[self.service.revision], "READY")
        job = self.world.add_job("evaluation", None, stages, inputs=body)
        return {**self._item(job), "message": "Evaluation started"}

    def _item(self, job: Job) -> dict[str, Any]:
        fields = {
            "evaluation_id": job.id,
            "model_id": job.inputs.get("model_id"),
            "benchmark_id": job.inputs.get("benchmark_id") or "benchmark-demo-1",
            "status": self.service.word(job.word(self.service.now())),
            "created_at": self.service.time(job.created),
        }
        return {name: job.overrides.get(name, value) for name, value in fields.items()}

    def _all(self) -> list[Job]:
        """Return all evaluations, also those that alignments have begun by themselves."""
        automatic = filter(None, map(self.alignments.evaluation_of, self.world.all("alignment")))
        return [*{job.id: job for job in (*automatic, *self.world.all("evaluation"))}.values()]

    def _get(self, evaluation_id: str) -> Job:
        job = next((job for job in self._all() if job.id == evaluation_id), None)
        if job is None:
            raise HTTPException(404, "Evaluation not found")
        return job

    def _questions(self, job: Job) -> int:
        """Return how many answers an evaluation takes: a comparison counts both models."""
        questions = self.documents.questions_of(self._item(job)["benchmark_id"])
        return questions * (2 if job.inputs.get("model_id_2") else 1)

    async def evaluation_status(self, evaluation_id: Id) -> Any:
        job = self._get(evaluation_id)
        self._statuses_read[job.id] += 1
        breaks = self.service.config.evaluation_status_breaks and self.service.revision == "C"
        if breaks and self._statuses_read[job.id] > 1:
            return _internal_error()
        now, questions = self.service.now(), self._questions(job)
        item, answered, done = self._item(job), int(questions * job.progress(now)), job.done(now)
        fields = {
            **{name: item[name] for name in ("evaluation_id", "status", "benchmark_id")},
            "progress": f"{answered}/{questions} questions",
            "questions_completed": answered,
            "total_questions": questions,
            "avg_time_per_question": None if done else round(job.duration / questions, 3),
            "eta_seconds": 0 if done else whole(job.remaining(now)),
            **self._times(job),
        }
        if reason := self.service.reason(job):
            fields["error"] = reason
        return {**fields, **job.overrides}

    def _times(self, job: Job) -> dict[str, Any]:
        """Return the times of the envelope: before revision C those of the moment at which it was taken on."""
        end = job.end(self.service.now()) if self.service.revision == "C" else job.created
        return {"start_time": self.service.time(job.created), "end_time": self.service.time(end)}

    async def evaluation_detail(self, evaluation_id: Id) -> dict[str, Any]:
        job = self._get(evaluation_id)
        now, item = self.service.now(), self._item(job)
        questions = self._questions(job)
        answered, done = int(questions * job.progress(now)), job.done(now)
        if self.service.revision != "C":
            return {
                **item,
                "progress": f"{answered}/{questions} questions",
                "metrics": self._own_metrics(job),
                "completed_at": self.service.time(job.end(now)),
                **job.overrides,
            }
        begun = job.word(now) != "CREATED"
        return {
            "evaluation_id": job.id,
            "evaluation_name": job.inputs.get("evaluation_name"),
            "status": item["status"],
            "model_id": item["model_id"],
            "benchmark_id": item["benchmark_id"],
            "progress": f"{answered}/{questions} samples" if begun else None,
            "n_samples_completed": answered if begun else 0,
            "n_samples": questions if begun else 0,
            "avg_time_per_sample": round(job.duration / questions, 3) if begun and not done else None,
            "eta_seconds": (0 if done else whole(job.remaining(now))) if begun else None,
            "created_at": item["created_at"],
            "completed_at": self.service.time(job.end(now)),
            "updated_at": self.service.time(job.end(now) or now),
            **({"error": reason} if (reason := self.service.reason(job)) else {}),
            **job.overrides,
        }

    def _metrics(self, model_id: str, benchmark_id: str) -> dict[str, float]:
        relevance, correctness = (score(model_id, benchmark_id, metric) for metric in ("relevance", "correctness"))
        return {
            "answer_relevance_max": 1.0,
            "answer_relevance_min": round(relevance / 2, 4),
            "answer_relevance_std": round((1 - relevance) / 2, 4),
            "answer_relevance_mean": relevance,
            "binary_correctness_max": 1.0,
            "binary_correctness_min": 0.0,
            "binary_correctness_std": round(math.sqrt(correctness * (1 - correctness)), 4),
            "binary_correctness_mean": correctness,
        }

    def _own_metrics(self, job: Job) -> dict[str, float] | None:
        """Return the metrics of an evaluation of one model, once it is done."""
        done = job.done(self.service.now()) and not job.broken(self.service.now())
        item = self._item(job)
        return self._metrics(str(item["model_id"]), item["benchmark_id"]) if done else None

    async def evaluation_results(self, evaluation_id: Id) -> dict[str, Any]:
        job, now = self._get(evaluation_id), self.service.now()
        if not job.done(now) or job.broken(now):
            message = "Evaluation is not completed yet"
            if self.service.revision == "C":
                raise HTTPException(400, {"evaluation_id": job.id, "message": message})
            raise HTTPException(400, message)
        item, other = self._item(job), job.inputs.get("model_id_2")
        fields = {
            **{name: item[name] for name in ("evaluation_id", "model_id", "benchmark_id", "status")},
            "raw_answers_count": self._questions(job),
            "completed_at": self.service.time(job.end(now)),
        }
        metrics = self._own_metrics(job)
        if other is None:
            return {**fields, "method": "eval", "metrics": metrics, **job.overrides}
        # The slot called base_model holds the model that was asked for, and eval_model the one it is compared with.
        slots = [
            {"metrics": metrics, "model_id": item["model_id"]},
            {"metrics": self._metrics(other, item["benchmark_id"]), "model_id": other},
        ]
        if self.service.config.comparison_slots == "swapped":
            slots.reverse()
        comparison = [_compared(name, *(slot["metrics"][name] for slot in slots)) for name in COMPARED]
        if self.service.config.comparison_slots == "without_ids":
            slots = [{"metrics": slot["metrics"]} for slot in slots]
        return {
            **fields,
            "metrics": None,
            "method": "eval-compare",
            "model_id_2": other,
            "base_model": slots[0],
            "eval_model": slots[1],
            "comparison": {"metrics": comparison, "summary": None},
            **job.overrides,
        }

    async def list_evaluations(
        self,
        status: str | None = None,
        model_id: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        shown = []
        for job in self.world.listed(self._all()):
            item = self._item(job)
            if status in (None, item["status"]) and model_id in (None, item["model_id"]):
                created = self.service.list_time(job.created)
                shown.append({**item, "created_at": created, "metrics": self._own_metrics(job)})
        return {
            "user_id": "user-1",
            "evaluations": shown[offset : offset + limit],
            "total": len(shown),
            "limit": limit,
            "offset": offset,
        }

    async def delete_evaluation(self, evaluation_id: Id) -> dict[str, Any]:
        job = self._get(evaluation_id)
        if (job.kind, job.id) in self.world.jobs:
            self.service.delete(job)
        return {"id": evaluation_id, "message": "Evaluation deleted"}


def _compared(metric: str, base: float, evaluated: float) -> dict[str, Any]:
    improvement = round(100 * (evaluated - base) / base, 2) if base else None
    return {"metric": metric, "base": base, "evaluated": evaluated, "improvement_%": improvement}


def _internal_error() -> Response:
    return PlainTextResponse("Internal Server Error", 500)
