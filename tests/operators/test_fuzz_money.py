"""
Whatever happens, one task pays for one job: a fuzz test over crashes, lost answers, slow lists, clocks and clears.

The service, the clock and Airflow's contexts are a model in this process, so that hours pass in milliseconds. Each job
of the model knows which task it was paid for. What a list shows is as unkind as a profile says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sensors.harness import Store

from airflow_provider_nugen.api import submission as submission_module
from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import TransientResponseError, TransportError
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.exceptions import PossibleDuplicateJobError, ProviderError
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.operators import identity as identity_module
from airflow_provider_nugen.operators import submit as submit_module
from airflow_provider_nugen.operators.identity import JobRecord, TaskIdentity
from airflow_provider_nugen.operators.nugen import (
    CreateAlignmentOperator,
    CreateBenchmarkOperator,
    CreateEvaluationOperator,
)
from airflow_provider_nugen.operators.seekr import (
    SeekrCreateAlignmentOperator,
    SeekrCreateDataJobOperator,
    SeekrCreateFineTuneOperator,
)
from airflow_provider_nugen.operators.start import StartOperator
from airflow_provider_nugen.operators.submit import SubmitOperator

#: Epoch seconds at which each example begins.
BEGIN = 1_770_000_000.0
#: Seconds that the clock of a worker may differ from Airflow's, and the service's from that.
WORKER_SKEW, SERVICE_SKEW = 50, 90
#: Examples of each combination of a kind of job and a version of Airflow; ``HYPOTHESIS_SEARCH=1`` tries more of them,
#: and other ones each time.
IS_SEARCH = bool(os.environ.get("HYPOTHESIS_SEARCH"))
EXAMPLES = int(os.environ.get("AIRFLOW_PROVIDER_NUGEN_FUZZ_EXAMPLES") or (500 if IS_SEARCH else 12))
#: How one request of a try goes wrong.
TROUBLES = ("none", "none", "none", "lost", "lost", "never arrived", "refused", "dies before", "dies after")


class Death(BaseException):
    """The worker's process is killed."""


@dataclass
class Job:
    """A job of the model, and which task it was paid for."""

    id: str
    owner: tuple[Any, ...]
    name: str | None
    fields: dict[str, Any]
    created: float
    version: int
    status: str = "PROCESSING"

    @property
    def is_live(self) -> bool:
        return self.status in ("PROCESSING", "READY")


@dataclass
class Task:
    """A task instance, as the database of one Airflow has it."""

    airflow: int
    run: int
    loop: int | None
    started: float
    store: Store | None
    retries: int = 2
    max_tries: int = 2
    try_number: int = 0
    version: int = 0

    @property
    def owner(self) -> tuple[Any, ...]:
        """What the design calls the identity of a task."""
        return self.airflow, self.run, self.loop, self.started, self.max_tries


@dataclass
class Kind:
    """A kind of job: how its operator is made, and how the service shows it."""

    make: Callable[[Task], SubmitOperator]
    create: str
    listing: str
    in_list: str
    id_field: str
    show: Callable[[Job, str | None, str | None], dict[str, Any]]
    named: bool
    can_cancel: bool
    adopts: bool = False


def _alignment(job: Job, name: str | None, created: str | None) -> dict[str, Any]:
    return {"alignment_id": job.id, "alignment_name": name, "status": job.status, "created_date": created}


def _evaluation(job: Job, name: str | None, created: str | None) -> dict[str, Any]:
    return {"evaluation_id": job.id, "status": job.status, "created_at": created, **job.fields}


def _benchmark(job: Job, name: str | None, created: str | None) -> dict[str, Any]:
    return {"benchmark_id": job.id, "status": job.status, "created_at": created, **job.fields}


def _seekr(job: Job, name: str | None, created: str | None) -> dict[str, Any]:
    words = {"PROCESSING": "running", "READY": "completed", "FAILED": "failed", "CANCELLED": "cancelled"}
    # Its contract requires a time of creation.
    created = created or "1970-01-01T00:00:00Z"
    return {
        "id": job.id,
        "status": words[job.status],
        "created_at": created,
        "name": name,
        "job_type": "principle_files",
    }


