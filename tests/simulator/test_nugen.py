"""The rules of Nugen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen.simulator.nugen import documents
from tests.simulator.conftest import Api

V3 = "/api/v3"
ALIGNMENT = {"name": "n", "base_model": "nugen-flash-instruct", "document_ids": ["doc-demo-1"]}
EVALUATION = {"model_id": "nugen-pro-instruct", "benchmark_id": "benchmark-demo-1"}
ITEM = {"question_num": 1, "question": "q", "answer": "a"}
ITEM_C = {"sample_num": 1, "instruction": "i", "response": "r"}


def fields_of(answer: Any) -> list[str]:
    """Name the fields that a 422 complains about."""
    assert answer.status_code == 422
    return [".".join(map(str, problem["loc"][1:])) for problem in answer.json()["detail"]]


def words_of(api: Api, read: Callable[[], str], seconds: float) -> list[str]:
    seen: list[str] = []
    for _ in range(int(seconds) + 2):
        word = read()
        if seen[-1:] != [word]:
            seen.append(word)
        api.clock.forward(1)
    return seen


# Creating alignments.


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name", "base_model", "document_ids"]),
        ({**ALIGNMENT, "name": "  "}, ["name"]),
        ({**ALIGNMENT, "name": None}, ["name"]),
        ({**ALIGNMENT, "base_model": 5}, ["base_model"]),
        ({**ALIGNMENT, "document_ids": "doc-demo-1"}, ["document_ids"]),
        ({**ALIGNMENT, "document_ids": ["doc-demo-1", 5]}, ["document_ids.1"]),
        ({**ALIGNMENT, "benchmark_id": ["b"]}, ["benchmark_id"]),
    ],
)
def test_422_names_the_field(api: Api, body: Any, fields: list[str]) -> None:
    assert fields_of(api.call("POST", f"{V3}/alignment-project/create", json=body)) == fields


@pytest.mark.parametrize("data", ["{", "[]", "", "5"])
def test_a_body_that_is_no_json_object_is_422(api: Api, data: str) -> None:
    assert api.call("POST", f"{V3}/alignment-project/create", data=data).status_code == 422


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"base_model": "nugen-frozen"}, 400, "nugen-frozen"),
        ({"base_model": "gpt-unknown"}, 400, "gpt-unknown"),
        ({"document_ids": ["doc-demo-1", "doc-lost"]}, 404, "Document doc-lost"),
        ({"benchmark_id": "benchmark-lost"}, 404, "Benchmark benchmark-lost"),
    ],
)
def test_what_an_alignment_cannot_be_created_with_is_named(
    api: Api, change: dict[str, Any], status: int, named: str
) -> None:
    answer = api.call("POST", f"{V3}/alignment-project/create", json={**ALIGNMENT, **change})
    assert answer.status_code == status
    assert named in answer.json()["detail"]
    assert api.get(f"{V3}/alignment-project") == {"alignment_projects": []}


def test_a_document_is_unknown_until_it_is_ready(api: Api) -> None:
    files = [("files", ("a.txt", b"text")), ("files", ("b.txt", b"text"))]
    tasks = api.json("POST", f"{V3}/documents", files=files)["document_ids"]
    assert api.get(f"{V3}/documents/{tasks[0]}") == {"status": "PROCESSING", "document_id": None}
    ids = [job.id for job in api.simulator.all("document")][2:]
    for wrong in (tasks, ids):
        body = {**ALIGNMENT, "document_ids": wrong}
        assert api.call("POST", f"{V3}/alignment-project/create", json=body).status_code == 404
    api.clock.forward(21)
    assert [api.get(f"{V3}/documents/{task}") for task in tasks] == [
        {"status": "READY", "document_id": document_id} for document_id in ids
    ]
    # A task's id stays unknown here, and a document's id on the status route.
    body = {**ALIGNMENT, "document_ids": tasks}
    assert api.call("POST", f"{V3}/alignment-project/create", json=body).status_code == 404
    assert api.call("GET", f"{V3}/documents/{ids[0]}").json() == {"detail": "Document not found"}
    alignment_id = api.create_alignment(document_ids=ids)
    assert api.get(f"{V3}/alignment-project/{alignment_id}")["document_ids"] == ids


def test_the_list_of_alignments_has_the_details(api: Api) -> None:
    ids = [api.create_alignment(name=name) for name in "ab"]
    listed = api.get(f"{V3}/alignment-project")["alignment_projects"]
    shown = [api.get(f"{V3}/alignment-project/{alignment_id}") for alignment_id in ids]
    assert sorted(listed, key=lambda project: project["alignment_name"]) == shown
    assert [project["alignment_name"] for project in shown] == ["a", "b"]


# Revisions.


def test_revision_a_has_its_own_names_and_words(simulate: Callable[..., Api]) -> None:
    api = simulate(nugen_revision="A")
    body = {**ALIGNMENT, "benchmark_id": "benchmark-demo-1"}
    created = api.json("POST", f"{V3}/alignment-project/create", json=body)
    assert created == {"id": created["id"], "status": "pending"}
    path = f"{V3}/alignment-project/status/{created['id']}"
    assert words_of(api, lambda: api.get(path)["data"]["status"], 915) == [
        *("pending", "completed", "deploying", "evaluating", "undeployed", "evaluated")
    ]
    inner = api.get(path)["data"]
    assert inner.keys() >= {"id", "name", "base_model", "documents", "created_date", "completed_date", "model_id"}
    assert api.get(f"{V3}/alignment-project/{created['id']}")["status"] == "EVALUATED"
    model = api.get(f"{V3}/models/aligned")["domain_aligned_models"][0]
    assert (model["id"], model["deployment_status"]) == (inner["model_id"], "undeployed")
    assert api.json("POST", f"{V3}/documents", files=[("files", ("a.txt", b"t"))])[0].startswith("task-")
    assert api.simulator.nugen_connection()["extra"] == {"api_revision": "B"}


def test_revision_c_has_its_own_names_and_words(simulate: Callable[..., Api]) -> None:
    api = simulate(nugen_revision="C")
    body = {
        "alignment_name": "n",
        "base_model_id": "nugen-flash-instruct",
        "document_ids": ["doc-demo-1"],
        "benchmark_id": "benchmark-demo-1",
    }
    alignment_id = api.json("POST", f"{V3}/alignment-projects/create", json=body)["alignment_id"]
    path = f"{V3}/alignment-projects/{alignment_id}/status"
    first = api.get(path)["data"]
    assert (first["queue_position"], first["eta_seconds"], first["model_id"]) == (1, 630, None)
    assert words_of(api, lambda: api.get(path)["data"]["status"], 945) == [
        *("QUEUED", "PROCESSING", "READY", "DEPLOYING", "EVALUATING", "UNDEPLOYED", "EVALUATED")
    ]
    last = api.get(path)["data"]
    assert last.keys() >= {"alignment_name", "base_model_id", "document_ids", "created_at", "completed_at"}
    assert (last["stage_failures"], last["degraded"], last["queue_position"]) == ([], False, None)
    assert fields_of(api.call("POST", f"{V3}/alignment-projects/create", json=ALIGNMENT)) == [
        "alignment_name",
        "base_model_id",
    ]
    assert api.simulator.nugen_connection()["extra"] == {"api_revision": "C"}


def test_revision_c_names_the_stage_that_failed(simulate: Callable[..., Api]) -> None:
    api = simulate(nugen_revision="C")
    api.simulator.add_job("alignment", "x", [("PROCESSING", 10), ("READY", 0)])
    api.simulator.fail_job("x", "out of memory")
    answer = api.get(f"{V3}/alignment-projects/x/status")["data"]
    assert (answer["stage_failures"], answer["error"]) == (["training: out of memory"], "out of memory")


@pytest.mark.parametrize(
    ("revision", "words"),
    [("A", ["pending", "completed"]), ("B", ["PROCESSING", "READY"]), ("C", ["CREATED", "PROCESSING", "READY"])],
)
def test_the_words_of_an_evaluation(simulate: Callable[..., Api], revision: str, words: list[str]) -> None:
    api = simulate(nugen_revision=revision)
    create = f"{V3}/evaluations/create" if revision == "C" else f"{V3}/evaluations"
    evaluation_id = api.json("POST", create, json=EVALUATION)["evaluation_id"]
    assert words_of(api, lambda: api.get(f"{V3}/evaluations/{evaluation_id}/status")["status"], 320) == words


# Documents and benchmarks.


def test_a_document_of_the_same_name_is_409_with_the_id_of_the_one_there_is(api: Api) -> None:
    files = [("files", ("a.txt", b"text"))]
    api.json("POST", f"{V3}/documents", files=files)
    document_id = api.simulator.all("document")[-1].id
    answer = api.call("POST", f"{V3}/documents", files=files)
    assert answer.status_code == 409
    assert answer.json()["detail"]["document_id"] == document_id
    again = api.json("POST", f"{V3}/documents", files=files, data={"names": ["b.txt"]})["document_ids"]
    assert again != [document_id]


def test_documents_are_text_files(api: Api) -> None:
    assert fields_of(api.call("POST", f"{V3}/documents")) == ["files"]
    answer = api.call("POST", f"{V3}/documents", files=[("files", ("a.bin", b"\0\1"))])
    assert (answer.status_code, answer.json()["detail"]) == (400, "a.bin is not a text file")


def test_files_that_are_too_large_are_413(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_FILE", 5)
    answer = api.call("POST", f"{V3}/documents", files=[("files", ("a.txt", b"longer"))])
    assert (answer.status_code, answer.json()["detail"]) == (413, "a.txt is larger than 100 MB")
    data = {"name": "b", "document_id": "doc-demo-1"}
    answer = api.call("POST", f"{V3}/benchmark/upload", files={"file": ("b.json", json.dumps([ITEM]))}, data=data)
    assert answer.status_code == 413
    assert api.call("POST", f"{V3}/benchmark/upload", data={**data, "file": "no file"}).status_code == 400


@pytest.mark.parametrize(
    ("revision", "documents", "count"), [("B", "documents", "num_questions"), ("C", "document_ids", "n_samples")]
)
def test_a_benchmark_is_made_of_documents(
    simulate: Callable[..., Api], revision: str, documents: str, count: str
) -> None:
    api = simulate(nugen_revision=revision)
    things = "benchmarks" if revision == "C" else "benchmark"
    answer = api.json("POST", f"{V3}/{things}/create", json={documents: ["doc-demo-1"], count: 7})
    assert answer == {"benchmark_id": answer["benchmark_id"], "status": "PROCESSING"}
    status = f"{V3}/benchmarks/{{}}/status" if revision == "C" else f"{V3}/benchmark/status/{{}}"
    path = status.format(answer["benchmark_id"])
    assert words_of(api, lambda: api.get(path)["status"], 61) == ["PROCESSING", "READY"]
    data = api.get(f"{V3}/{things}/{answer['benchmark_id']}/data")
    assert (data[count], len(data["questions"])) == (7, 7)
    assert fields_of(api.call("POST", f"{V3}/{things}/create", json={})) == [documents, count]
    assert api.call("POST", f"{V3}/{things}/create", json={documents: ["lost"], count: 7}).status_code == 404


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (json.dumps([ITEM, ITEM]), 200),
        (json.dumps([ITEM_C]), 400),
        ("[]", 400),
        ("{}", 400),
        ("[5]", 400),
        ("no JSON", 400),
    ],
)
def test_uploading_a_benchmark(api: Api, content: str, status: int) -> None:
    options = {"files": {"file": ("b.json", content)}, "data": {"name": "b", "document_id": "doc-demo-1"}}
    answer = api.call("POST", f"{V3}/benchmark/upload", **options)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["num_questions"] == 2


def test_uploading_a_benchmark_in_revision_c(simulate: Callable[..., Api]) -> None:
    api = simulate(nugen_revision="C")
    files = {"file": ("b.json", json.dumps([ITEM_C]))}
    data = {"benchmark_name": "b", "document_id": "doc-demo-1"}
    assert api.json("POST", f"{V3}/benchmarks/upload", files=files, data=data)["n_samples"] == 1
    assert fields_of(api.call("POST", f"{V3}/benchmarks/upload")) == ["file", "benchmark_name", "document_id"]
    answer = api.call("POST", f"{V3}/benchmarks/upload", files=files, data={**data, "document_id": "lost"})
    assert answer.status_code == 404


# Deploying.


def deployment_status(api: Api, model_id: str) -> Any:
    for seen in api.get(f"{V3}/models/aligned")["domain_aligned_models"]:
        if seen["id"] == model_id:
            return seen["deployment_status"]
    return None


def test_a_deployment_and_its_undeployment(api: Api) -> None:
    model_id = api.trained_model()
    status = f"{V3}/models/deploy-model/{model_id}/status"
    undeploy = f"{V3}/models/undeploy-model/{model_id}"
    assert api.call("GET", status).json() == {"detail": "Model not found"}
    assert api.call("DELETE", undeploy).status_code == 400
    assert deployment_status(api, model_id) == "UNDEPLOYED"
    assert api.json("POST", f"{V3}/models/deploy-model/{model_id}") == model_id
    assert deployment_status(api, model_id) == "DEPLOYING"
    assert words_of(api, lambda: api.get(status)["status"], 91) == ["PENDING", "COMPLETED"]
    assert deployment_status(api, model_id) == "DEPLOYED"
    assert api.json("DELETE", undeploy) == {"model_id": model_id}
    assert deployment_status(api, model_id) == "UNDEPLOYING"
    assert api.call("DELETE", undeploy).json() == {"detail": "Model is already undeployed"}
    api.clock.forward(31)
    assert api.call("DELETE", undeploy).status_code == 400
    assert deployment_status(api, model_id) == "UNDEPLOYED"
    api.json("POST", f"{V3}/models/deploy-model/{model_id}")
    assert deployment_status(api, model_id) == "DEPLOYING"


def test_a_deployment_that_fails(api: Api) -> None:
    model_id = api.trained_model()
    api.json("POST", f"{V3}/models/deploy-model/{model_id}")
    api.simulator.fail_job(model_id, "no node")
    answer = api.get(f"{V3}/models/deploy-model/{model_id}/status")
    assert (answer["status"], answer["result"]) == ("FAILED", {"message": "no node"})
    assert deployment_status(api, model_id) == "UNDEPLOYED"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_model_that_there_is_not_cannot_be_deployed_or_undeployed(api: Api, method: str) -> None:
    untrained = f"{api.create_alignment()}-model"
    for model_id in ("lost", untrained):
        path = f"{V3}/models/{'deploy' if method == 'POST' else 'undeploy'}-model/{model_id}"
        answer = api.call(method, path, params={"early": "true"})
        assert (answer.status_code, answer.json()) == (404, {"detail": "Model not found"})


def test_deploying_in_revision_c(simulate: Callable[..., Api]) -> None:
    api = simulate(nugen_revision="C")
    model_id = api.trained_model()
    path = f"{V3}/models/{model_id}/deployment"
    assert api.get(f"{path}/status")["status"] == "UNDEPLOYED"
    api.json("POST", path)
    assert words_of(api, lambda: api.get(f"{path}/status")["status"], 91) == ["DEPLOYING", "DEPLOYED"]
    again = api.call("POST", path)
    assert (again.status_code, again.json()) == (400, {"detail": "Model is already deployed or being deployed"})
    assert api.json("DELETE", path) == model_id
    assert words_of(api, lambda: api.get(f"{path}/status")["status"], 31) == ["UNDEPLOYING", "UNDEPLOYED"]
    assert api.call("DELETE", path).status_code == 400
    assert api.json("POST", path) == {"model_id": model_id}
    api.simulator.fail_job(model_id, "no node")
    answer = api.get(f"{path}/status")
    assert (answer["status"], answer["error"]) == ("UNDEPLOYED", "no node")
    assert api.call("GET", f"{V3}/models/lost/deployment/status").json() == {"detail": "Model not found"}


def test_deploying_early(simulate: Callable[..., Api]) -> None:
    api = simulate(nugen_revision="C")
    api.simulator.add_job("alignment", "x", [("QUEUED", 10), ("PROCESSING", 100), ("READY", 0)])
    path, status = f"{V3}/models/x-model/deployment", f"{V3}/alignment-projects/x/status"
    assert api.call("POST", path).status_code == 404
    answer = api.call("POST", path, params={"early": "true"})
    assert (answer.status_code, answer.json()) == (409, {"detail": "There is no checkpoint to deploy yet"})
    assert api.get(status)["data"]["early_deployable"] is False
    api.clock.forward(70)
    assert api.get(status)["data"]["early_deployable"] is True
    assert api.call("POST", path).status_code == 404
    assert api.json("POST", path, params={"early": "true"}) == {"model_id": "x-model"}
    api.clock.forward(200)
    assert api.get(status)["data"]["early_deployable"] is False
    assert api.get(f"{path}/status")["status"] == "DEPLOYED"


# Evaluations.


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({}, 422, "model_id"),
        ({**EVALUATION, "model_id": "lost"}, 404, "Model lost not found"),
        ({**EVALUATION, "model_id_2": "lost"}, 404, "Model lost not found"),
        ({**EVALUATION, "benchmark_id": "lost"}, 404, "Benchmark lost not found"),
        ({**EVALUATION, "custom_metrics": "text"}, 422, "custom_metrics"),
        ({**EVALUATION, "custom_metrics": {"tone": "polite"}}, 200, "Evaluation started"),
        ({**EVALUATION, "custom_metrics": [{"name": "tone"}]}, 200, "Evaluation started"),
    ],
)
def test_creating_an_evaluation(api: Api, body: Any, status: int, named: str) -> None:
    answer = api.call("POST", f"{V3}/evaluations", json=body)
    assert answer.status_code == status
    assert named in answer.text
    if status == 200:
        assert answer.json().keys() == {"evaluation_id", "model_id", "status", "benchmark_id", "created_at", "message"}


def test_results_of_one_model_once_it_is_finished(api: Api) -> None:
    evaluation_id = api.json("POST", f"{V3}/evaluations", json=EVALUATION)["evaluation_id"]
    path = f"{V3}/evaluations/{evaluation_id}/results"
    assert api.call("GET", path).json() == {"detail": "Evaluation is not completed yet"}
    api.clock.forward(301)
    results = api.get(path)
    assert (results["method"], results["raw_answers_count"], results["status"]) == ("eval", 10, "READY")
    assert all(isinstance(value, float) for value in results["metrics"].values())
    assert api.get(path) == results
    assert api.call("GET", f"{V3}/evaluations/lost/results").json() == {"detail": "Evaluation not found"}


@pytest.mark.parametrize(("revision", "other"), [("B", "model_id_2"), ("C", "baseline_model_id")])
def test_results_of_a_comparison(simulate: Callable[..., Api], revision: str, other: str) -> None:
    api = simulate(nugen_revision=revision)
    body = {**EVALUATION, "model_id": api.trained_model(), other: "nugen-pro-instruct"}
    create = f"{V3}/evaluations/create" if revision == "C" else f"{V3}/evaluations"
    evaluation_id = api.json("POST", create, json=body)["evaluation_id"]
    api.clock.forward(316)
    results = api.get(f"{V3}/evaluations/{evaluation_id}/results")
    assert (results["method"], results["model_id_2"]) == ("eval-compare", "nugen-pro-instruct")
    assert results["metrics"] is None
    assert (results["base_model"]["model_id"], results["eval_model"]["model_id"]) == (
        "trained-model",
        results["model_id_2"],
    )
    assert results["raw_answers_count"] == 20
    for compared in results["comparison"]["metrics"]:
        base, evaluated = (results[slot]["metrics"][compared["metric"]] for slot in ("base_model", "eval_model"))
        assert (compared["base"], compared["evaluated"]) == (base, evaluated)
        assert compared["improvement_%"] == pytest.approx(100 * (evaluated - base) / base, abs=0.01)
        # What the demo and the README can count on: the aligned model is better than its base.
        assert base > evaluated + 0.1


def test_a_failed_evaluation_has_no_results(api: Api) -> None:
    evaluation_id = api.json("POST", f"{V3}/evaluations", json=EVALUATION)["evaluation_id"]
    api.simulator.fail_job(evaluation_id, "model gone")
    assert api.call("GET", f"{V3}/evaluations/{evaluation_id}/results").status_code == 400
    assert api.get(f"{V3}/evaluations")["evaluations"][0]["metrics"] is None


def test_the_list_of_evaluations_is_paged_and_filtered(api: Api) -> None:
    ids = []
    for model_id in ("nugen-pro-instruct", "nugen-flash-instruct", "nugen-pro-instruct"):
        body = {**EVALUATION, "model_id": model_id}
        ids.append(api.json("POST", f"{V3}/evaluations", json=body)["evaluation_id"])
        api.clock.forward(150)

    def listed(**params: Any) -> list[str]:
        answer = api.get(f"{V3}/evaluations", params=params)
        assert answer["total"] >= len(answer["evaluations"])
        return [evaluation["evaluation_id"] for evaluation in answer["evaluations"]]

    # In no order that is stated, but always the same.
    assert sorted(listed()) == sorted(ids)
    assert [listed(limit=1, offset=offset) for offset in range(4)] == [[one] for one in listed()] + [[]]
    assert listed(model_id="nugen-flash-instruct") == [ids[1]]
    assert sorted(listed(status="READY")) == sorted(ids[:2])
    assert listed(status="READY", model_id="nugen-pro-instruct") == [ids[0]]
    whole = api.get(f"{V3}/evaluations", params={"limit": 1})
    assert (whole["total"], whole["limit"], whole["offset"], whole["user_id"]) == (3, 1, 0, "user-1")
    finished = {e["evaluation_id"] for e in api.get(f"{V3}/evaluations")["evaluations"] if e["metrics"]}
    assert finished == {*ids[:2]}
    assert api.get(f"{V3}/evaluations")["limit"] == 10
    for params in ({"limit": 0}, {"limit": 101}, {"offset": -1}):
        assert fields_of(api.call("GET", f"{V3}/evaluations", params=params)) == [*params]


# Models.


def test_model_lists(api: Api) -> None:
    models = {model["model_id"]: model for model in api.get(f"{V3}/models/base")["models"]}
    assert all(
        model.keys() == {"model_id", "model_name", "parameters", "alignment_ready", "available_on_request", "type"}
        for model in models.values()
    )
    assert {name for name, model in models.items() if not model["alignment_ready"]} == {"nugen-frozen", "nugen-broken"}
    assert models["nugen-flash-instruct"]["alignment_ready"] is True
    assert len(api.get(f"{V3}/models/base", params={"limit": 1})["models"]) == 1
    api.create_alignment()
    assert api.get(f"{V3}/models/aligned") == {"domain_aligned_models": []}
    model_id = api.trained_model()
    assert api.get(f"{V3}/models/aligned")["domain_aligned_models"] == [
        {
            "id": model_id,
            "alignment_id": "trained",
            "name": "Trained",
            "base_model": "nugen-flash-instruct",
            "status": "READY",
            "deployment_status": "UNDEPLOYED",
        }
    ]


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("alignment-project/status/x", "Alignment not found"),
        ("alignment-project/x", "Alignment not found"),
        ("documents/x", "Document not found"),
        ("benchmark/status/x", "Benchmark not found"),
        ("evaluations/x/status", "Evaluation not found"),
        ("models/undeploy-model/x/status", "Model not found"),
        ("models/deploy-model/x/status", "Model not found"),
    ],
)
def test_404_names_the_thing(api: Api, path: str, detail: str) -> None:
    answer = api.call("GET", f"{V3}/{path}")
    assert (answer.status_code, answer.json()) == (404, {"detail": detail})
