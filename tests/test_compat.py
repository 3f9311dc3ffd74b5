"""What differs between the Airflow versions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseHook, BaseSensorOperator
from airflow.sdk.bases import sensor as airflow_sensor
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_nugen import compat


@pytest.mark.parametrize(
    "name",
    [
        "AirflowException",
        "AirflowFailException",
        "AirflowRescheduleException",
        "AirflowSensorTimeout",
        "AirflowSkipException",
        "AirflowTaskTimeout",
        "TaskDeferralError",
        "TaskDeferralTimeout",
    ],
)
def test_the_exceptions_are_those_that_airflow_itself_knows(name: str) -> None:
    # Another class of the same name would not be caught by the poke loop.
    assert getattr(airflow_sensor, name) is getattr(compat, name)


def test_airflow_asks_for_a_missing_connection_with_our_exception() -> None:
    with pytest.raises(compat.AirflowNotFoundException):
        BaseHook.get_connection("a_connection_that_does_not_exist")


def test_everything_that_is_offered_is_there() -> None:
    assert all(hasattr(compat, name) for name in compat.__all__)


def test_the_task_state_store_is_the_contexts_own_or_none() -> None:
    store = object()
    assert compat.task_state_store({"task_state_store": store}) is store
    assert compat.task_state_store({}) is None


def test_the_poke_loop_still_asks_for_the_next_interval_where_we_answer() -> None:
    # JobSensor overrides it; were it renamed, the waiter's pauses would be lost without a word.
    assert callable(BaseSensorOperator._get_next_poke_interval)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Ask whether a task is still deferred, while Airflow gives the answers of the test."""

    def ask(states: Any, extra_xcoms: Any, map_index: int) -> bool:
        async def asend(message: Any) -> Any:
            assert (message.dag_id, message.task_ids, message.run_ids) == ("d", ["t"], ["r"])
            return SimpleNamespace(task_states=_answer(states))

        async def aget_one(**where: Any) -> Any:
            expected = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": map_index}
            assert where == {"key": "alignment_job_id", **expected}
            return _answer(extra_xcoms)

        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(asend=asend), raising=False)
        monkeypatch.setattr(XCom, "aget_one", aget_one, raising=False)
        ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=map_index)
        return asyncio.run(compat.is_still_deferred(ti, "alignment_job_id", "s-1"))

    return ask


def _answer(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.mark.parametrize(
    ("states", "extra_xcoms", "map_index", "expected"),
    [
        pytest.param({"r": {"t": "deferred"}}, "s-1", -1, True, id="moved to another triggerer"),
        pytest.param({"r": {"t": "failed"}}, "s-1", -1, False, id="marked failed"),
        pytest.param({"r": {"t": None}}, "s-1", -1, False, id="cleared"),
        pytest.param({"r": {"t": "up_for_retry"}}, "s-1", -1, True, id="the wait has ended by itself"),
        pytest.param({"r": {}}, "s-1", -1, False, id="removed"),
        pytest.param({}, "s-1", -1, False, id="run removed"),
        pytest.param({"r": {"t": "deferred"}}, "s-2", -1, False, id="cleared, and deferred again for another job"),
        pytest.param({"r": {"t": "deferred"}}, None, -1, True, id="no arguments"),
        pytest.param({"r": {"t_2": "deferred", "t_1": "failed"}}, "s-1", 2, True, id="mapped"),
        pytest.param({"r": {"t_2": "failed", "t_1": "deferred"}}, "s-1", 2, False, id="mapped, ended"),
        pytest.param(RuntimeError("no supervisor"), "s-1", -1, True, id="states cannot be read"),
        pytest.param({"r": {"t": "deferred"}}, RuntimeError("no"), -1, True, id="XCom cannot be read"),
    ],
)
def test_a_task_that_waits_as_before_is_told_from_one_that_was_ended(
    ask: Callable[..., bool], states: Any, extra_xcoms: Any, map_index: int, expected: bool
) -> None:
    assert ask(states, extra_xcoms, map_index) is expected
