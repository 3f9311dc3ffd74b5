"""What the simulated services know: keys, jobs, faults, and the requests that came."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from airflow_provider_nugen.simulator.faults import Fault
from airflow_provider_nugen.simulator.timeline import Job, Stage

Revision = Literal["A", "B", "C"]

DEFAULT_KEY = "demo-key"
#: How many simulated seconds the stages of a job last.
DURATIONS: dict[str, dict[str, float]] = {
    "alignment": {"QUEUED": 30, "PROCESSING": 600, "READY": 5, "DEPLOYING": 60, "EVALUATING": 240, "UNDEPLOYED": 5},
    "evaluation": {"QUEUED": 15, "PROCESSING": 300},
    "deployment": {"PENDING": 90, "DEPLOYING": 90},
    "undeployment": {"PENDING": 30},
    "document": {"PROCESSING": 20},
    "benchmark": {"PROCESSING": 60},
    "seekr_alignment": {"pending": 5, "queued": 5, "running": 600},
    "data_job": {"file_processing": 20},
    "seekr_file": {},
    "fine_tune": {"pending": 5, "queued": 30, "running": 900},
    "seekr_deployment": {"Pending": 60},
}
#: The kinds of SeekrFlow, which writes its words in lower case.
LOWER_CASE = ("seekr_alignment", "data_job", "fine_tune")
#: The kinds of SeekrFlow whose words are capitalised.
CAPITALISED = ("seekr_deployment",)
#: What is there from the beginning, ready to be used.
SEEDS = {"document": ("doc-demo-1", "doc-demo-2"), "benchmark": ("benchmark-demo-1",)}


@dataclass
class Config:
    """How the simulated services behave; see :func:`~airflow_provider_nugen.simulator.create_app`."""

    api_key: str = DEFAULT_KEY
    seekr_team_ids: frozenset[str] | None = None
    nugen_revision: Revision = "B"
    enveloped: bool = True
    plain_timestamps: bool = False
    speed: float = 1.0
    durations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    state_file: Path | None = None
    seekr_deployments_start: bool = True
    model_warmup: float = 0.0


@dataclass(frozen=True)
class RequestRecord:
    """A request that came. The key is not kept, only whether it was right."""

    at: float
    service: str
    operation: str
    method: str
    path: str
    status: int | None
    authorized: bool
    client_port: int


class SimulatorState:
    """
    Everything the simulator knows, and what can be done to it from outside.

    :param config: how it behaves.
    :param faults: what goes wrong from the beginning.
    """

    def __init__(self, config: Config, faults: Iterable[Fault | dict[str, Any]] = ()) -> None:
        if config.speed <= 0:
            raise ValueError("speed must be more than 0")
        if unknown := config.durations.keys() - DURATIONS.keys():
            raise ValueError(f"durations of unknown kinds: {', '.join(sorted(unknown))}")
        self.config = config
        self.api_key = config.api_key
        self.jobs: dict[tuple[str, str], Job] = {}
        self.faults: list[Fault] = []
        self._requests: deque[RequestRecord] = deque(maxlen=100_000)
        self._saving = threading.Lock()
        for fault in faults:
            self.add_fault(fault)
        if config.state_file and config.state_file.exists():
            self._load(config.state_file)
        else:
            for kind, ids in SEEDS.items():
                for job_id in ids:
                    self.add_job(kind, job_id, [Stage("READY")])

    def now(self) -> float:
        """Tell the time, in epoch seconds."""
        return self.config.clock()

    def stages(self, kind: str, *words: str) -> list[Stage]:
        """Make the stages of a job, at the configured speed."""
        seconds = {**DURATIONS[kind], **self.config.durations.get(kind, {})}
        return [
            *(Stage(word, seconds.get(word, 0) / self.config.speed) for word in words[:-1]),
            Stage(words[-1]),
        ]

    def add_job(self, kind: str, job_id: str | None, stages: Iterable[Stage | tuple[str, float]], **fields: Any) -> Job:
        """
        Create a job, in the place of one of the same kind and id.

        :param kind: one of :data:`DURATIONS`.
        :param job_id: its id; ``None`` = a new one.
        :param stages: status words and real seconds; the last one lasts. One that lasts and means "running" makes a
            job that never ends by itself.
        :param fields: ``inputs``, ``overrides`` and ``scope`` of the :class:`~.timeline.Job`.
        :raises ValueError: if the kind is unknown, or there are no stages.
        """
        if kind not in DURATIONS:
            raise ValueError(f"kind {kind!r} is none of {', '.join(DURATIONS)}")
        life = [stage if isinstance(stage, Stage) else Stage(*stage) for stage in stages]
        if not life:
            raise ValueError("stages: at least one")
        job = Job(kind, job_id or f"{kind.replace('_', '-')}-{uuid.uuid4().hex[:12]}", self.now(), life, **fields)
        self.jobs.pop((kind, job.id), None)
        self.jobs[kind, job.id] = job
        self.save()
        return job

    def find(self, kind: str, job_id: str) -> Job | None:
        """Look a job up."""
        return self.jobs.get((kind, job_id))

    def all(self, kind: str) -> list[Job]:
        """List the jobs of a kind, oldest first."""
        # Copied first: in a test another thread may add one.
        return [job for job in list(self.jobs.values()) if job.kind == kind]

    def linked(self, job: Job) -> Job | None:
        """Look up the alignment that a data job has started."""
        return self.find("seekr_alignment", f"{job.id}-alignment") if job.kind == "data_job" else None

    def saw(self, request: RequestRecord) -> None:
        """Remember a request."""
        self._requests.append(request)

    # What tests and the /_simulator routes do.

    def add_fault(self, fault: Fault | dict[str, Any]) -> Fault:
        """Let something go wrong from now on; see :class:`~airflow_provider_nugen.simulator.faults.Fault`."""
        # A fault counts how often it happened: the caller's own object stays as it is.
        fault = Fault.model_validate(fault if isinstance(fault, dict) else fault.model_dump())
        self.faults.append(fault)
        return fault

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self.faults.clear()

    def rotate_key(self, api_key: str) -> None:
        """Accept only this key from now on."""
        self.api_key = api_key

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests that came, oldest first."""
        return list(self._requests)

    def clear_requests(self) -> None:
        """Forget the requests that came."""
        self._requests.clear()

    def job(self, job_id: str) -> Job:
        """
        Look a job up by its id alone; of several the newest.

        :raises KeyError: if there is none.
        """
        for job in reversed(list(self.jobs.values())):
            if job.id == job_id:
                return job
        raise KeyError(f"no job {job_id!r}")

    def fail_job(self, job_id: str, reason: str) -> None:
        """Let a running job fail now."""
        self._end(job_id, "FAILED", reason)

    def stop_job(self, job_id: str) -> None:
        """Let a running job be stopped now, as if somebody had done it in the service's own console."""
        self._end(job_id, "STOPPED")

    def finish_job(self, job_id: str) -> None:
        """Let a running job come to its last word now."""
        self._end(job_id, None)

    def _end(self, job_id: str, word: str | None, reason: str | None = None) -> None:
        job = self.job(job_id)
        # What runs of a data job that has been started is its alignment.
        job = self.linked(job) or job
        if word is None:
            word = job.last
        elif job.kind in LOWER_CASE:
            word = word.lower()
        elif job.kind in CAPITALISED:
            word = word.capitalize()
        job.end_early(word, self.now(), reason)
        self.save()

    def override_job(self, job_id: str, **fields: Any) -> None:
        """Set fields of a job's answers, e.g. ``status="DREAMING"``; an empty call takes all of them back."""
        job = self.job(job_id)
        job.overrides = {**job.overrides, **fields} if fields else {}
        self.save()

    # Surviving a restart.

    def save(self) -> None:
        """Write the jobs to the state file, if there is one."""
        if path := self.config.state_file:
            with self._saving:
                state = {"jobs": [asdict(job) for job in list(self.jobs.values())]}
                beside = path.with_name(f"{path.name}.new")
                beside.write_text(json.dumps(state))
                beside.replace(path)

    def _load(self, path: Path) -> None:
        for fields in json.loads(path.read_text())["jobs"]:
            fields["stages"] = [Stage(**stage) for stage in fields["stages"]]
            fields["ended"] = tuple(fields["ended"]) if fields["ended"] else None
            job = Job(**fields)
            self.jobs[job.kind, job.id] = job
