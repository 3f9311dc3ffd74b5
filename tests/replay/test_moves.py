"""The vendor's move from one API revision to the other, before each request of a wait and of a whole pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from operators.support import Life
from sensors.harness import MODES

from airflow_provider_nugen.operators.nugen import (
    CreateAlignmentOperator,
    CreateBenchmarkOperator,
    CreateEvaluationOperator,
    DeployModelOperator,
    UndeployModelOperator,
    UploadDocumentsOperator,
)
from airflow_provider_nugen.sensors.nugen import (
    AlignmentStatusSensor,
    BenchmarkStatusSensor,
    DeployStatusSensor,
    DocumentStatusSensor,
    EvaluationStatusSensor,
    UndeployStatusSensor,
)
from airflow_provider_nugen.simulator import Simulator, run_simulator
from airflow_provider_nugen.simulator.state import RequestRecord

#: So quick that each job is seen running two or three times.
SPEED = 2500.0
BASE_MODEL = "nugen-flash-instruct"
WAITS = {"wait_for_completion": True, "poke_interval": 0.03, "timeout": 20, "retries": 3}
DIRECTIONS = pytest.mark.parametrize(("first", "other"), ["BC", "CB"])


class Moves:
    """
    A strict simulator that changes its revision before a request.

    :param simulator: the simulator.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.world = simulator.world
        self.requests = 0
        self._moves: dict[int, Any] = {}
        record = self.world.record

        def answered(request: RequestRecord) -> None:
            record(request)
            if request.service == "nugen":
                self.requests += 1
                self._move()

        self.world.record = answered  # type: ignore[assignment, method-assign]

    def begin(self, first: str, moves: dict[int, str]) -> None:
        """
        Begin anew.

        :param first: the revision that is spoken first.
        :param moves: how many requests are answered before which revision is spoken.
        """
        self.requests, self._moves = 0, dict(moves)
        self.world.switch_revision(first)
        self._move()

    def _move(self) -> None:
        if revision := self._moves.pop(self.requests, None):
            self.world.switch_revision(revision)

    @property
    def has_moved(self) -> bool:
        """Whether all moves were made."""
        return not self._moves


@pytest.fixture(scope="module")
def simulated() -> Iterator[Moves]:
    with run_simulator(profile="strict", speed=SPEED) as simulator:
        yield Moves(simulator)


@pytest.fixture
def moves(simulated: Moves, connection: Callable[..., str], key: str, quick_retries: None) -> Moves:
    """Return the simulator, with a default connection that says nothing of a revision."""
    simulated.world.rotate_key(key)
    simulated.world.jobs.clear()
    connection("nugen", host=simulated.simulator.url)
    return simulated


#: How long a job runs, in seconds: three polls or so.
RUNS = 0.1


def _job(moves: Moves, kind: str, word: str, end: str, **inputs: Any) -> None:
    moves.world.add_job(kind, "j-1", [(word, RUNS), (end, 0)], inputs=inputs)


def _alignment(moves: Moves) -> Any:
    _job(moves, "alignment", "PROCESSING", "READY")
    return AlignmentStatusSensor, {"alignment_id": "j-1"}, {"model_id": "j-1-model"}


def _evaluated(moves: Moves) -> Any:
    moves.world.add_job(
        "alignment", "j-1", [("PROCESSING", RUNS), ("EVALUATING", RUNS), ("EVALUATED", 0)], inputs={"benchmark_id": "b"}
    )
    return AlignmentStatusSensor, {"alignment_id": "j-1", "wait_for": "evaluation"}, {"model_id": "j-1-model"}


def _evaluation(moves: Moves) -> Any:
    _job(moves, "evaluation", "PROCESSING", "READY", model_id="m", benchmark_id="b")
    return EvaluationStatusSensor, {"evaluation_id": "j-1"}, {"evaluation_id": "j-1"}


def _deployment(moves: Moves) -> Any:
    moves.world.add_job("alignment", "j", [("READY", 0)])
    moves.world.add_job("deployment", "j-model", [("PENDING", RUNS), ("DEPLOYED", 0)])
    return DeployStatusSensor, {"model_id": "j-model"}, {"model_id": "j-model"}


def _undeployment(moves: Moves) -> Any:
    moves.world.add_job("alignment", "j", [("READY", 0)])
    moves.world.add_job("deployment", "j-model", [("DEPLOYED", 0)])
    moves.world.add_job("undeployment", "j-model", [("PENDING", RUNS), ("COMPLETED", 0)])
    return UndeployStatusSensor, {"model_id": "j-model"}, {"model_id": "j-model"}


def _benchmark(moves: Moves) -> Any:
    _job(moves, "benchmark", "PROCESSING", "READY")
    return BenchmarkStatusSensor, {"benchmark_id": "j-1"}, {"benchmark_id": "j-1"}


