"""One declaration says what to send and how to read what comes back."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.endpoint import MAX_WORDS, Endpoint, Upload, per_revision
from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.response import MAX_DEPTH, MAX_VALUES, RawResponse
from airflow_provider_nugen.api.seekr import endpoints as seekr

A, E, M = {"alignment_id": "a-1"}, {"evaluation_id": "e-1"}, {"model_id": "m-1"}
D, K = {"document_id": "d-1"}, {"benchmark_id": "k-1"}


def raw(body: Any = None, status: int = 200, retry_after: str | None = None) -> RawResponse:
    return RawResponse(status, body if isinstance(body, bytes) else json.dumps(body).encode(), retry_after)


def error_of(
    response: RawResponse, endpoint: Endpoint[Any] = endpoints.ALIGNMENT_STATUS, **ids: str
) -> errors.ApiError:
    with pytest.raises(errors.ApiError) as caught:
        endpoint.call(**(ids or A)).read(response, "my_conn")
    return caught.value


# --- what to send


def test_the_likeliest_revision_is_spoken_while_nobody_has_said_which() -> None:
    call = endpoints.ALIGNMENT_STATUS.call(**A)
    assert call.request("auto", "c") == call.request("B", "c") != call.request("C", "c")


@pytest.mark.parametrize(
    ("endpoint", "ids", "method", "b", "c"),
    [
        (
            endpoints.ALIGNMENT_STATUS,
            A,
            "GET",
            "/api/v3/alignment-project/status/a-1",
            "/api/v3/alignment-projects/a-1/status",
        ),
        (endpoints.ALIGNMENT_DETAIL, A, "GET", "/api/v3/alignment-project/a-1", "/api/v3/alignment-projects/a-1"),
        (
            endpoints.CREATE_ALIGNMENT,
            {},
            "POST",
            "/api/v3/alignment-project/create",
            "/api/v3/alignment-projects/create",
        ),
        (
            endpoints.DEPLOYMENT_STATUS,
            M,
            "GET",
            "/api/v3/models/deploy-model/m-1/status",
            "/api/v3/models/m-1/deployment/status",
        ),
        (endpoints.DEPLOY_MODEL, M, "POST", "/api/v3/models/deploy-model/m-1", "/api/v3/models/m-1/deployment"),
        (
            endpoints.UNDEPLOYMENT_STATUS,
            M,
            "GET",
            "/api/v3/models/undeploy-model/m-1/status",
            "/api/v3/models/m-1/deployment/status",
        ),
        (
            endpoints.UNDEPLOY_MODEL,
            M,
            "DELETE",
            "/api/v3/models/undeploy-model/m-1",
            "/api/v3/models/m-1/deployment",
        ),
        (
            endpoints.EVALUATION_STATUS,
            E,
            "GET",
            "/api/v3/evaluations/e-1/status",
            "/api/v3/evaluations/e-1/status",
        ),
        (endpoints.EVALUATION_DETAIL, E, "GET", "/api/v3/evaluations/e-1", "/api/v3/evaluations/e-1"),
        (endpoints.CREATE_EVALUATION, {}, "POST", "/api/v3/evaluations", "/api/v3/evaluations/create"),
        (endpoints.BASE_MODELS, {}, "GET", "/api/v3/models/base", "/api/v3/models/base"),
        (endpoints.LIST_ALIGNMENTS, {}, "GET", "/api/v3/alignment-project", "/api/v3/alignment-projects/list"),
        (endpoints.LIST_DOCUMENTS, {}, "GET", "/api/v3/documents", "/api/v3/documents/list"),
        (endpoints.UPLOAD_DOCUMENTS, {}, "POST", "/api/v3/documents", "/api/v3/documents/create"),
        (endpoints.DOCUMENT_STATUS, D, "GET", "/api/v3/documents/d-1", "/api/v3/documents/d-1/status"),
        (endpoints.CREATE_BENCHMARK, {}, "POST", "/api/v3/benchmark/create", "/api/v3/benchmarks/create"),
        (endpoints.UPLOAD_BENCHMARK, {}, "POST", "/api/v3/benchmark/upload", "/api/v3/benchmarks/upload"),
        (endpoints.BENCHMARK_STATUS, K, "GET", "/api/v3/benchmark/status/k-1", "/api/v3/benchmarks/k-1/status"),
        (
            endpoints.EVALUATION_RESULTS,
            E,
            "GET",
            "/api/v3/evaluations/e-1/results",
            "/api/v3/evaluations/e-1/results",
        ),
        (endpoints.LIST_EVALUATIONS, {}, "GET", "/api/v3/evaluations", "/api/v3/evaluations"),
    ],
    ids=lambda value: getattr(value, "operation", None),
)
def test_nugen_has_its_path_in_each_revision(
    endpoint: Endpoint[Any], ids: dict[str, str], method: str, b: str, c: str
) -> None:
    requests = [endpoint.call(**ids).request(revision, "c") for revision in ("B", "C")]
    assert [(r.method, r.target) for r in requests] == [(method, b), (method, c)]


@pytest.mark.parametrize(
    ("endpoint", "ids", "method", "target"),
    [
        (seekr.ALIGNMENT_JOB, {"alignment_job_id": "j-1"}, "GET", "/v1/flow/alignment/j-1"),
        (seekr.CREATE_ALIGNMENT, {}, "POST", "/v1/flow/alignment/generate"),
        (seekr.LIST_ALIGNMENTS, {}, "GET", "/v1/flow/alignment"),
        (seekr.CANCEL_ALIGNMENT, {"alignment_job_id": "j-1"}, "POST", "/v1/flow/alignment/j-1/cancel"),
        (seekr.ALIGNMENT_OUTPUTS, {"alignment_job_id": "j-1"}, "GET", "/v1/flow/alignment/j-1/outputs"),
        (seekr.CREATE_DATA_JOB, {}, "POST", "/v1/flow/data-jobs"),
        (seekr.LIST_DATA_JOBS, {}, "GET", "/v1/flow/data-jobs"),
        (seekr.DATA_JOB_STATUS, {"data_job_id": "j-1"}, "GET", "/v1/flow/data-jobs/j-1"),
        (seekr.ADD_FILES, {"data_job_id": "j-1"}, "POST", "/v1/flow/data-jobs/j-1/add-files"),
        (seekr.START_DATA_JOB, {"data_job_id": "j-1"}, "POST", "/v1/flow/data-jobs/j-1/start"),
        (seekr.CANCEL_DATA_JOB, {"data_job_id": "j-1"}, "POST", "/v1/flow/data-jobs/j-1/cancel"),
    ],
    ids=lambda value: getattr(value, "operation", None),
)
def test_seekr_has_its_path(endpoint: Endpoint[Any], ids: dict[str, str], method: str, target: str) -> None:
    request = endpoint.call(**ids).request("", "c")
    assert (request.method, request.target) == (method, target)


@pytest.mark.parametrize(
    ("job_id", "segment"),
    [
        ("a-1", "a-1"),
        ("../models/base?x=1", "..%2Fmodels%2Fbase%3Fx%3D1"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("%2e%2e", "%252e%252e"),
        ("a#b;c", "a%23b%3Bc"),
        ("a b", "a%20b"),
        ("a\r\nHost: x", "a%0D%0AHost%3A%20x"),
        ("übung-☃", "%C3%BCbung-%E2%98%83"),
        ("{model_id}", "%7Bmodel_id%7D"),
        ("...", "..."),
        (17, "17"),
    ],
)
def test_an_id_stays_one_path_segment(job_id: object, segment: str) -> None:
    target = endpoints.ALIGNMENT_STATUS.call(alignment_id=job_id).request("B", "c").target
    assert target == f"/api/v3/alignment-project/status/{segment}"


@given(st.text(min_size=1).filter(lambda text: text.strip() and text not in (".", "..")))
def test_any_text_comes_back_from_its_segment(text: str) -> None:
    target = endpoints.EVALUATION_STATUS.call(evaluation_id=text).request("B", "c").target
    before, segment, after = target.rsplit("/", 2)
    assert (before, unquote(segment), after) == ("/api/v3/evaluations", text, "status")
    assert segment.isascii()
    assert not set(segment) & set("/?#%") - {"%"}


@pytest.mark.parametrize("job_id", ["", " ", "\n\t", "\u00a0", None, ".", "..", "\ud800"])
def test_what_would_be_normalised_away_is_refused_by_name(job_id: object) -> None:
    with pytest.raises(errors.InvalidInputError, match="alignment_id") as caught:
        endpoints.ALIGNMENT_STATUS.call(alignment_id=job_id).request("B", "my_conn")
    assert "Nugen (connection 'my_conn'): get alignment status" in str(caught.value)
    assert not caught.value.transient
    assert not caught.value.maybe_processed


def test_an_empty_id_is_explained_with_what_to_do() -> None:
    with pytest.raises(errors.InvalidInputError, match="XCom") as caught:
        seekr.ALIGNMENT_JOB.call(alignment_job_id=None).request("", "seekr_default")
    assert "alignment_job_id is None" in str(caught.value)


@pytest.mark.parametrize(
    ("revision", "body"),
    [
        (
            "B",
            {
                "name": "n",
                "base_model": "b",
                "document_ids": ["d"],
                "benchmark_id": "k",
                "description": "t",
            },
        ),
        (
            "C",
            {
                "alignment_name": "n",
                "base_model_id": "b",
                "document_ids": ["d"],
                "benchmark_id": "k",
                "description": "t",
            },
        ),
    ],
)
def test_fields_have_their_names_of_the_revision(revision: str, body: dict[str, Any]) -> None:
    call = endpoints.CREATE_ALIGNMENT.call(
        name="n", base_model="b", document_ids=["d"], benchmark_id="k", description="t", workflow_id=None
    )
    assert call.request(revision, "c").json == body


@pytest.mark.parametrize(
    ("revision", "body"),
    [
        ("B", {"model_id": "m", "benchmark_id": "k", "model_id_2": "n"}),
        ("C", {"model_id": "m", "benchmark_id": "k", "baseline_model_id": "n"}),
    ],
)
def test_a_comparison_names_the_other_model_as_the_revision_does(revision: str, body: dict[str, Any]) -> None:
    call = endpoints.CREATE_EVALUATION.call(model_id="m", benchmark_id="k", model_id_2="n")
    assert call.request(revision, "c").json == body


@pytest.mark.parametrize(
    ("call", "b", "c"),
    [
        (
            endpoints.CREATE_BENCHMARK.call(document_ids=["d"], num_questions=5),
            {"documents": ["d"], "num_questions": 5},
            {"document_ids": ["d"], "n_samples": 5},
        ),
        (
            endpoints.UPLOAD_BENCHMARK.call(name="n", document_id="d"),
            {"name": "n", "document_id": "d"},
            {"benchmark_name": "n", "document_id": "d"},
        ),
    ],
    ids=["create benchmark", "upload benchmark"],
)
def test_a_benchmark_is_described_as_the_revision_does(call: Any, b: dict[str, Any], c: dict[str, Any]) -> None:
    requests = [call.request(revision, "c") for revision in ("B", "C")]
    assert [request.json or request.form for request in requests] == [b, c]


@pytest.mark.parametrize(
    ("call", "revision", "field"),
    [
        (endpoints.CREATE_ALIGNMENT.call(workflow_id="w"), "C", "workflow_id"),
        (endpoints.CREATE_EVALUATION.call(name="n"), "B", "name"),
        (endpoints.CREATE_BENCHMARK.call(name="n"), "B", "name"),
        (endpoints.DEPLOY_MODEL.call(model_id="m-1", early=True), "B", "early"),
    ],
)
def test_a_field_that_a_revision_lacks_is_refused_by_name(call: Any, revision: str, field: str) -> None:
    with pytest.raises(errors.InvalidInputError) as caught:
        call.request(revision, "my_conn")
    for words in (repr(field), f"revision {revision}", "'my_conn'", "api_revision"):
        assert words in str(caught.value)


def test_benchmarks_are_listed_in_revision_b() -> None:
    assert endpoints.LIST_BENCHMARKS.call().request("B", "c").target == "/api/v3/benchmark/list"
    with pytest.raises(errors.InvalidInputError, match="does not exist in API revision C"):
        endpoints.LIST_BENCHMARKS.call().request("C", "c")


def test_a_path_that_a_revision_lacks_is_refused() -> None:
    endpoint = Endpoint(NUGEN, "do it", "POST", per_revision(B=None, C="/new"), lambda payload: payload)
    assert endpoint.call().request("C", "c").target == "/new"
    with pytest.raises(errors.InvalidInputError, match="do it: this call does not exist in API revision B"):
        endpoint.call().request("B", "c")


@pytest.mark.parametrize(("early", "query"), [(True, "?early=true"), (False, "?early=false"), (None, "")])
def test_query_booleans_are_written_as_json_does(early: bool | None, query: str) -> None:
    request = endpoints.DEPLOY_MODEL.call(model_id="m-1", early=early).request("C", "c")
    assert request.target == f"/api/v3/models/m-1/deployment{query}"
    assert request.json is None


def test_query_values_are_quoted() -> None:
    endpoint = Endpoint(
        NUGEN, "list", "GET", "/l", lambda payload: payload, query={"limit": "limit", "status": "status"}
    )
    assert endpoint.call(limit=5, status="a&b=c").request("B", "c").target == "/l?limit=5&status=a%26b%3Dc"


def test_a_name_that_the_endpoint_does_not_know_is_a_mistake_of_the_provider() -> None:
    with pytest.raises(TypeError, match=r"create alignment: unknown field .*nmae"):
        endpoints.CREATE_ALIGNMENT.call(nmae="n")


def test_a_multipart_call_sends_its_fields_as_a_form_with_its_files() -> None:
    endpoint = Endpoint(
        NUGEN,
        "upload",
        "POST",
        "/u",
        lambda payload: payload,
        body={"name": per_revision(B="name", C="title")},
        multipart=True,
    )
    upload = Upload("files", "a.txt", io.BytesIO)
    request = endpoint.upload([upload], name="n").request("C", "c")
    assert (request.json, dict(request.form), list(request.uploads)) == (None, {"title": "n"}, [upload])


@pytest.mark.parametrize(("method", "idempotent"), [("GET", True), ("DELETE", True), ("POST", False), ("PATCH", False)])
def test_only_get_and_delete_may_be_sent_twice_unless_said_otherwise(method: str, idempotent: bool) -> None:
    endpoint = Endpoint(NUGEN, "x", method, "/x", lambda payload: payload)
    assert endpoint.is_idempotent is idempotent
    assert replace(endpoint, idempotent=True).is_idempotent


def test_nothing_that_costs_money_may_be_sent_twice() -> None:
    paid = (
        endpoints.CREATE_ALIGNMENT,
        endpoints.CREATE_EVALUATION,
        endpoints.CREATE_BENCHMARK,
        endpoints.UPLOAD_BENCHMARK,
        endpoints.DEPLOY_MODEL,
        seekr.CREATE_ALIGNMENT,
        seekr.CREATE_DATA_JOB,
        seekr.START_DATA_JOB,
    )
    assert [endpoint.operation for endpoint in paid if endpoint.is_idempotent] == []


# --- what came back


@pytest.mark.parametrize(
    ("status", "retry_after", "cls", "transient", "maybe_processed"),
    [
        (100, None, errors.ResponseError, False, False),
        (301, None, errors.ResponseError, False, False),
        (307, None, errors.ResponseError, False, False),
        (400, None, errors.ResponseError, False, False),
        (401, None, errors.UnauthorizedError, False, False),
        (402, None, errors.ResponseError, False, False),
        (403, None, errors.ResponseError, False, False),
        (404, None, errors.NotFoundError, False, False),
        (405, None, errors.ResponseError, False, False),
        (408, None, errors.TransientResponseError, True, True),
        (409, None, errors.ResponseError, False, False),
        (410, None, errors.ResponseError, False, False),
        (413, None, errors.ResponseError, False, False),
        (422, None, errors.ResponseError, False, False),
        (425, None, errors.TransientResponseError, True, False),
        (429, None, errors.TransientResponseError, True, False),
        (429, "5", errors.TransientResponseError, True, False),
        (500, None, errors.TransientResponseError, True, True),
        (502, None, errors.TransientResponseError, True, True),
        (502, "5", errors.TransientResponseError, True, True),
        (503, None, errors.TransientResponseError, True, True),
        (503, "5", errors.TransientResponseError, True, False),
        (504, None, errors.TransientResponseError, True, True),
        (599, None, errors.TransientResponseError, True, True),
    ],
)
def test_each_status_says_whether_to_ask_again_and_whether_the_service_may_have_acted(
    status: int, retry_after: str | None, cls: type, transient: bool, maybe_processed: bool
) -> None:
    error = error_of(raw({"detail": "The words."}, status, retry_after))
    assert type(error) is cls
    assert isinstance(error, errors.ResponseError)
    assert (error.transient, error.maybe_processed) == (transient, maybe_processed)
    assert (error.status, error.retry_after, error.payload) == (status, retry_after, {"detail": "The words."})
    assert f"HTTP {status}: The words." in str(error)
    assert ".." not in str(error)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(status: int) -> None:
    assert endpoints.DEPLOY_MODEL.call(**M).read(raw("m-1", status), "c") == "m-1"


@pytest.mark.parametrize(
    ("endpoint", "ids", "payload", "cls"),
    [
        (endpoints.ALIGNMENT_STATUS, A, {"detail": "Not Found"}, errors.WrongRouteError),
        (endpoints.ALIGNMENT_STATUS, A, {"detail": "Model not found"}, errors.NotFoundError),
        (endpoints.ALIGNMENT_STATUS, A, {"detail": "Not found"}, errors.NotFoundError),
        (endpoints.ALIGNMENT_STATUS, A, {"detail": "Not Found", "id": "a-1"}, errors.NotFoundError),
        (endpoints.ALIGNMENT_STATUS, A, None, errors.NotFoundError),
        (endpoints.ALIGNMENT_STATUS, A, b"<html>", errors.NotFoundError),
        (seekr.ALIGNMENT_JOB, {"alignment_job_id": "j"}, {"detail": "Not Found"}, errors.WrongRouteError),
        (seekr.ALIGNMENT_JOB, {"alignment_job_id": "j"}, {"message": "no job"}, errors.NotFoundError),
    ],
)
def test_the_routers_404_is_told_from_a_missing_jobs(
    endpoint: Endpoint[Any], ids: dict[str, str], payload: Any, cls: type
) -> None:
    assert type(error_of(raw(payload, 404), endpoint, **ids)) is cls


@pytest.mark.parametrize(
    ("endpoint", "ids", "status", "payload", "advice"),
    [
        (endpoints.ALIGNMENT_STATUS, A, 404, {"detail": "Not Found"}, "api_revision"),
        (endpoints.ALIGNMENT_STATUS, A, 404, {"detail": "Alignment not found"}, "Check the id"),
        (endpoints.ALIGNMENT_STATUS, A, 401, {"detail": "no"}, "API key (password)"),
        (endpoints.ALIGNMENT_STATUS, A, 402, {"detail": "no"}, "credit"),
        (endpoints.ALIGNMENT_STATUS, A, 302, b"", "Redirects are not followed"),
        (seekr.ALIGNMENT_JOB, {"alignment_job_id": "j"}, 404, {"detail": "Not Found"}, "Host"),
        (seekr.ALIGNMENT_JOB, {"alignment_job_id": "j"}, 404, {"message": "no job"}, "team_id"),
        (seekr.ALIGNMENT_JOB, {"alignment_job_id": "j"}, 403, {"message": "no"}, "team_id"),
    ],
)
def test_an_error_says_what_to_do_next(
    endpoint: Endpoint[Any], ids: dict[str, str], status: int, payload: Any, advice: str
) -> None:
    error = error_of(raw(payload, status), endpoint, **ids)
    assert error.hint
    assert advice in error.hint
    assert str(error).endswith(error.hint)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"detail": "no such thing"}, "no such thing"),
        (
            {"detail": [{"loc": ["body", "files", 0], "msg": "field required", "type": "missing"}]},
            "body.files.0: field required",
        ),
        ({"detail": [{"loc": ["body"], "msg": "a"}, {"loc": ["path", "id"], "msg": "b"}]}, "body: a; path.id: b"),
        ({"detail": [{"msg": "no place"}, "text", 5]}, "no place; text; 5"),
        ({"detail": [{"loc": "x", "type": "t"}]}, "{'loc': 'x', 'type': 't'}"),
        ({"detail": {"message": "exists", "document_id": "d-1"}}, "exists"),
        ({"detail": {"document_id": "d-1"}}, '{"document_id": "d-1"}'),
        ({"error": "Bad Request", "message": "no credit left", "status": 402, "requestUrl": "/v1"}, "no credit left"),
        ({"error": "Bad Request", "message": " ", "status": 400}, "Bad Request"),
        ({"detail": [], "message": "m"}, "m"),
        (b"<html>502 Bad Gateway</html>", "<html>502 Bad Gateway</html>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (["a"], '["a"]'),
    ],
)
def test_an_error_carries_the_services_own_words(payload: Any, words: str) -> None:
    assert f"HTTP 400: {words}." in str(error_of(raw(payload, 400)))


def test_an_error_without_words_says_its_status() -> None:
    assert "HTTP 502." in str(error_of(RawResponse(502, b"")))


@pytest.mark.parametrize("payload", [{"detail": "w" * 5000}, {"detail": [{"msg": "w" * 600}] * 9}, b"w" * 5000])
def test_words_are_cut(payload: Any) -> None:
    assert len(error_of(raw(payload, 400)).problem) <= len("HTTP 400: .") + MAX_WORDS


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "it is not JSON"),
        (b'{"status": "READY"', "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"", "expected an object, not NoneType"),
        (b"null", "expected an object, not NoneType"),
        (b"[]", "expected an object, not list"),
        (b"{}", "field 'status'"),
        (b'{"status": null}', "field 'status'"),
        (b'{"status": {}}', "field 'status'"),
        (b'{"status": "READY", "x": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "levels deep"),
        (b"[" * 100_000, "levels deep"),
        (b'{"status": "READY", "x": [' + b"1," * MAX_VALUES + b"1]}", "more than 500000 values"),
        (b'{"status": "READY", "x": [' + b"[]" * MAX_VALUES + b"]}", "more than 500000 values"),
    ],
    ids=range(13),
)
def test_a_success_that_cannot_be_read_is_a_passing_failure_that_shows_its_beginning(body: bytes, why: str) -> None:
    error = error_of(RawResponse(200, body))
    assert type(error) is errors.UnreadableResponseError
    assert (error.transient, error.maybe_processed) == (True, True)
    assert why in str(error)
    assert repr(body[:80].decode("utf-8", "replace")) in str(error)


def test_what_cannot_be_read_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # A large answer is parsed beside the event loop; on the loop nobody parses it again.
    response = RawResponse(200, b"<html>")
    with pytest.raises(ValueError, match="Expecting value"):
        response.json()
    monkeypatch.setattr("airflow_provider_nugen.api.response._parse", None)
    assert "it is not JSON" in str(error_of(response))


def test_an_answer_may_be_as_wide_as_it_likes() -> None:
    body = {"status": "READY", "document_ids": ["d"], "x": [{"y": [n]} for n in range(10 * MAX_DEPTH)]}
    assert endpoints.ALIGNMENT_STATUS.call(**A).read(raw(body), "c").document_ids == ["d"]


@pytest.mark.parametrize("depth", [MAX_DEPTH, 980, 990, 100_000])
def test_an_error_nested_however_deep_is_still_an_error_of_its_status(depth: int) -> None:
    body = b'{"detail":' * depth + b"1" + b"}" * depth
    assert type(error_of(RawResponse(500, body))) is errors.TransientResponseError


@pytest.mark.parametrize(
    ("endpoint", "ids", "context"),
    [
        (
            endpoints.ALIGNMENT_STATUS,
            A,
            "Nugen (connection 'my_conn'): get alignment status of alignment_id 'a-1': HTTP",
        ),
        (endpoints.BASE_MODELS, {}, "Nugen (connection 'my_conn'): list base models: HTTP"),
        (
            seekr.ALIGNMENT_JOB,
            {"alignment_job_id": "j-1"},
            "SeekrFlow (connection 'my_conn'): get alignment of alignment_job_id 'j-1': HTTP",
        ),
    ],
    ids=lambda value: getattr(value, "operation", None),
)
def test_an_error_says_what_was_tried_on_which_id_through_which_connection(
    endpoint: Endpoint[Any], ids: dict[str, str], context: str
) -> None:
    with pytest.raises(errors.ResponseError) as caught:
        endpoint.call(**ids).read(raw(None, 500), "my_conn")
    assert str(caught.value).startswith(context)


# --- what may not leave the provider


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"status": "READY", "error": "cut \\ud83d"}', "cut \ufffd"),
        (b'{"status": "READY", "error": "\\uD83D\\uDE00 \\uDE00"}', "\U0001f600 \ufffd"),
        (b'{"status": "READY", "error": "\xed\xa0\xbd"}', "\ufffd\ufffd\ufffd"),
        (b'{"status": "READY", "error": "Gr\xf6\xdfe"}', "Gr\ufffd\ufffde"),
        (b'\xef\xbb\xbf{"status": "READY", "error": "x"}', "x"),
        (b'{"status": "READY", "error": 123456789012345678901234567890}', "1.2345678901234568e+29"),
        (b'{"status": "READY", "error": 12345e20}', "1.2345e+24"),
        (b'{"status": "READY", "error": ' + b"9" * 5000 + b"}", None),
        (b'{"status": "READY", "error": NaN}', None),
        (b'{"status": "READY", "error": 1e999}', None),
    ],
)
def test_what_airflow_cannot_carry_is_replaced_where_it_is_parsed(body: bytes, error: str | None) -> None:
    status = endpoints.ALIGNMENT_STATUS.call(**A).read(RawResponse(200, body), "c")
    assert (status.status, status.error) == ("READY", error)
    msgspec.json.encode(status.model_dump(mode="json"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=20,
)


@given(anything, st.sampled_from(["utf-8", "utf-16", "utf-32", "latin-1"]))
def test_any_json_becomes_what_airflow_can_carry_or_cannot_be_read(value: Any, encoding: str) -> None:
    body = json.dumps(value).encode(encoding)
    try:
        parsed = RawResponse(200, body).json()
    except ValueError:
        assert encoding in ("utf-16", "utf-32")
    else:
        assert msgspec.json.encode(parsed)


@given(st.integers(300, 599), anything)
def test_any_error_can_be_shown_and_stored(status: int, value: Any) -> None:
    for payload in (value, {"detail": value}, {"detail": [{"loc": [value], "msg": value}]}, {"message": value}):
        error = error_of(RawResponse(status, json.dumps(payload).encode()))
        assert msgspec.json.encode(
            [str(error), error.problem, error.hint, error.context, getattr(error, "payload", None)]
        )


def test_a_body_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    response = raw({"status": "READY"})
    parsed = response.json()
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_nugen.api.response._parse", None)
        assert response.json() is parsed
    response.replace_body(b"[]")
    assert response.json() == []


def test_of_many_errors_a_few_are_shown() -> None:
    error = error_of(raw({"detail": [{"msg": f"no {n}"} for n in range(1000)]}, 422))
    assert "no 9" in error.problem
    assert "no 10" not in error.problem


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("/api/v3/evaluations/", "gateway before the service"),
        ("https://api.nugen.in/api/v3/evaluations/", "gateway before the service"),
        ("https://elsewhere.example/api/v3/evaluations", r"Host \(base URL\)"),
        ("https://[", r"Host \(base URL\)"),
        (None, r"Host \(base URL\)"),
    ],
)
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_is_an_error_that_says_where_it_leads_and_what_to_do(
    status: int, location: str | None, says: str
) -> None:
    call = endpoints.CREATE_EVALUATION.call(model_id="m", benchmark_id="b")
    with pytest.raises(errors.ResponseError, match=f"Redirects are not followed.*{says}") as caught:
        call.read(RawResponse(status, b"", revision="B", location=location), "my_conn")
    assert location is None or repr(location) in str(caught.value)
    assert not caught.value.maybe_processed
