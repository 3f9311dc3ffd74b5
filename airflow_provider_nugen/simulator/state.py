"""What the simulated services know: keys, jobs, faults, and the requests that came."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from airflow_provider_nugen.simulator.faults import Fault
from airflow_provider_nugen.simulator.timeline import Job, Stage

Revision = Literal["A", "B", "C"]
Profile = Literal["plain", "strict"]

DEFAULT_KEY = "demo-key"
#: How many simulated seconds the stages of a job last.
DURATIONS: dict[str, dict[str, float]] = {
    "alignment": {
        "QUEUED": 30,
        "PROCESSING": 600,
        "READY": 5,
        "DEPLOYING": 60,
        "EVALUATING": 240,
        "TEARDOWN": 30,
        "UNDEPLOYED": 5,
    },
    "evaluation": {"CREATED": 15, "PROCESSING": 300},
    "deployment": {"PENDING": 90, "DEPLOYING": 90, "WARMING": 30},
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
#: How many seconds ago :data:`SEEDS` were made.
OLD = 86_400.0
#: What is there from the beginning, ready to be used.
SEEDS = {"document": ("doc-demo-1", "doc-demo-2"), "benchmark": ("benchmark-demo-1",)}


class Unkindness(TypedDict, total=False):
    """What the services do, or may do, to a client; see :class:`Config` for the defaults and what each means."""

    visible_after: float
    page_size: int | None
    list_names: Literal["whole", "truncated", "lower", "suffixed", "missing", "mixed"]
    null_times: bool
    clock_skew: float
    status_by_document_id: bool
    comparison_slots: Literal["recorded", "swapped", "without_ids"]
    automatic_evaluation: Literal["words", "ready"]
    deploy_conflict_status: int
    undeploy_again_status: int
    refuse_undeploy_while_deploying: bool
    evaluation_status_breaks: bool
    differing_envelope: bool
    failures_without_reason: bool
    require_system_prompt: bool
    seekr_deployments_start: bool


#: What a profile turns on.
PROFILES: dict[str, Unkindness] = {
    "plain": {},
    "strict": {
        "visible_after": 30.0,
        "page_size": 10,
        "list_names": "mixed",
        "null_times": True,
        "clock_skew": -90.0,
        "automatic_evaluation": "ready",
        "deploy_conflict_status": 409,
        "refuse_undeploy_while_deploying": True,
        "evaluation_status_breaks": True,
        "differing_envelope": True,
        "failures_without_reason": True,
        "require_system_prompt": True,
        "seekr_deployments_start": False,
    },
}


@dataclass
class Config:
    """
    How the simulated services behave; see also :func:`~airflow_provider_nugen.simulator.create_app`.

    :param visible_after: simulated seconds after which a new job is in the lists.
    :param page_size: how many items a list without paging shows, without saying that there are more; ``None`` = all.
    :param list_names: what a list shows of a job's name: all of it, the first 40 characters, lower case, with a suffix,
        nothing, or each job another of these.
    :param null_times: whether lists show no times.
    :param clock_skew: how many seconds the services' clock (their timestamps and the ``Date`` header) is ahead.
    :param status_by_document_id: whether revision B's document status knows a document's id, and not only its task's.
    :param comparison_slots: which model of a comparison is in the slot ``base_model``: the request's ``model_id`` as
        recorded, the other one, or as recorded with no ids in the slots.
    :param automatic_evaluation: whether an alignment's words tell of its automatic evaluation, or it stays ``READY``.
    :param deploy_conflict_status: the status of the answer to a deployment that revision A or B refuses.
    :param undeploy_again_status: the status of the answer of revision C to undeploying an undeployed model.
    :param refuse_undeploy_while_deploying: whether a model that is being deployed cannot be undeployed yet.
    :param evaluation_status_breaks: whether, in revision C, the status route of an evaluation answers 500 from the
        second time on. Its detail route does not.
    :param differing_envelope: whether the outer status of an alignment stays ``PENDING``.
    :param failures_without_reason: whether a job that failed does not tell why.
    :param seekr_deployments_start: whether a new deployment of SeekrFlow starts by itself, or stays inactive until it
        is promoted; which of them the real service does is not established.
    :param require_system_prompt: whether a data job of type ``principle_files`` needs a system prompt.
    """

    api_key: str = DEFAULT_KEY
    seekr_team_ids: frozenset[str] | None = None
    nugen_revision: Revision = "B"
    enveloped: bool = True
    plain_timestamps: bool = False
    speed: float = 1.0
    durations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    state_file: Path | None = None
    visible_after: float = 1.0
    page_size: int | None = None
    list_names: Literal["whole", "truncated", "lower", "suffixed", "missing", "mixed"] = "whole"
    null_times: bool = False
    clock_skew: float = 0.0
    status_by_document_id: bool = False
    comparison_slots: Literal["recorded", "swapped", "without_ids"] = "recorded"
    automatic_evaluation: Literal["words", "ready"] = "words"
    deploy_conflict_status: int = 400
    undeploy_again_status: int = 400
    refuse_undeploy_while_deploying: bool = False
    evaluation_status_breaks: bool = False
    differing_envelope: bool = False
    failures_without_reason: bool = False
    require_system_prompt: bool = False
    seekr_deployments_start: bool = True


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


#: What :attr:`Config.list_names` does to a name.
_LIST_NAMES: dict[Literal["whole", "truncated", "lower", "suffixed", "missing"], Callable[[str], str | None]] = {
    "whole": lambda name: name,
    "truncated": lambda name: name[:40],
    "lower": str.lower,
    "suffixed": lambda name: f"{name} (1)",
    "missing": lambda name: None,
}


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
        self.jobs: dict[tuple[str, str], Job] = {}
        self.faults: list[Fault] = []
        self._initial_faults = list(faults)
        self._requests: deque[RequestRecord] = deque(maxlen=100_000)
        self._saving = threading.Lock()
        if config.state_file and config.state_file.exists():
            self._begin()
            self._load(config.state_file)
        else:
            self.reset()

    def reset(self) -> None:
        """Begin anew, as after the first start: what was done to it and all that was asked of it are forgotten."""
        self._begin()
        self.jobs.clear()
        for kind, ids in SEEDS.items():
            for job_id in ids:
                # Older than any list is slow.
                self.add_job(kind, job_id, [Stage("READY")]).created -= OLD
        self.save()

    def _begin(self) -> None:
        self.api_key = self.config.api_key
        self.revision: Revision = self.config.nugen_revision
        self.clear_requests()
        self.clear_faults()
        for fault in self._initial_faults:
            self.add_fault(fault)

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
            raise ValueError(f"kind {kind!r} is not one of {', '.join(DURATIONS)}")
        life = [stage if isinstance(stage, Stage) else Stage(*stage) for stage in stages]
        if not life:
            raise ValueError("stages: at least one")
        job = Job(kind, job_id or f"{kind.replace('_', '-')}-{uuid.uuid4().hex[:12]}", self.now(), life, **fields)
        self.jobs.pop((kind, job.id), None)
        self.jobs[kind, job.id] = job
        self.save()
        return job

    def find(self, kind: str, job_id: str) -> Job | None:
        """Return a job, or ``None``."""
        return self.jobs.get((kind, job_id))

    def all(self, kind: str) -> list[Job]:
        """List the jobs of a kind, oldest first."""
        # Copied first: in a test another thread may add one.
        return [job for job in list(self.jobs.values()) if job.kind == kind]

    def linked(self, job: Job) -> Job | None:
        """Return the alignment that a data job has started, or ``None``."""
        return self.find("seekr_alignment", f"{job.id}-alignment") if job.kind == "data_job" else None

    def listed(self, jobs: Iterable[Job]) -> list[Job]:
        """
        Return what a list shows of jobs: not the newest yet, and in an order that is nowhere stated.

        The order is always the same, so that pages fit together.
        """
        visible = self.now() - self.config.visible_after / self.config.speed
        shown = [job for job in jobs if job.created <= visible]
        return sorted(shown, key=lambda job: hashlib.sha256(job.id.encode()).digest())

    def list_name(self, job: Job, name: str) -> str | None:
        """Return what a list shows of a job's name."""
        way = self.config.list_names
        if way == "mixed":
            ways = [one for one in _LIST_NAMES if one != "whole"]
            way = ways[hashlib.sha256(job.id.encode()).digest()[0] % len(ways)]
        return _LIST_NAMES[way](name)

    def record(self, request: RequestRecord) -> None:
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

    def switch_revision(self, revision: Revision) -> None:
        """
        Let Nugen speak another revision from now on, as the vendor's move does in the middle of a wait.

        Jobs keep their ids.

        :raises ValueError: if there is no such revision.
        """
        if revision not in get_args(Revision):
            raise ValueError(f"revision {revision!r} is not one of {', '.join(get_args(Revision))}")
        self.revision = revision

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
        Return the job with this id, of whatever kind; of several the newest. A document has its task's id, too.

        :raises KeyError: if there is none.
        """
        for job in reversed(list(self.jobs.values())):
            if job_id in (job.id, job.inputs.get("task_id")):
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
