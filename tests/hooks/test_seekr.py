"""The hook for SeekrFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from requests_mock import Mocker

from airflow_provider_nugen.hooks.seekr import SeekrHook

HOST = "https://seekr.example"
LIST = f"{HOST}/v1/flow/alignment"


@pytest.mark.parametrize(("extra", "team"), [({"team_id": "team-7"}, "team-7"), ({}, None)])
def test_a_job_is_asked_for_with_the_bare_key_and_the_team(
    connection: Callable[..., str], requests_mock: Mocker, key: str, extra: dict[str, Any], team: str | None
) -> None:
    requests_mock.get(f"{HOST}/v1/flow/alignment/j%2F1", json={"id": "j/1", "status": "running", "progress": 40})
    job = SeekrHook(connection("seekr", host=HOST, extra=extra)).get_alignment("j/1")
    assert (job.id, job.status, job.progress) == ("j/1", "running", 40)
    assert requests_mock.last_request.headers["Authorization"] == key
    assert requests_mock.last_request.headers.get("x-team-id") == team


def test_what_is_no_id_is_refused(connection: Callable[..., str]) -> None:
    with pytest.raises(ValueError, match="alignment_job_id"):
        SeekrHook(connection("seekr", host=HOST)).get_alignment(" ")


def test_the_default_connection_is_the_types() -> None:
    assert SeekrHook().conn_id == SeekrHook.default_conn_name == "seekr_default"


def test_the_test_button_accepts_a_right_key(connection: Callable[..., str], requests_mock: Mocker) -> None:
    requests_mock.get(LIST, json={"object": "list", "data": []})
    works, message = SeekrHook(connection("seekr", host=HOST)).test_connection()
    assert (works, "SeekrFlow accepts the key." in message) == (True, True)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"status_code": 401, "json": {"error": "Unauthorized", "message": "bad key"}}, "bad key"),
        ({"status_code": 403, "json": {"error": "Forbidden", "message": "no member"}}, "team_id"),
        ({"status_code": 404, "json": {"detail": "Not Found"}}, "Host"),
        ({"text": "<html>"}, "not JSON"),
        ({"status_code": 503, "text": ""}, "503"),
    ],
)
def test_the_test_button_says_what_is_wrong(
    connection: Callable[..., str], requests_mock: Mocker, key: str, answer: dict[str, Any], says: str
) -> None:
    requests_mock.get(LIST, **answer)
    works, message = SeekrHook(connection("seekr", "their_seekr", host=HOST)).test_connection()
    assert not works
    assert says in message
    assert "SeekrFlow (connection 'their_seekr')" in message
    assert key not in message


def test_the_test_button_says_that_nobody_is_there(connection: Callable[..., str], refused: str) -> None:
    works, message = SeekrHook(connection("seekr", host=refused)).test_connection()
    assert (works, "could not be reached" in message) == (False, True)


def test_the_test_button_says_that_there_is_no_connection() -> None:
    works, message = SeekrHook("nowhere").test_connection()
    assert (works, "no such connection" in message) == (False, True)
