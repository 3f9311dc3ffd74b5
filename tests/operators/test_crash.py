"""The worker is killed at a random point, again and again: in the end there is one job per task instance."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen.simulator.timeline import Stage

from . import crash_child
from .support import Service

#: Task instances per case, most of which are killed several times.
TIMES = int(os.environ.get("AIRFLOW_PROVIDER_NUGEN_FUZZ_EXAMPLES") or 20)
#: How many of them at the same time.
AT_ONCE = 8
#: What also goes wrong, with every second request: the service acts on it, but says so to nobody.
FAULTS: dict[str, dict[str, Any] | None] = {
    "killed": None,
    "killed, connection dropped": {"action": "drop", "processed": True},
    "killed, 502": {"action": "status", "status": 502, "processed": True},
}
#: Repeats a run: the seed that a failed one has printed.
SEED = "AIRFLOW_PROVIDER_NUGEN_TEST_SEED"


class Worker:
    """Runs tries in processes of their own."""

    def __init__(self, connection: str, memory: bool, kind: str = "alignment") -> None:
        self._context = multiprocessing.get_context("forkserver")
        # The second is what takes longest of reading a connection.
        self._context.set_forkserver_preload([crash_child.__name__, "airflow.sdk.execution_time.supervisor"])
        self._arguments = memory, connection
        self._kind = kind

    def run(
        self, folder: Path, task_id: str, number: int, *, line: int | None = None, seconds: float | None = None
    ) -> bool:
        """
        Run a try, and kill it after a number of executed lines, or of seconds.

        :return: whether it was done before.
        """
        self._run(crash_child.main, folder, task_id, number, line, seconds)
        # Not its exit code, which multiprocessing gets wrong when several threads start processes.
        return (folder / "result.json").exists()

    def measure(self, folder: Path) -> None:
        """Measure how many lines and how many seconds a try takes, for :meth:`live_through`."""
        for number in range(3):
            (folder / str(number)).mkdir()
            began = time.monotonic()
            assert self.run(folder / str(number), f"measure-{number}", 1)
            self._seconds = time.monotonic() - began
        (folder / "lines").mkdir()
        self._lines = self.count(folder / "lines", "lines")

    def count(self, folder: Path, task_id: str) -> int:
        """Run a try, and count how many lines it takes."""
        self._run(crash_child.count_lines, folder, task_id, 1, None, None)
        lines: int = json.loads((folder / "lines.json").read_text())
        return lines

    def live_through(self, folder: Path, task_id: str, seed: int) -> tuple[int, int]:
        """Try a task instance until it succeeds; return how many tries it took, and how many of them were killed."""
        folder.mkdir()
        rand, killed = random.Random(seed), 0
        for try_number in range(1, crash_child.RETRIES):
            kill: dict[str, Any] = {}
            if try_number <= rand.randint(1, 3):
                line, seconds = rand.randint(1, self._lines), rand.uniform(0, self._seconds * 1.2)
                kill = rand.choice([{"line": line}, {"seconds": seconds}])
            done = self.run(folder, task_id, try_number, **kill)
            killed += not done
            if done:
                break
            assert kill, f"{task_id} failed by itself (seed {seed}): {(folder / 'output.txt').read_text()[-3000:]}"
        # A request of a process that was killed may still be on its way.
        time.sleep(0.05)
        return try_number, killed

    def _run(
        self,
        target: Callable[..., None],
        folder: Path,
        task_id: str,
        number: int,
        line: int | None,
        seconds: float | None,
    ) -> None:
        process = self._context.Process(
            target=target, args=(folder, task_id, number, *self._arguments, line, self._kind)
        )
        process.start()
        process.join(seconds)
        if seconds is not None:
            process.kill()
        process.join(60)


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
@pytest.mark.parametrize("trouble", FAULTS)
def test_one_live_job_per_task_instance(
    make_service: Callable[..., Service],
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    memory: bool,
) -> None:
    # Workers are forked from a process that has imported all they need, and has no other way to find it.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    service = make_service()
    worker = Worker(json.dumps(service.simulator.nugen_connection()), memory)
    worker.measure(tmp_path)
    service.reset(key)
    # A list of just 10, 20 or 50 jobs could be one page of several, so it proves nothing: let it be longer.
    for number in range(101):
        service.world.add_job("alignment", f"older-{number}", [Stage("STOPPED")], inputs={"name": f"older {number}"})
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
    print(f"{SEED}={seed}")
    if (fault := FAULTS[trouble]) is not None:
        service.fault(operation="create_alignment", every=2, times=None, **fault)

    def live_through(number: int) -> tuple[int, int]:
        task_id = f"task-{number}"
        tries, killed = worker.live_through(tmp_path / task_id, task_id, seed + number)
        started = [job.id for job in service.jobs() if job.inputs["name"].endswith(f".{task_id}")]
        assert len(started) == 1, f"{task_id} has started {started} (seed {seed})"
        assert json.loads((tmp_path / task_id / "result.json").read_text()) == {"alignment_id": started[0]}
        return tries, killed

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tries, kills = map(sum, zip(*pool.map(live_through, range(TIMES)), strict=True))
    print(f"{kills} of {tries} tries were killed")
    assert kills >= TIMES / 2
    assert len(service.live()) == TIMES
