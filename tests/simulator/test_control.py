"""What tests can see and do: from Python, and over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_nugen.simulator import Simulator, create_app, run_simulator
from tests.simulator.conftest import KEY, NOW, Api

V3 = "/api/v3"


def test_the_request_log(api: Api) -> None:
    api.call("GET", f"{V3}/models/base", params={"limit": 1})
    api.call("GET", "/v1/flow/alignment", authorization="wrong")
    api.call("GET", f"{V3}/nothing")
    api.call("PUT", f"{V3}/models/base")
    seen = api.get("/_simulator/requests")
    assert [(s["service"], s["operation"], s["method"], s["path"], s["status"], s["authorized"]) for s in seen] == [
        ("nugen", "base_models", "GET", f"{V3}/models/base", 200, True),
        ("seekr", "seekr_list_alignments", "GET", "/v1/flow/alignment", 401, False),
        ("nugen", "", "GET", f"{V3}/nothing", 404, True),
        ("nugen", "base_models", "PUT", f"{V3}/models/base", 405, True),
    ]
    # One client that keeps its connection.
    assert len({s["client_port"] for s in seen}) == 1
    assert {s["at"] for s in seen} == {NOW}
    assert [s.status for s in api.simulator.requests] == [200, 401, 404, 405]
    assert api.call("DELETE", "/_simulator/requests").status_code == 204
    assert api.simulator.requests == []


def test_nothing_that_can_be_seen_holds_the_key(simulate: Callable[..., Api], tmp_path: Path) -> None:
    api = simulate(state_file=tmp_path / "state.json")
    api.create_alignment()
    api.call("GET", "/v1/flow/alignment")
    api.call("GET", f"{V3}/models/base", authorization="Bearer another-secret", params={"key": KEY})
    shown = [api.call("GET", f"/_simulator/{what}").text for what in ("requests", "jobs", "faults")]
    shown += [api.call("GET", "/openapi.json").text, (tmp_path / "state.json").read_text()]
    shown.append(repr(api.simulator.requests))
    assert not [text for text in shown if KEY in text or "another-secret" in text]


def test_the_log_can_be_read_while_requests_come(api: Api) -> None:
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            api.call("GET", f"{V3}/models/base")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        while len(api.simulator.requests) < 100:
            assert all(seen.status == 200 for seen in api.simulator.requests)
    finally:
        stop.set()
        thread.join()


def test_a_job_with_an_id_and_a_life_of_ones_choice(api: Api) -> None:
    body = {
        "kind": "alignment",
        "id": "mine",
        "stages": [["PROCESSING", 5], ["READY", 0]],
        "inputs": {"name": "Mine"},
        "overrides": {"creator": "me"},
    }
    answer = api.call("POST", "/_simulator/jobs", json=body)
    assert (answer.status_code, answer.json()["word"], answer.json()["done"]) == (201, "PROCESSING", False)
    api.clock.forward(5)
    shown = api.get(f"{V3}/alignment-project/mine")
    assert (shown["status"], shown["alignment_name"], shown["creator"]) == ("READY", "Mine", "me")
    (job,) = [job for job in api.get("/_simulator/jobs") if job["id"] == "mine"]
    assert (job["word"], job["done"]) == ("READY", True)


@pytest.mark.parametrize("wrong", [{"kind": "training"}, {"stages": []}, {"stages": [["READY"]]}])
def test_a_job_that_makes_no_sense_is_422(api: Api, wrong: dict[str, object]) -> None:
    body = {"kind": "alignment", "id": "x", "stages": [["READY", 0]], **wrong}
    assert api.call("POST", "/_simulator/jobs", json=body).status_code == 422


@pytest.mark.parametrize("kind", ["seekr_alignment", "data_job"])
def test_a_job_of_a_team(api: Api, kind: str) -> None:
    api.simulator.add_job(kind, "x", [("running", 0)], scope="team-1")
    path = "/v1/flow/alignment" if kind == "seekr_alignment" else "/v1/flow/data-jobs"
    assert api.get(f"{path}/x", headers={"x-team-id": "team-1"})["status"] == "running"
    assert [job["id"] for job in api.get(path, headers={"x-team-id": "team-1"})["data"]] == ["x"]
    assert api.call("GET", f"{path}/x").status_code == 404


def test_overrides_are_fields_of_the_answers_and_can_be_taken_back(api: Api) -> None:
    alignment_id = api.create_alignment()
    path, job = f"{V3}/alignment-project/status/{alignment_id}", f"/_simulator/jobs/{alignment_id}"
    before = api.get(path)
    api.json("PATCH", job, json={"status": "DREAMING", "model_id": "early"})
    api.json("PATCH", job, json={"progress": 7.5})
    answer = api.get(path)
    assert answer["status"] == answer["data"]["status"] == "DREAMING"
    assert (answer["data"]["model_id"], answer["data"]["progress"]) == ("early", 7.5)
    api.json("PATCH", job, json={})
    assert api.get(path) == before


def test_the_envelope_can_be_overridden_apart(api: Api) -> None:
    alignment_id = api.create_alignment()
    path = f"{V3}/alignment-project/status/{alignment_id}"
    api.simulator.override_job(alignment_id, envelope={"status": "FAILED"})
    answer = api.get(path)
    assert (answer["status"], answer["data"]["status"]) == ("FAILED", "PROCESSING")
    assert "envelope" not in answer["data"]
    api.simulator.override_job(alignment_id, envelope={"data": None})
    assert api.get(path)["data"] is None


def test_a_model_with_an_id_of_ones_choice(api: Api) -> None:
    api.simulator.add_job("alignment", "x", [("READY", 0)], overrides={"model_id": "my-model"})
    assert api.json("POST", f"{V3}/models/deploy-model/my-model") == "my-model"
    assert api.get(f"{V3}/models/aligned")["domain_aligned_models"][0]["id"] == "my-model"


def test_finishing_a_job_takes_it_through_all_that_comes_before(api: Api) -> None:
    alignment_id = api.create_alignment(benchmark_id="benchmark-demo-1")
    assert api.json("POST", f"/_simulator/jobs/{alignment_id}/finish")["word"] == "EVALUATED"
    shown = api.get(f"{V3}/alignment-project/{alignment_id}")
    assert (shown["status"], shown["progress"]) == ("EVALUATED", 100)
    assert shown["model_id"].startswith("-")
    assert api.get(f"{V3}/evaluations/{shown['evaluation_id']}/status")["status"] == "READY"
    assert api.get(f"{V3}/models/aligned")["domain_aligned_models"]


def test_an_alignment_that_is_trained_without_having_been_ready_is_trained(api: Api) -> None:
    for word in ("READY", "DEPLOYING", "EVALUATING", "UNDEPLOYED", "EVALUATED", "COMPLETED"):
        api.simulator.add_job("alignment", word, [(word, 0)])
        shown = api.get(f"{V3}/alignment-project/{word}")
        assert (shown["model_id"], shown["gpu_training_completed"]) == (f"{word}-model", True)


@pytest.mark.parametrize("what", ["fail", "stop", "finish"])
def test_what_is_done_to_a_job_that_there_is_not(api: Api, what: str) -> None:
    answer = api.call("POST", f"/_simulator/jobs/lost/{what}", json={"reason": "r"} if what == "fail" else None)
    assert (answer.status_code, answer.json()) == (404, {"detail": "no job 'lost'"})
    with pytest.raises(KeyError, match="lost"):
        getattr(api.simulator, f"{what}_job")("lost", *(["r"] if what == "fail" else []))


def test_an_id_with_a_slash_on_the_control_routes(api: Api) -> None:
    api.simulator.add_job("alignment", "a/b", [("PROCESSING", 0)])
    assert api.json("POST", "/_simulator/jobs/a%2Fb/stop")["word"] == "STOPPED"


def test_a_state_file_keeps_the_jobs_over_a_restart(simulate: Callable[..., Api], tmp_path: Path) -> None:
    options = {"state_file": tmp_path / "state.json", "speed": 10}
    first = simulate(**options)
    running, failed = first.create_alignment(), first.create_alignment()
    data_job = first.json("POST", "/v1/flow/data-jobs", json={"name": "n", "job_type": "principle_files"})["id"]
    first.json("POST", f"/v1/flow/data-jobs/{data_job}/add-files", json={"file_ids": ["f"]})
    first.simulator.fail_job(failed, "no")
    first.simulator.override_job(running, creator="me")
    second = simulate(**options)
    path = f"{V3}/alignment-project"
    assert second.get(path) == first.get(path)
    assert second.get(f"/v1/flow/data-jobs/{data_job}") == first.get(f"/v1/flow/data-jobs/{data_job}")
    # It continues where the clock is, not where it was stopped.
    second.clock.forward(61)
    assert second.get(f"{path}/{running}")["status"] == "READY"
    assert second.get(f"{path}/{failed}")["error"] == "no"
    assert [*tmp_path.iterdir()] == [tmp_path / "state.json"]


def test_durations_and_speed(simulate: Callable[..., Api]) -> None:
    api = simulate(speed=2, durations={"alignment": {"PROCESSING": 30}})
    path = f"{V3}/alignment-project/{api.create_alignment()}"
    api.clock.forward(14.9)
    assert api.get(path)["status"] == "PROCESSING"
    api.clock.forward(0.2)
    assert api.get(path)["status"] == "READY"


@pytest.mark.parametrize("wrong", [{"speed": 0}, {"durations": {"training": {}}}])
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        create_app(**wrong)


def test_plain_timestamps_are_nugens(simulate: Callable[..., Api]) -> None:
    api = simulate(plain_timestamps=True)
    created = api.get(f"{V3}/alignment-project/{api.create_alignment()}")["created_date"]
    assert created == "2026-01-02 03:04:05.000000"
    job = api.json("POST", "/v1/flow/alignment/generate", json={"instructions": "i", "files": []})
    assert job["created_at"] == "2026-01-02T03:04:05.000Z"


def test_connections_are_those_of_airflow(api: Api) -> None:
    assert api.simulator.nugen_connection() == {
        "conn_type": "nugen",
        "host": api.simulator.url,
        "password": KEY,
        "extra": {"api_revision": "B"},
    }
    assert api.simulator.seekr_connection()["extra"] == {}
    assert json.loads(json.dumps(api.simulator.seekr_connection("team")))["extra"] == {"team_id": "team"}


def test_a_simulator_has_what_its_world_has(api: Api) -> None:
    assert isinstance(api.simulator, Simulator)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = api.simulator.nonsense


def test_it_is_gone_after_an_exception() -> None:
    before, urls = threading.active_count(), []

    def fail() -> None:
        with run_simulator() as simulator:
            urls.append(simulator.url)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    port = int(urls[0].rsplit(":", 1)[1])
    assert threading.active_count() == before
    # The port is free again.
    with run_simulator(port=port) as simulator:
        assert simulator.url.endswith(f":{port}")
        with pytest.raises(OSError, match="in use"), run_simulator(port=port):
            pass
