"""The worker is killed on the way from a file to a deployment: no file twice, one fine-tune, one deployment."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen.simulator.timeline import Stage

from .support import Service
from .test_crash import SEED, Worker

#: Task instances per kind.
TIMES = int(os.environ.get("AIRFLOW_PROVIDER_NUGEN_FUZZ_EXAMPLES") or 8)
AT_ONCE = 4
#: Kind of task: the simulator's kind of what it makes, the request that does, and how many there are in the end.
MADE = {
    "files": ("seekr_file", "seekr_upload_files", 3),
    "fine-tune": ("fine_tune", "seekr_create_fine_tune", 1),
    "deployment": ("seekr_deployment", "seekr_create_deployment", 1),
}


def whose(kind: str, inputs: dict[str, Any], task_id: str) -> bool:
    """Return whether something was made by a task."""
    name = {
        "files": lambda: inputs["filename"].partition("-0.")[0].partition("-1.")[0].partition("-2.")[0],
        "fine-tune": lambda: inputs.get("training_config", {}).get("experiment_name", ""),
        "deployment": lambda: inputs["name"],
    }[kind]()
    return bool(name == task_id or name.endswith(f".{task_id}"))


@pytest.mark.parametrize("fault", [None, {"action": "drop", "processed": True}], ids=["killed", "killed, dropped"])
@pytest.mark.parametrize("kind", MADE)
def test_nothing_is_made_twice(
    make_service: Callable[..., Service],
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    fault: dict[str, Any] | None,
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    service = make_service(seekr_deployments_start=False)
    made, operation, count = MADE[kind]

    def prepare() -> None:
        inputs = {"type": "jsonl", "purpose": "fine-tune", "filename": "a.jsonl", "bytes": 1, "samples": 100}
        service.world.add_job("seekr_file", "file-1", [Stage("READY")], inputs=inputs)
        # Somebody else's. Without a name, it might be that of a task whose name a list does not show: that is doubt.
        named = {"training_config": {"experiment_name": "foreign"}}
        service.world.add_job("fine_tune", "ft-1", [Stage("completed")], inputs=named)

    prepare()
    worker = Worker(json.dumps(service.simulator.seekr_connection()), True, kind)
    worker.measure(tmp_path)
    service.reset(key)
    prepare()
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
    print(f"{SEED}={seed}")
    if fault is not None:
        service.fault(operation=operation, every=2, times=None, **fault)

    def live_through(number: int) -> int:
        # As short as its name must be to survive in the name of a fine-tune.
        task_id = f"t{number}"
        _, killed = worker.live_through(tmp_path / task_id, task_id, seed + number)
        own = [job for job in service.jobs(made) if whose(kind, job.inputs, task_id)]
        assert len(own) == count, f"{task_id} has made {[job.inputs for job in own]} (seed {seed})"
        result = json.loads((tmp_path / task_id / "result.json").read_text())
        ids = result if kind == "files" else [result.get("fine_tune_id") or result.get("deployment_id")]
        assert sorted(ids) == sorted(job.id for job in own)
        if kind == "deployment":
            assert service.word(own[0].id) != "Inactive"
        return killed

    with ThreadPoolExecutor(AT_ONCE) as pool:
        kills = sum(pool.map(live_through, range(TIMES)))
    print(f"{kills} tries were killed")
    assert kills >= TIMES / 2
