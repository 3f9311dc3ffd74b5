"""What a sensor in reschedule mode remembers between two pokes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_nugen.compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
)
from airflow_provider_nugen.exceptions import ServiceUnreachableError
from airflow_provider_nugen.sensors.base import STATE_KEY
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor

from .harness import Store, TaskInstance, run
from .support import SHORT, Service


def sensor(**arguments: Any) -> AlignmentStatusSensor:
    return AlignmentStatusSensor(
        **{
            "task_id": "wait",
            "alignment_id": "a-1",
            "poke_interval": SHORT,
            "deferrable": False,
            "mode": "reschedule",
            "use_eta": False,
            **arguments,
        }
    )


@pytest.fixture
def task(service: Service) -> TaskInstance:
    service.job("alignment", "a-1", "PROCESSING")
    return TaskInstance(sensor())


def poke_once(ti: TaskInstance, store: Store | None, **arguments: Any) -> AirflowRescheduleException:
    context = {"ti": ti} | ({"task_state_store": store} if store else {})
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor(**arguments).execute(context)
    return caught.value


def test_the_memory_is_written_after_each_poke_and_taken_up_by_the_next(service: Service, task: TaskInstance) -> None:
    store = Store()
    poke_once(task, store)
    first = store.get(STATE_KEY)
    assert {**first, "try": [0, 1], "seen": True, "status": "PROCESSING"} == first
    assert "failures" not in first
    service.world.add_fault({"action": "status", "status": 502})
    poke_once(task, store)
    poke_once(task, store)
    assert store.get(STATE_KEY)["failures"] == 2
    service.world.clear_faults()
    poke_once(task, store)
    assert "failures" not in store.get(STATE_KEY)


@pytest.mark.parametrize(("name", "value"), [("try_number", 2), ("max_tries", 3)])
def test_another_try_begins_anew(service: Service, task: TaskInstance, name: str, value: int) -> None:
    store = Store()
    service.world.add_fault({"action": "status", "status": 502})
    poke_once(task, store)
    poke_once(task, store)
    assert store.get(STATE_KEY)["failures"] == 2
    setattr(task, name, value)
    poke_once(task, store)
    assert store.get(STATE_KEY)["failures"] == 1


@pytest.mark.parametrize("stored", ["nonsense", 5, ["x"], {"try": [0, 1], "from": "a later version"}, {"try": None}])
def test_strange_memories_do_no_harm(task: TaskInstance, stored: Any) -> None:
    store = Store()
    store.set(STATE_KEY, stored)
    poke_once(task, store)
    assert store.get(STATE_KEY)["status"] == "PROCESSING"


@pytest.mark.parametrize("word", ["READY", "FAILED"])
def test_the_end_forgets(service: Service, key: str, word: str) -> None:
    service.job("alignment", "a-1", "PROCESSING", word)
    store = Store()
    store.set("another key", 1)
    run_ = run(sensor, key, store=store)
    assert run_.pokes > 1
    assert store.values == {"another key": "1"}


@pytest.mark.usefixtures("hurry")
def test_with_memory_an_outage_ends_the_wait_and_without_only_the_timeout(service: Service, key: str) -> None:
    service.job("alignment", "a-1", "READY")
    service.world.add_fault({"action": "status", "status": 502})
    ended = [run(lambda: sensor(timeout=0.5), key, store=store) for store in (Store(), None)]
    assert [run_.ending for run_ in ended] == [ServiceUnreachableError, AirflowSensorTimeout]
    assert "whether the job still runs is not known" in str(ended[0].error)
    assert "its status was never read; the final poll failed: HTTP 502" in str(ended[1].error)


@pytest.mark.parametrize("with_store", [True, False])
def test_the_timeout_counts_from_the_first_poke(service: Service, task: TaskInstance, with_store: bool) -> None:
    store = Store() if with_store else None
    poke_once(task, store, timeout=60)
    task.first_poke = datetime.now(UTC) - timedelta(seconds=61)
    with pytest.raises(AirflowSensorTimeout, match=r"its timeout of 1 min was over .*: last status 'PROCESSING'"):
        sensor(timeout=60).execute({"ti": task} | ({"task_state_store": store} if store else {}))


@pytest.mark.parametrize("with_store", [True, False])
def test_the_next_poke_comes_no_later_than_the_deadline(service: Service, task: TaskInstance, with_store: bool) -> None:
    store = Store() if with_store else None
    task.first_poke = datetime.now(UTC) - timedelta(seconds=50)
    next_poke = poke_once(task, store, timeout=60, poke_interval=300).reschedule_date
    assert abs(next_poke - (task.first_poke + timedelta(seconds=60))) < timedelta(seconds=1)


def test_the_grace_of_a_fresh_id_counts_from_the_first_poke(service: Service, task: TaskInstance) -> None:
    service.world.add_fault({"action": "status", "status": 404})
    poke_once(task, None)
    task.first_poke = datetime.now(UTC) - timedelta(seconds=59)
    with pytest.raises(AirflowFailException, match="HTTP 404"):
        sensor().execute({"ti": task})


def test_other_modes_keep_no_memory(service: Service, key: str) -> None:
    for arguments in ({"mode": "poke"}, {"mode": "poke", "deferrable": True}, {"deferrable": True}):
        service.job("alignment", "a-1", "PROCESSING", "READY")
        store = Store()
        written: list[str] = []
        store.set = lambda key, value, written=written: written.append(key)  # type: ignore[method-assign]
        run(lambda arguments=arguments: sensor(**arguments), key, store=store)
        assert written == []


def test_the_memory_is_small_and_without_the_key(task: TaskInstance, key: str) -> None:
    store = Store()
    poke_once(task, store)
    text = json.dumps(store.values)
    assert key not in text
    assert len(text) < 500


@pytest.mark.parametrize("with_store", [True, False])
def test_intervals_grow_with_the_time_waited(task: TaskInstance, with_store: bool) -> None:
    def interval(waited: float, **arguments: Any) -> timedelta:
        task.first_poke = datetime.now(UTC) - timedelta(seconds=waited)
        store = Store() if with_store else None
        arguments = {"poke_interval": 10, "timeout": 86_400, "exponential_backoff": True, **arguments}
        next_poke: datetime = poke_once(task, store, **arguments).reschedule_date
        return next_poke - datetime.now(UTC)

    assert interval(0) < timedelta(seconds=11)
    assert timedelta(seconds=390) < interval(600) < timedelta(seconds=811)
    assert timedelta(seconds=59) < interval(600, max_wait=60) < timedelta(seconds=61)
