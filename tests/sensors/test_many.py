"""One task waits for several jobs, in every mode."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen import tasks
from airflow_provider_nugen.arguments import job_ids
from airflow_provider_nugen.compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_nugen.exceptions import InvalidArgumentError, JobFailedError, final
from airflow_provider_nugen.sensors import base
from airflow_provider_nugen.sensors.base import STATE_KEY
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor, DocumentStatusSensor, EvaluationStatusSensor

from .harness import MODES, Run, Store, TaskInstance, run
from .support import SHORT, Logs, Service

IDS = ["j-2", "j-1", "j-3"]


@pytest.fixture
def wait(key: str) -> Callable[..., Run]:
    def waiting(mode: str, cls: Any = EvaluationStatusSensor, **arguments: Any) -> Run:
        usual = {"task_id": "wait", "poke_interval": SHORT, "use_eta": False}
        return run(lambda: cls(**{**usual, **arguments, **MODES[mode]}), key, store=Store())

    return waiting


def jobs(service: Service, kind: str, **lives: tuple[str, ...]) -> None:
    service.job(kind, "none", "QUEUED")
    for name, life in lives.items():
        stages = [(word, 0.1 * (number + 1)) for number, word in enumerate(life)]
        service.world.add_job(kind, name.replace("_", "-"), stages)


@pytest.mark.parametrize("mode", MODES)
def test_the_statuses_come_in_the_order_of_the_ids(service: Service, wait: Callable[..., Run], mode: str) -> None:
    jobs(service, "alignment", j_1=("READY",), j_2=("PROCESSING", "READY"), j_3=("QUEUED", "PROCESSING", "READY"))
    done = wait(mode, AlignmentStatusSensor, alignment_id=IDS)
    assert [status["alignment_id"] for status in done.value] == IDS
    assert {status["state"] for status in done.value} == {"SUCCEEDED"}
    assert done.xcoms["model_ids"] == [f"{job_id}-model" for job_id in IDS]
    assert "model_id" not in done.xcoms
    assert "evaluation_ids" not in done.xcoms
    assert len(done.deferrals) == (mode == "deferrable")


@pytest.mark.parametrize("mode", MODES)
def test_jobs_that_are_done_already_never_defer(service: Service, wait: Callable[..., Run], mode: str) -> None:
    jobs(service, "evaluation", j_1=("READY",), j_2=("READY",), j_3=("READY",))
    done = wait(mode, evaluation_id=IDS)
    assert (len(done.value), done.pokes, done.deferrals) == (3, 1, [])
    assert done.xcoms["evaluation_ids"] == IDS
    assert service.asked() == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("flags", [{}, {"soft_fail": True}])
def test_all_are_waited_for_then_the_failed_ones_are_named(
    service: Service, wait: Callable[..., Run], mode: str, flags: dict[str, bool]
) -> None:
    jobs(service, "evaluation", j_1=("PROCESSING", "READY"), j_2=("FAILED",), j_3=("PROCESSING", "QUEUED", "FAILED"))
    done = wait(mode, evaluation_id=IDS, **flags)
    assert done.ending is (AirflowSkipException if flags else final(JobFailedError))
    text = str(done.error)
    assert "3 x evaluation: 2 of 3 did not succeed. evaluation 'j-2', 'j-3': failed (status 'FAILED')" in text
    assert text.endswith("Succeeded: 'j-1'.")
    if isinstance(done.error, JobFailedError):
        assert (done.error.service, done.error.conn_id, done.error.job_id) == ("Nugen", "nugen_default", IDS)
    assert set(done.xcoms) == set()


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_list_is_done(service: Service, wait: Callable[..., Run], mode: str) -> None:
    done = wait(mode, AlignmentStatusSensor, alignment_id=[])
    assert done.xcoms == {"return_value": [], "model_ids": [], "evaluation_ids": []}
    assert service.asked() == 0


@pytest.mark.parametrize("mode", MODES)
def test_what_an_upload_returned_is_waited_for(service: Service, wait: Callable[..., Run], mode: str) -> None:
    jobs(service, "document", d_1=("PROCESSING", "READY"), t_2=("READY",))
    done = wait(
        mode,
        DocumentStatusSensor,
        document_id=[{"document_id": "d-1", "task_id": "t-1"}, {"document_id": None, "task_id": "t-2"}],
    )
    assert len(done.value) == len(done.xcoms["document_ids"]) == 2
    assert {seen.path.rsplit("/", 2)[1] for seen in service.world.requests} <= {"d-1", "t-2", "documents"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [None, ["a", None], "['a', 'b']", 5, [7], ["a", " "], [{"x": 1}], {"a"}, [["a"]]])
def test_what_is_no_list_of_ids_is_refused_before_sending(
    service: Service, wait: Callable[..., Run], mode: str, value: Any
) -> None:
    done = wait(mode, evaluation_id=value)
    assert done.ending is final(InvalidArgumentError)
    assert "evaluation_id" in str(done.error)
    assert service.asked() == 0


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("a", "a"),
        ("-a", "-a"),
        ({"document_id": "d", "task_id": "t"}, "d"),
        ({"document_id": None, "task_id": "t"}, "t"),
        (["a", {"document_id": "d"}], ["a", "d"]),
        (("a", "b"), ["a", "b"]),
        ([], []),
    ],
)
def test_an_id_stays_one_and_a_list_a_list(value: Any, ids: Any) -> None:
    assert job_ids(value, "document_id") == ids


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "document_id is None: check that the upstream task pushed this XCom"),
        (["a", None], "item 1 of document_id is None"),
        ("['a']", "render_template_as_native_obj=True"),
        ("{'document_id': 'a'}", "looks like a list or a dict"),
        (12, r"document_id is not text, but int \(12\)"),
        ("  ", "document_id is '  ', so there is nothing to ask for"),
        ([{"id": "a"}], "item 0 of document_id is a dict that has no document_id"),
        ({"document_id": 5}, "a dict that has no document_id"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(value: Any, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        job_ids(value, "document_id")
    assert isinstance(caught.value, AirflowFailException)


def test_the_log_has_a_line_for_all_at_first_and_one_for_each_change(service: Service, key: str, logs: Logs) -> None:
    jobs(service, "evaluation", j_1=("READY",), j_2=("PROCESSING", "READY"), j_3=("PROCESSING", "READY"))
    run(lambda: EvaluationStatusSensor(task_id="wait", evaluation_id=IDS, poke_interval=SHORT), key)
    told = [text for text in logs.at("info") if "evaluation" in text]
    assert told[0] == "Nugen (connection 'nugen_default'): 3 x evaluation: 2 PROCESSING, 1 READY"
    assert told[-1] == "Nugen (connection 'nugen_default'): 3 x evaluation: 3 READY."
    assert len(told) == 4


def test_in_reschedule_mode_a_job_that_is_over_is_polled_once_more_at_the_end(service: Service) -> None:
    jobs(service, "evaluation", j_1=("READY",), j_2=("PROCESSING",), j_3=("PROCESSING",))
    store = Store()

    def poke() -> Any:
        sensor = EvaluationStatusSensor(task_id="wait", evaluation_id=IDS, poke_interval=0.0, **MODES["reschedule"])
        return sensor.execute({"ti": TaskInstance(sensor), "task_state_store": store})

    for _ in range(3):
        with pytest.raises(AirflowRescheduleException):
            poke()
        time.sleep(0.05)
    assert sum(seen.path.count("j-1") for seen in service.world.requests) == 1
    assert [state.get("over") for state in store.get(STATE_KEY)["jobs"]] == [None, True, None]
    for job_id in ("j-2", "j-3"):
        service.world.override_job(job_id, status="READY")
    assert len(poke()) == 3
    assert store.values == {}


def test_a_long_list_does_not_hold_the_worker(service: Service, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setattr(tasks, "MAX_WORKER_WAIT", 0.0)
    jobs(service, "evaluation", j_1=("READY",), j_2=("READY",), j_3=("READY",))
    done = run(lambda: EvaluationStatusSensor(task_id="wait", evaluation_id=IDS, poke_interval=SHORT), key)
    assert (len(done.deferrals), len(done.value)) == (1, 3)


# --- what the scheduler needs


def test_a_rescheduled_sensor_is_not_due_at_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MIN_RESCHEDULE", 10.0)
    service.job("evaluation", "j-1", "PROCESSING")
    sensor = EvaluationStatusSensor(task_id="wait", evaluation_id="j-1", poke_interval=1, **MODES["reschedule"])
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor.execute({"ti": TaskInstance(sensor)})
    assert 9 < caught.value.reschedule_date.timestamp() - time.time() <= 10


@pytest.mark.parametrize(("eta", "deferrals"), [(0, 0), (3, 0), (11, 1), (None, 1)])
def test_a_job_that_is_nearly_done_is_waited_for_on_the_worker(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch, eta: float | None, deferrals: int
) -> None:
    monkeypatch.setattr(tasks, "NEARLY_DONE", 10.0)
    service.job("evaluation", "j-1", ("PROCESSING", 60), overrides={"eta_seconds": eta, "progress": None})
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        service.world.override_job("j-1", status="READY")

    monkeypatch.setattr(time, "sleep", sleep)
    if deferrals:
        service.world.add_fault({"action": "status", "status": 400, "skip": 1})  # the trigger ends at once
    done = run(lambda: EvaluationStatusSensor(task_id="wait", evaluation_id="j-1", poke_interval=SHORT), key)
    assert len(done.deferrals) == deferrals
    if eta is not None and not deferrals:
        assert pauses[0] == eta + tasks.ESTIMATE_SLACK
        assert done.value["status"] == "READY"


def test_a_job_that_is_said_to_be_nearly_done_for_long_is_deferred_in_the_end(
    service: Service, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(tasks, "NEARLY_DONE", 10.0)
    monkeypatch.setattr(tasks, "ESTIMATE_SLACK", 0.02)
    monkeypatch.setattr(tasks, "MAX_WORKER_WAIT", 0.2)
    service.job("evaluation", "j-1", ("PROCESSING", 0.6), "READY", overrides={"eta_seconds": 0})
    done = run(lambda: EvaluationStatusSensor(task_id="wait", evaluation_id="j-1", poke_interval=SHORT), key)
    assert (len(done.deferrals), done.value["status"]) == (1, "READY")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ends", ["runs", "execution_timeout"])
def test_what_a_poke_holds_it_releases(service: Service, monkeypatch: pytest.MonkeyPatch, mode: str, ends: str) -> None:
    service.job("evaluation", "j-1", ("PROCESSING", 60))
    sensor = EvaluationStatusSensor(
        task_id="wait", evaluation_id="j-1", poke_interval=SHORT, timeout=0.1, **MODES[mode]
    )
    closed: list[bool] = []
    real = sensor.hook.close

    def close() -> None:
        closed.append(True)
        real()

    monkeypatch.setattr(sensor.hook, "close", close)
    if ends == "execution_timeout":

        def strike(call: Any) -> Any:
            raise AirflowTaskTimeout("Timeout, PID: 1")

        monkeypatch.setattr(sensor.hook, "fetch", strike)
    with pytest.raises(BaseException):  # noqa: B017, PT011  # whatever ends it
        sensor.execute({"ti": TaskInstance(sensor)})
    assert closed
