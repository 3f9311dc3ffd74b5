"""Watching the lists of real services: what fires, what it survives, what it costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from sensors.support import SHORT, Logs, Service

from airflow_provider_nugen import compat
from airflow_provider_nugen.hooks import client as client_module
from airflow_provider_nugen.triggers import watch as watching
from airflow_provider_nugen.triggers.watch import JobWatchTrigger
from airflow_provider_nugen.waiting import watch as policy

from .test_job import until

pytestmark = pytest.mark.usefixtures("quick_retries", "quick_watches")

TRAINED = {"overrides": {"model_id": "m-1"}}


@pytest.fixture
def quick_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll often; store what was fired soon; forget what this process has fired."""
    monkeypatch.setattr(watching, "MIN_INTERVAL", SHORT)
    monkeypatch.setattr(watching, "MAX_ERROR_AGE", SHORT)
    monkeypatch.setattr(policy, "SETTLE", 2 * SHORT)
    forget()


def forget() -> None:
    """Be another process."""
    watching._fired.clear()


class Stores:
    """What Airflow 3.3 gives a trigger: the state of its assets, as JSON in the database."""

    def __init__(self, name: str = "models") -> None:
        self.name = name
        self.values: dict[str, str] = {}
        self.failures = 0
        self.sets = 0

    def __getitem__(self, ref: Any) -> Stores:
        if ref.name != self.name:
            raise KeyError(ref)
        return self

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the API server is away")

    async def aget(self, key: str) -> Any:
        self._fail()
        return json.loads(self.values[key]) if key in self.values else None

    async def aset(self, key: str, value: Any) -> None:
        self._fail()
        self.sets += 1
        self.values[key] = json.dumps(value)


def trigger(stores: Stores | None, **arguments: Any) -> JobWatchTrigger:
    made = JobWatchTrigger(
        **{
            "name": "models",
            "kind": "nugen.alignment",
            "conn_id": "nugen_default",
            "poke_interval": SHORT,
            **arguments,
        }
    )
    made.asset_state_store = stores  # type: ignore[assignment]
    return made


@asynccontextmanager
async def watched(trigger: JobWatchTrigger) -> AsyncIterator[list[dict[str, Any]]]:
    """Run a trigger as the triggerer does; at the end it is cancelled."""
    payloads: list[dict[str, Any]] = []

    async def run() -> None:
        async for event in trigger.run():
            # As the triggerer sends it to its supervisor.
            assert isinstance(event, TriggerEvent)
            payloads.append(msgspec.msgpack.decode(msgspec.msgpack.encode(event.payload)))

    task = asyncio.create_task(run())
    try:
        yield payloads
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ids(payloads: list[dict[str, Any]]) -> list[str]:
    return [payload["alignment_id"] for payload in payloads]


async def a_few_polls(service: Service, operation: str = "list_alignments") -> None:
    asked = service.asked(operation)
    await until(lambda: service.asked(operation) >= asked + 3)


def test_it_can_be_made_again_from_what_is_in_the_database() -> None:
    made = trigger(None, name_like="a-*", since=7.5, newer="kept")
    path, kwargs = made.serialize()
    assert path == "airflow_provider_nugen.triggers.watch.JobWatchTrigger"
    assert json.loads(json.dumps(kwargs)) == kwargs
    assert kwargs["name"] == "models"
    assert JobWatchTrigger(**kwargs).serialize() == (path, kwargs)
    assert BaseEventTrigger.hash(path, kwargs) != BaseEventTrigger.hash(path, {**kwargs, "name": "others"})


@pytest.mark.parametrize("revision", ["A", "B", "C"])
async def test_it_fires_for_what_is_trained_elsewhere(make_service: Callable[..., Service], revision: str) -> None:
    service = make_service(revision=revision)
    service.job("alignment", "old", "READY")
    service.job("alignment", "a-1", ("PROCESSING", 1000.0), "READY", inputs={"name": "support-1"})
    service.job("alignment", "a-2", ("PROCESSING", 1000.0), "READY")
    stores = Stores()
    async with watched(trigger(stores)) as payloads:
        await a_few_polls(service)
        assert payloads == []
        service.world.finish_job("a-1")
        await until(lambda: payloads)
        service.world.fail_job("a-2", "out of memory")
        service.world.add_job("alignment", "a-3", [("READY", 0.0)])
        await until(lambda: len(payloads) == 2)
        await a_few_polls(service)
    assert ids(payloads) == ["a-1", "a-3"]
    payload = payloads[0]
    assert payload["alignment_name"] == "support-1"
    assert payload["model_id"]
    assert payload["base_model"]
    assert payload["conn_id"] == "nugen_default"
    assert list(stores.values) == ["airflow_provider_nugen.watch.nugen.alignment.nugen_default"]


async def test_what_is_trained_while_no_triggerer_runs_is_not_forgotten(service: Service) -> None:
    stores = Stores()
    async with watched(trigger(stores)) as payloads:
        await until(lambda: stores.sets)
    assert payloads == []
    forget()
    service.world.add_job("alignment", "a-1", [("READY", 0.0)])
    async with watched(trigger(stores)) as payloads:
        await until(lambda: stores.sets == 2)
    assert ids(payloads) == ["a-1"]
    forget()
    async with watched(trigger(stores)) as payloads:
        await a_few_polls(service)
    assert payloads == []


