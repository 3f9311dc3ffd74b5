"""What the hooks of both services have in common."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import requests
import requests_mock as rm
from requests_mock import Mocker
from structlog.testing import capture_logs

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.endpoint import Call, Upload
from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.hooks.base import ATTEMPTS, LONGEST_PAUSE
from airflow_provider_nugen.hooks.nugen import NugenHook

from .conftest import DROP, Answer, Server

GET = endpoints.ALIGNMENT_STATUS.call(alignment_id="a-1")
POST = endpoints.CREATE_ALIGNMENT.call(name="n", base_model="b", document_ids=["d"])
READY, CREATED = {"status": "READY", "model_id": "m-1"}, {"alignment_id": "a-1"}
BUSY = {"detail": "busy"}


@pytest.fixture
def hook(connection: Callable[..., str]) -> NugenHook:
    """A hook whose service is the mocker's."""
    return NugenHook(connection("nugen", host="https://nugen.example"))


def answers(mocker: Mocker, *script: dict[str, Any]) -> None:
    mocker.register_uri(rm.ANY, rm.ANY, list(script))


def busy(status: int, **headers: str) -> dict[str, Any]:
    return {"status_code": status, "json": BUSY, "headers": {k.replace("_", "-"): v for k, v in headers.items()}}


# --- sending once


def test_a_send_is_one_request_whatever_comes_back(hook: NugenHook, requests_mock: Mocker, sleeps: list[float]) -> None:
    answers(requests_mock, busy(502))
    with pytest.raises(errors.TransientResponseError) as caught:
        hook.send(GET)
    assert str(caught.value).startswith(
        "Nugen (connection 'nugen_default'): get alignment status of alignment_id 'a-1'"
    )
    assert (requests_mock.call_count, sleeps) == (1, [])


def test_an_id_that_cannot_be_sent_is_not_sent(hook: NugenHook, requests_mock: Mocker) -> None:
    with pytest.raises(errors.InvalidInputError, match="alignment_id"):
        hook.send(endpoints.ALIGNMENT_STATUS.call(alignment_id=".."))
    assert requests_mock.call_count == 0


def test_neither_hook_nor_errors_show_the_key(
    hook: NugenHook, requests_mock: Mocker, key: str, hidden: Callable[[object], None]
) -> None:
    answers(requests_mock, {"status_code": 400, "json": {"detail": f"the key {key} is odd"}}, {"text": f"<{key}>"})
    for _ in range(2):
        with pytest.raises(errors.ApiError) as caught:
            hook.send(GET)
        hidden(caught.value)
        assert "***" in str(caught.value)
    hidden(hook)
    hidden(hook.settings)


def test_the_session_is_made_once_and_verifies_and_carries_the_key(
    hook: NugenHook, requests_mock: Mocker, key: str
) -> None:
    answers(requests_mock, {"json": READY})
    session = hook.get_conn()
    hook.send(GET)
    hook.send(GET)
    assert hook.get_conn() is session
    assert session.headers["Authorization"] == f"Bearer {key}"
    assert requests_mock.last_request.timeout.total == 30.0
    assert requests_mock.last_request.verify not in (False, None)


# --- sending again


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_get_is_sent_again_after_a_passing_failure(
    hook: NugenHook, requests_mock: Mocker, sleeps: list[float], status: int
) -> None:
    answers(requests_mock, busy(status), busy(status), {"json": READY})
    assert hook.request(GET).model_id == "m-1"
    assert (requests_mock.call_count, sleeps) == (3, [1, 2])


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404, 409, 410, 422])
def test_a_final_status_is_not_asked_for_again(
    hook: NugenHook, requests_mock: Mocker, sleeps: list[float], status: int
) -> None:
    answers(requests_mock, busy(status))
    with pytest.raises(errors.ResponseError):
        hook.request(GET)
    assert (requests_mock.call_count, sleeps) == (1, [])


