"""A worker is killed 50 times on the way from files to a demoted deployment: nothing is made twice or left active."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen.simulator.timeline import Stage

from .support import QUICK, Service
from .test_crash import SEED, Worker

#: The tasks of a pipeline, in their order.
TASKS = ("samples", "training", "serving", "end")
#: How often workers are killed, in all cases together, and in one pipeline.
KILLS = int(os.environ.get("AIRFLOW_PROVIDER_NUGEN_FUZZ_EXAMPLES") or 50)
KILLS_OF_PIPELINE = 9
AT_ONCE = 3
DROPPED = {"action": "drop", "processed": True, "every": 2, "times": None}


@dataclass(frozen=True)
class Case:
    """
    What is so in all pipelines of a case.

    :param memory: whether there is a task state store.
    :param dropped: requests of which every second is acted on without an answer.
    :param starts: whether the service starts a deployment by itself.
    :param kills: how often workers are killed, of 50.
    """

    memory: bool = True
    dropped: tuple[str, ...] = ()
    starts: bool = False
    kills: int = 18


CASES = {
    "killed": Case(),
    "killed, no store": Case(memory=False, starts=True),
    "killed, answers lost": Case(
        dropped=("seekr_upload_files", "seekr_create_fine_tune", "seekr_create_deployment", "seekr_promote"), kills=14
    ),
}


class Pipelines:
    """
    Runs pipelines whose workers are killed.

    :param service: the service.
    :param case: what is so in all of them.
    :param folder: where their tasks keep what outlives a worker.
    """

    def __init__(self, service: Service, case: Case, folder: Path) -> None:
        connection = json.dumps(service.simulator.seekr_connection())
        self.service, self.folder = service, folder
        self.workers = {task: Worker(connection, case.memory, task) for task in TASKS}
        self.lines: dict[str, int] = {}
        self.seconds: dict[str, float] = {}

    def measure(self) -> None:
        """Measure how many lines and how many seconds each task takes."""
        # The first process waits for the server that forks all, so it is not measured.
        for number, task in (("first", TASKS[0]), *(("counted", task) for task in TASKS)):
            folder, began = self.folder_of(number, task), time.monotonic()
            self.lines[task] = self.workers[task].count(folder, f"{task}-{number}")
            self.seconds[task] = time.monotonic() - began

    def folder_of(self, number: str, task: str) -> Path:
        """Make the folder of a task."""
        folder = self.folder / number / task
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def kills(self, rand: random.Random, task: str) -> Iterator[dict[str, Any]]:
        """Generate when to kill the worker, each time anew; first between the service's answer and its record."""
        if task != "end":
            yield {"line": 0}
        while True:
            line, seconds = rand.randint(1, self.lines[task]), rand.uniform(0, self.seconds[task])
            yield rand.choice([{"line": line}, {"line": line}, {"seconds": seconds}])

    def live_through(self, number: str, seed: int, kills: int) -> int:
        """Run a pipeline to its end, and kill a number of its workers; return how many were."""
        rand, killed = random.Random(seed), 0
        # In every second pipeline the deployment is given up at its first kill: what was created is demoted anyway.
        gives_up = seed % 2 == 1
        planned = [*TASKS, *rand.choices(TASKS, k=kills)][:kills]
        for task in TASKS:
            folder, moments = self.folder_of(number, task), self.kills(rand, task)
            left, try_number, done = planned.count(task), 1, False
            while not done:
                # A moment after the end of a try kills nothing: the next task is killed once more instead.
                kill = next(moments) if left else {}
                done = self.workers[task].run(folder, f"{task}-{number}", try_number, **kill)
                killed, left, try_number = killed + (not done), left - 1, try_number + 1
                output = (folder / "output.txt").read_text() if (folder / "output.txt").exists() else ""
                assert kill or done, f"{task}-{number} failed by itself (seed {seed}): {output[-3000:]}"
                if task == "serving" and gives_up and not done:
                    break
        time.sleep(0.05)  # a request of a process that was killed may still be on its way
        return killed


def check(service: Service, folder: Path, where: str) -> None:
    """Check what a pipeline has made."""
    ids = json.loads((folder / "samples" / "result.json").read_text())
    names = [f"samples-{folder.name}-{item}.jsonl" for item in range(3)]
    files = [job for job in service.jobs("seekr_file") if job.inputs["filename"] in names]
    assert sorted(job.id for job in files) == sorted(ids), where
    assert sorted(job.inputs["filename"] for job in files) == names, where
    tunes = [job for job in service.jobs("fine_tune") if ids[0] in job.inputs["training_config"]["training_files"]]
    assert [service.word(job.id) for job in tunes] == ["completed"], where
    served = [job for job in service.jobs("seekr_deployment") if job.inputs["model_id"] == tunes[0].id]
    was_given_up = not (folder / "serving" / "result.json").exists()
    assert len(served) in ((0, 1) if was_given_up else (1,)), where
    assert [job.id for job in served if service.word(job.id) != "Inactive"] == [], where


@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_makes_nothing_twice_and_leaves_nothing_active(
    make_service: Callable[..., Service], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    case = CASES[name]
    service = make_service(speed=QUICK, seekr_deployments_start=case.starts)
    inputs = {"type": "jsonl", "purpose": "fine-tune", "filename": "a.jsonl", "bytes": 1, "samples": 100}
    service.world.add_job("seekr_file", "file-1", [Stage("READY")], inputs=inputs)
    pipelines = Pipelines(service, case, tmp_path)
    pipelines.measure()
    for operation in case.dropped:
        service.fault(operation=operation, **DROPPED)
    seed = int(os.environ.get(SEED) or 14)
    wanted = -(-case.kills * KILLS // 50)
    killed, number = 0, 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while killed < wanted:
            todo = [
                (f"{seed}x{number + item}", seed * 1000 + number + item)
                for item in range(min(AT_ONCE, -(-(wanted - killed) // KILLS_OF_PIPELINE)))
            ]
            number += len(todo)
            share = -(-(wanted - killed) // len(todo))

            def run(one: tuple[str, int], share: int = min(share, KILLS_OF_PIPELINE)) -> int:
                return pipelines.live_through(*one, share)

            killed += sum(pool.map(run, todo))
            for task, seeded in todo:
                check(service, tmp_path / task, f"seed {seeded} of {name!r}")
    print(f"{killed} tries of {number} pipelines were killed")
