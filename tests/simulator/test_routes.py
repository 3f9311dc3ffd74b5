"""Every revision has its own routes, and only those."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
import requests

from tests.simulator.conftest import Api

V3 = "/api/v3"
#: What revisions A and B have, what C has instead; from the vendor's pages.
MOVED = {
    "GET alignment-project/status/x": "GET alignment-projects/x/status",
    "GET alignment-project/x": "GET alignment-projects/x",
    "POST alignment-project/create": "POST alignment-projects/create",
    "GET alignment-project": "GET alignment-projects/list",
    "POST documents": "POST documents/create",
    "GET documents/x": "GET documents/x/status",
    "GET documents": "GET documents/list",
    "POST benchmark/create": "POST benchmarks/create",
    "POST benchmark/upload": "POST benchmarks/upload",
    "GET benchmark/status/x": "GET benchmarks/x/status",
    "POST models/deploy-model/x": "POST models/x/deployment",
    "GET benchmark/x/data": "GET benchmarks/x/data",
    "GET models/deploy-model/x/status": "GET models/x/deployment/status",
    "DELETE models/undeploy-model/x": "DELETE models/x/deployment",
    "POST evaluations": "POST evaluations/create",
}
#: What only one of them has, as far as is known.
EARLIER = [
    "GET models/undeploy-model/x/status",
    "DELETE alignment-project/x",
    "DELETE documents/x",
    "GET benchmark/list",
    "DELETE benchmark/x",
    "DELETE evaluations/x",
]
ONLY_C = ["GET models/x"]
STAYED = [
    "GET evaluations/x/status",
    "GET evaluations/x",
    "GET evaluations/x/results",
    "GET evaluations",
    "GET models/base",
    "GET models/aligned",
    "POST inference/chat/completions",
]
SEEKR = [
    *("POST alignment/generate", "GET alignment/x", "GET alignment", "GET alignment/x/outputs"),
    *("POST alignment/x/cancel", "DELETE alignment/x", "POST data-jobs", "POST data-jobs/x/add-files"),
    *("PATCH data-jobs/x", "DELETE data-jobs/x"),
    *("POST data-jobs/x/start", "POST data-jobs/x/cancel", "GET data-jobs/x", "GET data-jobs"),
]


def is_routed(answer: requests.Response) -> bool:
    """Return whether it is another answer than the router's own."""
    return answer.status_code != 405 and (answer.status_code, answer.text) != (404, '{"detail":"Not Found"}')


@pytest.mark.parametrize("revision", ["A", "B", "C"])
def test_routes_of_nugen(simulate: Callable[..., Api], revision: str) -> None:
    api = simulate(nugen_revision=revision)
    earlier, later = [*MOVED, *EARLIER], [*MOVED.values(), *ONLY_C]
    there, missing = (later, earlier) if revision == "C" else (earlier, later)
    calls = {call: api.call(call.split()[0], f"{V3}/{call.split()[1]}") for call in (*there, *missing, *STAYED)}
    assert [call for call in (*there, *STAYED) if not is_routed(calls[call])] == []
    # Revision B takes the last segment of this one for the id of a document.
    taken = {"GET documents/list"} if revision != "C" else set()
    assert [call for call in missing if is_routed(calls[call]) and call not in taken] == []


def test_another_revisions_status_route_is_the_routers_own_404(simulate: Callable[..., Api]) -> None:
    for revision, path in (("B", "alignment-projects/x/status"), ("C", "alignment-project/status/x")):
        answer = simulate(nugen_revision=revision).call("GET", f"{V3}/{path}")
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("revision", "call", "status"),
    [
        # Another method of the same path exists: then the router's own answer is 405.
        ("B", "POST documents/create", 405),
        ("B", "POST evaluations/create", 405),
        ("C", "POST evaluations", 405),
        ("B", "POST alignment-projects/create", 404),
        ("B", "POST models/x/deployment", 404),
        ("C", "DELETE models/undeploy-model/x", 404),
        ("C", "POST documents", 404),
    ],
)
def test_a_call_of_another_revision_gets_the_routers_own_answer(
    simulate: Callable[..., Api], revision: str, call: str, status: int
) -> None:
    method, path = call.split()
    answer = simulate(nugen_revision=revision).call(method, f"{V3}/{path}", json={})
    detail = {404: "Not Found", 405: "Method Not Allowed"}[status]
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