def test_after_so_many_attempts_the_last_failure_is_raised(
    hook: NugenHook, requests_mock: Mocker, sleeps: list[float]
) -> None:
    answers(requests_mock, *[busy(502)] * (ATTEMPTS - 1), busy(504))
    with pytest.raises(errors.TransientResponseError) as caught:
        hook.request(GET)
    assert caught.value.status == 504
    assert (requests_mock.call_count, sleeps) == (ATTEMPTS, [1, 2, 4])


@pytest.mark.parametrize(("header", "slept"), [("7", [7]), ("0", [1]), (str(int(LONGEST_PAUSE)), [60]), ("soon", [1])])
def test_retry_after_is_obeyed(
    hook: NugenHook, requests_mock: Mocker, sleeps: list[float], header: str, slept: list[float]
) -> None:
    answers(requests_mock, busy(429, Retry_After=header), {"json": READY})
    assert hook.request(GET).status == "READY"
    assert sleeps == slept


@pytest.mark.parametrize("call", [GET, POST], ids=["get", "post"])
def test_a_pause_longer_than_a_call_may_take_is_not_waited_for(
    hook: NugenHook, requests_mock: Mocker, sleeps: list[float], call: Call[Any]
) -> None:
    answers(requests_mock, busy(429, Retry_After="61"))
    with pytest.raises(errors.TransientResponseError) as caught:
        hook.request(call)
    assert (caught.value.retry_after, requests_mock.call_count, sleeps) == ("61", 1, [])


@pytest.mark.parametrize(
    ("failure", "sent_again"),
    [
        (busy(429), True),
        (busy(429, Retry_After="3"), True),
        (busy(503, Retry_After="3"), True),
        (busy(503), False),
        (busy(408), False),
        (busy(500), False),
        (busy(502), False),
        (busy(502, Retry_After="3"), False),
        (busy(504), False),
        ({"text": "<html>"}, False),
        ({"json": {"status": "no id"}}, False),
        ({"exc": requests.ConnectTimeout}, False),  # by its name alone nothing is proven
        ({"exc": requests.ReadTimeout}, False),
        ({"exc": requests.ConnectionError}, False),
    ],
    ids=lambda value: str(value),
)
def test_a_post_is_sent_again_only_if_it_was_provably_not_processed(
    hook: NugenHook, requests_mock: Mocker, sleeps: list[float], failure: dict[str, Any], sent_again: bool
) -> None:
    answers(requests_mock, failure, {"json": CREATED})
    if sent_again:
        assert hook.request(POST).alignment_id == "a-1"
    else:
        with pytest.raises(errors.ApiError) as caught:
            hook.request(POST)
        assert caught.value.maybe_processed
    assert (requests_mock.call_count, len(sleeps)) == ((2, 1) if sent_again else (1, 0))
    assert [request.json() for request in requests_mock.request_history] == [
        {"name": "n", "base_model": "b", "document_ids": ["d"]}
    ] * requests_mock.call_count


def test_a_post_that_was_refused_a_connection_is_sent_again(
    connection: Callable[..., str], refused: str, sleeps: list[float]
) -> None:
    with pytest.raises(errors.TransportError) as caught:
        NugenHook(connection("nugen", host=refused)).request(POST)
    assert not caught.value.maybe_processed
    assert len(sleeps) == ATTEMPTS - 1


def test_a_post_whose_answer_was_dropped_is_sent_once(
    connection: Callable[..., str], server: Server, sleeps: list[float]
) -> None:
    server.script.append(DROP)
    with pytest.raises(errors.TransportError) as caught:
        NugenHook(connection("nugen", host=server.url)).request(POST)
    assert caught.value.maybe_processed
    assert (len(server.seen), sleeps) == (1, [])


# --- the connection


