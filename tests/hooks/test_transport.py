"""Both transports, against a real server: what goes out, what comes back, what can go wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from airflow_provider_nugen.api import response as response_module
from airflow_provider_nugen.api.endpoint import Call, Request
from airflow_provider_nugen.api.errors import (
    ApiError,
    CertificateError,
    ConnectionSettingsError,
    TransportError,
    UnreadableResponseError,
)
from airflow_provider_nugen.api.nugen.endpoints import ALIGNMENT_STATUS
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.hooks.async_transport import AsyncTransport
from airflow_provider_nugen.hooks.failures import explained
from airflow_provider_nugen.hooks.network import MAX_BODY
from airflow_provider_nugen.hooks.settings import Settings

from .conftest import DROP, HANG, Answer, Server
from .raw_server import Send, send_async, send_sync

GET = Request("GET", "/x")
#: A host that nobody asks directly: only a proxy may be asked for it.
ELSEWHERE = "http://service.example"


@pytest.fixture(params=[send_sync, send_async], ids=["requests", "aiohttp"])
def send(request: pytest.FixtureRequest) -> Send:
    """Send one request, through either transport."""
    sender: Send = request.param
    return sender


@pytest.fixture
def settings(key: str) -> Callable[..., Settings]:
    """Make settings for a base URL."""

    def make(base_url: str, service: Service = NUGEN, **fields: Any) -> Settings:
        return Settings(service, "my_conn", base_url, key, **fields)

    return make


def error_of(send: Send, settings: Settings, request: Request = GET) -> ApiError:
    with pytest.raises(ApiError) as caught:
        send(settings, request)
    return caught.value


# --- what goes out


@pytest.mark.parametrize(
    ("service", "headers", "authorization"),
    [(NUGEN, (), "Bearer {}"), (SEEKR, (("x-team-id", "team-7"),), "{}")],
    ids=["nugen", "seekr"],
)
def test_every_request_carries_key_and_team(
    send: Send,
    server: Server,
    settings: Callable[..., Settings],
    key: str,
    service: Service,
    headers: Any,
    authorization: str,
) -> None:
    send(settings(server.url, service, headers=headers), GET)
    (seen,) = server.seen
    assert seen.headers["Authorization"] == authorization.format(key)
    assert seen.headers.get("x-team-id") == dict(headers).get("x-team-id")
    assert seen.headers["Accept"] == "application/json"
    assert seen.headers["User-Agent"].startswith("airflow-provider-nugen/")


@pytest.mark.parametrize(
    "job_id",
    ["a-1", "../models/base?x=1", "a/b", "a%2Fb", "%2e%2e", "...", "a b", "a#b", "ü☃", "~a!$&'()*+,;=:@[]", "{}"],
)
def test_an_id_arrives_as_one_segment(
    send: Send, server: Server, settings: Callable[..., Settings], job_id: str
) -> None:
    request = ALIGNMENT_STATUS.call(alignment_id=job_id).request("B", "c")
    send(settings(server.url), request)
    assert server.seen[0].target == request.target


def test_a_base_url_may_have_a_path(send: Send, server: Server, settings: Callable[..., Settings]) -> None:
    send(settings(f"{server.url}/nugen"), Request("GET", "/x?early=true"))
    assert server.seen[0].target == "/nugen/x?early=true"


def test_a_body_goes_out_as_json(send: Send, server: Server, settings: Callable[..., Settings]) -> None:
    send(settings(server.url), Request("POST", "/x", json={"name": "ü", "document_ids": ["d"]}))
    (seen,) = server.seen
    assert (seen.method, seen.headers["Content-Type"]) == ("POST", "application/json")
    assert json.loads(seen.body) == {"name": "ü", "document_ids": ["d"]}


def test_a_request_without_a_body_sends_none(send: Send, server: Server, settings: Callable[..., Settings]) -> None:
    send(settings(server.url), Request("DELETE", "/x"))
    assert (server.seen[0].method, server.seen[0].body) == ("DELETE", b"")


def test_a_netrc_entry_does_not_replace_the_key(
    send: Send,
    server: Server,
    settings: Callable[..., Settings],
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    send(settings(server.url), GET)
    assert server.seen[0].headers["Authorization"] == f"Bearer {key}"


# --- proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(
    send: Send, server: Server, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, server.url)
    assert send(settings(ELSEWHERE), GET).status == 200
    assert server.seen[0].target == f"{ELSEWHERE}/x"


@pytest.mark.parametrize("no_proxy", ["service.localtest", "*", "service.example, .LOCALTEST", "*.localtest"])
def test_no_proxy_names_hosts_that_are_asked_directly(
    send: Send,
    server: Server,
    refused: str,
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    no_proxy: str,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    elsewhere = refused.replace("127.0.0.1", "service.localtest")
    assert send(settings(elsewhere), GET).status == 200
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert isinstance(error_of(send, settings(elsewhere)), TransportError)


def test_the_connections_proxy_wins_over_the_environment(
    send: Send, server: Server, refused: str, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", refused)
    monkeypatch.setenv("NO_PROXY", "*")
    send(settings(ELSEWHERE, proxy=server.url), GET)
    assert server.seen[0].target == f"{ELSEWHERE}/x"


def test_https_goes_through_the_proxy_as_a_tunnel_and_the_key_is_not_for_the_proxy(
    send: Send, server: Server, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    server.script.append(Answer(502))
    error = error_of(send, settings("https://service.example"))
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("CONNECT", "service.example:443")
    assert key not in repr(seen)
    assert (error.transient, error.maybe_processed) == (True, False)


def test_a_password_of_a_proxy_is_sent_to_it_and_shown_to_nobody(
    send: Send, server: Server, refused: str, settings: Callable[..., Settings]
) -> None:
    send(settings(ELSEWHERE, proxy=server.url.replace("://", "://user:pr0xy-pw@")), GET)
    assert server.seen[0].headers["Proxy-Authorization"].startswith("Basic ")
    error = error_of(send, settings(ELSEWHERE, proxy=refused.replace("://", "://user:pr0xy-pw@")))
    assert "pr0xy-pw" not in f"{error} {error!r}"


# --- what comes back


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, b'{"status": "READY"}'), RawResponse(200, b'{"status": "READY"}')),
        (Answer(404, b"<html>"), RawResponse(404, b"<html>")),
        (Answer(503, b"", {"Retry-After": "7"}), RawResponse(503, b"", "7")),
        (Answer(204, b""), RawResponse(204, b"")),
        (
            Answer(200, gzip.compress(b'{"status": "READY"}'), {"Content-Encoding": "gzip"}),
            RawResponse(200, b'{"status": "READY"}'),
        ),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_an_answer_comes_back_as_it_is(
    send: Send, server: Server, settings: Callable[..., Settings], answer: Answer, expected: RawResponse
) -> None:
    server.script.append(answer)
    response = send(settings(server.url), GET)
    assert response == expected
    assert type(response.body) is bytes


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(send: Send, server: Server, settings: Callable[..., Settings], status: int) -> None:
    server.script.append(Answer(status, b"", {"Location": f"{server.url}/elsewhere"}))
    assert send(settings(server.url), GET).status == status
    assert len(server.seen) == 1


def test_a_body_of_the_limit_is_read_and_a_longer_one_is_not(
    send: Send, server: Server, settings: Callable[..., Settings]
) -> None:
    server.script += [Answer(body=b"x" * MAX_BODY), Answer(body=b"x" * (MAX_BODY + 1))]
    assert len(send(settings(server.url), GET).body) == MAX_BODY
    error = error_of(send, settings(server.url))
    assert isinstance(error, UnreadableResponseError)
    assert "16 MiB" in str(error)


def test_a_small_body_that_unpacks_to_a_huge_one_is_not_read(
    send: Send, server: Server, settings: Callable[..., Settings]
) -> None:
    server.script.append(Answer(body=gzip.compress(b"x" * (MAX_BODY * 4)), headers={"Content-Encoding": "gzip"}))
    assert isinstance(error_of(send, settings(server.url)), UnreadableResponseError)


# --- what can go wrong


def test_a_refused_connection_was_provably_not_processed(
    send: Send, refused: str, settings: Callable[..., Settings]
) -> None:
    error = error_of(send, settings(refused), Request("POST", "/x", json={}))
    assert type(error) is TransportError
    assert (error.transient, error.maybe_processed) == (True, False)
    assert f"{refused} could not be reached" in str(error)
    assert "ConnectionRefusedError" in str(error) or "Connection refused" in str(error)


@pytest.mark.parametrize(
    "answer",
    [DROP, Answer(body=b"half", length=1000), Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"})],
    ids=["dropped", "truncated", "garbled"],
)
def test_an_answer_that_breaks_off_leaves_open_what_the_service_did(
    send: Send, server: Server, settings: Callable[..., Settings], answer: Any
) -> None:
    server.script += [answer] * 2  # aiohttp asks once more by itself
    error = error_of(send, settings(server.url), Request("POST", "/x", json={}))
    assert type(error) is TransportError
    assert (error.transient, error.maybe_processed) == (True, True)


def test_an_answer_that_does_not_come_is_named_with_the_time_waited(
    send: Send, server: Server, settings: Callable[..., Settings]
) -> None:
    server.script.append(HANG)
    error = error_of(send, settings(server.url, timeout=0.2))
    assert type(error) is TransportError
    assert "no answer within 0.2 s" in str(error)
    assert error.maybe_processed


def test_a_certificate_that_does_not_verify_is_final_and_names_the_setting(
    send: Send, tls_server: Server, settings: Callable[..., Settings]
) -> None:
    error = error_of(send, settings(tls_server.url))
    assert type(error) is CertificateError
    assert not error.transient
    assert f"certificate of {tls_server.url} does not verify" in str(error)
    assert "'verify'" in str(error)
    assert tls_server.seen == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("verify", [False, "the certificate"])
def test_verify_may_be_off_or_a_bundle(
    send: Send, tls_server: Server, settings: Callable[..., Settings], certificate: Path, verify: Any
) -> None:
    verify = verify and str(certificate)
    assert send(settings(tls_server.url, verify=verify), GET).status == 200


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_of_the_environment_is_used_unless_the_connection_says_otherwise(
    send: Send,
    tls_server: Server,
    settings: Callable[..., Settings],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(certificate))
    assert send(settings(tls_server.url), GET).status == 200
    monkeypatch.setenv(variable, str(tmp_path / "none.pem"))
    assert send(settings(tls_server.url, verify=str(certificate)), GET).status == 200


BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", [None, "no certificate", BROKEN], ids=["missing", "empty", "broken"])
def test_a_bundle_that_cannot_be_read_is_named(
    send: Send, tls_server: Server, settings: Callable[..., Settings], tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "ca.pem"
    if content:
        bundle.write_text(content)
    error = error_of(send, settings(tls_server.url, verify=str(bundle)))
    assert type(error) is ConnectionSettingsError
    assert str(bundle) in str(error)
    assert "'verify'" in str(error)


def test_a_bundle_may_be_a_directory(
    send: Send, tls_server: Server, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    assert type(error_of(send, settings(tls_server.url, verify=str(tmp_path)))) is CertificateError


def test_a_wrong_protocol_is_a_passing_failure(send: Send, server: Server, settings: Callable[..., Settings]) -> None:
    error = error_of(send, settings(server.url.replace("http:", "https:")))
    assert type(error) is TransportError


# --- explaining


def test_an_explained_error_says_what_was_tried_and_hides_a_key_that_was_repeated(
    settings: Callable[..., Settings], key: str, hidden: Callable[[object], None]
) -> None:
    call: Call[Any] = ALIGNMENT_STATUS.call(alignment_id="a-1")
    with pytest.raises(ApiError) as caught, explained(call, settings(ELSEWHERE)):
        raise ApiError(f"you sent {key}.")
    hidden(caught.value)
    assert str(caught.value) == (
        "Nugen (connection 'my_conn'): get alignment status of alignment_id 'a-1': you sent ***."
    )
    with pytest.raises(ApiError, match="Reading the connection: x"), explained(call, settings(ELSEWHERE)):
        raise ApiError("x", context="Reading the connection")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_without_a_scheme_is_used(
    send: Send, server: Server, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, server.url.removeprefix("http://"))
    assert send(settings(ELSEWHERE), GET).status == 200
    assert server.seen[0].target == f"{ELSEWHERE}/x"


def test_a_key_for_this_machine_does_not_go_to_a_proxy(
    send: Send, server: Server, refused: str, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", refused)
    send(settings(server.url, proxy=refused), GET)
    assert server.seen[0].target == "/x"


@pytest.mark.parametrize("password", ["pr0xy-pw", "pr0xy%40pw", "pr0xy%25pw"])
def test_whatever_a_proxy_answers_its_password_is_not_shown(
    send: Send, server: Server, settings: Callable[..., Settings], password: str
) -> None:
    proxy = server.url.replace("://", f"://user:{password}@")
    server.script.append(Answer(407, b"", {"X-Repeated": proxy}))
    error = error_of(send, settings("https://service.example", proxy=proxy))
    assert error.transient
    assert not error.maybe_processed
    assert password not in f"{error} {error!r}"
    assert unquote(password) not in f"{error} {error!r}"


def test_a_large_answer_is_parsed_beside_the_loop_and_a_usual_one_on_it(
    server: Server, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def parse(body: bytes) -> Any:
        threads.append(threading.current_thread())
        return json.loads(body)

    monkeypatch.setattr(response_module, "_parse", parse)
    large = json.dumps({"status": "READY", "x": "y" * 2**17}).encode()
    for body, parsed in ((b'{"status": "READY"}', []), (large, [True]), (gzip.compress(large), [True])):
        packed = {"Content-Encoding": "gzip"} if body[:1] == b"\x1f" else {}
        server.script.append(Answer(body=body, headers=packed))

        async def receive() -> None:
            transport = await AsyncTransport.open(settings(server.url))
            response = await transport.send(GET)
            assert [thread is not threading.current_thread() for thread in threads] == parsed  # noqa: B023
            assert ALIGNMENT_STATUS.call(alignment_id="a").read(response, "c").status == "READY"
            await transport.close()

        threads.clear()
        asyncio.run(receive())
        assert len(threads) == 1
