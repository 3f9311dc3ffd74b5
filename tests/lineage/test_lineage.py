"""What OpenLineage's own extractor finds, and its file transport writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
from airflow.sdk import BaseOperator
from airflow.utils.state import TaskInstanceState
from openlineage.client import OpenLineageClient
from openlineage.client.transport.file import FileConfig, FileTransport
from sensors.harness import run
from sensors.support import SHORT, Logs, Service, logs, make_service, no_scheduler, quick_polls, service, services

from airflow_provider_nugen.operators.nugen import CreateAlignmentOperator
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor

__all__ = ["logs", "make_service", "no_scheduler", "quick_polls", "service", "services"]

pytestmark = pytest.mark.lineage


def event(
    make: Callable[[], BaseOperator], key: str, folder: Path, state: TaskInstanceState, **context: Any
) -> dict[str, Any]:
    """Run a task, let the extractor ask the operator that ended it, and read what the transport wrote."""
    made: list[BaseOperator] = []

    def keep() -> BaseOperator:
        made.append(make())
        return made[-1]

    run(keep, key, **context)
    ti = SimpleNamespace(task=made[-1])
    found = ExtractorManager().extract_metadata(
        dagrun=SimpleNamespace(run_id="a_run"), task=made[-1], task_instance_state=state, task_instance=ti
    )
    file = folder / "events.json"
    client = OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=str(file), append=True)))
    OpenLineageAdapter(client=client).complete_task(
        run_id=str(uuid4()),
        job_name="a_dag.wait",
        end_time=datetime.now(UTC).isoformat(),
        task=found,
        nominal_start_time=None,
        nominal_end_time=None,
        owners=None,
        tags=None,
        job_description=None,
    )
    written: dict[str, Any] = json.loads(file.read_text().splitlines()[-1])
    return written


def names(datasets: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(dataset["namespace"], dataset["name"]) for dataset in datasets}


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_wait_names_documents_base_model_and_model(
    service: Service, key: str, tmp_path: Path, deferrable: bool
) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY", inputs={"base_model": "base", "document_ids": ["d-1"]})

    def make() -> BaseOperator:
        return AlignmentStatusSensor(
            task_id="wait", alignment_id="a-1", poke_interval=SHORT, use_eta=False, deferrable=deferrable
        )

    written = event(make, key, tmp_path, TaskInstanceState.SUCCESS)
    namespace = f"nugen://{service.url.partition('//')[2]}"
    assert names(written["inputs"]) == {(namespace, "documents/d-1"), (namespace, "models/base")}
    assert names(written["outputs"]) == {(namespace, "models/a-1-model")}
    assert written["run"]["facets"]["externalQuery"]["externalQueryId"] == "a-1"
    assert "errorMessage" not in written["run"]["facets"]


def test_a_failure_has_the_message(service: Service, key: str, tmp_path: Path) -> None:
    service.job("alignment", "a-1", "PROCESSING", "FAILED", overrides={"error": "out of memory"})

    def make() -> BaseOperator:
        return AlignmentStatusSensor(task_id="wait", alignment_id="a-1", poke_interval=SHORT, use_eta=False)

    written = event(make, key, tmp_path, TaskInstanceState.FAILED)
    assert "out of memory" in written["run"]["facets"]["errorMessage"]["message"]
    assert written["outputs"] == []
    assert written["run"]["facets"]["externalQuery"]["externalQueryId"] == "a-1"


def test_before_it_runs_a_task_names_what_it_is_made_of(service: Service) -> None:
    task = CreateAlignmentOperator(task_id="align", base_model="base", document_ids=["d-1", "d/2"])
    found = ExtractorManager().extract_metadata(
        dagrun=SimpleNamespace(run_id="a_run"),
        task=task,
        task_instance_state=TaskInstanceState.RUNNING,
        task_instance=SimpleNamespace(task=task),
    )
    assert [dataset.name for dataset in found.inputs] == ["documents/d-1", "documents/d%2F2", "models/base"]


def test_lineage_that_cannot_be_told_is_a_warning(
    service: Service, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_NUGEN_DEFAULT")
    task = AlignmentStatusSensor(task_id="wait", alignment_id="a-1")
    assert task.get_openlineage_facets_on_complete(None).inputs == []
    assert any("OpenLineage" in line for line in logs.at("warning"))
