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
    "POST benchmark/create": "POST benchmarks/create",
    "POST benchmark/upload": "POST benchmarks/upload",
    "GET benchmark/status/x": "GET benchmarks/x/status",
    "POST models/deploy-model/x": "POST models/x/deployment",
    "GET models/deploy-model/x/status": "GET models/x/deployment/status",
    "POST evaluations": "POST evaluations/create",
}
STAYED = [
    "DELETE models/undeploy-model/x",
    "GET models/undeploy-model/x/status",
    "GET evaluations/x/status",
    "GET evaluations/x/results",
    "GET evaluations",
    "GET models/base",
    "GET models/aligned",
]
SEEKR = [
    *("POST alignment/generate", "GET alignment/x", "GET alignment", "GET alignment/x/outputs"),
    *("POST alignment/x/cancel", "DELETE alignment/x", "POST data-jobs", "POST data-jobs/x/add-files"),
    *("POST data-jobs/x/start", "POST data-jobs/x/cancel", "GET data-jobs/x", "GET data-jobs"),
]


def is_routed(answer: requests.Response) -> bool:
    """Say whether it is another answer than the router's own."""
    return answer.status_code != 405 and (answer.status_code, answer.text) != (404, '{"detail":"Not Found"}')


@pytest.mark.parametrize("revision", ["A", "B", "C"])
def test_routes_of_nugen(simulate: Callable[..., Api], revision: str) -> None:
    api = simulate(nugen_revision=revision)
    ours = [*(MOVED.values() if revision == "C" else MOVED), *STAYED]
    theirs = MOVED if revision == "C" else MOVED.values()
    calls = {call: api.call(call.split()[0], f"{V3}/{call.split()[1]}") for call in (*ours, *theirs)}
    assert [call for call in ours if not is_routed(calls[call])] == []
    assert [call for call in theirs if is_routed(calls[call])] == []


def test_another_revisions_status_route_is_the_routers_own_404(simulate: Callable[..., Api]) -> None:
    for revision, path in (("B", "alignment-projects/x/status"), ("C", "alignment-project/status/x")):
        answer = simulate(nugen_revision=revision).call("GET", f"{V3}/{path}")
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


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
    wanted = {f"{c.split()[0]} {V3}/{c.split()[1]}" for c in (*MOVED, *STAYED)}
    wanted |= {f"{c.split()[0]} /v1/flow/{c.split()[1]}" for c in SEEKR}
    assert wanted <= listed
    assert api.call("GET", "/docs").status_code == 200
