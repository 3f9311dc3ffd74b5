"""What the hooks of both services have in common."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
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
from airflow_provider_nugen.hooks import deprecation
from airflow_provider_nugen.hooks.base import MAX_ATTEMPTS, MAX_RETRY_WAIT
from airflow_provider_nugen.hooks.nugen import NugenHook

from .conftest import DROP, NO_MODEL, REFUSED, Answer, Deployment, Server

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


@pytest.mark.parametrize("status", [302, 400, 402, 403, 404, 409, 410, 422])
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
    answers(requests_mock, *[busy(502)] * (MAX_ATTEMPTS - 1), busy(504))
    with pytest.raises(errors.TransientResponseError) as caught:
        hook.request(GET)
    assert caught.value.status == 504
    assert (requests_mock.call_count, sleeps) == (MAX_ATTEMPTS, [1, 2, 4])


@pytest.mark.parametrize(("header", "slept"), [("7", [7]), ("0", [1]), (str(int(MAX_RETRY_WAIT)), [60]), ("soon", [1])])
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
    assert len(sleeps) == MAX_ATTEMPTS - 1


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


def test_what_is_not_found_any_more_is_a_passing_failure(
    hook: NugenHook, requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch, sleeps: list[float]
) -> None:
    """Airflow says the same whatever went wrong in a secrets backend."""
    answers(requests_mock, {"json": READY})
    hook.send(GET)
    hook.close()
    monkeypatch.delenv("AIRFLOW_CONN_NUGEN_DEFAULT")
    with pytest.raises(errors.TransportError, match="not found any more"):
        hook.fetch(GET)


@pytest.mark.parametrize(
    ("known_to_exist", "error"), [(True, errors.TransportError), (False, errors.ConnectionSettingsError)]
)
def test_what_another_process_has_read_may_come_back(known_to_exist: bool, error: type[errors.ApiError]) -> None:
    with pytest.raises(error, match="'nowhere'") as caught:
        NugenHook("nowhere").fetch(GET, known_to_exist=known_to_exist)
    assert caught.value.transient is known_to_exist


def test_a_block_closes_the_hook_at_its_end_and_blocks_may_be_nested(
    hook: NugenHook, connection: Callable[..., str], requests_mock: Mocker
) -> None:
    answers(requests_mock, {"json": READY})
    with hook as entered:
        assert entered is hook
        session = hook.get_conn()
        with hook, contextlib.suppress(ZeroDivisionError):
            hook.send(GET)
            raise ZeroDivisionError
        assert hook.get_conn() is session
    connection("nugen", host="https://other.example")
    with hook:
        assert hook.get_conn() is not session
        hook.send(GET)
    assert requests_mock.last_request.hostname == "other.example"


# --- the key is refused


@pytest.mark.parametrize("call", [GET, POST], ids=["get", "post"])
def test_a_key_that_was_changed_is_found_within_the_call(
    hook: NugenHook, connection: Callable[..., str], requests_mock: Mocker, sleeps: list[float], call: Call[Any]
) -> None:
    def answer(request: Any, context: Any) -> Any:
        if request.headers["Authorization"] != "Bearer new-test-key":
            context.status_code = 401
            return {"detail": "bad key"}
        return READY | CREATED

    requests_mock.register_uri(rm.ANY, rm.ANY, json=answer)
    assert hook.settings.api_key != "new-test-key"
    connection("nugen", host="https://nugen.example", password="new-test-key")
    assert hook.request(call) is not None
    assert (requests_mock.call_count, sleeps) == (2, [])


@pytest.mark.parametrize("call", [GET, POST], ids=["get", "post"])
def test_a_key_that_stays_refused_is_sent_twice(
    hook: NugenHook, requests_mock: Mocker, sleeps: list[float], call: Call[Any]
) -> None:
    answers(requests_mock, {"status_code": 401, "json": {"detail": "bad key"}})
    with pytest.raises(errors.UnauthorizedError, match="bad key"):
        hook.request(call)
    assert (requests_mock.call_count, sleeps) == (2, [])


def test_a_hiccup_of_the_service_ends_nothing(hook: NugenHook, requests_mock: Mocker, sleeps: list[float]) -> None:
    answers(requests_mock, {"status_code": 401, "json": {"detail": "bad key"}}, {"json": READY})
    assert hook.send(GET).status == "READY"


def test_a_connection_that_is_gone_when_the_key_is_refused_is_a_passing_failure(
    hook: NugenHook, requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(requests_mock, {"status_code": 401, "json": {"detail": "bad key"}})
    assert hook.settings
    monkeypatch.delenv("AIRFLOW_CONN_NUGEN_DEFAULT")
    with pytest.raises(errors.TransportError, match="not found any more") as caught:
        hook.fetch(POST)
    assert not caught.value.maybe_processed


# --- the API revision is found out


@pytest.mark.parametrize(("before", "after"), ["BC", "CB"])
@pytest.mark.parametrize("call", [GET, POST], ids=["get", "post"])
def test_a_move_to_the_other_revision_costs_one_request(
    connection: Callable[..., str],
    server: Server,
    deployment: Deployment,
    caplog: pytest.LogCaptureFixture,
    before: str,
    after: str,
    call: Call[Any],
) -> None:
    with NugenHook(connection("nugen", host=server.url)) as hook:
        for deployment.speaks in (before, after):
            hook.request(call)
        server.seen.clear()
        assert hook.fetch(call).revision == hook.revision == after
        assert len(server.seen) == 1
    said = [record.message for record in caplog.records if "API revision" in record.message]
    name = "Nugen (connection 'nugen_default') speaks API revision"
    assert said == [f"{name} {before}.", f"{name} {after} now (it spoke {before} before)."]


def test_an_alignment_is_created_once_whatever_the_service_speaks(
    connection: Callable[..., str], server: Server, deployment: Deployment
) -> None:
    deployment.speaks = "C"
    with NugenHook(connection("nugen", host=server.url)) as hook:
        assert hook.request(POST).alignment_id == "a-c"
    assert [(seen.method, seen.target) for seen in server.seen] == [
        ("POST", "/api/v3/alignment-project/create"),
        ("POST", "/api/v3/alignment-projects/create"),
    ]
    assert json.loads(server.seen[1].body) == {"alignment_name": "n", "base_model_id": "b", "document_ids": ["d"]}


def test_a_missing_jobs_own_404_is_no_reason_to_move(
    connection: Callable[..., str], server: Server, deployment: Deployment
) -> None:
    server.rule = lambda request: NO_MODEL
    with NugenHook(connection("nugen", host=server.url)) as hook, pytest.raises(errors.NotFoundError):
        hook.request(endpoints.UNDEPLOY_MODEL.call(model_id="m-1"))
    assert len(server.seen) == 1


def test_a_service_that_has_the_path_of_no_revision_is_told_with_both(
    connection: Callable[..., str], server: Server, deployment: Deployment
) -> None:
    deployment.speaks = ""
    with (
        NugenHook(connection("nugen", host=server.url)) as hook,
        pytest.raises(errors.WrongRouteError, match=r"'a-1'.* B and C were both tried.*check the base URL \(Host\)"),
    ):
        hook.request(GET)
    assert len(server.seen) == 2


def test_what_only_another_revision_has_is_asked_for_in_that_one(
    connection: Callable[..., str], server: Server, deployment: Deployment
) -> None:
    early = endpoints.DEPLOY_MODEL.call(model_id="m-1", early=True)
    with NugenHook(connection("nugen", host=server.url)) as hook:
        assert hook.fetch(GET).revision == "B"
        with pytest.raises(errors.WrongRouteError, match="in API revision C, and no other revision has another"):
            hook.request(early)
        deployment.speaks = "C"
        assert hook.request(early) == "m-c"


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
    (uploaded,) = NugenHook(connection("nugen", host=server.url)).request(call)
    assert uploaded.id == "d-1"
    (seen,) = server.seen
    assert seen.headers["Authorization"] == f"Bearer {key}"
    assert seen.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    for part in (b'name="files"; filename="a.txt"', b"some words", b'name="names"', b"first"):
        assert part in seen.body


@pytest.mark.parametrize("why", ["another key", "another revision"])
def test_files_are_sent_again_whole_if_they_were_not_processed(
    connection: Callable[..., str], server: Server, deployment: Deployment, why: str
) -> None:
    words = b"some words " * 20_000
    upload = Upload("files", "a.txt", lambda: io.BytesIO(words))
    call = endpoints.UPLOAD_DOCUMENTS.upload([upload], names=["first"])
    with NugenHook(connection("nugen", host=server.url)) as hook:
        if why == "another key":
            assert hook.settings
            connection("nugen", host=server.url, password="new-test-key")
            server.rule = lambda request: (
                deployment(request) if "new-test-key" in request.headers["Authorization"] else REFUSED
            )
        else:
            deployment.speaks = "C"
        assert [uploaded.id for uploaded in hook.request(call)] == ["d-c" if why == "another revision" else "d-b"]
    assert len(server.seen) == 2
    assert [seen.body.count(words) for seen in server.seen] == [1, 1]
    assert b'name="names"' in server.seen[1].body


def test_a_deprecated_operation_is_warned_of_once(
    hook: NugenHook, requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(deprecation, "_logged", set())
    answers(requests_mock, {"json": {"status": "READY"}, "headers": {"Deprecation": "true"}})
    for _ in range(2):
        hook.send(endpoints.EVALUATION_STATUS.call(evaluation_id="e-1"))
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "Nugen says that 'get evaluation status' is deprecated."
    ]


# --- what importing costs


def test_a_dag_file_loads_no_http_library() -> None:
    program = (
        "import sys\n"
        "import airflow_provider_nugen.hooks.nugen, airflow_provider_nugen.hooks.seekr\n"
        "import airflow_provider_nugen.sensors.nugen, airflow_provider_nugen.sensors.seekr\n"
        "import airflow_provider_nugen.operators.nugen, airflow_provider_nugen.operators.seekr\n"
        "print([name for name in ('requests', 'aiohttp', 'urllib3', 'yarl') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
