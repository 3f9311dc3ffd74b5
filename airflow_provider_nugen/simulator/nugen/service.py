"""What the parts of the simulated Nugen share: names and words of the revision, times, bodies, lists."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import HTTPException, Request

from airflow_provider_nugen.simulator.http import Kinds, check, json_object, timestamp
from airflow_provider_nugen.simulator.revisions import NAMES, REQUEST_NAMES, WORDS
from airflow_provider_nugen.simulator.state import Config, Revision, SimulatorState
from airflow_provider_nugen.simulator.timeline import Job

#: Cannot be aligned: refused at once.
FROZEN_MODEL = "nugen-frozen"
#: Cannot be aligned, but is accepted, and the alignment fails.
BROKEN_MODEL = "nugen-broken"
#: Base model → whether it can be aligned.
BASE_MODELS = {
    "nugen-flash-instruct": True,
    "nugen-pro-instruct": True,
    FROZEN_MODEL: False,
    BROKEN_MODEL: False,
    "llama-v3p2-3b-reasoning": True,
    "qwen2-vl-2b-instruct": True,
}
#: Questions of a benchmark that says nothing else.
QUESTIONS = 10


class Service:
    """
    The service as a whole.

    :param world: what it knows.
    """

    def __init__(self, world: SimulatorState) -> None:
        self.world = world

    @property
    def config(self) -> Config:
        """How it behaves."""
        return self.world.config

    @property
    def revision(self) -> Revision:
        """The revision that it speaks now."""
        return self.world.revision

    def now(self) -> float:
        """Return the time, in epoch seconds."""
        return self.world.now()

    def time(self, seconds: float | None) -> str | None:
        """Write a time in epoch seconds, by the service's own clock."""
        return timestamp(seconds, self.config.plain_timestamps, self.config.clock_skew)

    def list_time(self, seconds: float | None) -> str | None:
        """Write a time as a list shows it."""
        return None if self.config.null_times else self.time(seconds)

    def request_times(self, job: Job) -> dict[str, Any]:
        """
        Return ``start_time`` and ``end_time`` of an envelope.

        In revisions A and B they are those of the status request itself; in C they are the job's.
        """
        now = self.now()
        start, end = (job.created, job.end(now)) if self.revision == "C" else (now, now)
        return {"start_time": self.time(start), "end_time": self.time(end)}

    def word(self, word: str) -> str:
        """Write a status word as the revision does."""
        word = WORDS[self.revision].get(word, word)
        return word.lower() if self.revision == "A" else word

    def named(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Give an alignment's fields the revision's names."""
        return {NAMES[self.revision].get(name, name): value for name, value in fields.items()}

    def reason(self, job: Job) -> str | None:
        """Return why a job failed, as far as it tells."""
        broken = job.broken(self.now()) and not self.config.failures_without_reason
        return job.reason if broken else None

    async def body(self, request: Request, required: Kinds, optional: Kinds) -> dict[str, Any]:
        """Read a body in the revision's names; return it in revision B's."""
        names, body = REQUEST_NAMES[self.revision], await json_object(request)
        check(
            body,
            {names.get(name, name): kind for name, kind in required.items()},
            {names.get(name, name): kind for name, kind in optional.items()},
        )
        return {name: body.get(names.get(name, name)) for name in (*required, *optional)}

    def get(self, kind: str, job_id: str, name: str) -> Job:
        """
        Return a job.

        :raises HTTPException: 404 if there is none.
        """
        job = self.world.find(kind, job_id)
        if job is None:
            raise HTTPException(404, f"{name} not found")
        return job

    def require_ready(self, kind: str, job_id: str, name: str) -> None:
        """
        Check that something can be used.

        :raises HTTPException: 404 unless there is one that is ready.
        """
        job = self.world.find(kind, job_id)
        if job is None or job.word(self.now()) != "READY":
            raise HTTPException(404, f"{name} {job_id} not found")

    def delete(self, job: Job) -> None:
        """Forget a job."""
        del self.world.jobs[job.kind, job.id]
        self.world.save()

    def unpaged(self, jobs: list[Job]) -> list[Job]:
        """Return what a list that has no paging shows of jobs."""
        return self.world.listed(jobs)[: self.config.page_size]


def score(*names: str) -> float:
    """Return a share that is the same each time, and higher for aligned models than for base models."""
    noise = int(hashlib.sha256("/".join(names).encode()).hexdigest(), 16) % 1000 / 1000
    return round((0.5 if names[0] in BASE_MODELS else 0.8) + noise / 10, 4)
