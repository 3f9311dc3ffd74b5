"""One table says how a wait ends: outcome and flags, the same in every mode."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import BaseOperator

from airflow_provider_nugen.compat import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
)
from airflow_provider_nugen.exceptions import (
    InvalidArgumentError,
    JobCancelledError,
    JobFailedError,
    RequestRejectedError,
    ServiceUnreachableError,
    final,
)
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor
from airflow_provider_nugen.waiting.result import Outcome

from .harness import MODES, Store, TaskInstance, run
from .support import SHORT, T0, Logs, Service

FLAGS: dict[str, dict[str, bool]] = {
    "no flag": {},
    "soft_fail": {"soft_fail": True},
    "never_fail": {"never_fail": True},
    "silent_fail": {"silent_fail": True},
}
SKIP = AirflowSkipException
#: Outcome, then what ends the task with each flag, as in Airflow's poke loop: ``soft_fail`` skips for
#: AirflowSensorTimeout, AirflowTaskTimeout and AirflowFailException, ``never_fail`` for every exception, and
#: ``silent_fail`` continues after every other.
TABLE: dict[Outcome | None, tuple[type[BaseException], ...]] = {
    Outcome.FAILED: (final(JobFailedError), SKIP, SKIP, final(JobFailedError)),
    Outcome.CANCELLED: (final(JobCancelledError), SKIP, SKIP, final(JobCancelledError)),
    Outcome.REJECTED: (final(RequestRejectedError), SKIP, SKIP, final(RequestRejectedError)),
    # With silent_fail only the timeout ends a wait for a service that cannot be reached.
    Outcome.UNREACHABLE: (ServiceUnreachableError, ServiceUnreachableError, SKIP, AirflowSensorTimeout),
    #: Nothing was asked.
    None: (final(InvalidArgumentError), SKIP, SKIP, final(InvalidArgumentError)),
    Outcome.TIMEOUT: (AirflowSensorTimeout, SKIP, SKIP, AirflowSensorTimeout),
    Outcome.EXECUTION_TIMEOUT: (AirflowTaskTimeout, SKIP, SKIP, AirflowTaskTimeout),
}

Prepare = Callable[[Service, Callable[..., str]], dict[str, Any]]


def failed_before(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "FAILED", overrides={"error": "out of memory"})
    return {}


def failed_later(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    service.world.job("a-1").end_early("FAILED", T0 + 0.04, "out of memory")
    return {}


def stopped(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", ("PROCESSING", 0.04), "STOPPED")
    return {}


def wrong_key(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "READY")
    service.world.rotate_key("another-key")
    return {}


def wrong_key_later(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "PROCESSING")
    service.world.add_fault({"action": "status", "status": 401, "skip": 1})
    return {}


def missing_id(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    return {}


def gone_later(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "PROCESSING")
    service.world.add_fault({"action": "status", "status": 404, "skip": 1})
    return {}


def empty_id(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    return {"alignment_id": ""}


def wrong_revision(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "READY")
    return {"nugen_conn_id": connection("nugen", "other", host=service.url, extra={"api_revision": "C"})}


def no_connection(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    return {"nugen_conn_id": "nowhere"}


def bad_gateway(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "PROCESSING")
    service.world.add_fault({"action": "status", "status": 502, "skip": 1})
    return {"timeout": 1.5}


def timeout(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "PROCESSING")
    return {"timeout": 0.12}


def execution_timeout(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "PROCESSING")
    return {"execution_timeout": timedelta(seconds=0.15)}


def execution_timeout_while_asking(service: Service, connection: Callable[..., str]) -> dict[str, Any]:
    service.job("alignment", "a-1", "PROCESSING")
    service.world.add_fault({"action": "delay", "seconds": 0.25})
    return {"execution_timeout": timedelta(seconds=0.15)}


#: What happens, the outcome, and what the message says.
SCENARIOS: dict[Prepare, tuple[Outcome | None, str]] = {
    failed_before: (Outcome.FAILED, r"alignment 'a-1' failed \(status 'FAILED'\): out of memory\."),
    failed_later: (Outcome.FAILED, r"alignment 'a-1' failed \(status 'FAILED'\): out of memory\."),
    stopped: (Outcome.CANCELLED, r"alignment 'a-1' was stopped \(status 'STOPPED'\)"),
    wrong_key: (Outcome.REJECTED, r"the status of alignment 'a-1' could not be read: HTTP 401: .*API key"),
    wrong_key_later: (Outcome.REJECTED, r"the status of alignment 'a-1' could not be read: HTTP 401: "),
    missing_id: (Outcome.REJECTED, r"the status of alignment 'a-1' could not be read: HTTP 404: .*Check the id"),
    gone_later: (Outcome.REJECTED, r"the status of alignment 'a-1' could not be read: HTTP 404: "),
    empty_id: (None, r"alignment_id is '', so there is nothing to ask for\. Pass alignment_id"),
    wrong_revision: (Outcome.REJECTED, r"HTTP 404: Not Found\. .*'api_revision'"),
    no_connection: (Outcome.REJECTED, r"\(connection 'nowhere'\).*there is no such connection"),
    bad_gateway: (Outcome.UNREACHABLE, r"the status of alignment 'a-1' could not be read .*HTTP 502"),
    timeout: (Outcome.TIMEOUT, r"its timeout of 0\.12 s was over \(deadline \d{4}-.*\): last status 'PROCESSING'"),
    execution_timeout: (Outcome.EXECUTION_TIMEOUT, ""),
    execution_timeout_while_asking: (Outcome.EXECUTION_TIMEOUT, ""),
}


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prepare", SCENARIOS, ids=lambda prepare: prepare.__name__)
def test_the_table(
    service: Service, connection: Callable[..., str], key: str, prepare: Prepare, mode: str, flag: str
) -> None:
    if (prepare, mode) == (execution_timeout, "reschedule"):
        # There it counts per poke.
        prepare = execution_timeout_while_asking
    arguments = {"alignment_id": "a-1", "timeout": 15, **prepare(service, connection), **MODES[mode], **FLAGS[flag]}
    done = run(
        lambda: AlignmentStatusSensor(task_id="wait", poke_interval=SHORT, use_eta=False, **arguments),
        key,
        store=Store(),
    )
    outcome, message = SCENARIOS[prepare]
    assert done.ending is TABLE[outcome][list(FLAGS).index(flag)]
    if (outcome, flag) == (Outcome.UNREACHABLE, "silent_fail"):
        message = r"its timeout of 1\.5 s was over .*the final poll failed: HTTP 502"
    assert re.search(message, str(done.error))
    assert done.xcoms == {}


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_the_poke_loop_does_not_time_out_before_the_final_poll(
    service: Service, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    # The deadline passes while the loop is busy with what a poke has found.
    service.job("alignment", "a-1", "PROCESSING")
    real = AlignmentStatusSensor.poke

    def slow(self: Any, context: Any) -> Any:
        found = real(self, context)
        time.sleep(0.6)
        return found

    monkeypatch.setattr(AlignmentStatusSensor, "poke", slow)
    sensor = AlignmentStatusSensor(task_id="wait", alignment_id="a-1", timeout=0.5, **MODES[mode])
    ti = TaskInstance(sensor)
    if mode == "reschedule":
        with pytest.raises(AirflowRescheduleException):
            sensor.execute({"ti": ti})
        ti.first_poke = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(AirflowSensorTimeout, match=r"alignment 'a-1' was not done .* timeout of 0\.5 s"):
        sensor.execute({"ti": ti})
    assert service.asked() == 2
    assert sensor.timeout == 0.5


#: What the triggerer leaves behind for a wait that it gave up.
LOST = {"error": "Trigger failure", "traceback": ["Traceback (most recent call last):", "Boom"]}
LATE = {"error": "Trigger timeout"}
#: The final poll, then what it makes of a lost trigger and of a late one: an outcome of the table.
FINAL_POLLS: dict[str, tuple[Prepare, Outcome | None, Outcome | None]] = {
    "failed": (failed_before, Outcome.FAILED, Outcome.FAILED),
    # It was accepted before the wait deferred, and so may be again.
    "wrong key": (wrong_key, Outcome.UNREACHABLE, Outcome.TIMEOUT),
    "never seen": (missing_id, Outcome.REJECTED, Outcome.REJECTED),
    "running": (timeout, Outcome.UNREACHABLE, Outcome.TIMEOUT),
    "running, execution_timeout": (execution_timeout, Outcome.UNREACHABLE, Outcome.EXECUTION_TIMEOUT),
}


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("left", [LOST, LATE], ids=["lost", "late"])
@pytest.mark.parametrize("final_poll", FINAL_POLLS)
def test_a_lost_or_late_trigger_means_one_final_poke(
    service: Service, connection: Callable[..., str], final_poll: str, left: dict[str, Any], flag: str
) -> None:
    prepare, *outcomes = FINAL_POLLS[final_poll]
    arguments = {"timeout": 600, **prepare(service, connection), **FLAGS[flag]}
    if "timeout" in final_poll:
        arguments["execution_timeout"] = timedelta(seconds=90)
    sensor = AlignmentStatusSensor(task_id="wait", alignment_id="a-1", **arguments)
    outcome = outcomes[left is LATE]
    assert outcome is not None
    expected = TABLE[outcome][list(FLAGS).index(flag)]
    if outcome is Outcome.UNREACHABLE and flag == "silent_fail":
        # The trigger is gone: nothing is left that could continue.
        expected = ServiceUnreachableError
    with pytest.raises(expected) as caught:
        sensor.resume_execution("__fail__", left, {"ti": TaskInstance(sensor)})
    assert type(caught.value) is expected
    assert service.asked() == (2 if final_poll == "wrong key" else 1)
    text = str(caught.value)
    assert "'a-1'" in text
    if outcome is Outcome.TIMEOUT:
        assert f"its timeout of {'10 min' if final_poll == 'wrong key' else '0.12 s'} was over" in text
        assert ("the final poll failed: HTTP 401" in text) is (final_poll == "wrong key")
    if outcome is Outcome.EXECUTION_TIMEOUT:
        assert "its execution_timeout of 2 min was over" in text
    if outcome is Outcome.UNREACHABLE:
        assert "the trigger failed (Trigger failure). The job continues." in text


@pytest.mark.parametrize("left", [LOST, LATE], ids=["lost", "late"])
def test_a_job_that_is_done_at_the_final_poke_is_a_success(service: Service, key: str, left: dict[str, Any]) -> None:
    # The times of the envelope are those of the request.
    service.job("alignment", "a-1", "READY", overrides={"envelope": {"start_time": None, "end_time": None}})
    expected = run(lambda: AlignmentStatusSensor(task_id="wait", alignment_id="a-1"), key)
    sensor = AlignmentStatusSensor(task_id="wait", alignment_id="a-1")
    ti = TaskInstance(sensor)
    final = sensor.resume_execution("__fail__", left, {"ti": ti})
    assert all(status.pop("waited_seconds") >= 0 for status in (final, expected.xcoms["return_value"]))
    assert {"return_value": final, **ti.xcoms} == expected.xcoms


def test_the_backstop_raises_what_we_catch() -> None:
    sensor = AlignmentStatusSensor(task_id="wait", alignment_id="a-1")
    for left, error in ((LOST, TaskDeferralError), (LATE, TaskDeferralTimeout)):
        with pytest.raises(error):
            BaseOperator.resume_execution(sensor, "__fail__", left, {})


def test_the_outcome_is_told_again_on_the_worker(service: Service, key: str, logs: Logs) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    done = run(lambda: AlignmentStatusSensor(task_id="wait", alignment_id="a-1", poke_interval=SHORT), key)
    assert len(done.deferrals) == 1
    assert logs.at("info")[-1] == "Nugen (connection 'nugen_default'): alignment 'a-1' is done: READY."