def _fine_tune(job: Job, name: str | None, created: str | None) -> dict[str, Any]:
    return {**_seekr(job, None, created), "experiment_name": name, "model": "m"}


KINDS = {
    "alignment": Kind(
        lambda task: CreateAlignmentOperator(
            task_id="t", base_model="m", document_ids=[f"d-{task.version}"], retries=task.retries
        ),
        "create alignment",
        "list alignments",
        "alignment_projects",
        "alignment_id",
        _alignment,
        named=True,
        can_cancel=False,
    ),
    "evaluation": Kind(
        # Somebody else's evaluation of the same model in the same minutes cannot be told from one's own.
        lambda task: CreateEvaluationOperator(
            task_id="t",
            model_id=f"m-{task.airflow}-{task.run}-{task.loop}",
            benchmark_id=f"b-{task.version}",
            retries=task.retries,
        ),
        "create evaluation",
        "list evaluations",
        "evaluations",
        "evaluation_id",
        _evaluation,
        named=False,
        can_cancel=False,
    ),
    "data job": Kind(
        lambda task: SeekrCreateDataJobOperator(
            task_id="t", job_type="principle_files", instructions=f"Be kind {task.version}.", retries=task.retries
        ),
        "create data job",
        "list data jobs",
        "data",
        "data_job_id",
        _seekr,
        named=True,
        can_cancel=True,
    ),
    "seekr alignment": Kind(
        lambda task: SeekrCreateAlignmentOperator(
            task_id="t", instructions=f"Be kind {task.version}.", files=["f"], retries=task.retries
        ),
        "create alignment",
        "list alignments",
        "data",
        "alignment_job_id",
        _seekr,
        named=False,
        can_cancel=True,
    ),
    "benchmark": Kind(
        lambda task: CreateBenchmarkOperator(
            task_id="t",
            document_ids=[f"d-{task.airflow}-{task.run}-{task.loop}"],
            num_questions=1 + task.version,
            retries=task.retries,
        ),
        "create benchmark",
        "list benchmarks",
        "benchmarks",
        "benchmark_id",
        _benchmark,
        named=False,
        can_cancel=False,
    ),
}
KINDS["fine-tune"] = Kind(
    lambda task: SeekrCreateFineTuneOperator(
        task_id="t", model="m", training_files=[f"f-{task.version}"], project_id=1, n_epochs=1, retries=task.retries
    ),
    "create fine-tune",
    "list fine-tunes",
    "data",
    "fine_tune_id",
    _fine_tune,
    named=True,
    can_cancel=True,
)
KINDS["alignment with a name of yours"] = replace(
    KINDS["alignment"],
    make=lambda task: CreateAlignmentOperator(
        task_id="t", name="mine", base_model="m", document_ids=[f"d-{task.version}"], retries=task.retries
    ),
)
KINDS["alignment, on_clear=adopt"] = replace(
    KINDS["alignment"],
    make=lambda task: CreateAlignmentOperator(
        task_id="t", base_model="m", document_ids=[f"d-{task.version}"], retries=task.retries, on_clear="adopt"
    ),
    adopts=True,
)
#: What lists show of that with which a job was created.
INPUTS = ("model_id", "benchmark_id", "document_ids", "num_questions")
NAMES: dict[str, Callable[[str], str | None]] = {
    "whole": lambda name: name,
    "truncated": lambda name: name[:24],
    "lower": str.lower,
    "upper and suffixed": lambda name: f"{name.upper()} (1)",
    "missing": lambda name: None,
    "cut short": lambda name: f"{name[:8]}...",
}