def _uploaded(moves: Moves) -> list[dict[str, Any]]:
    """Return two documents as an upload in the revision that is spoken has returned them."""
    uploads = []
    for number in (1, 2):
        name, own = f"{number}.txt", {"name": f"{number}.txt"}
        if moves.world.revision == "B":
            own["task_id"] = f"t-{number}"
        moves.world.add_job("document", f"d-{number}", [("PROCESSING", RUNS), ("READY", 0)], inputs=own)
        in_b = "task_id" in own
        uploads.append(
            {
                "name": name,
                "task_id": own.get("task_id"),
                "document_id": None if in_b else f"d-{number}",
                "ready": False,
            }
        )
    return uploads


def _documents(moves: Moves) -> Any:
    return DocumentStatusSensor, {"document_id": _uploaded(moves)}, {"document_ids": ["d-1", "d-2"]}


def _document(moves: Moves) -> Any:
    return DocumentStatusSensor, {"document_id": _uploaded(moves)[0]}, {"document_id": "d-1"}


SENSORS = [_alignment, _evaluated, _evaluation, _deployment, _undeployment, _benchmark, _documents, _document]


@DIRECTIONS
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prepare", SENSORS, ids=lambda prepare: prepare.__name__.strip("_"))
def test_a_move_before_each_request_of_a_wait(
    moves: Moves, key: str, mode: str, prepare: Callable[[Moves], Any], first: str, other: str
) -> None:
    for index in range(30):
        moves.begin(first, {})
        cls, own, xcoms = prepare(moves)
        moves.begin(first, {index: other})
        arguments = {"poke_interval": 0.03, "timeout": 15, "use_eta": False, **own, **MODES[mode]}
        done = Life(lambda cls=cls, arguments=arguments: cls(task_id="t", **arguments), key).run()
        assert done.error is None, (index, done.error)
        assert done.xcoms.items() >= xcoms.items(), index
        if not moves.has_moved:
            break
    assert index > 1


@pytest.mark.parametrize("mode", MODES)
def test_an_id_of_a_task_is_waited_for_until_the_service_moves_back(moves: Moves, key: str, mode: str) -> None:
    moves.begin("B", {})
    _uploaded(moves)
    moves.begin("B", {1: "C", 6: "B"})
    arguments = {"document_id": "t-1", "poke_interval": 0.03, "timeout": 15, **MODES[mode]}
    done = Life(lambda: DocumentStatusSensor(task_id="t", **arguments), key).run()
    assert done.value["document_id"] == "d-1"


def pipeline(moves: Moves, key: str, folder: Path, **waits: Any) -> None:
    """Upload, make a benchmark, align, deploy, evaluate, undeploy."""
    waits = {**WAITS, **waits}

    def step(cls: Any, /, **arguments: Any) -> Any:
        done = Life(lambda: cls(task_id=cls.__name__, **arguments, **waits), key).run()
        assert done.error is None, (cls, moves.requests, done.error)
        return done

    (document_id,) = step(UploadDocumentsOperator, files=[str(folder / "handbook.txt")]).xcoms["document_ids"]
    benchmark = step(CreateBenchmarkOperator, document_ids=[document_id], num_questions=5).xcoms["benchmark_id"]
    model = step(CreateAlignmentOperator, base_model=BASE_MODEL, document_ids=[document_id]).xcoms["model_id"]
    step(DeployModelOperator, model_id=model)
    step(CreateEvaluationOperator, model_id=model, model_id_2=BASE_MODEL, benchmark_id=benchmark)
    assert step(UndeployModelOperator, model_id=model).value["state"] == "SUCCEEDED"
    for kind in ("document", "benchmark", "alignment", "deployment", "evaluation", "undeployment"):
        assert len(moves.world.all(kind)) == 1, (kind, moves.requests)


@DIRECTIONS
def test_a_move_before_each_request_of_a_pipeline(
    moves: Moves, key: str, tmp_path: Path, first: str, other: str
) -> None:
    (tmp_path / "handbook.txt").write_text("text")
    for index in range(200):
        moves.world.jobs.clear()
        moves.begin(first, {index: other})
        pipeline(moves, key, tmp_path, deferrable=False)
        if not moves.has_moved:
            break
    assert index > 20


@DIRECTIONS
@pytest.mark.parametrize("requests", [2, 3, 5])
@pytest.mark.parametrize("deferrable", [True, False], ids=["deferrable", "poke"])
def test_moves_there_and_back_during_a_pipeline(
    moves: Moves, key: str, tmp_path: Path, first: str, other: str, requests: int, deferrable: bool
) -> None:
    (tmp_path / "handbook.txt").write_text("text")
    moves.world.jobs.clear()
    switches = range(requests, 400, requests)
    moves.begin(first, {at: (other, first)[number % 2] for number, at in enumerate(switches)})
    pipeline(moves, key, tmp_path, deferrable=deferrable)
