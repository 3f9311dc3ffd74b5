"""Our declarations agree with the services' OpenAPI contracts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.models import ServiceModel
from airflow_provider_nugen.api.nugen import endpoints, jobs, models
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.seekr import endpoints as seekr_endpoints
from airflow_provider_nugen.api.seekr import jobs as seekr_jobs
from airflow_provider_nugen.api.seekr import models as seekr_models
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.api.service import Service

CONTRACTS = {
    path.name.split("-")[0]: json.loads(path.read_text())
    for path in (Path(__file__).parents[1] / "contracts").glob("*.json")
}


def schema_of(contract: str, name: str) -> dict[str, Any]:
    schema: dict[str, Any] = CONTRACTS[contract]["components"]["schemas"][name]
    return schema


def sample(contract: str, name: str, schema: dict[str, Any]) -> Any:
    """Make a value that the schema allows, and that tells where it comes from."""
    if "$ref" in schema:
        return sample(contract, name, schema_of(contract, schema["$ref"].rsplit("/", 1)[1]))
    if "anyOf" in schema:
        return sample(contract, name, {"example": schema.get("example"), **schema["anyOf"][0]})
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "object":
            properties = schema.get("properties", {})
            return {key: sample(contract, key, value) for key, value in properties.items()} or {"message": name}
        case "array":
            return [sample(contract, name, schema["items"])]
        case "integer":
            return 7
        case "number":
            return 0.5
        case "boolean":
            return True
        case "string":
            # Some timestamps are declared as mere text; their example tells.
            example = json.dumps(schema.get("example"))
            timestamp = schema.get("format") == "date-time" or re.search(r"\d{4}-\d\d-\d\dT", example)
            return "2026-01-02T03:04:05Z" if timestamp else f"some {name}"
    raise AssertionError(f"no sample for {schema}")


#: Contract, schema, and the model that reads it.
READ_BY: list[tuple[str, str, type[ServiceModel]]] = [
    ("nugen", "AlignmentProject", models.AlignmentStatus),
    ("nugen", "AlignmentProjectPerformanceMetrics", models.PerformanceMetrics),
    ("nugen", "UndeployStatusResponse", models.TaskStatus),
    ("nugen", "EvaluationStatusResponse", models.EvaluationStatus),
    ("seekr", "AlignmentResponse", seekr_models.AlignmentJob),
]


@pytest.mark.parametrize(
    ("contract", "schema", "model", "name"),
    [(*read_by, name) for read_by in READ_BY for name in schema_of(*read_by[:2])["properties"]],
)
def test_every_property_of_a_contract_arrives_in_the_field_of_its_name(
    contract: str, schema: str, model: type[ServiceModel], name: str
) -> None:
    value = sample(contract, name, schema_of(contract, schema)["properties"][name])
    answer = model.read({"status": "READY", name: value})
    assert answer.model_dump(mode="json")[name] == value


@pytest.mark.parametrize(("contract", "schema", "model"), READ_BY)
def test_every_required_property_is_there_and_a_whole_answer_is_read_whole(
    contract: str, schema: str, model: type[ServiceModel]
) -> None:
    declared = schema_of(contract, schema)
    assert set(declared["required"]) <= declared["properties"].keys()
    whole = sample(contract, schema, declared)
    dumped = model.read(whole).model_dump(mode="json")
    assert {name: dumped[name] for name in whole} == whole


def test_the_envelope_of_an_alignment_is_the_contracts() -> None:
    envelope = sample("nugen", "envelope", schema_of("nugen", "DomainAlignmentProjectStatus"))
    project = sample("nugen", "project", schema_of("nugen", "AlignmentProject"))
    dumped = models.AlignmentStatus.read(envelope).model_dump(mode="json")
    assert {name: dumped[name] for name in project} == project
    renamed = {"status": "task_status"}
    beside = {name: value for name, value in envelope.items() if value != project}
    assert len(beside) == len(envelope) - 1
    assert {name: dumped[renamed.get(name, name)] for name in beside} == beside


def test_the_contracts_own_example_is_read_whole() -> None:
    example = schema_of("nugen", "AlignmentProject")["example"]
    answer = models.AlignmentStatus.read(example)
    assert {name: answer.model_dump(mode="json")[name] for name in example} == example


@pytest.mark.parametrize(
    ("contract", "enum", "kinds"),
    [
        ("nugen", "TaskStatus", (jobs.ALIGNMENT, jobs.EVALUATED_ALIGNMENT)),
        ("nugen", "DeployTaskStatus", (jobs.UNDEPLOYMENT, jobs.DEPLOYMENT)),
        ("seekr", "AlignmentJobStatus", (seekr_jobs.ALIGNMENT,)),
    ],
)
def test_every_status_word_of_a_contract_is_in_our_tables(
    contract: str, enum: str, kinds: tuple[JobKind[Any], ...]
) -> None:
    words = schema_of(contract, enum)["enum"]
    assert words
    assert {word: kind.key for word in words for kind in kinds if kind.state(word) is None} == {}


def test_the_example_of_an_evaluations_status_is_in_our_table() -> None:
    example = schema_of("nugen", "EvaluationStatusResponse")["properties"]["status"]["example"]
    assert jobs.EVALUATION.state(example) is not None


OF_CONTRACT: dict[str, tuple[Service, list[Endpoint[Any]]]] = {
    "nugen": (
        NUGEN,
        [endpoints.ALIGNMENT_STATUS, endpoints.UNDEPLOYMENT_STATUS, endpoints.EVALUATION_STATUS],
    ),
    "seekr": (SEEKR, [seekr_endpoints.ALIGNMENT_JOB]),
}


@pytest.mark.parametrize("contract", OF_CONTRACT)
def test_the_default_revision_asks_at_the_contracts_paths(contract: str) -> None:
    service, declarations = OF_CONTRACT[contract]
    declared = {
        (method.upper(), re.sub(r"{\w+}", "x", path))
        for path, methods in CONTRACTS[contract]["paths"].items()
        for method in methods
    }
    kinds = (jobs.ALIGNMENT, jobs.UNDEPLOYMENT, jobs.EVALUATION, seekr_jobs.ALIGNMENT)
    calls = [next(kind.call("x") for kind in kinds if kind.status is endpoint) for endpoint in declarations]
    requests = [call.request(service.revisions[0], "c") for call in calls]
    assert {(request.method, request.target) for request in requests} == declared


@pytest.mark.parametrize("contract", OF_CONTRACT)
def test_our_default_address_and_authentication_are_the_contracts(contract: str) -> None:
    service, _ = OF_CONTRACT[contract]
    document = CONTRACTS[contract]
    (scheme,) = document["components"]["securitySchemes"].values()
    bearer = (scheme["type"], scheme.get("scheme")) == ("http", "bearer")
    assert bearer or (scheme["in"], scheme["name"]) == ("header", "Authorization")
    assert service.authorization("k") == ("Bearer k" if bearer else "k")
    servers = document.get("servers", [{"url": service.base_url}])
    assert service.base_url in [server["url"].rstrip("/") for server in servers]


def test_the_contracts_422_is_explained_with_the_field() -> None:
    item = sample("nugen", "item", schema_of("nugen", "ValidationError"))
    body = json.dumps({"detail": [item]}).encode()
    with pytest.raises(Exception, match=f"{item['loc'][0]}: {item['msg']}"):
        jobs.ALIGNMENT.call("x").read(RawResponse(422, body), "c")
