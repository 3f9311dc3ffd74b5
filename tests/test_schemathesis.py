"""
The simulator against the services' contracts, with requests that schemathesis makes out of them.

The contracts leave out that a key can be wrong and a job missing: here they are completed by these answers.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.core.failures import FailureGroup

from airflow_provider_nugen.simulator import Simulator, run_simulator

KEY = "contract-key"
CONTRACTS = {
    path.name.split("-")[0]: json.loads(path.read_text())
    for path in (Path(__file__).parent / "contracts").glob("*.json")
}


def _error(required: str, **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": [required],
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "additionalProperties": False,
    }
    return {"description": "added here", "content": {"application/json": {"schema": schema}}}


#: What both contracts leave out, in the shape of each service's errors.
ERRORS = {
    "nugen": _error("detail", detail="string"),
    "seekr": _error("message", error="string", message="string", status="integer", requestUrl="string"),
}
#: How each service is told the key.
AUTHORIZATION = {"nugen": f"Bearer {KEY}", "seekr": KEY}

#: Jobs in every stage of their lives: operation, kind of job, stages.
JOBS = {
    "/api/v3/alignment-project/status/{id}": (
        "alignment",
        ("PROCESSING", "READY", "DEPLOYING", "EVALUATING", "UNDEPLOYED", "EVALUATED", "FAILED", "STOPPED"),
    ),
    "/api/v3/evaluations/{evaluation_id}/status": ("evaluation", ("PROCESSING", "READY", "FAILED", "STOPPED")),
    "/api/v3/models/undeploy-model/{model_id}/status": ("undeployment", ("PENDING", "COMPLETED", "FAILED")),
    "/v1/flow/alignment/{alignment_job_id}": (
        "seekr_alignment",
        ("pending", "queued", "running", "completed", "failed", "cancelled", "stopped"),
    ),
}


def completed(contract: str) -> dict[str, Any]:
    """Copy a contract, and add the 401 and the 404 that it leaves out."""
    document: dict[str, Any] = copy.deepcopy(CONTRACTS[contract])
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["responses"] = {"401": ERRORS[contract], "404": ERRORS[contract], **operation["responses"]}
    return document


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with run_simulator(api_key=KEY) as running:
        for kind, words in JOBS.values():
            for word in words:
                # Slashes, blanks and question marks belong to an id.
                running.add_job(kind, f"{kind} is/{word}?", [(word, 0)], inputs={"benchmark_id": "benchmark-demo-1"})
        yield running


def operation(document: dict[str, Any], path: str) -> Any:
    return schemathesis.openapi.from_dict(document)[path]["GET"]


def contract_of(path: str) -> str:
    return "nugen" if path.startswith("/api/") else "seekr"


every_operation = pytest.mark.parametrize(
    "path", [path for contract in CONTRACTS.values() for path in contract["paths"]]
)


@every_operation
def test_any_id_with_the_right_key(simulator: Simulator, path: str) -> None:
    contract = contract_of(path)

    @given(case=operation(completed(contract), path).as_strategy())
    def check(case: Case[Any]) -> None:
        case.call_and_validate(simulator.url, headers={"Authorization": AUTHORIZATION[contract]})

    check()


@every_operation
def test_any_id_with_a_wrong_key(simulator: Simulator, path: str) -> None:
    contract = contract_of(path)
    other = next(key for name, key in AUTHORIZATION.items() if name != contract)

    @given(
        case=operation(completed(contract), path).as_strategy(),
        key=st.sampled_from([None, "", "wrong", "Bearer wrong", other]),
    )
    def check(case: Case[Any], key: str | None) -> None:
        case.headers.clear()
        case.headers.update({} if key is None else {"Authorization": key})
        assert case.call_and_validate(simulator.url).status_code == 401

    check()


def read(document: dict[str, Any], path: str, job_id: str, simulator: Simulator) -> Any:
    """Ask for a job, and validate the answer."""
    (parameter,) = re.findall(r"{(\w+)}", path)
    case = operation(document, path).Case(path_parameters={parameter: quote(job_id, safe="")})
    return case.call_and_validate(simulator.url, headers={"Authorization": AUTHORIZATION[contract_of(path)]})


@pytest.mark.parametrize(
    ("path", "kind", "word"),
    [(path, kind, word) for path, (kind, words) in JOBS.items() for word in words],
)
def test_a_job_in_every_state(simulator: Simulator, path: str, kind: str, word: str) -> None:
    document = completed(contract_of(path))
    answer = read(document, path, f"{kind} is/{word}?", simulator)
    assert (answer.status_code, answer.json()["status"]) == (200, word)


def test_there_are_jobs_for_every_operation_of_the_contracts() -> None:
    assert {path for document in CONTRACTS.values() for path in document["paths"]} == JOBS.keys()


def required(document: dict[str, Any], path: str) -> tuple[dict[str, Any], list[str]]:
    """Find the schema of the answer 200, and what it requires."""
    content = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][content["$ref"].rsplit("/", 1)[1]]
    return schema, schema["required"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (path, name)
        for document in CONTRACTS.values()
        for path in document["paths"]
        for name in required(document, path)[1]
    ],
)
def test_a_contract_whose_field_is_renamed_is_not_met(simulator: Simulator, path: str, name: str) -> None:
    document = completed(contract_of(path))
    schema, names = required(document, path)
    schema["properties"][f"{name}_renamed"] = schema["properties"].pop(name)
    schema["required"] = [f"{name}_renamed" if other == name else other for other in names]
    kind, words = JOBS[path]
    with pytest.raises(FailureGroup):
        read(document, path, f"{kind} is/{words[0]}?", simulator)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_422_is_that_of_fastapi_which_we_explain(contract: str) -> None:
    schemas = CONTRACTS[contract]["components"]["schemas"]
    assert schemas["HTTPValidationError"]["properties"].keys() == {"detail"}
    item = schemas["ValidationError"]["properties"].keys()
    assert {"loc", "msg", "type"} <= item <= {"loc", "msg", "type", "input", "ctx"}
