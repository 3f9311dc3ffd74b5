"""Who may call, and how each service says no."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulator.conftest import KEY, Api

NUGEN = "/api/v3/models/base"
SEEKR = "/v1/flow/alignment"


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Bearer ", KEY, f"Basic {KEY}"])
def test_nugen_wants_the_key_as_a_bearer(api: Api, authorization: str) -> None:
    answer = api.call("GET", NUGEN, authorization=authorization)
    assert answer.status_code == 401
    assert answer.json() == {"detail": "Invalid or missing API key"}
    assert api.call("GET", NUGEN).status_code == 200


@pytest.mark.parametrize("authorization", ["", "wrong", f"Bearer {KEY}"])
def test_seekrflow_wants_the_bare_key(api: Api, authorization: str) -> None:
    answer = api.call("GET", SEEKR, authorization=authorization)
    assert answer.status_code == 401
    assert answer.json() == {
        "error": "Unauthorized",
        "message": "Invalid API key",
        "status": 401,
        "requestUrl": SEEKR,
    }
    assert api.call("GET", SEEKR).status_code == 200


def test_nothing_happens_without_a_key(api: Api) -> None:
    api.call("POST", "/v1/flow/alignment/generate", authorization="", json={"instructions": "i", "files": ["f"]})
    assert api.simulator.world.all("seekr_alignment") == []


def test_a_team_that_the_key_does_not_belong_to_is_403(simulate: Callable[..., Api]) -> None:
    api = simulate(seekr_team_ids=["team-1"])
    answer = api.call("GET", SEEKR, headers={"x-team-id": "team-2"})
    assert answer.status_code == 403
    assert (answer.json()["error"], answer.json()["status"]) == ("Forbidden", 403)
    assert "team-2" in answer.json()["message"]
    for team in ({"x-team-id": "team-1"}, {}):
        assert api.call("GET", SEEKR, headers=team).status_code == 200


def test_a_job_is_visible_only_to_its_team_or_in_the_personal_workspace(api: Api) -> None:
    ids = {}
    for team in ("", "a", "b"):
        body = {"instructions": "i", "files": ["f"]}
        ids[team] = api.json("POST", f"{SEEKR}/generate", json=body, headers={"x-team-id": team})["id"]
    for team in ids:
        headers = {"x-team-id": team}
        assert [job["id"] for job in api.get(SEEKR, headers=headers)["data"]] == [ids[team]]
        for other, job_id in ids.items():
            for method, path in (("GET", ""), ("GET", "/outputs"), *([("POST", "/cancel")] if team != other else [])):
                status = api.call(method, f"{SEEKR}/{job_id}{path}", headers=headers).status_code
                assert status == (200 if team == other else 404)


def test_data_jobs_are_scoped_too(api: Api) -> None:
    body = {"name": "n", "job_type": "principle_files"}
    job = api.json("POST", "/v1/flow/data-jobs", json=body, headers={"x-team-id": "a"})
    assert job["team_id"] == "a"
    assert api.get("/v1/flow/data-jobs")["data"] == []
    answer = api.call("GET", f"/v1/flow/data-jobs/{job['id']}")
    assert answer.status_code == 404
    assert job["id"] in answer.json()["message"]


def test_a_rotated_key_replaces_the_old_one(api: Api) -> None:
    answer = api.call("PUT", "/_simulator/key", authorization="", json={"api_key": "new"})
    assert answer.status_code == 204
    assert api.call("GET", NUGEN, authorization=f"Bearer {KEY}").status_code == 401
    assert api.call("GET", SEEKR, authorization=KEY).status_code == 401
    assert api.call("GET", NUGEN, authorization="Bearer new").status_code == 200
    assert api.call("GET", SEEKR, authorization="new").status_code == 200
    assert api.simulator.nugen_connection()["password"] == "new"
