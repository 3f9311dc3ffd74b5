"""Faults on demand."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from pydantic import ValidationError

from airflow_provider_nugen.simulator import Fault
from tests.simulator.conftest import Api

BASE = "/api/v3/models/base"
SEEKR = "/v1/flow/alignment"
GENERATE = f"{SEEKR}/generate"
BODY = {"instructions": "i", "files": ["f"]}


def statuses(api: Api, count: int, path: str = BASE) -> list[int]:
    return [api.call("GET", path).status_code for _ in range(count)]


def test_a_status_with_retry_after(api: Api) -> None:
    api.simulator.add_fault({"action": "status", "status": 429, "retry_after": "7", "times": 1})
    answer = api.call("GET", BASE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json() == {"detail": "Simulated 429"}
    assert statuses(api, 1) == [200]


def test_a_status_comes_in_the_services_own_shape(api: Api) -> None:
    api.simulator.add_fault(Fault(action="status", status=402))
    assert api.call("GET", SEEKR).json() == {
        "error": "Payment Required",
        "message": "Simulated 402",
        "status": 402,
        "requestUrl": SEEKR,
    }
    assert api.call("GET", BASE).json() == {"detail": "Simulated 402"}


@pytest.mark.parametrize("status", [500, 502, 599])
def test_5xx_is_the_gateways(api: Api, status: int) -> None:
    api.simulator.add_fault({"action": "status", "status": status})
    answer = api.call("GET", SEEKR)
    assert (answer.status_code, answer.json()) == (status, {"detail": f"Simulated {status}"})


def test_dropped_connections(api: Api) -> None:
    api.simulator.add_fault({"action": "drop", "times": 3})
    for _ in range(3):
        with pytest.raises(requests.ConnectionError):
            api.call("GET", BASE)
    assert statuses(api, 1) == [200]
    assert [seen.status for seen in api.simulator.requests] == [None, None, None, 200]


def test_a_truncated_answer(api: Api) -> None:
    api.simulator.add_fault({"action": "truncate", "times": 1})
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        api.call("GET", BASE)
    assert statuses(api, 1) == [200]


@pytest.mark.parametrize(("action", "kind"), [("malformed", "application/json"), ("html", "text/html")])
def test_an_answer_that_is_no_json(api: Api, action: str, kind: str) -> None:
    api.simulator.add_fault({"action": action})
    answer = api.call("GET", BASE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
    with pytest.raises(ValueError, match=r"Expecting"):
        answer.json()


def test_an_oversized_answer(api: Api) -> None:
    api.simulator.add_fault({"action": "oversized"})
    assert len(api.call("GET", BASE).content) > 16 * 2**20


def test_a_delay_then_the_real_answer(api: Api) -> None:
    api.simulator.add_fault({"action": "delay", "seconds": 0.3})
    began = time.monotonic()
    assert statuses(api, 1) == [200]
    assert time.monotonic() - began >= 0.3


def test_a_delay_goes_together_with_another_fault(api: Api) -> None:
    api.simulator.add_fault({"action": "delay", "seconds": 0.2})
    api.simulator.add_fault({"action": "status", "status": 503})
    began = time.monotonic()
    assert statuses(api, 1) == [503]
    assert time.monotonic() - began >= 0.2


def test_processed_before_the_connection_drops(api: Api) -> None:
    api.simulator.add_fault({"action": "drop", "processed": True, "operation": "seekr_generate", "times": 1})
    with pytest.raises(requests.ConnectionError):
        api.call("POST", GENERATE, json=BODY)
    assert len(api.get(SEEKR)["data"]) == 1


@pytest.mark.parametrize(("processed", "jobs"), [(True, 1), (False, 0)])
def test_processed_before_a_502(api: Api, processed: bool, jobs: int) -> None:
    api.simulator.add_fault({"action": "status", "status": 502, "processed": processed, "method": "post", "times": 1})
    assert api.call("POST", GENERATE, json=BODY).status_code == 502
    assert len(api.get(SEEKR)["data"]) == jobs


@pytest.mark.parametrize(
    ("which", "struck"),
    [
        ({}, "abcd"),
        ({"service": "nugen"}, "ab"),
        ({"service": "seekr"}, "cd"),
        ({"operation": "alignment_status"}, "a"),
        ({"operation": "seekr_alignment"}, "d"),
        ({"method": "post"}, "c"),
        ({"path": "^/v1/flow/"}, "cd"),
        ({"path": "status/"}, "a"),
        ({"job_id": "x/1"}, "ad"),
        ({"job_id": "x"}, ""),
        ({"service": "nugen", "job_id": "x/1"}, "a"),
        ({"service": "nugen", "method": "POST"}, ""),
    ],
)
def test_which_requests_it_happens_to(api: Api, which: dict[str, Any], struck: str) -> None:
    api.simulator.add_fault({"action": "status", "status": 418, **which})
    calls = {
        "a": ("GET", "/api/v3/alignment-project/status/x%2F1"),
        "b": ("GET", BASE),
        "c": ("POST", GENERATE),
        "d": ("GET", f"{SEEKR}/x%2F1"),
    }
    assert "".join(name for name, call in calls.items() if api.call(*call).status_code == 418) == struck
    # What happens to the services does not happen to the control routes.
    assert api.call("GET", "/_simulator/jobs").status_code == 200


@pytest.mark.parametrize(
    ("how_often", "pattern"),
    [
        ({"times": 2}, "!!......"),
        ({"skip": 2}, "..!!!!!!"),
        ({"every": 3}, "..!..!.."),
        ({"skip": 1, "every": 2, "times": 2}, "..!.!..."),
    ],
)
def test_how_often_it_happens(api: Api, how_often: dict[str, int], pattern: str) -> None:
    fault = api.simulator.add_fault({"action": "status", **how_often})
    assert "".join("!" if status == 503 else "." for status in statuses(api, 8)) == pattern
    assert fault.struck == pattern.count("!")


def test_faults_over_http(api: Api) -> None:
    answer = api.call("POST", "/_simulator/faults", json={"action": "status", "status": 504})
    assert answer.status_code == 201
    assert statuses(api, 2) == [504, 504]
    (fault,) = api.get("/_simulator/faults")
    assert (fault["status"], fault["seen"], fault["struck"]) == (504, 2, 2)
    assert api.call("DELETE", "/_simulator/faults").status_code == 204
    assert statuses(api, 1) == [200]
    for wrong in ({}, {"action": "explode"}, {"action": "drop", "often": 3}, {"action": "status", "times": 0}):
        assert api.call("POST", "/_simulator/faults", json=wrong).status_code == 422


def test_faults_from_the_beginning_are_counted_apart(simulate: Callable[..., Api]) -> None:
    fault = Fault(action="status", times=1)
    for _ in range(2):
        assert statuses(simulate(faults=[fault]), 2) == [503, 200]
    assert fault.struck == 0


def test_a_regular_expression_that_is_none_is_refused(api: Api) -> None:
    with pytest.raises(ValidationError, match="path"):
        api.simulator.add_fault({"action": "drop", "path": "("})
    assert api.call("POST", "/_simulator/faults", json={"action": "drop", "path": "("}).status_code == 422
    assert api.json("POST", "/_simulator/faults", json={"action": "drop", "path": "^/v1"})["path"] == "^/v1"


def test_a_fault_comes_before_everything_else(api: Api) -> None:
    api.simulator.add_fault({"action": "status", "status": 503})
    assert api.call("GET", BASE, authorization="").status_code == 503
    assert api.call("GET", "/api/v3/nothing").status_code == 503