@pytest.mark.parametrize(("before", "after"), [("B", "C"), ("C", "B")])
def test_the_vendor_moves_in_the_middle_of_a_job(simulate: Callable[..., Api], before: str, after: str) -> None:
    api = simulate(nugen_revision=before)
    paths = {"B": f"{V3}/alignment-project/status/x", "C": f"{V3}/alignment-projects/x/status"}
    api.simulator.add_job("alignment", "x", [("PROCESSING", 5), ("READY", 0)], overrides={"model_id": "m"})
    api.simulator.add_job("deployment", "m", [("COMPLETED" if before == "B" else "DEPLOYED", 0)])
    assert api.get(paths[before])["data"]["status"] == "PROCESSING"
    if after == "C":
        assert api.call("PUT", "/_simulator/revision", json={"revision": "C"}).status_code == 204
    else:
        api.simulator.switch_revision("B")
    assert api.call("GET", "/_simulator/revision").json() == after
    assert api.call("GET", paths[before]).json() == {"detail": "Not Found"}
    api.clock.forward(5)
    moved = api.get(paths[after])["data"]
    assert (moved["alignment_id"], moved["status"], moved["model_id"]) == ("x", "READY", "m")
    assert api.simulator.nugen_connection()["extra"] == {"api_revision": after}
    with pytest.raises(ValueError, match="'D' is not one of A, B, C"):
        api.simulator.switch_revision("D")
    assert api.call("PUT", "/_simulator/revision", json={"revision": "D"}).status_code == 422


@pytest.mark.parametrize(("before", "after"), [("B", "C"), ("C", "B")])
def test_an_upload_can_be_waited_for_over_the_vendors_move(
    simulate: Callable[..., Api], before: str, after: str
) -> None:
    api = simulate(nugen_revision=before)
    create = f"{V3}/documents/create" if before == "C" else f"{V3}/documents"
    (given,) = api.json("POST", create, files=[("files", ("a.txt", b"text"))])["document_ids"]
    api.simulator.switch_revision(after)
    api.clock.forward(21)
    shown = api.get(f"{V3}/documents/{given}{'/status' if after == 'C' else ''}")
    assert shown == {"status": "READY", "document_id": api.simulator.all("document")[-1].id}


def test_routes_of_seekrflow(api: Api) -> None:
    calls = {call: api.call(call.split()[0], f"/v1/flow/{call.split()[1]}") for call in SEEKR}
    assert [call for call, answer in calls.items() if not is_routed(answer)] == []
    assert not is_routed(api.call("GET", "/v1/flow/nothing"))


def test_the_alignment_routes_of_seekrflow_are_deprecated(api: Api) -> None:
    headers = api.call("GET", "/v1/flow/alignment").headers
    assert re.fullmatch(r"@\d+", headers["Deprecation"])
    assert "/v1/flow/data-jobs" in headers["Link"]
    assert "Deprecation" not in api.call("GET", "/v1/flow/data-jobs").headers


@pytest.mark.parametrize("job_id", ["../models/base?x=1", "a/b", "a%2Fb", "a b", "ä#é", "x;y=1&z"])
def test_an_id_stays_one_segment_whatever_is_in_it(api: Api, job_id: str) -> None:
    quoted = quote(job_id, safe="")
    api.simulator.add_job("alignment", job_id, [("READY", 0)])
    api.simulator.add_job("seekr_alignment", job_id, [("completed", 0)])
    assert api.get(f"{V3}/alignment-project/status/{quoted}")["data"]["alignment_id"] == job_id
    assert api.get(f"/v1/flow/alignment/{quoted}")["id"] == job_id
    assert [seen.path.rsplit("/", 1)[1] for seen in api.simulator.requests] == [quoted, quoted]
    # And one that nobody knows is missing, not elsewhere.
    answer = api.call("GET", f"{V3}/alignment-project/status/x{quoted}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Alignment not found"})


def test_the_documentation_lists_all_routes(api: Api) -> None:
    paths = api.get("/openapi.json")["paths"]
    listed = {f"{method.upper()} {re.sub(r'{[^}]*}', 'x', path)}" for path in paths for method in paths[path]}
    wanted = {f"{c.split()[0]} {V3}/{c.split()[1]}" for c in (*MOVED, *MOVED.values(), *EARLIER, *ONLY_C, *STAYED)}
    wanted |= {f"{c.split()[0]} /v1/flow/{c.split()[1]}" for c in SEEKR}
    assert wanted <= listed
    assert api.call("GET", "/docs").status_code == 200