@dataclass
class Service:
    """The model of a service, of what it shows, and of the clock."""

    kind: Kind
    names: str = "whole"
    visible_after: float = 0.0
    page_size: int | None = None
    says_total: bool = False
    null_times: bool = False
    skew: float = 0.0
    now: float = BEGIN
    worker_skew: float = 0.0
    jobs: dict[str, Job] = field(default_factory=dict)
    trouble: str = "none"
    list_is_down: bool = False
    owner: tuple[Any, ...] = ()
    version: int = 0

    def time(self) -> float:
        """Return what the clock of the worker says."""
        return self.now + self.worker_skew

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def request(self, call: Call[Any]) -> Any:
        """Answer a call, as ``ServiceHook.request`` does."""
        call.request("B", "c")
        operation, self.now = call.endpoint.operation, self.now + 0.2
        if operation == "list base models":
            return []
        if operation == "get file":
            return SimpleNamespace(purpose="fine-tune", filename="f.jsonl")
        if operation == self.kind.create:
            return self._create(call)
        if operation == self.kind.listing:
            if self.list_is_down:
                raise TransientResponseError("HTTP 502.", status=502)
            return self._answer(call, self._list(call))
        job = self.jobs[call.ids[self.kind.id_field]]
        if operation.startswith("cancel"):
            job.status = "CANCELLED"
        return self._answer(call, self.kind.show(job, job.name, self._time(job.created)))

    send = request

    def _create(self, call: Call[Any]) -> Any:
        trouble, self.trouble = self.trouble, "none"
        if trouble == "dies before":
            raise Death
        if trouble == "refused":
            raise TransientResponseError("HTTP 429.", status=429)
        if trouble == "never arrived":
            raise TransportError("dropped")
        job = Job(
            f"job-{len(self.jobs)}",
            self.owner,
            call.values.get("name") or call.values.get("experiment_name"),
            {name: call.values.get(name) for name in INPUTS},
            self.now,
            self.version,
        )
        self.jobs[job.id] = job
        if trouble == "lost":
            raise TransportError("dropped")
        if trouble == "dies after":
            raise Death
        return self._answer(call, self.kind.show(job, job.name, self._time(job.created)))

    def _list(self, call: Call[Any]) -> dict[str, Any]:
        jobs = [job for job in self.jobs.values() if job.created + self.visible_after <= self.now]
        if model_id := call.values.get("model_id"):
            jobs = [job for job in jobs if job.fields["model_id"] == model_id]
        # The order is nowhere stated.
        jobs.sort(key=lambda job: job.id[::-1])
        shown = [
            self.kind.show(
                job,
                None if job.name is None else NAMES[self.names](job.name),
                None if self.null_times else self._time(job.created),
            )
            for job in jobs
        ]
        about = {"total": len(shown)} if self.says_total else {}
        if self.page_size is not None:
            # A service that takes no notice of an offset.
            shown = shown[: self.page_size]
        return {self.kind.in_list: shown, **about}

    def _time(self, at: float) -> str:
        return datetime.fromtimestamp(at + self.skew, UTC).isoformat()

    def _answer(self, call: Call[Any], payload: dict[str, Any]) -> Any:
        date = formatdate(self.now + self.skew, usegmt=True)
        return call.read(RawResponse(200, json.dumps(payload).encode(), revision="B", date=date), "c")

    read_status = ServiceHook.read_status

    def close(self) -> None:
        """Close nothing."""

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *exc: object) -> None:
        """End a block of nothing."""


class DyingStore(Store):
    """A store whose task dies at one of its writes."""

    dies: str = "no"

    def set(self, key: str, value: Any) -> None:
        dies, self.dies = self.dies, "no"
        if dies == "before":
            raise Death
        super().set(key, value)
        if dies == "after":
            raise Death


