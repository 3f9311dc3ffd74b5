"""A worker that dies: runs one try of a task in a process of its own, which can be killed at any point."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow_provider_nugen
from airflow_provider_nugen.operators.identity import JobRecord
from airflow_provider_nugen.operators.nugen import CreateAlignmentOperator
from airflow_provider_nugen.operators.seekr import (
    SeekrCreateDeploymentOperator,
    SeekrCreateFineTuneOperator,
    SeekrDemoteDeploymentOperator,
    SeekrUploadFilesOperator,
)
from airflow_provider_nugen.operators.seekr.files import SeekrUploadRecord
from airflow_provider_nugen.operators.start import StartOperator

#: Each task may be tried so often.
RETRIES = 40
#: All tries of a task belong to one run.
RUN_STARTED = datetime(2026, 1, 1, tzinfo=UTC)
_CODE = str(Path(airflow_provider_nugen.__file__).parent)


class FileStore:
    """A task state store that outlives the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str, default: Any = None) -> Any:
        file = self.folder / f"{key}.json"
        return json.loads(file.read_text()) if file.exists() else default

    def set(self, key: str, value: Any) -> None:
        write_at_once(self.folder / f"{key}.json", value)


def write_at_once(file: Path, value: Any) -> None:
    """Write a file that a kill leaves either whole or not there."""
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(value))
    beside.replace(file)


def die_before_recording() -> None:
    """Kill this process when the service has answered, before the answer is recorded."""

    def die(*args: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    for record, method in ((JobRecord, "record_started"), (SeekrUploadRecord, "record_answered")):
        setattr(record, method, die)


def die_at(line: int) -> None:
    """Kill this process when a number of lines of the provider have been executed; 0: before it records an answer."""
    if not line:
        die_before_recording()
        return
    executed = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal executed
        if not frame.f_code.co_filename.startswith(_CODE):
            return None
        if event == "line":
            executed += 1
            if executed >= line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def _alignment(folder: Path, **arguments: Any) -> Any:
    return CreateAlignmentOperator(base_model="nugen-flash-instruct", document_ids=["doc-demo-1"], **arguments)


def _files(folder: Path, **arguments: Any) -> Any:
    # Names that no other task has.
    names = [folder / f"{arguments['task_id']}-{number}.md" for number in range(3)]
    for path in names:
        path.write_text(path.name)
    return SeekrUploadFilesOperator(files=names, **arguments)


def _fine_tune(folder: Path, **arguments: Any) -> Any:
    return SeekrCreateFineTuneOperator(
        model="meta-llama/Llama-3.1-8B-Instruct", training_files=["file-1"], project_id=1, n_epochs=1, **arguments
    )


def _deployment(folder: Path, **arguments: Any) -> Any:
    return SeekrCreateDeploymentOperator(model_id="ft-1", **arguments)


# The tasks of a pipeline: the folder of each lies beside those of the others, which is how they read its XComs.


def _samples(folder: Path, **arguments: Any) -> Any:
    names = [folder / f"{arguments['task_id']}-{number}.jsonl" for number in range(3)]
    for path in names:
        path.write_text(json.dumps({"messages": [{"role": "user", "content": path.name}]}) + "\n")
    return SeekrUploadFilesOperator(files=names, purpose="fine-tune", min_samples=1, **arguments)


#: How tasks of a pipeline wait: on the worker, for jobs that are soon done.
_WAIT: dict[str, Any] = {"wait_for_completion": True, "deferrable": False, "poke_interval": 0.05, "timeout": 60}


def _training(folder: Path, **arguments: Any) -> Any:
    files = json.loads((folder.parent / "samples" / "result.json").read_text())
    return SeekrCreateFineTuneOperator(
        model="meta-llama/Llama-3.1-8B-Instruct",
        training_files=["file-1", *files],
        project_id=1,
        n_epochs=1,
        **_WAIT,
        **arguments,
    )


def _serving(folder: Path, **arguments: Any) -> Any:
    tuned = json.loads((folder.parent / "training" / "result.json").read_text())
    return SeekrCreateDeploymentOperator(model_id=tuned["id"], **_WAIT, **arguments)


def _end(folder: Path, **arguments: Any) -> Any:
    created_by = arguments["task_id"].replace("end", "serving")
    return SeekrDemoteDeploymentOperator(created_by=created_by, **_WAIT, **arguments)


#: What a try can be one of.
TASKS: dict[str, Callable[..., Any]] = {
    "alignment": _alignment,
    "files": _files,
    "fine-tune": _fine_tune,
    "deployment": _deployment,
    "samples": _samples,
    "training": _training,
    "serving": _serving,
    "end": _end,
}


def main(
    folder: Path,
    task_id: str,
    try_number: int,
    memory: bool,
    connection: str,
    line: int | None,
    kind: str = "alignment",
) -> None:
    """
    Run one try.

    :param folder: where the store is, and where the result is written.
    :param task_id: names the task instance.
    :param try_number: which try it is, from 1.
    :param memory: whether there is a task state store.
    :param connection: the connection, as JSON.
    :param line: the number of executed lines of the provider after which this process is killed.
    :param kind: one of :data:`TASKS`.
    """
    with open(folder / "output.txt", "a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ["AIRFLOW_CONN_NUGEN_DEFAULT" if kind == "alignment" else "AIRFLOW_CONN_SEEKR_DEFAULT"] = connection
    # Between two tries of a real task lie minutes, not milliseconds.
    StartOperator.lookup_delays = SeekrUploadFilesOperator.lookup_delays = (0.0, 0.1, 0.3)
    SeekrCreateDeploymentOperator.promote_delays = (0.0, 0.1)
    task = TASKS[kind](folder, task_id=task_id, retries=RETRIES)
    # Airflow clears the XComs of a task before each try; those of the others stay.
    for file in folder.glob("xcom-*.json"):
        file.unlink()

    def xcom_pull(task_ids: str, key: str, map_indexes: int) -> Any:
        file = folder.parent / task_ids.partition("-")[0] / f"xcom-{key}.json"
        return json.loads(file.read_text()) if file.exists() else None

    ti = SimpleNamespace(
        task=task,
        dag_id="crash",
        run_id="a_run",
        task_id=task_id,
        map_index=-1,
        try_number=try_number,
        max_tries=RETRIES,
        xcom_push=lambda key, value: write_at_once(folder / f"xcom-{key}.json", value),
        xcom_pull=xcom_pull,
        get_task_states=lambda dag_id, task_ids, run_ids: {"a_run": dict.fromkeys(task_ids, "failed")},
    )
    context: dict[str, Any] = {"ti": ti, "dag_run": SimpleNamespace(start_date=RUN_STARTED)}
    if memory:
        context["task_state_store"] = FileStore(folder)
    if line is not None:
        die_at(line)
    result = task.execute(context)
    sys.settrace(None)
    write_at_once(folder / "result.json", result)


def count_lines(*args: Any) -> None:
    """Run one try, and write how many lines of the provider it took."""
    executed = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal executed
        if not frame.f_code.co_filename.startswith(_CODE):
            return None
        executed += event == "line"
        return trace

    folder: Path = args[0]
    sys.settrace(trace)
    main(*args)
    write_at_once(folder / "lines.json", executed)
