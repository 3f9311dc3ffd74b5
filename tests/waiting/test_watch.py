"""Which jobs of a list are news: (listings, answers, times) -> events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.listings import listing_of
from airflow_provider_nugen.api.nugen import endpoints, jobs, models
from airflow_provider_nugen.api.seekr import endpoints as seekr_endpoints
from airflow_provider_nugen.api.seekr import jobs as seekr
from airflow_provider_nugen.waiting import watch as watching
from airflow_provider_nugen.waiting.watch import SETTLE, Watch, digest, finished_jobs

from .support import T0, TRANSPORT, http, response

ALIGNMENT = jobs.ALIGNMENT


def project(job_id: str, status: str = "READY", **fields: Any) -> dict[str, Any]:
    return {"alignment_id": job_id, "status": status, "model_id": f"{job_id}-model", **fields}


def listed(watch: Watch, *projects: dict[str, Any], now: float = T0) -> None:
    answer = [models.AlignmentStatus.read(item) for item in projects]
    watch.on_listing(finished_jobs(watch.kind, listing_of(watch.kind).listed(answer)), now)


def begun(stored: Any = None, **wanted: Any) -> Watch:
    watch = Watch(**{"kind": ALIGNMENT, "conn_id": "my_conn", "rand": lambda: 0.0, **wanted})
    watch.begin(stored)
    return watch


def answer(watch: Watch, now: float = T0, **statuses: Any) -> dict[str, dict[str, Any]]:
    """Answer each poll that is due with a word, a whole answer or an error; return the payloads by their ids."""
    for waiter in watch.due(now):
        say = statuses.get(waiter.job_id, "READY")
        if isinstance(say, Exception):
            waiter.on_error(waiter.next_call(), say, now)
        else:
            body = say if isinstance(say, dict) else project(waiter.job_id, say)
            waiter.on_response(waiter.next_call(), response(body), now)
    return {payload["alignment_id"]: payload for payload in watch.news(now)[0].values()}


def fire(watch: Watch, now: float = T0, **statuses: Any) -> list[str]:
    found = answer(watch, now, **statuses)
    for job_id in found:
        watch.on_fired(digest(job_id), now)
    return list(found)


def test_at_the_first_start_everything_is_old() -> None:
    watch = begun()
    listed(watch, project("a-1"), project("a-2", "PROCESSING"), project("a-3", "EVALUATED"))
    assert watch.is_dirty
    assert fire(watch) == []
    listed(watch, project("a-1"), project("a-2"), project("a-3"), project("a-4"))
    assert fire(watch) == ["a-2", "a-4"]


def test_an_account_without_a_model_is_a_first_start_too() -> None:
    watch = begun()
    listed(watch)
    assert watch.is_dirty
    assert watch.to_json() == {"done": ""}
    again = begun(watch.to_json())
    listed(again, project("a-1"))
    assert fire(again) == ["a-1"]


def test_nothing_is_fired_twice_and_all_is_stored_later() -> None:
    watch = begun({"done": ""})
    listed(watch, project("a-1"))
    assert fire(watch) == ["a-1"]
    listed(watch, project("a-1"))
    watch.settle(T0 + SETTLE - 1)
    assert not watch.is_dirty, "stored before the event can be in the database"
    assert fire(watch, T0 + 1) == []
    watch.settle(T0 + SETTLE)
    assert watch.is_dirty
    assert watch.to_json() == {"done": digest("a-1")}
    watch.on_stored()
    assert not watch.is_dirty
    assert watch.fired == {}
    listed(watch, project("a-1"))
    assert watch.due(T0 + 99) == []


def test_a_restart_before_it_is_stored_fires_again_but_not_in_the_same_process() -> None:
    fired: dict[str, float] = {}
    watch = begun({"done": ""}, fired=fired)
    listed(watch, project("a-1"))
    assert fire(watch) == ["a-1"]
    same = begun({"done": ""}, fired=fired)
    listed(same, project("a-1"))
    assert fire(same) == []
    other = begun({"done": ""})
    listed(other, project("a-1"))
    assert fire(other) == ["a-1"]


def test_the_jobs_own_status_decides() -> None:
    watch = begun({"done": ""})
    listed(watch, project("a-1"), project("a-2"), project("a-3"))
    assert fire(watch, **{"a-1": "PROCESSING", "a-2": "FAILED"}) == ["a-3"]
    assert digest("a-2") in watch.to_json()["done"]
    assert [waiter.job_id for waiter in watch.due(T0 + 100)] == ["a-1"]
    assert fire(watch, T0 + 100) == ["a-1"]


def test_a_status_that_cannot_be_read_is_asked_for_again() -> None:
    watch = begun({"done": ""}, poke_interval=60.0)
    listed(watch, project("a-1"), project("a-2"))
    assert fire(watch, **{"a-1": TRANSPORT}) == ["a-2"]
    assert watch.sleep(T0) < 60
    assert fire(watch, T0 + 60) == ["a-1"]


def test_a_status_that_is_refused_is_asked_for_again_ever_less_often() -> None:
    watch, now, polls = begun({"done": ""}, poke_interval=60.0), T0, []
    listed(watch, project("a-1"))
    while now < T0 + 86400:
        if watch.due(now):
            polls.append(now)
            assert fire(watch, now, **{"a-1": http(404, {"detail": "Alignment not found"})}) == []
        now += 60
    assert 24 <= len(polls) <= 32
    assert fire(watch, now + 3600) == ["a-1"]


def test_a_payload_has_ids_metrics_and_durations() -> None:
    watch = begun({"done": ""})
    listed(watch, project("a-1"))
    metrics = {"accuracy_before": 0.5, "accuracy_after": 0.75}
    body = project(
        "a-1",
        "EVALUATED",
        alignment_name="support-7",
        base_model="base",
        document_ids=["d-1"],
        evaluation_id="e-1",
        performance_metrics=metrics,
        created_date="2026-03-05T05:00:00Z",
        completed_date="2026-03-05T06:00:00",
    )
    payload = answer(watch, **{"a-1": body})["a-1"]
    assert payload.pop("performance_metrics").items() >= metrics.items()
    assert payload == {
        "alignment_id": "a-1",
        "model_id": "a-1-model",
        "evaluation_id": "e-1",
        "alignment_name": "support-7",
        "created_date": "2026-03-05T05:00:00Z",
        "completed_date": "2026-03-05T06:00:00Z",
        "base_model": "base",
        "document_ids": ["d-1"],
        "status": "EVALUATED",
        "job_seconds": 3600.0,
    }


def test_a_pattern_is_matched_with_the_name_of_the_status() -> None:
    watch = begun({"done": ""}, name_like="support-*")
    # A list may cut names, and change them.
    listed(watch, project("a-1", alignment_name="sup..."), project("a-2"), project("a-3", alignment_name="support-3"))
    answers = {
        "a-1": project("a-1", alignment_name="support-1"),
        "a-2": project("a-2", alignment_name="sales-2"),
        "a-3": project("a-3", alignment_name="Support-3"),
    }
    assert fire(watch, **answers) == ["a-1"]
    assert watch.to_json()["done"] == "".join(sorted([digest("a-2"), digest("a-3")]))


def test_another_pattern_does_not_make_old_models_new() -> None:
    watch = begun(name_like="support-*")
    listed(watch, project("a-1", alignment_name="sales-1"))
    other = begun(watch.to_json(), name_like="sales-*")
    listed(other, project("a-1", alignment_name="sales-1"))
    assert fire(other) == []


def test_since_makes_older_ones_new_at_the_first_start() -> None:
    since = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    watch = begun(since=since)
    old, new = "2026-02-28T23:59:59Z", "2026-03-01T00:00:01Z"
    listed(
        watch,
        project("a-1", completed_date=old),
        project("a-2", completed_date=new, created_date=old),
        # What the list does not date its own status dates.
        project("a-3"),
        project("a-4"),
        project("a-5"),
    )
    assert digest("a-1") in watch.to_json()["done"]
    answers = {
        "a-3": project("a-3", completed_date=old),
        "a-4": project("a-4", created_date=new),
        "a-5": project("a-5"),
    }
    assert fire(watch, **answers) == ["a-2", "a-4", "a-5"]


def test_ten_thousand_old_projects_fit_and_cost_nothing() -> None:
    watch = begun()
    many = [project(f"alignment-{number:05}") for number in range(10_000)]
    listed(watch, *many)
    text = json.dumps(watch.to_json())
    assert len(text) < 81_000
    again = begun(json.loads(text))
    listed(again, *many, project("new"))
    assert [waiter.job_id for waiter in again.due(T0)] == ["new"]


def test_not_more_than_some_are_polled_at_once() -> None:
    watch = begun({"done": ""})
    listed(watch, *(project(f"a-{number}") for number in range(250)))
    assert [len(fire(watch, T0 + at)) for at in range(3)] == [100, 100, 50]


def test_a_list_that_fails_is_asked_less_and_less() -> None:
    watch = begun({"done": ""}, poke_interval=60.0, rand=lambda: 1.0)
    assert [watch.on_failure(None) for _ in range(6)] == [5, 10, 20, 40, 60, 60]
    assert watch.on_failure(120.0) >= 120
    listed(watch)
    assert watch.on_failure(None) == 5


@pytest.mark.parametrize("stored", [None, 7, "text", [], {}, {"done": None}, {"done": 7}])
def test_a_store_without_anything_readable_is_a_first_start(stored: Any) -> None:
    watch = begun(stored)
    listed(watch, project("a-1"))
    assert fire(watch) == []


@pytest.mark.parametrize(
    ("kind", "listing"),
    [
        (jobs.ALIGNMENT, endpoints.LIST_ALIGNMENTS),
        (jobs.EVALUATED_ALIGNMENT, endpoints.LIST_ALIGNMENTS),
        (seekr.FINE_TUNE, seekr_endpoints.LIST_FINE_TUNES),
        (seekr.DATA_JOB, seekr_endpoints.LIST_DATA_JOBS),
    ],
    ids=lambda value: getattr(value, "key", ""),
)
def test_what_is_watched_has_a_list(kind: JobKind[Any], listing: Endpoint[Any]) -> None:
    assert listing_of(kind).listing is listing


def test_what_has_no_list_cannot_be_watched() -> None:
    with pytest.raises(ValueError, match="Nugen has no list"):
        listing_of(jobs.DEPLOYMENT)


@given(
    st.lists(
        st.tuples(
            st.sets(st.integers(0, 9)),  # newly done
            st.sets(st.integers(0, 9)),  # not listed this time
            st.sets(st.integers(0, 9)),  # whose status cannot be read this time
            st.sampled_from(["go on", "same process", "other process"]),
        ),
        max_size=12,
    )
)
def test_none_is_forgotten_and_none_is_fired_twice_in_a_process(steps: list[Any]) -> None:
    done: set[int] = set()
    stored: Any = {"done": ""}
    fired: dict[str, float] = {}
    in_process: list[str] = []
    ever: set[str] = set()
    watch, now = begun(stored, fired=fired), T0
    calm: list[Any] = [(set(), set(), set(), "go on")] * 8
    for new, hidden, unreadable, then in [*steps, *calm]:
        now += 3700.0 if (new, hidden) == (set(), set()) else 6.0
        done |= new
        if then == "other process":
            fired, in_process = {}, []
        if then != "go on":
            watch = begun(json.loads(json.dumps(stored)), fired=fired)
        watch.settle(now)
        if watch.is_dirty:
            stored = watch.to_json()
            watch.on_stored()
        listed(watch, *(project(f"a-{number}") for number in sorted(done - hidden)), now=now)
        errors = {f"a-{number}": TRANSPORT for number in unreadable}
        for job_id in fire(watch, now, **errors):
            assert job_id not in in_process
            in_process.append(job_id)
            ever.add(job_id)
    assert ever == {f"a-{number}" for number in done}


def test_a_digest_is_short_and_the_same_everywhere() -> None:
    assert digest("a-1") == digest("a-1") != digest("a-2")
    assert len(digest("\ud800")) == watching._DIGEST
