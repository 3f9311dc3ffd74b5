"""What status words mean for a wait, in every mode, through whatever shapes the service sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen.compat import AirflowFailException, AirflowSensorTimeout
from airflow_provider_nugen.exceptions import JobFailedError, final
from airflow_provider_nugen.sensors.nugen import (
    AlignmentStatusSensor,
    DeployStatusSensor,
    EvaluationStatusSensor,
    UndeployStatusSensor,
)
from airflow_provider_nugen.sensors.seekr import (
    SeekrAlignmentSensor,
    SeekrDataJobSensor,
    SeekrDeploymentSensor,
    SeekrFineTuneSensor,
)

from .harness import MODES, Run, Store, run
from .support import SHORT, Logs, Service

EVERY_MODE = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def wait(key: str) -> Callable[..., Run]:
    """Wait for alignment ``a-1``, or with another sensor."""

    def wait(mode: str, cls: Any = AlignmentStatusSensor, *, memory: bool = True, **arguments: Any) -> Run:
        if cls is AlignmentStatusSensor:
            arguments.setdefault("alignment_id", "a-1")
        arguments = {"poke_interval": SHORT, "use_eta": False, "timeout": 15, **arguments, **MODES[mode]}
        return run(lambda: cls(task_id="wait", **arguments), key, store=Store() if memory else None)

    return wait


@EVERY_MODE
def test_trained_holds_in_every_state_after_training(service: Service, wait: Callable[..., Run], mode: str) -> None:
    # READY is gone before anybody can poke.
    service.job("alignment", "a-1", "PROCESSING", ("READY", 0.0), ("DEPLOYING", 60), "EVALUATED")
    done = wait(mode)
    assert (done.value["status"], done.xcoms["model_id"]) == ("DEPLOYING", "a-1-model")


@EVERY_MODE
def test_a_model_id_before_the_end_of_training_is_not_trained(
    service: Service, wait: Callable[..., Run], mode: str
) -> None:
    service.job("alignment", "a-1", "PROCESSING", overrides={"model_id": "m-early"})
    assert wait(mode, timeout=0.12).ending is AirflowSensorTimeout


@EVERY_MODE
def test_an_evaluation_is_waited_for_over_all_that_comes_before_it(
    service: Service, wait: Callable[..., Run], mode: str
) -> None:
    service.job(
        "alignment", "a-1", "PROCESSING", ("READY", 0.001), ("DEPLOYING", 0.05), ("EVALUATING", 0.1), "EVALUATED"
    )
    done = wait(mode, wait_for="evaluation")
    assert done.value["status"] == "EVALUATED"
    assert done.value["performance_metrics"]["accuracy_after"] > 0
    assert (done.xcoms["model_id"], done.xcoms["evaluation_id"]) == ("a-1-model", "a-1-evaluation")


@EVERY_MODE
def test_metrics_at_a_trained_word_are_an_evaluation(service: Service, wait: Callable[..., Run], mode: str) -> None:
    overrides = {"performance_metrics": None, "performanceMetrics": {"accuracyBefore": 0.5}}
    service.job("alignment", "a-1", "PROCESSING", "UNDEPLOYED", overrides=overrides)
    done = wait(mode, wait_for="evaluation")
    assert done.value.items() >= {"status": "UNDEPLOYED", "state": "SUCCEEDED", "model_id": "a-1-model"}.items()
    assert done.value["performance_metrics"]["accuracy_before"] == 0.5


@EVERY_MODE
@pytest.mark.usefixtures("hurry")
def test_without_a_benchmark_there_is_no_evaluation(service: Service, wait: Callable[..., Run], mode: str) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    done = wait(mode, wait_for="evaluation")
    assert done.ending is final(JobFailedError)
    assert "has been 'READY' for" in str(done.error)
    assert "created without a benchmark" in str(done.error)


@pytest.mark.usefixtures("hurry")
def test_without_memory_a_missing_benchmark_shows_at_the_timeout(service: Service, wait: Callable[..., Run]) -> None:
    service.job("alignment", "a-1", "READY")
    done = wait("reschedule", memory=False, wait_for="evaluation", timeout=0.3)
    assert done.ending is AirflowSensorTimeout
    assert "last status 'READY'" in str(done.error)


@EVERY_MODE
def test_a_failure_after_training_is_a_warning(
    service: Service, wait: Callable[..., Run], logs: Logs, mode: str
) -> None:
    overrides = {"gpu_training_completed": True, "model_id": "m-1", "error": "evaluation broke"}
    service.job("alignment", "a-1", "PROCESSING", "FAILED", overrides=overrides)
    done = wait(mode)
    assert done.value.items() >= {"status": "FAILED", "state": "SUCCEEDED", "error": "evaluation broke"}.items()
    assert done.xcoms["model_id"] == "m-1"
    assert any("evaluation broke" in text for text in logs.at("warning"))
    service.job("alignment", "a-1", "PROCESSING", "FAILED", overrides=overrides)
    assert wait(mode, wait_for="evaluation").ending is final(JobFailedError)


@EVERY_MODE
def test_a_trained_model_without_an_id_costs_one_request_for_the_detail(
    service: Service, wait: Callable[..., Run], mode: str
) -> None:
    service.job("alignment", "a-1", "READY", overrides={"model_id": None})
    done = wait(mode)
    assert done.ending is final(JobFailedError)
    assert "neither its status nor its detail names a model_id" in str(done.error)
    assert (service.asked("alignment_status"), service.asked("alignment_detail")) == (1, 1)


@EVERY_MODE
def test_the_detail_may_know_the_model(service: Service, wait: Callable[..., Run], mode: str) -> None:
    service.job("alignment", "a-1", "READY", overrides={"envelope": {"data": {"status": "READY"}}})
    assert wait(mode).xcoms["model_id"] == "a-1-model"
    assert service.asked("alignment_detail") == 1


@EVERY_MODE
def test_an_unknown_word_is_waited_out_and_told_once(
    service: Service, wait: Callable[..., Run], logs: Logs, mode: str
) -> None:
    service.job("alignment", "a-1", ("DREAMING", 4), "READY", step=1)
    done = wait(mode)
    assert done.value["status"] == "READY"
    assert sum("unknown status 'DREAMING'" in text for text in logs.at("warning")) == 1
    assert service.asked() == 5


@EVERY_MODE
def test_training_that_is_said_to_be_over_without_success_is_failed(
    service: Service, wait: Callable[..., Run], mode: str
) -> None:
    service.job("alignment", "a-1", "PROCESSING", overrides={"gpu_training_completed": False})
    assert wait(mode).ending is final(JobFailedError)


@EVERY_MODE
@pytest.mark.parametrize(
    ("envelope", "ending"),
    [({"status": "pending"}, None), ({"status": "FAILED"}, final(JobFailedError))],
    ids=["late", "failed"],
)
def test_the_envelope_can_only_make_it_worse(
    service: Service, wait: Callable[..., Run], mode: str, envelope: dict[str, Any], ending: Any
) -> None:
    service.job("alignment", "a-1", "READY", overrides={"envelope": envelope, "gpu_training_completed": None})
    assert wait(mode).ending is ending


SHAPES: dict[str, dict[str, Any]] = {
    "C": {"nugen_revision": "C"},
    "A, in lower case": {"nugen_revision": "A"},
    "flat": {"enveloped": False},
    "plain timestamps": {"plain_timestamps": True},
}


@EVERY_MODE
@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_the_shape_the_names_are_those_of_revision_b(
    make_service: Callable[..., Service], wait: Callable[..., Run], mode: str, shape: str
) -> None:
    service = make_service(**SHAPES[shape])
    service.job("alignment", "a-1", "PROCESSING", "READY", inputs={"base_model": "b", "document_ids": ["d"]})
    done = wait(mode)
    word = "completed" if shape.startswith("A") else "READY"
    assert (
        done.value.items()
        >= {
            "alignment_id": "a-1",
            "alignment_name": "a-1",
            "base_model": "b",
            "document_ids": ["d"],
            "model_id": "a-1-model",
            "status": word,
            "state": "SUCCEEDED",
            "created_date": "2026-03-05T05:00:00Z",
        }.items()
    )
    assert done.value["completed_date"].startswith("2026-03-05T05:00:00.06")


@EVERY_MODE
def test_the_older_camel_case(service: Service, wait: Callable[..., Run], mode: str) -> None:
    overrides = {"model_id": None, "modelId": "m-1", "base_model": None, "baseModel": "b", "completed_date": "soon"}
    service.job("alignment", "a-1", "PROCESSING", "READY", overrides=overrides)
    done = wait(mode)
    # A field that contradicts its contract, and is not needed, changes nothing.
    assert done.value.items() >= {"model_id": "m-1", "base_model": "b", "completed_date": None}.items()


@EVERY_MODE
@pytest.mark.parametrize("last", ["FAILED", "UNDEPLOYED"])
def test_a_deployment_that_falls_back_has_failed(
    make_service: Callable[..., Service], wait: Callable[..., Run], mode: str, last: str
) -> None:
    make_service(nugen_revision="C").job(
        "deployment", "m-1", ("UNDEPLOYED", 1), ("DEPLOYING", 2), last, step=1, overrides={"result": None}
    )
    done = wait(mode, DeployStatusSensor, model_id="m-1")
    assert done.ending is final(JobFailedError)
    assert "deployment of model 'm-1' failed (status 'UNDEPLOYED'): the model is undeployed again" in str(done.error)


@EVERY_MODE
def test_a_deployment_in_revision_c(make_service: Callable[..., Service], wait: Callable[..., Run], mode: str) -> None:
    make_service(nugen_revision="C").job("deployment", "m-1", ("UNDEPLOYED", 0.05), "DEPLOYING", "DEPLOYED")
    assert wait(mode, DeployStatusSensor, model_id="m-1").value["status"] == "DEPLOYED"


@EVERY_MODE
@pytest.mark.parametrize(
    ("cls", "kind", "id_name", "life", "overrides", "reason"),
    [
        (
            EvaluationStatusSensor,
            "evaluation",
            "evaluation_id",
            ("PROCESSING", "FAILED"),
            {"error": "no GPU"},
            "no GPU",
        ),
        (
            UndeployStatusSensor,
            "undeployment",
            "model_id",
            ("PENDING", "FAILED"),
            {"result": {"message": "still in use"}},
            "still in use",
        ),
        (
            SeekrAlignmentSensor,
            "seekr_alignment",
            "alignment_job_id",
            ("running", "failed"),
            {"status_message": "empty file"},
            "empty file",
        ),
        (
            SeekrDataJobSensor,
            "data_job",
            "data_job_id",
            ("file_processing", "needs_review"),
            {"status_message": "page 7"},
            "page 7): a person must act on the data job",
        ),
        (
            SeekrFineTuneSensor,
            "fine_tune",
            "fine_tune_id",
            ("running", "failed"),
            {"error_analysis": "out of memory"},
            "out of memory",
        ),
        (
            SeekrDeploymentSensor,
            "seekr_deployment",
            "deployment_id",
            ("Pending", "Failed"),
            {},
            "the service gives no reason",
        ),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_reason_is_the_services_own(
    service: Service,
    wait: Callable[..., Run],
    mode: str,
    cls: Any,
    kind: str,
    id_name: str,
    life: tuple[str, ...],
    overrides: dict[str, Any],
    reason: str,
) -> None:
    service.job(kind, "j-1", *life, overrides=overrides)
    done = wait(mode, cls, **{id_name: "j-1"})
    assert done.ending is final(JobFailedError)
    assert f"'j-1' failed (status {life[-1]!r}): " in str(done.error)
    assert reason in str(done.error)


@EVERY_MODE
@pytest.mark.parametrize("job_id", ["a/b?c=d#e", "ü und mehr", "%2F", "a..b"])
def test_an_id_stays_an_id(service: Service, wait: Callable[..., Run], mode: str, job_id: str) -> None:
    service.job("alignment", job_id, "PROCESSING", "READY")
    assert wait(mode, alignment_id=job_id).value["alignment_id"] == job_id


@EVERY_MODE
@pytest.mark.parametrize("job_id", [None, "", "  ", ".", ".."])
def test_what_cannot_be_an_id_is_refused_before_sending(
    service: Service, wait: Callable[..., Run], mode: str, job_id: Any
) -> None:
    done = wait(mode, alignment_id=job_id)
    assert done.ending is not None
    assert issubclass(done.ending, AirflowFailException)
    assert repr(job_id) in str(done.error)
    assert service.asked() == 0


@EVERY_MODE
def test_a_team_sees_its_own_jobs_only(
    service: Service, wait: Callable[..., Run], connection: Callable[..., str], key: str, mode: str
) -> None:
    service.job("seekr_alignment", "s-1", "running", "completed", scope="team-a")
    connection("seekr", "team_a", host=service.url, extra={"team_id": "team-a"})
    done = wait(mode, SeekrAlignmentSensor, alignment_job_id="s-1", seekr_conn_id="team_a")
    assert done.value["id"] == "s-1"


@EVERY_MODE
@pytest.mark.usefixtures("quick_retries")
def test_a_fresh_id_may_be_missing_at_first(service: Service, wait: Callable[..., Run], mode: str) -> None:
    service.job("alignment", "a-1", "READY")
    service.world.add_fault({"action": "status", "status": 404, "times": 1})
    assert wait(mode).value["state"] == "SUCCEEDED"


@EVERY_MODE
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 502},
        {"action": "status", "status": 429, "retry_after": "0"},
        {"action": "drop"},
        {"action": "truncate"},
        {"action": "malformed"},
        {"action": "html"},
        {"action": "oversized"},
    ],
    ids=lambda fault: fault["action"],
)
def test_passing_failures_do_not_end_a_wait(
    service: Service, wait: Callable[..., Run], logs: Logs, mode: str, fault: dict[str, Any]
) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    # The first poke is a good one. (aiohttp sends a GET again at once when the connection was reset.)
    service.world.add_fault({**fault, "skip": 1, "times": 4})
    done = wait(mode)
    assert done.value["state"] == "SUCCEEDED"
    # The first of a row is worth a warning.
    assert len([text for text in logs.at("warning") if "could not be read (1 in a row)" in text]) == 1
    assert any("can be read again after" in text for text in logs.at("info"))