async def test_a_killed_triggerer_fires_again_rather_than_never(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "SETTLE", 1000.0)
    stores = Stores()
    async with watched(trigger(stores)) as payloads:
        await until(lambda: stores.sets)
        service.world.add_job("alignment", "a-1", [("READY", 0.0)])
        await until(lambda: payloads)
    # Airflow starts a watcher again in the same process: not twice there.
    async with watched(trigger(stores)) as payloads:
        await a_few_polls(service)
        assert payloads == []
    forget()
    async with watched(trigger(stores)) as payloads:
        await until(lambda: payloads)
    assert ids(payloads) == ["a-1"]


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 500},
        {"action": "status", "status": 401},
        {"action": "status", "status": 404},
        {"action": "drop"},
        {"action": "malformed"},
        {"action": "html"},
        {"action": "oversized"},
    ],
    ids=lambda fault: f"{fault['action']} {fault.get('status', '')}",
)
async def test_it_never_ends_whatever_the_service_says(service: Service, fault: dict[str, Any], logs: Logs) -> None:
    stores = Stores()
    async with watched(trigger(stores)) as payloads:
        await until(lambda: stores.sets)
        service.world.add_fault(fault)
        service.world.add_job("alignment", "a-1", [("READY", 0.0)])
        await until(lambda: sum(one.struck for one in service.world.faults) >= 3)
        assert payloads == []
        service.world.clear_faults()
        await until(lambda: payloads)
    assert ids(payloads) == ["a-1"]
    assert logs.at("warning")


async def test_a_first_start_waits_for_a_service_that_is_down(service: Service) -> None:
    service.world.add_job("alignment", "old", [("READY", 0.0)])
    service.world.add_fault({"action": "status", "status": 502, "times": 3})
    stores = Stores()
    async with watched(trigger(stores)) as payloads:
        await until(lambda: stores.sets)
        service.world.add_job("alignment", "a-1", [("READY", 0.0)])
        await until(lambda: payloads)
    assert ids(payloads) == ["a-1"]


async def test_a_store_that_is_away_is_not_a_first_start(service: Service) -> None:
    stores = Stores()
    async with watched(trigger(stores)):
        await until(lambda: stores.sets)
    forget()
    service.world.add_job("alignment", "a-1", [("READY", 0.0)])
    stores.failures = 5
    async with watched(trigger(stores)) as payloads:
        await until(lambda: stores.sets == 2)
    assert ids(payloads) == ["a-1"]


async def test_an_unreadable_connection_does_not_end_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, connection: Callable[..., str]
) -> None:
    fields = service.simulator.nugen_connection()
    monkeypatch.delenv("AIRFLOW_CONN_NUGEN_DEFAULT")
    stores = Stores()
    async with watched(trigger(stores)) as payloads:
        await asyncio.sleep(5 * SHORT)
        fields.pop("conn_type")
        connection("nugen", **fields)
        await until(lambda: stores.sets)
    assert payloads == []


async def test_two_watchers_share_one_poll(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.job("alignment", "a-1", ("PROCESSING", 1000.0), "READY", inputs={"name": "support-1"})
    first, second = Stores("support"), Stores("sales")
    interval = 0.3
    async with (
        watched(trigger(first, name="support", name_like="support-*", poke_interval=interval)) as support,
        watched(trigger(second, name="sales", name_like="sales-*", poke_interval=interval)) as sales,
    ):
        await until(lambda: first.sets and second.sets)
        assert service.asked("list_alignments") == 1
        service.world.finish_job("a-1")
        await until(lambda: support)
        await until(lambda: second.sets == 2)
    assert ids(support) == ["a-1"]
    assert sales == []
    assert watching.listings.in_use() == []
    assert client_module.clients.in_use() == []


async def test_before_airflow_3_3_the_process_remembers(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_asset_values", {})
    async with watched(trigger(None)):
        await until(lambda: compat._asset_values)
    service.world.add_job("alignment", "a-1", [("READY", 0.0)])
    async with watched(trigger(None)) as payloads:
        await until(lambda: payloads)
    assert ids(payloads) == ["a-1"]


async def test_a_payload_is_safe_for_airflow(service: Service) -> None:
    stores = Stores()
    async with watched(trigger(stores)) as payloads:
        await until(lambda: stores.sets)
        unkind = {"alignment_name": "\ud800\0", "document_ids": ["\udfff"], "base_model": "x" * 100_000}
        service.world.add_job("alignment", "a-1", [("READY", 0.0)], overrides=unkind)
        await until(lambda: payloads)
    assert len(json.dumps(payloads)) < 30_000
    assert "\0" not in payloads[0]["alignment_name"]


@pytest.mark.parametrize(
    ("kind", "simulated", "words", "id_name"),
    [
        ("seekr.fine_tune", "fine_tune", ("running", "completed"), "fine_tune_id"),
        ("seekr.data_job", "data_job", ("RUNNING", "COMPLETED"), "data_job_id"),
    ],
)
async def test_seekrflow(service: Service, kind: str, simulated: str, words: tuple[str, str], id_name: str) -> None:
    stores = Stores()
    async with watched(trigger(stores, kind=kind, conn_id="seekr_default")) as payloads:
        await until(lambda: stores.sets)
        service.world.add_job(simulated, "j-1", [(words[0], 1000.0), (words[1], 0.0)])
        service.world.finish_job("j-1")
        await until(lambda: payloads)
    assert payloads[0][id_name] == "j-1"


async def test_an_unknown_kind_is_said_and_does_not_end_it(logs: Logs) -> None:
    async with watched(trigger(None, kind="nugen.dream")) as payloads:
        await until(lambda: logs.at("error"))
    assert payloads == []
