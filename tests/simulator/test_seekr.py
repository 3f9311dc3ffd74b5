"""The rules of SeekrFlow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.conftest import Api

ALIGNMENT = "/v1/flow/alignment"
JOBS = "/v1/flow/data-jobs"
BODY = {"instructions": "Be polite.", "files": ["file-1"]}


def fields_of(answer: Any) -> list[str]:
    """Name the fields that a 422 complains about."""
    assert answer.status_code == 422
    return [".".join(map(str, problem["loc"][1:])) for problem in answer.json()["detail"]]


def generate(api: Api) -> str:
    return str(api.json("POST", f"{ALIGNMENT}/generate", json=BODY)["id"])


def create(api: Api, **body: Any) -> str:
    return str(api.json("POST", JOBS, json={"name": "n", "job_type": "principle_files", **body})["id"])


def status(api: Api, job_id: str) -> str:
    return str(api.get(f"{JOBS}/{job_id}")["status"])


# Alignment jobs.


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["instructions", "files"]),
        ({**BODY, "instructions": " \n"}, ["instructions"]),
        ({**BODY, "files": ["file-1", None]}, ["files.1"]),
        ({**BODY, "type": "dpo"}, ["type"]),
        ({**BODY, "system_prompt": 5}, ["system_prompt"]),
    ],
)
def test_422_names_the_field(api: Api, body: Any, fields: list[str]) -> None:
    assert fields_of(api.call("POST", f"{ALIGNMENT}/generate", json=body)) == fields


def test_the_list_has_no_stated_order_but_always_the_same(api: Api) -> None:
    ids = [generate(api) for _ in range(8)]
    listed = api.get(ALIGNMENT)
    assert listed["object"] == "list"
    order = [job["id"] for job in listed["data"]]
    assert sorted(order) == sorted(ids)
    assert order not in (ids, ids[::-1])
    assert [job["id"] for job in api.get(ALIGNMENT)["data"]] == order


def test_outputs_come_when_it_is_completed_and_one_feeds_fine_tuning(api: Api) -> None:
    job_id = generate(api)
    assert api.get(f"{ALIGNMENT}/{job_id}/outputs") == []
    api.clock.forward(611)
    outputs = api.get(f"{ALIGNMENT}/{job_id}/outputs")
    assert [output["purpose"] for output in outputs].count("fine-tune") == 1
    assert {*outputs[0]} == {"id", "filename", "bytes", "created_at", "file_type", "purpose"}
    assert api.get(f"{ALIGNMENT}/{job_id}")["output_files"] == outputs


def test_progress_while_it_runs(api: Api) -> None:
    job_id = generate(api)
    api.clock.forward(310)
    job = api.get(f"{ALIGNMENT}/{job_id}")
    assert (job["status"], job["step_progress"], job["eta_minutes"]) == ("running", 50.0, 5)
    assert job["progress"] == pytest.approx(100 * 310 / 610, abs=0.1)


def test_cancelling(api: Api) -> None:
    job_id = generate(api)
    job = api.json("POST", f"{ALIGNMENT}/{job_id}/cancel")
    assert (job["id"], job["status"], job["status_message"]) == (job_id, "cancelled", "Cancelled by the user")
    api.clock.forward(1000)
    assert api.get(f"{ALIGNMENT}/{job_id}")["status"] == "cancelled"


def test_cancelling_what_is_completed_changes_nothing(api: Api) -> None:
    job_id = generate(api)
    api.clock.forward(1000)
    assert api.json("POST", f"{ALIGNMENT}/{job_id}/cancel")["status"] == "completed"


def test_deleting(api: Api) -> None:
    job_id = generate(api)
    answer = api.call("DELETE", f"{ALIGNMENT}/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    missing = api.call("GET", f"{ALIGNMENT}/{job_id}")
    assert missing.status_code == 404
    assert missing.json() == {
        "error": "Not Found",
        "message": f"Alignment job {job_id} not found",
        "status": 404,
        "requestUrl": f"{ALIGNMENT}/{job_id}",
    }
    assert api.call("DELETE", f"{ALIGNMENT}/{job_id}").status_code == 404


# Data jobs.


def test_the_life_of_a_data_job(api: Api) -> None:
    job_id = create(api, instructions="Be polite.")
    assert status(api, job_id) == "needs_review"
    assert api.get(f"{JOBS}/{job_id}")["status_message"] == "The data job needs files"
    assert api.call("POST", f"{JOBS}/{job_id}/start").status_code == 409
    api.clock.forward(100)
    assert status(api, job_id) == "needs_review"
    job = api.json("POST", f"{JOBS}/{job_id}/add-files", json={"file_ids": ["f1", "f2"], "method": "best"})
    assert [file["file_id"] for file in job["files"]] == ["f1", "f2"]
    api.json("POST", f"{JOBS}/{job_id}/add-files", json={"file_ids": ["f2", "f3"]})
    assert status(api, job_id) == "file_processing"
    api.clock.forward(21)
    assert status(api, job_id) == "ready_to_start"
    started = api.json("POST", f"{JOBS}/{job_id}/start")
    assert (started["status"], started["alignment_job"]["status"]) == ("pending", "pending")
    alignment_id = started["alignment_job_id"]
    assert api.get(f"{ALIGNMENT}/{alignment_id}")["id"] == alignment_id
    for path, body in (("start", None), ("add-files", {"file_ids": ["f4"]})):
        assert api.call("POST", f"{JOBS}/{job_id}/{path}", json=body).status_code == 409
    words = []
    for _ in range(62):
        words.append(status(api, job_id))
        api.clock.forward(10)
    assert [*dict.fromkeys(words)] == ["pending", "running", "completed"]
    done = api.get(f"{JOBS}/{job_id}")
    assert [file["file_id"] for file in done["files"]] == ["f1", "f2", "f3"]
    assert done["alignment_job"]["output_files"]
    assert [event["event_type"] for event in done["timeline"]] == ["created", "started"]


def test_a_data_job_on_a_vector_database_needs_no_files(api: Api) -> None:
    job_id = create(api, job_type="context_grounded_vector_db", vector_database_id="v")
    job = api.get(f"{JOBS}/{job_id}")
    assert (job["status"], job["status_message"]) == ("needs_review", "The data job needs a system prompt")
    assert api.json("PATCH", f"{JOBS}/{job_id}", json={"system_prompt": "Be polite."})["status"] == "ready_to_start"
    assert api.json("POST", f"{JOBS}/{job_id}/start")["status"] == "pending"


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(
    ("end", "word"), [("cancel", "cancelled"), ("fail", "failed"), ("stop", "stopped"), ("finish", "")]
)
def test_a_data_job_that_ends_early(api: Api, started: bool, end: str, word: str) -> None:
    job_id = create(api, job_type="context_grounded_vector_db", system_prompt="Be polite.")
    if started:
        api.json("POST", f"{JOBS}/{job_id}/start")
    if end == "cancel":
        api.json("POST", f"{JOBS}/{job_id}/cancel")
    else:
        api.json("POST", f"/_simulator/jobs/{job_id}/{end}", json={"reason": "no"} if end == "fail" else None)
    assert status(api, job_id) == (word or ("completed" if started else "ready_to_start"))
    if word and not started:
        for path, body in (("start", None), ("add-files", {"file_ids": ["f"]})):
            assert api.call("POST", f"{JOBS}/{job_id}/{path}", json=body).status_code == 409
        assert api.call("PATCH", f"{JOBS}/{job_id}", json={"name": "n"}).status_code == 409


def test_a_data_job_that_a_person_must_look_at(api: Api) -> None:
    job_id = create(api)
    api.simulator.override_job(job_id, status="needs_review", status_message="file f1 cannot be read")
    job = api.get(f"{JOBS}/{job_id}")
    assert (job["status"], job["status_message"]) == ("needs_review", "file f1 cannot be read")


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("", {}, ["name", "job_type"]),
        ("", {"name": "n", "job_type": "sft"}, ["job_type"]),
        ("/{id}/add-files", {}, ["file_ids"]),
        ("/{id}/add-files", {"file_ids": []}, ["file_ids"]),
        ("/{id}/add-files", {"file_ids": [1]}, ["file_ids.0"]),
    ],
)
def test_422_of_data_jobs(api: Api, path: str, body: Any, fields: list[str]) -> None:
    assert fields_of(api.call("POST", JOBS + path.format(id=create(api)), json=body)) == fields


def test_the_list_of_data_jobs_is_sorted_paged_and_filtered(api: Api) -> None:
    ids = {}
    for name, job_type in (("b", "principle_files"), ("c", "context_grounded_files"), ("a", "principle_files")):
        ids[name] = create(api, name=name, job_type=job_type)
        api.clock.forward(1)

    def listed(**params: Any) -> str:
        names = {job_id: name for name, job_id in ids.items()}
        return "".join(names[job["id"]] for job in api.get(JOBS, params=params)["data"])

    assert listed() == "acb"
    assert listed(sort_order="asc") == "bca"
    assert listed(sort_by="name", sort_order="asc") == "abc"
    assert listed(sort_by="name", limit=1, offset=1) == "b"
    assert listed(job_type="principle_files") == "ab"
    for params in ({"limit": 0}, {"limit": 101}, {"offset": -1}, {"sort_by": "size"}, {"sort_order": "up"}):
        assert fields_of(api.call("GET", JOBS, params=params)) == [*params]
