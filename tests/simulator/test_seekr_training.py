"""The rules of SeekrFlow for files, fine-tunes and deployments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.conftest import Api
from tests.simulator.test_seekr import fields_of

FILES = "/v1/flow/files"
BULK = "/v1/flow/bulk_files"
TUNES = "/v1/flow/fine-tunes"
DEPLOYMENTS = "/v1/flow/deployments"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
SAMPLES = b'{"messages": []}\n' * 100


def upload(api: Api, name: str = "pairs.jsonl", content: bytes = SAMPLES, purpose: str = "fine-tune") -> Any:
    return api.json("PUT", FILES, files={"files": (name, content)}, data={"purpose": purpose})


def config(**fields: Any) -> dict[str, Any]:
    training = {"training_files": ["f"], "model": MODEL, "n_epochs": 2, "experiment_name": "mine"}
    infrastructure = {"accel_type": "GAUDI2", "n_accel": 1}
    return {
        "project_id": 1,
        **{name: value for name, value in fields.items() if name == "project_id"},
        "training_config": {**training, **{name: v for name, v in fields.items() if name != "project_id"}},
        "infrastructure_config": {
            **infrastructure,
            **{name: v for name, v in fields.items() if name in infrastructure},
        },
    }


def tune(api: Api, **fields: Any) -> Any:
    fields.setdefault("training_files", [upload(api)["id"]])
    return api.json("POST", "/v1/flow/fine-tune", json=config(**fields))


def trained(api: Api) -> str:
    job = tune(api)
    api.clock.forward(1000)
    return str(job["id"])


def deploy(api: Api, model_id: str, **fields: Any) -> Any:
    body = {"model_type": "Fine-tuned Run", "model_id": model_id, "name": "a name", "description": "for a test"}
    return api.json("POST", DEPLOYMENTS, json={**body, "n_instances": 1, **fields})


def status(api: Api, path: str) -> str:
    return str(api.get(path)["status"])


# Files.


def test_a_file_is_kept_with_what_the_form_says(api: Api) -> None:
    file = upload(api, "Rules.MD", b"# Rules", "alignment")
    told = {name: file[name] for name in ("object", "type", "purpose", "filename", "bytes")}
    assert told == {"object": "file", "type": "md", "purpose": "alignment", "filename": "Rules.MD", "bytes": 7}
    assert api.get(f"{FILES}/{file['id']}") == file
    assert api.call("GET", f"{FILES}/{file['id']}/content").content == b"# Rules"
    assert api.json("DELETE", f"{FILES}/{file['id']}") == {"id": file["id"], "object": "file", "deleted": True}
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        missing = api.call(method, f"{FILES}/{file['id']}{path}")
        assert (missing.status_code, missing.json()["message"]) == (404, f"File {file['id']} not found")


def test_the_same_file_again_is_a_second_file(api: Api) -> None:
    assert upload(api)["id"] != upload(api)["id"]


def test_many_at_once(api: Api) -> None:
    made = api.json(
        "PUT", BULK, files=[("files", (f"{n}.jsonl", b"{}\n")) for n in "ab"], data={"purpose": "pre-train"}
    )
    assert [file["filename"] for file in made] == ["a.jsonl", "b.jsonl"]
    assert fields_of(
        api.call("PUT", FILES, files=[("files", (f"{n}.jsonl", b"{}")) for n in "ab"], data={"purpose": "pre-train"})
    ) == ["files"]


@pytest.mark.parametrize(
    ("name", "content", "purpose", "code", "words"),
    [
        ("a.exe", b"x", "alignment", 400, "type 'exe' is not allowed for purpose alignment"),
        ("a.md", b"x", "fine-tune", 400, "type 'md' is not allowed for purpose fine-tune"),
        ("a", b"x", "alignment", 400, "type '' is not allowed"),
        ("a.md", b"", "alignment", 400, "a.md is empty"),
    ],
)
def test_what_is_refused_in_the_services_own_shape(
    api: Api, name: str, content: bytes, purpose: str, code: int, words: str
) -> None:
    answer = api.call("PUT", FILES, files={"files": (name, content)}, data={"purpose": purpose})
    error = answer.json()
    assert (answer.status_code, {*error}) == (code, {"error", "message", "status", "requestUrl"})
    assert words in error["message"]
    assert api.get(FILES)["data"] == []


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"json": {}}, ["files", "purpose"]),
        ({"files": {"files": ("a.md", b"x")}}, ["purpose"]),
        ({"files": {"other": ("a.md", b"x")}, "data": {"purpose": "alignment"}}, ["files"]),
        ({"files": {"files": ("a.md", b"x")}, "data": {"purpose": "finetune"}}, ["purpose"]),
    ],
)
@pytest.mark.parametrize("path", [FILES, BULK])
def test_422_names_the_field_of_the_form(api: Api, path: str, options: Any, fields: list[str]) -> None:
    assert fields_of(api.call("PUT", path, **options)) == fields


def test_files_are_sorted_filtered_paged_and_visible_to_their_team_only(api: Api) -> None:
    for name, purpose in (("b.jsonl", "fine-tune"), ("c.md", "alignment"), ("a.jsonl", "fine-tune")):
        upload(api, name, b"x" * ord(name[0]), purpose)
        api.clock.forward(1)

    def listed(**params: Any) -> str:
        return "".join(file["filename"][0] for file in api.get(FILES, params=params)["data"])

    assert listed() == "acb"
    assert listed(sort_order="asc") == "bca"
    assert listed(sort_by="bytes", sort_order="asc") == "abc"
    assert listed(sort_by="filename", limit=1, offset=1) == "b"
    assert listed(purpose="fine-tune") == "ab"
    assert api.get(FILES, headers={"x-team-id": "t"})["data"] == []
    for params in ({"limit": 0}, {"limit": 1001}, {"offset": -1}, {"sort_by": "size"}, {"purpose": "x"}):
        assert fields_of(api.call("GET", FILES, params=params)) == [*params]


def test_what_an_alignment_made_is_a_file_that_can_be_trained_on(api: Api) -> None:
    job = api.json("POST", "/v1/flow/alignment/generate", json={"instructions": "i", "files": ["f"]})
    api.clock.forward(1000)
    (output,) = (file for file in api.get(FILES)["data"] if file["purpose"] == "fine-tune")
    assert output["id"].startswith(f"file-{job['id']}")
    assert api.get(f"{FILES}/{output['id']}") == output
    job = tune(api, training_files=[output["id"]])
    api.clock.forward(1000)
    assert status(api, f"{TUNES}/{job['id']}") == "completed"


# Fine-tunes.


def test_the_life_of_a_fine_tune(api: Api) -> None:
    job = tune(api, batch_size=8)
    assert job["id"].startswith("ft-")
    told = {name: job[name] for name in ("experiment_name", "model", "n_epochs", "batch_size", "project_id")}
    assert told == {"experiment_name": "mine", "model": MODEL, "n_epochs": 2, "batch_size": 8, "project_id": 1}
    path, words, losses = f"{TUNES}/{job['id']}", [], []
    for _ in range(20):
        words.append(status(api, path))
        losses.append([event["loss"] for event in api.get(f"{path}/events")["data"]])
        api.clock.forward(50)
    assert [*dict.fromkeys(words)] == ["pending", "running", "completed"]
    assert losses[0] == []
    assert (len(losses[-1]), losses[-1]) == (8, sorted(losses[-1], reverse=True))
    assert api.get(f"{path}/events")["data"][-1]["epoch"] == 2
    assert {"progress", "eta_minutes", "estimated_completion_at"}.isdisjoint(api.get(path))
    assert [listed["id"] for listed in api.get(TUNES)["data"]] == [job["id"]]
    assert api.get(TUNES, params={"project_id": 2})["data"] == []


def test_cancelling_is_a_put(api: Api) -> None:
    job = tune(api)
    path = f"{TUNES}/{job['id']}"
    assert api.call("POST", f"{path}/cancel").status_code == 405
    assert api.json("PUT", f"{path}/cancel")["status"] == "cancelled"
    assert api.json("PUT", f"{path}/cancel")["status"] == "cancelled"
    assert api.call("DELETE", path).status_code == 204
    assert api.call("GET", path).status_code == 404


def test_too_few_samples_come_out_when_it_runs(api: Api) -> None:
    job = tune(api, training_files=[upload(api, content=b"{}\n" * 59 + b"{}")["id"]])
    assert job["status"] == "pending"
    api.clock.forward(100)
    job = api.get(f"{TUNES}/{job['id']}")
    assert (job["status"], job["error_analysis"]) == (
        "failed",
        "The training files have 60 samples; at least 100 are needed.",
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"training_files": []}, "training_config.training_files"),
        ({"n_epochs": "two"}, "n_epochs"),
        ({"batch_size": 1025}, "training_config.batch_size"),
        ({"fine_tune_type": "DPO"}, "training_config.fine_tune_type"),
        ({"accel_type": "TPU"}, "infrastructure_config.accel_type"),
        ({"project_id": "one"}, "project_id"),
    ],
)
def test_422_of_fine_tunes(api: Api, fields: dict[str, Any], field: str) -> None:
    assert fields_of(api.call("POST", "/v1/flow/fine-tune", json=config(**fields))) == [field]


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"training_files": ["lost"]}, 404, "File lost not found"),
        ({"model": "gpt"}, 404, "Model gpt not found"),
        ({"project_id": 5}, 404, "Project 5 not found"),
    ],
)
def test_what_is_missing_is_named(api: Api, fields: dict[str, Any], code: int, words: str) -> None:
    answer = api.call("POST", "/v1/flow/fine-tune", json=config(**{"training_files": [upload(api)["id"]], **fields}))
    assert (answer.status_code, answer.json()["message"]) == (code, words)


def test_documents_are_no_training_files(api: Api) -> None:
    file = upload(api, "a.md", b"x", "alignment")
    answer = api.call("POST", "/v1/flow/fine-tune", json=config(training_files=[file["id"]]))
    assert (answer.status_code, answer.json()["message"]) == (400, f"File {file['id']} has the purpose alignment")


# Deployments.


@pytest.mark.parametrize("starts", [True, False])
def test_the_life_of_a_deployment(simulate: Callable[..., Api], starts: bool) -> None:
    api = simulate(seekr_deployments_start=starts)
    model = trained(api)
    made = deploy(api, model)
    path = f"{DEPLOYMENTS}/{made['id']}"
    assert (made["status"], made["model_id"]) == ("Pending" if starts else "Inactive", model)
    api.clock.forward(100)
    if not starts:
        assert status(api, path) == "Inactive"
        assert api.json("PUT", f"{path}/promote")["status"] == "Pending"
        api.clock.forward(100)
    assert status(api, path) == "Active"
    assert api.call("PUT", f"{path}/promote").status_code == 409
    assert api.json("PUT", f"{path}/demote")["status"] == "Inactive"
    assert api.call("PUT", f"{path}/demote").status_code == 409
    api.clock.forward(100)
    assert status(api, path) == "Inactive"
    assert api.call("DELETE", path).status_code == 405
    api.json("PUT", f"{path}/promote")
    api.clock.forward(100)
    assert status(api, path) == "Active"


def test_only_a_completed_fine_tune_can_be_deployed(api: Api) -> None:
    job = tune(api)
    body = {"model_type": "Fine-tuned Run", "name": "a name", "description": "for a test", "n_instances": 1}
    answer = api.call("POST", DEPLOYMENTS, json={**body, "model_id": job["id"]})
    assert (answer.status_code, answer.json()["message"]) == (409, f"Fine-tune {job['id']} is pending, not completed")
    assert api.call("POST", DEPLOYMENTS, json={**body, "model_id": "ft-lost"}).status_code == 404
    assert api.call("POST", DEPLOYMENTS, json={**body, "model_id": "x", "model_type": "Base Model"}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "abc"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"description": "abc"}, "description"),
        ({"n_instances": 0}, "n_instances"),
        ({"n_instances": 51}, "n_instances"),
        ({"model_type": "fine-tune"}, "model_type"),
    ],
)
def test_422_of_deployments(api: Api, fields: dict[str, Any], field: str) -> None:
    body = {"model_type": "Base Model", "model_id": MODEL, "name": "a name", "description": "for a test"}
    assert fields_of(api.call("POST", DEPLOYMENTS, json={**body, "n_instances": 1, **fields})) == [field]


def test_the_list_of_deployments_is_filtered_and_paged(api: Api) -> None:
    ids = [deploy(api, MODEL, model_type="Base Model", name=f"name {n}")["id"] for n in range(3)]
    api.clock.forward(100)
    api.json("PUT", f"{DEPLOYMENTS}/{ids[0]}/demote")

    def listed(**params: Any) -> list[int]:
        return sorted(ids.index(item["id"]) for item in api.get(DEPLOYMENTS, params=params)["data"])

    assert listed() == [0, 1, 2]
    assert listed(deployment_status="Active") == [1, 2]
    pages = [listed(deployment_status="Active", skip=skip, limit=1) for skip in range(3)]
    assert sorted(pages) == [[], [1], [2]]
    assert listed(fine_tune_id="ft") == []
    assert fields_of(api.call("GET", DEPLOYMENTS, params={"deployment_status": "active"})) == ["deployment_status"]


def test_everything_belongs_to_a_team(api: Api) -> None:
    made = deploy(api, trained(api))
    (job,) = api.get(TUNES)["data"]
    other = {"headers": {"x-team-id": "t"}}
    for method, path in (
        ("GET", f"{TUNES}/{job['id']}"),
        ("PUT", f"{TUNES}/{job['id']}/cancel"),
        ("GET", f"{DEPLOYMENTS}/{made['id']}"),
        ("PUT", f"{DEPLOYMENTS}/{made['id']}/demote"),
    ):
        assert api.call(method, path, **other).status_code == 404
    for path in (TUNES, DEPLOYMENTS, FILES):
        assert api.get(path, **other)["data"] == []


def test_the_health_needs_no_key(api: Api) -> None:
    assert api.call("GET", "/v1/flow/health", authorization="").status_code == 200
    assert api.call("GET", FILES, authorization="").status_code == 401
