"""Models as assets: what a DAG declares, and what triggered its run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset
from airflow.triggers.base import BaseEventTrigger
from sensors.harness import stored

from airflow_provider_nugen.assets import (
    aligned_data,
    aligned_models,
    fine_tuned_models,
    new_models,
    triggering_models,
)


def watching(asset: Asset) -> dict[str, Any]:
    """Return the arguments of the asset's trigger."""
    (watcher,) = asset.watchers
    arguments: dict[str, Any] = watcher.trigger.serialize()[1]
    return arguments


def test_an_asset_watches_the_list_of_alignments() -> None:
    asset = aligned_models("support_models", name_like="support-*", poke_interval=timedelta(minutes=2))
    assert asset.name == "support_models"
    assert asset.uri == "nugen://nugen_default/watched/support_models"
    assert watching(asset) == {
        "name": "support_models",
        "kind": "nugen.alignment",
        "conn_id": "nugen_default",
        "name_like": "support-*",
        "poke_interval": 120.0,
        "since": None,
    }


def test_since_is_utc_unless_it_says_otherwise() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    assert watching(aligned_models("a", since=moment))["since"] == moment.timestamp()
    assert watching(aligned_models("a", since=moment.replace(tzinfo=None)))["since"] == moment.timestamp()


def test_an_evaluated_alignment_is_another_kind() -> None:
    assert watching(aligned_models("a", wait_for="evaluation"))["kind"] == "nugen.evaluated_alignment"
    with pytest.raises(ValueError, match="wait_for"):
        aligned_models("a", wait_for="tea")


@pytest.mark.parametrize("interval", [0, -1, float("nan"), timedelta(0)])
def test_an_interval_is_positive(interval: Any) -> None:
    with pytest.raises(ValueError, match="poke_interval"):
        aligned_models("a", poke_interval=interval)


@pytest.mark.parametrize(
    ("asset", "kind"),
    [(fine_tuned_models("tunes"), "seekr.fine_tune"), (aligned_data("data", "other"), "seekr.data_job")],
    ids=lambda value: str(value),
)
def test_seekrflow(asset: Asset, kind: str) -> None:
    assert watching(asset)["kind"] == kind
    assert asset.uri.startswith("seekr://")


def test_two_assets_never_share_a_trigger() -> None:
    first, second = aligned_models("one"), aligned_models("two")
    assert isinstance(first.watchers[0].trigger, BaseEventTrigger)
    hashes = {BaseEventTrigger.hash(*asset.watchers[0].trigger.serialize()) for asset in (first, second)}
    assert len(hashes) == 2


def test_a_dag_that_is_scheduled_on_it_can_be_stored() -> None:
    with DAG("a_dag", schedule=[aligned_models("support_models", name_like="support-*")]) as dag:
        new_models()
    assert "airflow_provider_nugen.triggers.watch.JobWatchTrigger" in stored(dag)


# What triggered a run.

START = datetime(2026, 3, 5, tzinfo=UTC)


def event(after: float, extra: Any) -> Any:
    return SimpleNamespace(timestamp=START + timedelta(seconds=after), extra=extra)


def watched(after: float, **payload: Any) -> Any:
    return event(after, {"from_trigger": True, "payload": payload})


def test_the_models_of_all_events_oldest_first_each_once() -> None:
    events = {
        "one": [watched(2, alignment_id="a-2", model_id="m-2"), watched(1, alignment_id="a-1", model_id="m-1")],
        "two": [watched(3, alignment_id="a-2", model_id="m-2", status="EVALUATED")],
    }
    assert triggering_models(events) == [
        {"alignment_id": "a-1", "model_id": "m-1"},
        {"alignment_id": "a-2", "model_id": "m-2", "status": "EVALUATED"},
    ]


def test_events_of_outlets_count_too() -> None:
    jobs = [{"alignment_id": "a-1"}, {"alignment_id": "a-2"}]
    events = {"x": [event(0, {"alignment_ids": ["a-1", "a-2"], "jobs": jobs}), event(1, {"evaluation_id": "e-1"})]}
    assert triggering_models(events) == [*jobs, {"evaluation_id": "e-1"}]


@pytest.mark.parametrize("extra", [None, {}, {"from_trigger": True}, {"from_trigger": True, "payload": "x"}, {"a": 1}])
def test_other_events_are_none_of_a_model(extra: Any) -> None:
    assert triggering_models({"x": [event(0, extra)]}) == []


def test_a_run_that_somebody_started_has_none() -> None:
    assert triggering_models(None) == []
    assert triggering_models({}) == []
