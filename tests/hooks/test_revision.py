"""Which API revision a service speaks: decided without I/O."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.api.endpoint import Call, Upload
from airflow_provider_nugen.api.errors import InvalidInputError, WrongRouteError
from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.seekr.endpoints import ALIGNMENT_JOB
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.api.submission import GuardedCall
from airflow_provider_nugen.hooks.revision import SpokenRevision, spoken_revision
from airflow_provider_nugen.hooks.settings import Settings

STATUS = endpoints.ALIGNMENT_STATUS.call(alignment_id="a-1")
#: The same request in both revisions.
EVALUATION = endpoints.EVALUATION_STATUS.call(evaluation_id="e-1")
NO_ROUTE, NO_METHOD = (404, {"detail": "Not Found"}), (405, {"detail": "Method Not Allowed"})
NO_JOB, READY, BUSY = (404, {"detail": "Model not found"}), (200, {"status": "READY"}), (502, {"detail": "busy"})


def answer(revision: str, what: tuple[int, Any]) -> RawResponse:
    return RawResponse(what[0], json.dumps(what[1]).encode(), revision=revision)


def spoken(revisions: Sequence[str] = "BC") -> SpokenRevision:
    return SpokenRevision(NUGEN, "my_conn", tuple(revisions))


def test_comparing_what_would_be_sent_sends_and_records_nothing() -> None:
    checked: list[str] = []
    call = GuardedCall.of(endpoints.DEPLOY_MODEL.call(model_id="m-1"), lambda: checked.append("sent"))
    assert spoken().next_for(call, answer("B", NO_ROUTE)) == "C"
    assert not checked
    call.request("C", "my_conn")
    assert checked == ["sent"]


@pytest.mark.parametrize("refusal", [NO_ROUTE, NO_METHOD])
@pytest.mark.parametrize(("first", "other"), ["BC", "CB"])
@pytest.mark.parametrize("found", [READY, NO_JOB, (400, {"detail": "bad id"}), (422, {"detail": []})])
def test_the_routers_refusal_leads_to_the_other_revision_which_is_remembered(
    refusal: tuple[int, Any], first: str, other: str, found: tuple[int, Any]
) -> None:
    revision = spoken(first + other)
    assert revision.next_for(STATUS, answer(first, READY)) is None
    assert (revision.first_for(STATUS), revision.is_proven) == (first, True)
    before = answer(first, refusal)
    assert revision.next_for(STATUS, before) == other
    # Not yet: nobody knows whether that is better.
    assert revision.first_for(STATUS) == first
    assert revision.next_for(STATUS, answer(other, found), before) is None
    assert revision.first_for(STATUS) == other


@pytest.mark.parametrize(
    "what",
    [
        NO_JOB,
        READY,
        BUSY,
        (404, {"detail": "Not Found", "more": 1}),
        (404, {"detail": "not found"}),
        (404, "Not Found"),
        (401, {"detail": "Not Found"}),
        (410, {"detail": "Not Found"}),
    ],
)
@pytest.mark.parametrize("call", [STATUS, endpoints.UNDEPLOY_MODEL.call(model_id="m-1")])
def test_what_the_router_did_not_say_changes_nothing(what: tuple[int, Any], call: Call[Any]) -> None:
    revision = spoken()
    revision.next_for(STATUS, answer("B", READY))
    assert revision.next_for(call, answer("B", what)) is None
    assert revision.revision == "B"


def test_a_page_is_not_read_to_see_whether_the_router_wrote_it() -> None:
    page = RawResponse(404, b'{"detail": "Not Found"' + b" " * 10_000 + b"}", revision="B")
    assert spoken().next_for(STATUS, page) is None
    assert spoken().next_for(STATUS, RawResponse(404, b"<html>Not Found</html>", revision="B")) is None


@pytest.mark.parametrize("second", [BUSY, (401, {"detail": "bad key"}), (429, {}), (302, {}), (404, "no such site")])
def test_an_answer_that_no_endpoint_gave_stands_but_proves_nothing(second: tuple[int, Any]) -> None:
    revision = spoken()
    revision.next_for(STATUS, answer("B", READY))
    before = answer("B", NO_ROUTE)
    assert revision.next_for(STATUS, answer("C", second), before) is None
    assert revision.revision == "B"


def test_a_late_answer_in_the_revision_before_does_not_flip_back() -> None:
    revision = spoken()
    revision.next_for(STATUS, answer("B", READY))
    revision.next_for(STATUS, answer("C", READY), answer("B", NO_ROUTE))
    assert revision.next_for(STATUS, answer("B", READY)) is None
    assert revision.revision == "C"
    # What was sent before the move is sent once more in the revision that is spoken now.
    assert revision.next_for(STATUS, answer("B", NO_ROUTE)) == "C"


@pytest.mark.parametrize("order", ["BC", "CB"])
def test_if_the_router_knows_neither_both_are_named_and_nothing_is_learned(order: str) -> None:
    first, other = order[0], order[1]
    revision = spoken(order)
    before = answer(first, NO_ROUTE)
    with pytest.raises(
        WrongRouteError, match=rf"\(connection 'my_conn'\).*'a-1'.* {first} and {other} were both tried"
    ):
        revision.next_for(STATUS, answer(other, NO_ROUTE), before)
    assert (revision.revision, revision.is_proven) == (first, False)


def test_the_same_request_is_not_sent_twice() -> None:
    with pytest.raises(WrongRouteError, match="no other revision has another") as caught:
        spoken().next_for(EVALUATION, answer("B", NO_ROUTE))
    assert "both" not in str(caught.value)


def test_what_both_revisions_share_tells_neither() -> None:
    revision = spoken()
    revision.next_for(EVALUATION, answer("B", READY))
    assert not revision.is_proven


@pytest.mark.parametrize("setting", ["B", "C"])
def test_a_revision_that_is_set_is_kept_and_the_error_names_the_setting(setting: str) -> None:
    revision = spoken(setting)
    assert revision.is_proven
    with pytest.raises(WrongRouteError, match=rf"'api_revision' of the connection is {setting}: .*auto"):
        revision.next_for(STATUS, answer(setting, NO_ROUTE))
    assert revision.first_for(STATUS) == setting


def test_a_service_without_revisions_says_it_in_its_own_words() -> None:
    call = ALIGNMENT_JOB.call(alignment_job_id="j-1")
    revision = SpokenRevision(SEEKR, "my_conn", ("",))
    response = answer("", NO_ROUTE)
    assert (revision.first_for(call), revision.next_for(call, response)) == ("", None)
    with pytest.raises(WrongRouteError, match="base URL"):
        call.read(response, "my_conn")


@pytest.mark.parametrize(
    ("call", "first"),
    [
        (STATUS, "B"),
        (endpoints.DEPLOY_MODEL.call(model_id="m-1"), "B"),
        (endpoints.DEPLOY_MODEL.call(model_id="m-1", early=True), "C"),
        (endpoints.CREATE_ALIGNMENT.call(name="n", base_model="b", document_ids=[], workflow_id="w"), "B"),
        (endpoints.UPLOAD_BENCHMARK.upload([Upload("file", "b", open, revision="C")], name="n"), "C"),
    ],
)
def test_a_call_begins_in_a_revision_that_has_it(call: Call[Any], first: str) -> None:
    revision = spoken()
    revision.next_for(STATUS, answer("B", READY))
    assert revision.first_for(call) == first


def test_a_field_that_the_other_revision_lacks_keeps_the_first_answer() -> None:
    call = endpoints.CREATE_ALIGNMENT.call(name="n", base_model="b", document_ids=["d"], workflow_id="w")
    with pytest.raises(WrongRouteError, match="in API revision B, and no other"):
        spoken().next_for(call, answer("B", NO_ROUTE))
    with pytest.raises(InvalidInputError, match="'workflow_id'"):
        call.request("C", "my_conn")


def test_what_is_found_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    revision = spoken()
    for _ in range(3):
        revision.next_for(STATUS, answer("B", READY))
        revision.next_for(STATUS, answer("C", READY), answer("B", NO_ROUTE))
        revision.next_for(STATUS, answer("C", READY))
        revision.next_for(STATUS, answer("B", READY), answer("C", NO_ROUTE))
    name = "Nugen (connection 'my_conn') speaks API revision"
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        f"{name} B.",
        f"{name} C now (it spoke B before).",
        f"{name} B now (it spoke C before).",
    ]


def test_it_is_remembered_per_connection_and_base_url() -> None:
    def settings(conn_id: str = "a", url: str = "https://a.example", revision: str = "auto") -> Settings:
        return Settings(NUGEN, conn_id, url, "key", revision)

    assert spoken_revision(settings()) is spoken_revision(settings())
    assert spoken_revision(settings()) is not spoken_revision(settings(conn_id="b"))
    assert spoken_revision(settings()) is not spoken_revision(settings(url="https://b.example"))
    assert spoken_revision(settings(revision="C")).first_for(STATUS) == "C"
    assert spoken_revision(settings()).first_for(STATUS) == "B"


SAID = st.sampled_from([READY, NO_JOB, NO_ROUTE, NO_METHOD, BUSY])


@given(said=st.lists(st.fixed_dictionaries({"B": SAID, "C": SAID}), max_size=30))
def test_a_call_costs_two_requests_at_most_and_finds_what_is_there(said: list[dict[str, tuple[int, Any]]]) -> None:
    revision, router = spoken(), (NO_ROUTE, NO_METHOD)
    for answers in said:
        first = revision.first_for(STATUS)
        response = answer(first, answers[first])
        other = revision.next_for(STATUS, response)
        assert other == (None if answers[first] not in router else "C" if first == "B" else "B")
        if other is None:
            assert revision.revision == first
        elif answers[other] in router:
            with pytest.raises(WrongRouteError):
                revision.next_for(STATUS, answer(other, answers[other]), response)
            assert revision.revision == first
        else:
            assert revision.next_for(STATUS, answer(other, answers[other]), response) is None
            assert revision.revision == (first if answers[other] == BUSY else other)
