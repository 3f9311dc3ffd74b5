"""What succeeds fills the events of its outlets, and never fails because of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias, BaseOperator
from airflow.sdk.execution_time.context import OutletEventAccessors
from sensors.harness import MODES, TaskInstance, run
from sensors.support import SHORT, Logs, Service, logs, make_service, no_scheduler, quick_polls, service, services

from airflow_provider_nugen.api.asset_uri import asset_uri
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.operators.nugen import CreateEvaluationOperator, EvaluationGateOperator
from airflow_provider_nugen.operators.seekr import SeekrCreateAlignmentOperator
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor

__all__ = ["logs", "make_service", "no_scheduler", "quick_polls", "service", "services"]

MODEL = Asset("support_model")
ALIAS = AssetAlias("support_models")


def sensor(alignment_id: Any = "a-1", **arguments: Any) -> Callable[[], BaseOperator]:
    wanted = {"poke_interval": SHORT, "outlets": [MODEL, ALIAS], "use_eta": False, **arguments}
    return lambda: AlignmentStatusSensor(task_id="wait", alignment_id=alignment_id, **wanted)


def outcome(make: Callable[[], BaseOperator], key: str, **context: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a task to its end; return the extra of its asset, and those of the assets of its alias by their URIs."""
    events = OutletEventAccessors()
    ti: Any = TaskInstance(make())
    run(make, key, ti=ti, outlet_events=events, **context).value  # noqa: B018  # raises if the task failed
    aliased = {event.dest_asset_key.uri: event.extra for event in events[ALIAS].asset_alias_events}
    assert len(aliased) == len(events[ALIAS].asset_alias_events), "two events of one asset"
    return events[MODEL].extra, aliased


@pytest.mark.parametrize("mode", MODES)
def test_a_wait_fills_the_event(service: Service, key: str, mode: str) -> None:
    service.job("alignment", "a-1", "PROCESSING", "EVALUATED", inputs={"name": "support", "base_model": "base"})
    extra, aliased = outcome(sensor(**MODES[mode]), key)
    assert extra["alignment_id"] == "a-1"
    assert extra["model_id"]
    assert extra["base_model"] == "base"
    assert extra["performance_metrics"]["accuracy_after"] is not None
    assert extra["job_seconds"] is not None
    host = service.url.partition("//")[2]
    assert aliased == {f"nugen://{host}/models/{extra['model_id']}": extra}


def test_a_list_of_jobs_is_one_event_of_an_asset_and_many_of_an_alias(service: Service, key: str) -> None:
    for job_id in ("a-1", "a-2"):
        service.job("alignment", job_id, "READY")
    extra, aliased = outcome(sensor(["a-1", "a-2"]), key)
    assert extra["alignment_ids"] == ["a-1", "a-2"]
    assert extra["model_ids"] == [job["model_id"] for job in extra["jobs"]]
    assert extra["job_count"] == 2
    assert list(aliased.values()) == extra["jobs"]


def test_an_empty_list_is_an_event_without_jobs(service: Service, key: str) -> None:
    extra, aliased = outcome(sensor([]), key)
    assert extra == {"jobs": [], "job_count": 0}
    assert aliased == {}


def test_an_operator_fills_the_event_too(service: Service, key: str) -> None:
    service.world.add_job("benchmark", "b-1", [("READY", 0.0)])

    def make() -> BaseOperator:
        return CreateEvaluationOperator(
            task_id="evaluate", model_id="nugen-flash-instruct", benchmark_id="b-1", outlets=[MODEL, ALIAS]
        )

    extra, aliased = outcome(make, key, run_id="a_run")
    assert extra == {"evaluation_id": service.world.all("evaluation")[-1].id, "model_id": "nugen-flash-instruct"}
    assert list(aliased) == [f"nugen://{service.url.partition('//')[2]}/models/nugen-flash-instruct"]


def test_a_job_that_is_started_and_waited_for_is_one_event(make_service: Callable[..., Service], key: str) -> None:
    make_service(speed=10_000)

    def make() -> BaseOperator:
        return SeekrCreateAlignmentOperator(
            task_id="align",
            instructions="Be kind.",
            files=["file-demo-1"],
            wait_for_completion=True,
            deferrable=False,
            poke_interval=SHORT,
            outlets=[MODEL, ALIAS],
        )

    extra, aliased = outcome(make, key, run_id="a_run")
    assert extra["status"]
    assert list(aliased.values()) == [extra]


def test_a_gate_that_lets_pass_says_the_metrics(service: Service, key: str) -> None:
    service.world.add_job(
        "evaluation", "e-1", [("READY", 0.0)], inputs={"model_id": "m-1", "benchmark_id": "benchmark-demo-1"}
    )

    def make() -> BaseOperator:
        return EvaluationGateOperator(
            task_id="gate", evaluation_id="e-1", conditions=["answer_relevance_mean >= 0"], outlets=[MODEL, ALIAS]
        )

    extra, aliased = outcome(make, key)
    assert extra["model_id"] == "m-1"
    assert extra["metrics"]["answer_relevance_mean"] >= 0
    assert list(aliased.values()) == [extra]


def test_events_that_cannot_be_filled_do_not_fail_the_task(service: Service, key: str, logs: Logs) -> None:
    service.job("alignment", "a-1", "READY")
    make = sensor()
    ti: Any = TaskInstance(make())
    assert run(make, key, ti=ti).value["status"] == "READY"  # no "outlet_events" in the context
    assert any("outlets" in line for line in logs.at("warning"))


def test_a_task_without_outlets_does_not_ask_for_them(service: Service, key: str, logs: Logs) -> None:
    service.job("alignment", "a-1", "READY")
    make = sensor(outlets=[])
    ti: Any = TaskInstance(make())
    assert run(make, key, ti=ti).value["status"] == "READY"
    assert logs.at("warning") == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"alignment_id": "a", "model_id": "m/1", "evaluation_id": "e"}, "nugen://api.nugen.in/models/m%2F1"),
        ({"evaluation_id": "e"}, "nugen://api.nugen.in/evaluations/e"),
        ({"alignment_id": "a", "model_id": None}, None),
        ({"model_id": " "}, None),
        ({"model_id": 7}, None),
    ],
)
def test_the_uri_of_what_was_made(facts: dict[str, Any], expected: str | None) -> None:
    assert asset_uri(NUGEN, "https://api.nugen.in", facts) == expected
