"""The hook for Nugen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from requests_mock import Mocker

from airflow_provider_nugen.api.errors import ConnectionSettingsError, WrongRouteError
from airflow_provider_nugen.hooks.nugen import NugenHook

HOST = "https://nugen.example"
BASE = f"{HOST}/api/v3/models/base"
STATUS = {
    "B": f"{HOST}/api/v3/alignment-project/status/airflow-connection-test",
    "C": f"{HOST}/api/v3/alignment-projects/airflow-connection-test/status",
}
NO_JOB, NO_ROUTE = {"detail": "Alignment not found"}, {"detail": "Not Found"}


def hook(connection: Callable[..., str], revision: str = "B", **fields: Any) -> NugenHook:
    return NugenHook(connection("nugen", host=HOST, extra={"api_revision": revision}, **fields))


@pytest.mark.parametrize(
    ("revision", "method", "target"),
    [
        ("B", "get_alignment_status", "/api/v3/alignment-project/status/x%2F1"),
        ("C", "get_alignment_status", "/api/v3/alignment-projects/x%2F1/status"),
        ("B", "get_evaluation_status", "/api/v3/evaluations/x%2F1/status"),
        ("C", "get_evaluation_status", "/api/v3/evaluations/x%2F1/status"),
        ("B", "get_undeploy_status", "/api/v3/models/undeploy-model/x%2F1/status"),
        # In revision C what becomes of an undeployment is the status of the deployment.
        ("C", "get_undeploy_status", "/api/v3/models/x%2F1/deployment/status"),
    ],
)
def test_each_method_asks_at_its_path_with_the_key(
    connection: Callable[..., str], requests_mock: Mocker, key: str, revision: str, method: str, target: str
) -> None:
    requests_mock.get(HOST + target, json={"status": "READY", "id": "x/1", "model_id": "m-1"})
    answer = getattr(hook(connection, revision), method)("x/1")
    assert answer.status == "READY"
    assert requests_mock.last_request.headers["Authorization"] == f"Bearer {key}"
    assert "x-team-id" not in requests_mock.last_request.headers


@pytest.mark.parametrize("job_id", ["", None, "."])
@pytest.mark.parametrize("method", ["get_alignment_status", "get_evaluation_status", "get_undeploy_status"])
def test_each_method_refuses_what_is_no_id(connection: Callable[..., str], method: str, job_id: Any) -> None:
    with pytest.raises(ValueError, match=r"_id .*nothing to ask for|cannot be an id"):
        getattr(hook(connection), method)(job_id)


def test_a_wrong_revision_is_explained(connection: Callable[..., str], requests_mock: Mocker) -> None:
    requests_mock.get(f"{HOST}/api/v3/alignment-projects/a-1/status", status_code=404, json=NO_ROUTE)
    with pytest.raises(WrongRouteError, match="api_revision"):
        hook(connection, "C").get_alignment_status("a-1")


def test_the_default_connection_is_the_types(connection: Callable[..., str]) -> None:
    assert NugenHook().conn_id == NugenHook.default_conn_name == "nugen_default"
    with pytest.raises(ConnectionSettingsError, match="nugen_default"):
        NugenHook().get_alignment_status("a-1")


@pytest.mark.parametrize("revision", ["B", "C"])
@pytest.mark.parametrize(
    ("status", "payload"), [(404, NO_JOB), (200, {"status": "READY"}), (400, {"detail": "bad id"}), (422, NO_JOB)]
)
def test_the_test_button_accepts_a_right_key_and_the_right_revision(
    connection: Callable[..., str], requests_mock: Mocker, revision: str, status: int, payload: Any
) -> None:
    requests_mock.get(BASE, json={"models": []})
    requests_mock.get(STATUS[revision], status_code=status, json=payload)
    works, message = hook(connection, revision).test_connection()
    assert works, message
    assert "Nugen accepts the key." in message
    assert "Ignored" not in message


def test_the_test_button_tells_of_extras_that_nobody_knows(
    connection: Callable[..., str], requests_mock: Mocker
) -> None:
    requests_mock.get(BASE, json={"models": []})
    requests_mock.get(STATUS["B"], status_code=404, json=NO_JOB)
    works, message = NugenHook(connection("nugen", host=HOST, extra={"api_revison": "C"})).test_connection()
    assert works
    assert "Ignored, since unknown: the extras api_revison." in message


@pytest.mark.parametrize("revision", ["B", "C"])
def test_the_test_button_says_which_revision_it_found(
    connection: Callable[..., str], requests_mock: Mocker, revision: str
) -> None:
    requests_mock.get(BASE, json={"models": []})
    requests_mock.get(STATUS["B"], status_code=404, json=NO_JOB if revision == "B" else NO_ROUTE)
    requests_mock.get(STATUS["C"], status_code=404, json=NO_JOB if revision == "C" else NO_ROUTE)
    works, message = NugenHook(connection("nugen", host=HOST)).test_connection()
    assert (works, message) == (
        True,
        f"Nugen accepts the key. It was found to speak API revision {revision} (api_revision is auto).",
    )


def test_the_test_button_says_that_the_service_speaks_no_revision(
    connection: Callable[..., str], requests_mock: Mocker
) -> None:
    requests_mock.get(BASE, json={"models": []})
    for url in STATUS.values():
        requests_mock.get(url, status_code=404, json=NO_ROUTE)
    works, message = NugenHook(connection("nugen", host=HOST)).test_connection()
    assert not works
    assert "B and C were both tried" in message


@pytest.mark.parametrize(
    ("base", "status", "says"),
    [
        ({"status_code": 401, "json": {"detail": "Invalid key"}}, {"json": {"status": "READY"}}, "API key (password)"),
        ({"status_code": 403, "json": {"detail": "Forbidden"}}, {"json": {"status": "READY"}}, "403"),
        ({"status_code": 404, "json": NO_ROUTE}, {"json": {"status": "READY"}}, "Host"),
        ({"text": "<html>a captive portal</html>"}, {"json": {"status": "READY"}}, "captive portal"),
        ({"status_code": 302, "text": ""}, {"json": {"status": "READY"}}, "Redirects are not followed"),
        ({"json": {}}, {"status_code": 404, "json": NO_ROUTE}, "api_revision"),
        ({"json": {}}, {"status_code": 401, "json": {"detail": "Invalid key"}}, "API key (password)"),
        ({"json": {}}, {"status_code": 502, "text": "Bad Gateway"}, "502"),
        ({"json": {}}, {"status_code": 429, "json": {"detail": "slow down"}}, "slow down"),
    ],
)
def test_the_test_button_says_what_is_wrong_and_with_which_connection(
    connection: Callable[..., str],
    requests_mock: Mocker,
    sleeps: list[float],
    key: str,
    base: dict[str, Any],
    status: dict[str, Any],
    says: str,
) -> None:
    requests_mock.get(BASE, **base)
    requests_mock.get(STATUS["B"], **status)
    works, message = hook(connection).test_connection()
    assert not works
    assert says in message
    assert "'nugen_default'" in message
    assert key not in message
    assert sleeps == []


def test_the_test_button_says_that_nobody_is_there(connection: Callable[..., str], refused: str) -> None:
    works, message = NugenHook(connection("nugen", host=refused)).test_connection()
    assert (works, "could not be reached" in message) == (False, True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"password": ""}, "(password) is empty"),
        ({"host": "http://nugen.example"}, "allow_http"),
        ({"extra": {"api_revision": "X"}}, "api_revision"),
    ],
)
def test_the_test_button_says_what_is_wrong_in_the_form(
    connection: Callable[..., str], fields: dict[str, Any], says: str
) -> None:
    works, message = NugenHook(connection("nugen", **fields)).test_connection()
    assert (works, says in message) == (False, True)


def test_the_test_button_reads_a_connection_that_was_corrected(
    connection: Callable[..., str], requests_mock: Mocker
) -> None:
    requests_mock.get(BASE, json={})
    requests_mock.get(STATUS["B"], status_code=404, json=NO_JOB)
    nugen = hook(connection, "X")
    assert nugen.test_connection()[0] is False
    hook(connection, "B")
    assert nugen.test_connection()[0] is True
    hook(connection, "X")
    assert nugen.test_connection()[0] is False
