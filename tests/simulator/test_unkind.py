"""What the services may do to a client: one by one, and all at once in the profile ``strict``."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from airflow_provider_nugen.simulator import create_app
from airflow_provider_nugen.simulator.state import PROFILES, Config
from tests.simulator.conftest import NOW, Api

V3 = "/api/v3"
EVALUATION = {"model_id": "nugen-pro-instruct", "benchmark_id": "benchmark-demo-1"}
LISTS = {
    "alignment": (f"{V3}/alignment-project", "alignment_projects"),
    "document": (f"{V3}/documents", "documents"),
    "benchmark": (f"{V3}/benchmark/list", "benchmarks"),
    "evaluation": (f"{V3}/evaluations", "evaluations"),
    "seekr_alignment": ("/v1/flow/alignment", "data"),
    "data_job": ("/v1/flow/data-jobs", "data"),
}


def ids_in(answer: Any, field: str) -> list[str]:
    names = ("id", "alignment_id", "evaluation_id")
    return [next(item[name] for name in names if name in item) for item in answer[field]]


def evaluate(api: Api, **body: Any) -> str:
    return str(api.json("POST", f"{V3}/evaluations", json={**EVALUATION, **body})["evaluation_id"])


@pytest.mark.parametrize("kind", LISTS)
def test_a_new_job_is_in_its_list_after_a_while(simulate: Callable[..., Api], kind: str) -> None:
    api = simulate(visible_after=60, speed=2)
    path, field = LISTS[kind]
    api.simulator.add_job(kind, "new", [("PROCESSING", 0)])
    assert "new" not in ids_in(api.get(path), field)
    api.clock.forward(29.9)
    assert "new" not in ids_in(api.get(path), field)
    api.clock.forward(0.2)
    assert "new" in ids_in(api.get(path), field)


def test_what_was_there_from_the_beginning_is_in_the_lists(simulate: Callable[..., Api]) -> None:
    api = simulate(visible_after=60)
    assert sorted(ids_in(api.get(f"{V3}/documents"), "documents")) == ["doc-demo-1", "doc-demo-2"]
    assert ids_in(api.get(f"{V3}/benchmark/list"), "benchmarks") == ["benchmark-demo-1"]


def test_a_list_without_paging_can_be_shortened_silently(simulate: Callable[..., Api]) -> None:
    api = simulate(page_size=3)
    for number in range(5):
        api.simulator.add_job("alignment", f"a-{number}", [("READY", 0)])
    for path, field in ((f"{V3}/alignment-project", "alignment_projects"), (f"{V3}/models/aligned", "")):
        answer = api.get(path)
        assert answer.keys() == {field or "domain_aligned_models"}
        assert len(next(iter(answer.values()))) == 3


@pytest.mark.parametrize(
    ("way", "listed"),
    [
        ("whole", "My Alignment " + "x" * 40),
        ("truncated", "My Alignment " + "x" * 27),
        ("lower", "my alignment " + "x" * 40),
        ("suffixed", "My Alignment " + "x" * 40 + " (1)"),
        ("missing", None),
    ],
)
def test_names_in_lists(simulate: Callable[..., Api], way: str, listed: str | None) -> None:
    api = simulate(list_names=way)
    name = "My Alignment " + "x" * 40
    api.simulator.add_job("alignment", "a", [("READY", 0)], inputs={"name": name})
    api.simulator.add_job("data_job", "d", [("running", 0)], inputs={"name": name})
    api.simulator.add_job("benchmark", "b", [("READY", 0)], inputs={"name": name})
    assert api.get(f"{V3}/alignment-project")["alignment_projects"][0]["alignment_name"] == listed
    assert api.get(f"{V3}/models/aligned")["domain_aligned_models"][0]["name"] == listed
    assert api.get("/v1/flow/data-jobs")["data"][0]["name"] == listed
    named = {item["id"]: item["benchmark_name"] for item in api.get(f"{V3}/benchmark/list")["benchmarks"]}
    assert named["b"] == listed
    # The thing's own page has the name.
    assert api.get(f"{V3}/alignment-project/a")["alignment_name"] == name
    assert api.get("/v1/flow/data-jobs/d")["name"] == name


def test_mixed_names_are_never_whole(simulate: Callable[..., Api]) -> None:
    api = simulate(list_names="mixed")
    name = "A" * 50
    for number in range(30):
        api.simulator.add_job("alignment", f"a-{number}", [("READY", 0)], inputs={"name": name})
    seen = {project["alignment_name"] for project in api.get(f"{V3}/alignment-project")["alignment_projects"]}
    assert seen == {"A" * 40, "a" * 50, f"{name} (1)", None}


def test_lists_without_times(simulate: Callable[..., Api]) -> None:
    api = simulate(null_times=True)
    api.create_alignment()
    evaluate(api)
    (project,) = api.get(f"{V3}/alignment-project")["alignment_projects"]
    assert (project["created_date"], project["completed_date"]) == (None, None)
    assert api.get(f"{V3}/evaluations")["evaluations"][0]["created_at"] is None
    assert api.get(f"{V3}/documents")["documents"][0]["upload_date"] is None
    assert api.get(f"{V3}/benchmark/list")["benchmarks"][0]["created_at"] is None
    assert api.get(f"{V3}/alignment-project/{project['alignment_id']}")["created_date"]


@pytest.mark.parametrize("skew", [0.0, -90.0, 3600.0])
def test_the_services_clock_is_in_their_times_and_in_the_date_header(simulate: Callable[..., Api], skew: float) -> None:
    api = simulate(clock_skew=skew)
    answer = api.call("GET", f"{V3}/alignment-project/{api.create_alignment()}")
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == NOW + skew
    assert len(answer.raw.headers.getlist("Date")) == 1
    assert datetime.fromisoformat(answer.json()["created_date"]).timestamp() == NOW + skew


def test_the_envelopes_times_are_those_of_the_request(api: Api) -> None:
    alignment_id = api.create_alignment()
    model_id = api.trained_model()
    api.json("POST", f"{V3}/models/deploy-model/{model_id}")
    api.clock.forward(700)
    for path in (
        f"{V3}/alignment-project/status/{alignment_id}",
        f"{V3}/models/deploy-model/{model_id}/status",
        f"{V3}/benchmark/status/benchmark-demo-1",
    ):
        answer = api.get(path)
        assert answer["start_time"] == answer["end_time"] == "2026-01-02T03:15:45.000Z"


def test_a_document_id_on_the_status_route(simulate: Callable[..., Api]) -> None:
    api = simulate(status_by_document_id=True)
    api.json("POST", f"{V3}/documents", files=[("files", ("a.txt", b"text"))])
    document_id = api.simulator.all("document")[-1].id
    api.clock.forward(21)
    assert api.get(f"{V3}/documents/{document_id}") == {"status": "READY", "document_id": document_id}


@pytest.mark.parametrize(
    ("slots", "base_model", "ids"),
    [
        ("recorded", "trained-model", ["trained-model", "nugen-pro-instruct"]),
        ("swapped", "nugen-pro-instruct", ["nugen-pro-instruct", "trained-model"]),
        ("without_ids", "trained-model", [None, None]),
    ],
)
def test_the_slots_of_a_comparison(
    simulate: Callable[..., Api], slots: str, base_model: str, ids: list[str | None]
) -> None:
    api = simulate(comparison_slots=slots)
    evaluation_id = evaluate(api, model_id=api.trained_model(), model_id_2="nugen-pro-instruct")
    alone = evaluate(api, model_id=base_model)
    api.clock.forward(301)
    results = api.get(f"{V3}/evaluations/{evaluation_id}/results")
    assert [results[slot].get("model_id") for slot in ("base_model", "eval_model")] == ids
    assert results["base_model"]["metrics"] == api.get(f"{V3}/evaluations/{alone}/results")["metrics"]
    assert [compared["base"] for compared in results["comparison"]["metrics"]] == [
        results["base_model"]["metrics"][compared["metric"]] for compared in results["comparison"]["metrics"]
    ]


# Deploying what is not undeployed.


@pytest.mark.parametrize("status", [400, 409])
def test_after_its_automatic_evaluation_a_model_cannot_be_deployed_yet(
    simulate: Callable[..., Api], status: int
) -> None:
    api = simulate(deploy_conflict_status=status)
    path = f"{V3}/alignment-project/{api.create_alignment(benchmark_id='benchmark-demo-1')}"
    api.clock.forward(906)
    project = api.get(path)
    assert project["status"] == "READY"
    assert project["evaluation_id"]
    assert api.get(f"{V3}/evaluations/{project['evaluation_id']}/status")["status"] == "READY"
    assert api.get(f"{V3}/models/aligned")["domain_aligned_models"][0]["deployment_status"] == "UNDEPLOYING"
    deploy = f"{V3}/models/deploy-model/{project['model_id']}"
    assert api.get(f"{deploy}/status")["result"] == {"deployment_status": "UNDEPLOYING"}
    answer = api.call("POST", deploy)
    assert (answer.status_code, answer.json()) == (
        status,
        {"detail": "Model cannot be redeployed. Current status: UNDEPLOYING"},
    )
    api.clock.forward(30)
    assert api.get(path)["status"] == "UNDEPLOYED"
    assert api.json("POST", deploy) == project["model_id"]
    assert api.call("POST", deploy).json() == {"detail": "Model cannot be redeployed. Current status: DEPLOYING"}


def test_an_alignment_can_stay_ready_during_its_evaluation(simulate: Callable[..., Api]) -> None:
    api = simulate(automatic_evaluation="ready")
    path = f"{V3}/alignment-project/{api.create_alignment(benchmark_id='benchmark-demo-1')}"
    words = []
    for _ in range(100):
        words.append(api.get(path)["status"])
        api.clock.forward(10)
    assert [*dict.fromkeys(words)] == ["PROCESSING", "READY", "EVALUATED"]
    assert words.count("READY") > 30


def test_undeploying_a_model_that_is_being_deployed(simulate: Callable[..., Api]) -> None:
    api = simulate(refuse_undeploy_while_deploying=True)
    model_id = api.trained_model()
    api.json("POST", f"{V3}/models/deploy-model/{model_id}")
    answer = api.call("DELETE", f"{V3}/models/undeploy-model/{model_id}")
    assert (answer.status_code, answer.json()) == (
        409,
        {"detail": "Model cannot be undeployed. Current status: DEPLOYING"},
    )
    api.clock.forward(91)
    assert api.json("DELETE", f"{V3}/models/undeploy-model/{model_id}") == {"model_id": model_id}
    refused = api.call("POST", f"{V3}/models/deploy-model/{model_id}")
    assert refused.json() == {"detail": "Model cannot be redeployed. Current status: UNDEPLOYING"}


@pytest.mark.parametrize("status", [200, 404, 400])
def test_undeploying_an_undeployed_model_in_revision_c(simulate: Callable[..., Api], status: int) -> None:
    api = simulate(nugen_revision="C", undeploy_again_status=status)
    assert api.call("DELETE", f"{V3}/models/{api.trained_model()}/deployment").status_code == status


# Statuses.


def test_an_evaluation_of_c_whose_status_route_breaks(simulate: Callable[..., Api]) -> None:
    api = simulate(nugen_revision="C", evaluation_status_breaks=True)
    body = {**EVALUATION, "evaluation_name": "nightly"}
    evaluation_id = api.json("POST", f"{V3}/evaluations/create", json=body)["evaluation_id"]
    path = f"{V3}/evaluations/{evaluation_id}"
    assert api.get(f"{path}/status")["status"] == "CREATED"
    for _ in range(3):
        answer = api.call("GET", f"{path}/status")
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    # As recorded.
    assert api.get(path) == {
        "evaluation_id": evaluation_id,
        "evaluation_name": "nightly",
        "status": "CREATED",
        "model_id": "nugen-pro-instruct",
        "benchmark_id": "benchmark-demo-1",
        "progress": None,
        "n_samples_completed": 0,
        "n_samples": 0,
        "avg_time_per_sample": None,
        "eta_seconds": None,
        "created_at": "2026-01-02T03:04:05.000Z",
        "completed_at": None,
        "updated_at": "2026-01-02T03:04:05.000Z",
    }
    answer = api.call("GET", f"{path}/results")
    detail = {"evaluation_id": evaluation_id, "message": "Evaluation is not completed yet"}
    assert (answer.status_code, answer.json()) == (400, {"detail": detail})
    api.clock.forward(316)
    assert api.get(path)["status"] == "READY"


def test_the_outer_status_can_differ(simulate: Callable[..., Api]) -> None:
    api = simulate(differing_envelope=True)
    api.simulator.add_job("alignment", "a", [("READY", 0)])
    answer = api.get(f"{V3}/alignment-project/status/a")
    assert (answer["status"], answer["data"]["status"]) == ("PENDING", "READY")


@pytest.mark.parametrize("revision", ["B", "C"])
def test_failures_that_tell_no_reason(simulate: Callable[..., Api], revision: str) -> None:
    api = simulate(nugen_revision=revision, failures_without_reason=True)
    model_id = api.trained_model()
    for kind, job_id in (("alignment", "a"), ("evaluation", "e"), ("deployment", model_id), ("benchmark", "b")):
        api.simulator.add_job(kind, job_id, [("PROCESSING", 0)])
        api.simulator.fail_job(job_id, "secret reason")
    api.simulator.add_job("seekr_alignment", "s", [("running", 0)])
    api.simulator.fail_job("s", "secret reason")
    c = revision == "C"
    for path in (
        f"{V3}/alignment-projects/a/status" if c else f"{V3}/alignment-project/status/a",
        f"{V3}/evaluations/e/status",
        f"{V3}/evaluations/e",
        f"{V3}/models/{model_id}/deployment/status" if c else f"{V3}/models/deploy-model/{model_id}/status",
        f"{V3}/benchmarks/b/status" if c else f"{V3}/benchmark/status/b",
        "/v1/flow/alignment/s",
    ):
        answer = api.call("GET", path)
        assert answer.status_code == 200
        assert "secret reason" not in answer.text


def test_a_failed_alignment_has_no_date_of_completion(api: Api) -> None:
    alignment_id = api.create_alignment()
    api.simulator.fail_job(alignment_id, "no")
    assert api.get(f"{V3}/alignment-project/{alignment_id}")["completed_date"] is None


def test_a_data_job_can_need_a_system_prompt(simulate: Callable[..., Api]) -> None:
    for required, status in ((False, "file_processing"), (True, "file_processing")):
        api = simulate(require_system_prompt=required)
        job = api.json("POST", "/v1/flow/data-jobs", json={"name": "n", "job_type": "principle_files"})
        path = f"/v1/flow/data-jobs/{job['id']}"
        assert api.json("POST", f"{path}/add-files", json={"file_ids": ["f"]})["status"] == status
        api.clock.forward(21)
        shown = api.get(path)
        assert shown["status"] == ("needs_review" if required else "ready_to_start")
        assert shown["status_message"] == ("The data job needs a system prompt" if required else None)
        assert [file["status"] for file in shown["files"]] == ["completed"]


# Deleting, listing, asking.


def test_deleting(api: Api) -> None:
    api.simulator.add_job("alignment", "a", [("READY", 0)])
    api.simulator.add_job("benchmark", "b", [("READY", 0)])
    api.simulator.add_job("evaluation", "e", [("READY", 0)])
    api.json("POST", f"{V3}/models/deploy-model/a-model")
    api.clock.forward(91)
    assert api.call("DELETE", f"{V3}/alignment-project/a").status_code == 400
    api.json("DELETE", f"{V3}/models/undeploy-model/a-model")
    for path, answer in {
        "alignment-project/a": {"alignment_id": "a", "message": "Alignment deleted"},
        "documents/doc-demo-1": {"document_id": "doc-demo-1", "message": "Document deleted"},
        "benchmark/b": {"benchmark_id": "b", "message": "Benchmark deleted"},
        "evaluations/e": {"id": "e", "message": "Evaluation deleted"},
    }.items():
        assert api.json("DELETE", f"{V3}/{path}") == answer
        assert api.call("DELETE", f"{V3}/{path}").status_code == 404


def test_the_items_of_lists_are_those_of_the_revision(simulate: Callable[..., Api]) -> None:
    for revision, alignments, models in (
        ("B", "alignment-project", {"id", "alignment_id", "name", "base_model", "status", "deployment_status"}),
        (
            "C",
            "alignment-projects/list",
            {"model_id", "model_name", "base_model_id", "alignment_id", "deployment_status"},
        ),
    ):
        api = simulate(nugen_revision=revision)
        api.trained_model()
        assert api.get(f"{V3}/models/aligned")["domain_aligned_models"][0].keys() == models
        (item,) = api.get(f"{V3}/{alignments}", params={"limit": 5})["alignment_projects"]
        short = {"alignment_id", "alignment_name", "base_model_id", "status"}
        assert (item.keys() == short) is (revision == "C")
    detail = api.get(f"{V3}/models/trained-model")
    assert (detail["model_id"], detail["deployment_status"]) == ("trained-model", "UNDEPLOYED")
    assert api.call("GET", f"{V3}/models/lost").json() == {"detail": "Model not found"}


@pytest.mark.parametrize("revision", ["B", "C"])
def test_an_uploaded_benchmark_is_ready_at_once(simulate: Callable[..., Api], revision: str) -> None:
    api, c = simulate(nugen_revision=revision), revision == "C"
    item = {"sample_num": 1, "instruction": "q", "response": "a"} if c else {"question": "q", "answer": "a"}
    path, name = (f"{V3}/benchmarks", "benchmark_name") if c else (f"{V3}/benchmark", "name")
    sent: dict[str, Any] = {
        "files": {"file": ("b.json", json.dumps([item, item]))},
        "data": {name: "mine", "document_id": ["doc-demo-1", "doc-demo-2"]},
    }
    made = api.json("POST", f"{path}/upload", **sent)
    assert (made["status"], made["benchmark_name"], made["n_samples" if c else "num_questions"]) == ("READY", "mine", 2)
    assert [question["question_num"] for question in made["questions"]] == [1, 2]
    data = api.get(f"{path}/{made['benchmark_id']}/data")
    assert data["document_ids"] == ["doc-demo-1", "doc-demo-2"]
    again = api.call("POST", f"{path}/upload", **sent)
    assert again.status_code == (409 if c else 200)
    if c:
        assert again.json()["detail"]["benchmark_id"] == made["benchmark_id"]


def test_asking_a_model(api: Api) -> None:
    def ask(model_id: str) -> requests.Response:
        body = {"model": model_id, "messages": [{"role": "user", "content": "What is it?"}]}
        return api.call("POST", f"{V3}/inference/chat/completions", json=body)

    assert "confidence_score" not in ask("nugen-pro-instruct").json()
    assert ask("lost").status_code == 404
    model_id = api.trained_model()
    assert (ask(model_id).status_code, ask(model_id).json()) == (400, {"detail": "Model not deployed"})
    api.json("POST", f"{V3}/models/deploy-model/{model_id}")
    api.clock.forward(91)
    assert ask(model_id).status_code == 502
    api.clock.forward(30)
    answer = ask(model_id).json()
    assert "What is it?" in answer["choices"][0]["message"]["content"]
    assert 0 <= answer["confidence_score"] <= 100


# Profiles.


def test_strict_turns_on_what_is_not_established(simulate: Callable[..., Api]) -> None:
    plain = Config()
    strict = simulate(profile="strict", visible_after=5.0)
    changed = {name for name, value in PROFILES["strict"].items() if getattr(plain, name) != value}
    assert changed == PROFILES["strict"].keys()
    # One that was given counts.
    assert strict.simulator.config.visible_after == 5.0
    assert strict.simulator.config.list_names == "mixed"


def test_a_profile_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="'kind' is not one of plain, strict"):
        create_app(profile="kind")