def test_the_connection_is_read_when_it_is_needed(connection: Callable[..., str]) -> None:
    hook = NugenHook("not_ready_status")
    with pytest.raises(errors.ConnectionSettingsError, match="'not_ready_status'"):
        hook.send(GET)
    connection("nugen", "not_ready_status")
    assert hook.settings.conn_id == "not_ready_status"


def test_unknown_extras_are_warned_of_once(connection: Callable[..., str]) -> None:
    hook = NugenHook(connection("nugen", extra={"tiemout": 5}))
    with capture_logs() as logs:
        assert hook.settings is hook.settings
    assert [line["log_level"] for line in logs] == ["warning"]
    text = logs[0]["event"] % tuple(logs[0].get("positional_args", ()))
    assert "nugen_default" in text
    assert "tiemout" in text


def test_a_connection_without_unknown_extras_is_not_warned_of(hook: NugenHook) -> None:
    with capture_logs() as logs:
        assert hook.settings.unknown_extras == ()
    assert logs == []


def test_reading_the_connection_again_says_whether_it_changed(
    hook: NugenHook, connection: Callable[..., str], requests_mock: Mocker
) -> None:
    answers(requests_mock, {"json": READY})
    hook.send(GET)
    assert hook.reread() is False
    connection("nugen", host="https://nugen.example", password="another-key")
    assert hook.reread() is True
    hook.send(GET)
    assert requests_mock.last_request.headers["Authorization"] == "Bearer another-key"
    assert hook.reread() is False


def test_a_closed_hook_opens_again_with_a_fresh_connection(
    hook: NugenHook, connection: Callable[..., str], requests_mock: Mocker
) -> None:
    answers(requests_mock, {"json": READY})
    session = hook.get_conn()
    hook.close()
    connection("nugen", host="https://other.example")
    hook.send(GET)
    assert requests_mock.last_request.hostname == "other.example"
    assert hook.get_conn() is not session
    hook.close()
    hook.close()


# --- async


async def test_an_async_request_does_what_a_sync_one_does(
    connection: Callable[..., str], server: Server, sleeps: list[float], key: str
) -> None:
    hook = NugenHook(connection("nugen", host=server.url))
    server.script += [Answer(502), Answer(429, headers={"Retry-After": "7"}), Answer(body=b'{"status": "READY"}')]
    assert (await hook.arequest(GET)).status == "READY"
    assert sleeps[:2] == [1, 7]
    assert {seen.headers["Authorization"] for seen in server.seen} == {f"Bearer {key}"}
    server.script += [Answer(502)]
    with pytest.raises(errors.TransientResponseError) as caught:
        await hook.arequest(POST)
    assert caught.value.maybe_processed
    assert len(server.seen) == 4


# --- uploads and deprecation


def test_files_go_out_as_a_form_with_the_key(connection: Callable[..., str], server: Server, key: str) -> None:
    server.script.append(Answer(body=b'["d-1"]'))
    upload = Upload("files", "a.txt", lambda: io.BytesIO(b"some words"))
    call = endpoints.UPLOAD_DOCUMENTS.upload([upload], names=["first"])
    assert NugenHook(connection("nugen", host=server.url)).request(call) == ["d-1"]
    (seen,) = server.seen
    assert seen.headers["Authorization"] == f"Bearer {key}"
    assert seen.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    for part in (b'name="files"; filename="a.txt"', b"some words", b'name="names"', b"first"):
        assert part in seen.body


def test_a_deprecated_operation_is_warned_of_once(hook: NugenHook, requests_mock: Mocker) -> None:
    answers(requests_mock, {"json": {"status": "READY"}, "headers": {"Deprecation": "true"}})
    with capture_logs() as logs:
        for _ in range(2):
            hook.send(endpoints.EVALUATION_STATUS.call(evaluation_id="e-1"))
    assert [line["log_level"] for line in logs] == ["warning"]
    assert "get evaluation status" in logs[0]["event"] % tuple(logs[0].get("positional_args", ()))
