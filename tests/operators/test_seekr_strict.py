"""From a file to a deployment at a service that is as unkind as it may be: nothing is paid twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen.exceptions import PossibleDuplicateJobError
from airflow_provider_nugen.operators.seekr import SeekrCreateDeploymentOperator, SeekrUploadFilesOperator
from airflow_provider_nugen.operators.start import StartOperator

from . import test_seekr_deployment as deployments
from . import test_seekr_fine_tune as fine_tunes
from .support import QUICK, Life, Service

#: Tasks of each kind: the list shows a different part of each name.
TASKS = 8


@pytest.fixture(autouse=True)
def lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search for long enough that the list can show them, which here is 30 ms."""
    for cls in (StartOperator, SeekrUploadFilesOperator):
        monkeypatch.setattr(cls, "lookup_delays", (0.0, 0.1, 0.1))
    monkeypatch.setattr(SeekrCreateDeploymentOperator, "promote_delays", (0.0, 0.0))


@pytest.fixture
def strict(make_service: Callable[..., Service]) -> Service:
    return make_service(profile="strict", speed=QUICK, visible_after=30)


MAKE: dict[str, tuple[str, str, Callable[..., Life]]] = {
    "fine-tune": ("fine_tune", "seekr_create_fine_tune", fine_tunes.life),
    "deployment": ("seekr_deployment", "seekr_create_deployment", deployments.life),
}


@pytest.mark.parametrize("kind", MAKE)
def test_a_lost_answer_is_found_or_doubted_but_never_paid_twice(strict: Service, key: str, kind: str) -> None:
    made, operation, life = MAKE[kind]
    outcomes = []
    for number in range(TASKS):
        before = {job.id for job in strict.jobs(made)}
        strict.world.add_fault({"action": "drop", "operation": operation, "times": 1, "processed": True})
        task = life(strict, key)
        task.ti.task_id = f"task-{number}"
        run = task.run()
        (own,) = {job.id for job in strict.jobs(made)} - before
        if run.error is None:
            outcomes.append("found")
            assert own in run.xcoms.values()
        else:
            outcomes.append("doubted")
            assert isinstance(run.error, PossibleDuplicateJobError)
            assert own in str(run.error)
    assert "found" in outcomes


def test_files_are_found(strict: Service, key: str, tmp_path: Any) -> None:
    paths = [tmp_path / f"{number}.md" for number in range(3)]
    for path in paths:
        path.write_text(path.name)
    strict.world.add_fault({"action": "drop", "operation": "seekr_upload_files", "times": 1, "processed": True})
    run = Life(lambda: SeekrUploadFilesOperator(task_id="upload", files=paths), key).run()
    assert sorted(run.value) == sorted(job.id for job in strict.jobs("seekr_file"))