class Money(RuleBasedStateMachine):
    """One live job that is paid for per task, none adopted from another, or a failure that names the candidates."""

    kind: Kind
    has_store = True
    is_3_4 = False

    def __init__(self) -> None:
        super().__init__()
        self.service = Service(self.kind)
        self.tasks: list[Task] = []
        self.runs = 0
        self._add(0)
        #: Jobs that were alive and known from the store when their task was cleared, with the task.
        self.cleared: dict[str, Task] = {}

    def _add(self, airflow: int, like: Task | None = None, loop: int | None = None) -> Task:
        self.service.now += 0.001
        run = self.runs if like is None else like.run
        store = DyingStore() if self.has_store else None
        if like is not None and loop is not None:
            store = like.store  # all iterations share one
        started = self.service.now if like is None or loop is None else like.started
        task = Task(airflow, run, loop, started, store)
        self.runs += like is None
        self.tasks.append(task)
        return task

    def _task(self, index: int) -> Task:
        return self.tasks[index % len(self.tasks)]

    @rule(
        index=st.sampled_from((0, 0, 0, 1, 2, 3)),
        trouble=st.sampled_from(TROUBLES),
        dies=st.sampled_from(("no", "no", "no", "no", "before", "after")),
        skew=st.integers(-WORKER_SKEW, WORKER_SKEW),
        list_is_down=st.sampled_from((False, False, False, True)),
    )
    def try_it(self, index: int, trouble: str, dies: str, skew: int, list_is_down: bool) -> None:
        """Run a try, and judge it."""
        task, service = self._task(index), self.service
        if task.try_number > task.max_tries:
            return  # Airflow makes no more of them, unless the task is cleared
        task.try_number += 1
        service.trouble, service.worker_skew, service.list_is_down = trouble, skew, list_is_down
        service.owner, service.version = task.owner, task.version
        if isinstance(task.store, DyingStore):
            task.store.dies = dies
        operator = self.kind.make(task)
        operator.__dict__["hook"] = service
        error: BaseException | None = None
        job_id = None
        try:
            job_id = operator.start(self._context(task, operator))
        except (ProviderError, Death) as e:
            error = e
        self._judge(task, job_id, error)

    def _context(self, task: Task, operator: SubmitOperator) -> Any:
        ti = SimpleNamespace(
            task=operator,
            dag_id="d",
            run_id="scheduled__2026-11-24",
            task_id="t",
            map_index=-1,
            try_number=task.try_number,
            max_tries=task.max_tries,
        )
        run = SimpleNamespace(start_date=datetime.fromtimestamp(task.started, UTC))
        context: dict[str, Any] = {"ti": ti, "dag_run": run}
        if task.store is not None:
            context["task_state_store"] = task.store
        if task.loop is not None:
            context["loop"] = SimpleNamespace(index=task.loop)
        return context

    def _judge(self, task: Task, job_id: str | None, error: BaseException | None) -> None:
        for job in self.service.jobs.values():
            assert job.owner != ("others",) or job.status != "CANCELLED", f"{task} has cancelled {job} of somebody else"
        own = [job for job in self.service.jobs.values() if job.owner == task.owner and job.is_live]
        assert len(own) <= 1, f"{task} has paid for {own}"
        if job_id is not None:
            assert self.service.jobs[job_id] in own, f"{task} has adopted {self.service.jobs[job_id]}"
            task_before = self.cleared.copy()
            for old, cleared in task_before.items():
                if cleared is task and old != job_id:
                    del self.cleared[old]
                    assert not (self.kind.can_cancel and self.service.jobs[old].is_live), f"{old} runs beside {own}"
            version = self.service.jobs[job_id].version
            # Before Airflow 3.3 nothing is known of what was submitted, nor when 3.4 has discarded it with a clear.
            assert version == task.version or task.store is None or (self.kind.adopts and self.is_3_4), (
                f"{task} continues with a job of other inputs"
            )
        elif isinstance(error, PossibleDuplicateJobError):
            for job in own:
                assert job.id in str(error) or "need not be complete" in str(error), f"{job} is not named: {error}"

    # What Airflow and its users do.

    @rule(index=st.integers(0, 9), retries=st.integers(0, 6))
    def edit_retries(self, index: int, retries: int) -> None:
        """Change the DAG file."""
        self._task(index).retries = retries

    @rule(index=st.integers(0, 9), restarts=st.booleans(), keeps_state=st.booleans())
    def clear(self, index: int, restarts: bool, keeps_state: bool) -> None:
        """Clear a task that does not run; of a run that is over, which is started again."""
        task = self._task(index)
        before = task.owner
        task.max_tries = task.try_number + task.retries
        # Nobody sees a task fail and clears it within the second that a Date header rounds to.
        self.service.now += 1
        if restarts:
            task.started = self.service.now
        stored = None if task.store is None else task.store.get(self._key(task))
        survives = bool(stored) and (keeps_state or not self.is_3_4)
        if (survives and self.is_3_4) or (self.kind.adopts and (survives or not restarts)):
            # The task continues with its job, which so becomes that of the cleared task.
            for job in self.service.jobs.values():
                job.owner = task.owner if job.owner == before else job.owner
            if survives:
                return
        elif task.owner != before and task.store is not None and not self.is_3_4:
            stored = task.store.get(self._key(task)) or {}
            if (job_id := stored.get("job_id")) and self.service.jobs[job_id].is_live:
                self.cleared[job_id] = task
        if self.is_3_4 and task.store is not None:
            task.store.delete(self._key(task))

    def _key(self, task: Task) -> str:
        return TaskIdentity(self._context(task, self.kind.make(task))).store_key

    @rule(index=st.integers(0, 9))
    def make_the_run_again(self, index: int) -> None:
        """Delete the run and trigger one of the same id."""
        task = self._task(index)
        if task.loop is None:
            self.tasks.remove(task)
            self._add(task.airflow, like=task)

    @rule()
    @precondition(lambda self: len(self.tasks) < 4)
    def another_airflow(self) -> None:
        """Run the same DAG in another Airflow, with the same account."""
        self._add(len(self.tasks), like=self.tasks[0])

    @rule()
    @precondition(lambda self: self.is_3_4 and len(self.tasks) < 6)
    def iterate(self) -> None:
        """Continue with the next iteration of a loop."""
        loops = [task for task in self.tasks if task.loop is not None]
        like = loops[-1] if loops else self._add(9, loop=None)
        if not loops:
            like.loop = 0
        self._add(like.airflow, like=like, loop=(like.loop or 0) + 1)

    # Before Airflow 3.3 it is not known what was submitted: there a job is told by its name alone.
    @precondition(lambda self: self.has_store or self.kind.named)
    @rule(index=st.integers(0, 9))
    def change_the_inputs(self, index: int) -> None:
        """Let the templates render to something else."""
        self._task(index).version += 1

    # What the service does.

    @rule(
        names=st.sampled_from(list(NAMES)),
        visible_after=st.sampled_from((0.0, 1.0, 20.0, 55.0)),
        page_size=st.sampled_from((None, None, 10, 20)),
        says_total=st.booleans(),
        null_times=st.booleans(),
        skew=st.integers(-SERVICE_SKEW, SERVICE_SKEW),
    )
    def be_unkind(self, **options: Any) -> None:
        """Show lists in another way from now on."""
        for name, value in options.items():
            setattr(self.service, name, value)

    @rule(number=st.integers(1, 11))
    def others_start_jobs(self, number: int) -> None:
        """Fill the list with jobs of others."""
        for _ in range(number):
            job_id = f"job-{len(self.service.jobs)}"
            self.service.jobs[job_id] = Job(
                job_id,
                ("somebody else",),
                "A name of somebody else",
                {"model_id": "x", "benchmark_id": "x", "document_ids": ["x"], "num_questions": 1},
                self.service.now,
                0,
            )

    @rule(index=st.integers(0, 30), status=st.sampled_from(("FAILED", "READY")))
    def end_a_job(self, index: int, status: str) -> None:
        """Let a job end."""
        running = [job for job in self.service.jobs.values() if job.status == "PROCESSING"]
        if running:
            running[index % len(running)].status = status

    @rule(seconds=st.sampled_from((1.0, 30.0, 600.0, 86400.0)))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.service.now += seconds


@contextmanager
def modelled(machine: type[Money], patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the operators live in the model's time."""
    current: list[Service] = []
    original = machine.__init__

    def begin(self: Money) -> None:
        original(self)
        current[:] = [self.service]

    patch.setattr(machine, "__init__", begin)
    clock = SimpleNamespace(time=lambda: current[0].time(), sleep=lambda seconds: current[0].sleep(seconds))
    for module in (submit_module, identity_module):
        patch.setattr(module, "time", clock)
    patch.setattr(identity_module, "task_state_survives_clear", lambda: not machine.is_3_4)
    # It draws constants from all modules that are loaded, so which examples there are would depend on the other tests.
    patch.setattr(HypothesisProvider, "_maybe_draw_constant", lambda self, *args, **kwargs: None)
    # The other tests are in a hurry.
    patch.setattr(StartOperator, "lookup_delays", (0.0, 2.0, 5.0, 8.0, 10.0, 15.0, 22.0))
    yield


def machine_of(kind: str, airflow: str) -> type[Money]:
    """Build the state machine for a kind of job and a version of Airflow."""
    return type("Machine", (Money,), {"kind": KINDS[kind], "has_store": airflow != "3.1", "is_3_4": airflow == "3.4"})


def run(kind: str, airflow: str, patch: pytest.MonkeyPatch, **options: Any) -> None:
    """Let hypothesis try to break the promise."""
    machine = machine_of(kind, airflow)
    with modelled(machine, patch):
        run_state_machine_as_test(
            machine,
            settings=settings(
                **{
                    "max_examples": EXAMPLES,
                    "stateful_step_count": 25,
                    "deadline": None,
                    "suppress_health_check": list(HealthCheck),
                    **({} if IS_SEARCH else {"derandomize": True, "database": None}),
                    **options,
                }
            ),
        )


@pytest.mark.parametrize("airflow", ["3.1", "3.3", "3.4"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_job_per_task_whatever_happens(monkeypatch: pytest.MonkeyPatch, kind: str, airflow: str) -> None:
    run(kind, airflow, monkeypatch)


# The faults that a day of malice found, put back: the test must find each.


def identity_with(
    patch: pytest.MonkeyPatch, change: Callable[[Any], None], after: Callable[[TaskIdentity], None] = lambda self: None
) -> None:
    """Change the context that an identity is made of, and the identity."""
    original = TaskIdentity.__init__

    def init(self: TaskIdentity, context: Any, *args: Any, **kwargs: Any) -> None:
        context = {**context, "ti": SimpleNamespace(**vars(context["ti"]))}
        change(context)
        original(self, context, *args, **kwargs)
        after(self)

    patch.setattr(TaskIdentity, "__init__", init)


def _without_retries(context: Any) -> None:
    context["ti"].max_tries -= context["ti"].task.retries


def _without_run_start(context: Any) -> None:
    context["dag_run"] = SimpleNamespace(start_date=None)


def _without_loop(context: Any) -> None:
    context.pop("loop", None)


FAULTS: dict[str, tuple[str, str, Callable[[pytest.MonkeyPatch], Any]]] = {
    "1: the retries of the file are part of the identity": (
        "alignment",
        "3.3",
        lambda patch: identity_with(patch, _without_retries),
    ),
    "2: the job from before a clear continues": (
        "data job",
        "3.3",
        lambda patch: patch.setattr(SubmitOperator, "_deal_with_earlier_jobs", lambda self, attempt: None),
    ),
    "6: an absence is concluded after seven seconds": (
        "alignment",
        "3.3",
        lambda patch: patch.setattr(StartOperator, "lookup_delays", (0.0, 2.0, 5.0)),
    ),
    "7: the start of the run is no part of the name": (
        "alignment",
        "3.1",
        lambda patch: identity_with(patch, _without_run_start),
    ),
    "8: what was listed before is forgotten": (
        "seekr alignment",
        "3.3",
        lambda patch: patch.setattr(submission_module, "_is_certain", lambda submission, job, inputs, sent: True),
    ),
    "9: iterations of a loop share an identity": (
        "alignment",
        "3.4",
        lambda patch: identity_with(patch, _without_loop),
    ),
    "10: a retry adopts whatever the inputs are": (
        "alignment",
        "3.3",
        lambda patch: patch.setattr(JobRecord, "has_changed", lambda self, inputs: False),
    ),
    "a request is not recorded before it is sent": (
        "alignment",
        "3.3",
        lambda patch: patch.setattr(JobRecord, "record_sending", lambda self, *args: None),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_finds_the_fault(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    kind, airflow, put_back = FAULTS[fault]
    put_back(monkeypatch)
    machine = machine_of(kind, airflow)
    with modelled(machine, monkeypatch):
        if fault.startswith("6"):
            put_back(monkeypatch)
        with pytest.raises(AssertionError):
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=1000,
                    stateful_step_count=25,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    report_multiple_bugs=False,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )


# Faults that need a longer story than chance tells in a short time: told step by step to the same model.


def _lost_with_hidden_names(money: Money) -> None:
    money.be_unkind(names="missing", visible_after=0.0, page_size=None, says_total=False, null_times=False, skew=0)
    money.try_it(index=0, trouble="dies after", dies="no", skew=0, list_is_down=False)


def _try_again(money: Money) -> None:
    money.try_it(index=0, trouble="none", dies="no", skew=0, list_is_down=False)


def _clear_a_run_that_is_over(money: Money) -> None:
    money.wait(seconds=600.0)
    money.clear(index=0, restarts=True, keeps_state=False)


def _clear(money: Money) -> None:
    money.clear(index=0, restarts=False, keeps_state=False)


def _lost_beyond_the_first_page(money: Money) -> None:
    # The list begins with job-0, job-10, job-1, job-11: the task's job-9 is last.
    money.be_unkind(names="whole", visible_after=0.0, page_size=10, says_total=False, null_times=False, skew=0)
    money.others_start_jobs(number=9)
    money.try_it(index=0, trouble="dies after", dies="no", skew=0, list_is_down=False)
    money.others_start_jobs(number=5)


def _lost(money: Money) -> None:
    money.try_it(index=0, trouble="lost", dies="no", skew=0, list_is_down=False)


def _hide_times(money: Money) -> None:
    money.be_unkind(names="whole", visible_after=0.0, page_size=None, says_total=False, null_times=True, skew=0)


STORIES: dict[str, tuple[str, str, tuple[Callable[[Money], None], ...], Callable[[pytest.MonkeyPatch], Any]]] = {
    "8: a list is taken for whole": (
        "alignment",
        "3.3",
        (_lost_beyond_the_first_page, _try_again),
        lambda patch: patch.setattr(
            submission_module.ListReader,
            "result",
            lambda self: submission_module.JobList(tuple(self._jobs.values()), "", self._now),
        ),
    ),
    "8: a time that is not shown is the year 1970": (
        "seekr alignment",
        "3.4",
        (_lost, _hide_times, _try_again),
        lambda patch: patch.setattr(
            submission_module.ListedJob,
            "created_at",
            property(lambda self: None if self.created is None else self.created.timestamp()),
        ),
    ),
    "8: a cut or missing name is another name": (
        "alignment",
        "3.3",
        (_lost_with_hidden_names, _try_again),
        lambda patch: patch.setattr(submission_module, "_may_be_cut", lambda listed, name: False),
    ),
    "8: a hidden name of yours is another name": (
        "alignment with a name of yours",
        "3.3",
        (_lost_with_hidden_names, _try_again),
        lambda patch: patch.setattr(submission_module, "_may_be_named", lambda listed, name: listed == name),
    ),
    "a job from before a clear is not adopted": (
        "alignment, on_clear=adopt",
        "3.1",
        (_try_again, _clear, _try_again),
        lambda patch: identity_with(patch, lambda context: None, lambda self: setattr(self, "task_key", self.key)),
    ),
    "the run's new start hides what was sent before a clear": (
        "alignment, on_clear=adopt",
        "3.3",
        (_lost_with_hidden_names, _clear_a_run_that_is_over, _try_again),
        lambda patch: patch.setattr(JobRecord, "run_started", property(lambda self: self._identity.run_started)),
    ),
}


@pytest.mark.parametrize("fault", [True, False], ids=["fault put back", "no fault"])
@pytest.mark.parametrize("story", STORIES)
def test_a_story_shows_the_fault(monkeypatch: pytest.MonkeyPatch, story: str, fault: bool) -> None:
    kind, airflow, steps, put_back = STORIES[story]
    machine = machine_of(kind, airflow)
    if fault:
        put_back(monkeypatch)
    with modelled(machine, monkeypatch):
        money = machine()
        *before, last = steps
        for step in before:
            step(money)
        if not fault:
            last(money)
            return
        with pytest.raises(AssertionError, match="has paid for"):
            last(money)
