"""What the simulated services answer keeps to the services' OpenAPI contracts, in every stage of a job's life."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.simulator.conftest import Api

CONTRACTS = {
    path.name.split("-")[0]: json.loads(path.read_text())
    for path in (Path(__file__).parents[1] / "contracts").glob("*.json")
}
V3 = "/api/v3"


def validate(contract: str, schema: str, answer: Any) -> Any:
    """Check an answer against a schema of a contract, and give it back."""
    document = {**CONTRACTS[contract], "$ref": f"#/components/schemas/{schema}"}
    validator = Draft202012Validator(document, format_checker=Draft202012Validator.FORMAT_CHECKER)
    problems = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(answer)]
    assert not problems, f"{problems} in {answer}"
    return answer


def alignment(api: Api, alignment_id: str) -> Any:
    answer = api.get(f"{V3}/alignment-project/status/{alignment_id}")
    return validate("nugen", "DomainAlignmentProjectStatus", answer)["data"]


def evaluation(api: Api, evaluation_id: str) -> Any:
    return validate("nugen", "EvaluationStatusResponse", api.get(f"{V3}/evaluations/{evaluation_id}/status"))


def undeployment(api: Api, model_id: str) -> Any:
    answer = api.get(f"{V3}/models/undeploy-model/{model_id}/status")
    return validate("nugen", "UndeployStatusResponse", answer)


def seekr(api: Api, job_id: str) -> Any:
    return validate("seekr", "AlignmentResponse", api.get(f"/v1/flow/alignment/{job_id}"))


def life(api: Api, read: Callable[[Api, str], Any], job_id: str, seconds: float, step: float = 0.7) -> list[Any]:
    """Poll a job; return the answers at which its status changed."""
    seen: list[Any] = []
    for _ in range(int(seconds / step) + 2):
        answer = read(api, job_id)
        if not seen or seen[-1]["status"] != answer["status"]:
            seen.append(answer)
        api.clock.forward(step)
    return seen


def words(answers: list[Any]) -> list[str]:
    return [answer["status"] for answer in answers]


@pytest.fixture(params=[{}, {"plain_timestamps": True}], ids=["zoned", "plain"])
def api(simulate: Callable[..., Api], request: pytest.FixtureRequest) -> Api:
    return simulate(speed=20, **request.param)


def test_an_alignment_with_a_benchmark(api: Api) -> None:
    alignment_id = api.create_alignment(benchmark_id="benchmark-demo-1")
    answers = life(api, alignment, alignment_id, 1000 / 20, step=0.2)
    # READY again, as recorded: its model is torn down after the evaluation.
    assert words(answers) == ["PROCESSING", "READY", "DEPLOYING", "EVALUATING", "READY", "UNDEPLOYED", "EVALUATED"]
    assert [answer["gpu_training_completed"] for answer in answers] == [None, *[True] * 6]
    assert answers[-1]["model_id"].startswith("-n-alignment-")
    assert [answer["model_id"] for answer in answers] == [None, *[answers[-1]["model_id"]] * 6]
    assert [answer["evaluation_id"] for answer in answers] == [None, None, *[f"{alignment_id}-evaluation"] * 5]
    assert [bool(answer["performance_metrics"]) for answer in answers] == [*[False] * 6, True]
    assert [bool(answer["completed_date"]) for answer in answers] == [*[False] * 6, True]
    assert answers[-1]["progress"] == 100
    assert sorted(answer["progress"] for answer in answers) == [answer["progress"] for answer in answers]


def test_an_alignment_without_a_benchmark_stays_ready(api: Api) -> None:
    answers = life(api, alignment, api.create_alignment(), 2000 / 20)
    assert words(answers) == ["PROCESSING", "READY"]
    assert answers[-1]["evaluation_id"] is None


def test_an_alignment_that_fails_half_way(api: Api) -> None:
    answers = life(api, alignment, api.create_alignment(base_model="nugen-broken"), 700 / 20)
    assert words(answers) == ["PROCESSING", "FAILED"]
    assert answers[-1]["gpu_training_completed"] is False
    assert "cannot be loaded" in answers[-1]["error"]
    assert answers[0]["error"] is None


@pytest.mark.parametrize(("end", "word"), [("fail", "FAILED"), ("stop", "STOPPED")])
@pytest.mark.parametrize("after", [1, 31, 34, 48])
def test_an_alignment_that_ends_early(api: Api, end: str, word: str, after: float) -> None:
    alignment_id = api.create_alignment(benchmark_id="benchmark-demo-1")
    api.clock.forward(after)
    trained = alignment(api, alignment_id)["gpu_training_completed"]
    assert trained is (None if after == 1 else True)
    api.json("POST", f"/_simulator/jobs/{alignment_id}/{end}", json={"reason": "r"} if end == "fail" else None)
    answer = alignment(api, alignment_id)
    assert answer["status"] == (word if after < 48 else "EVALUATED")
    assert answer["gpu_training_completed"] is bool(trained)


def test_a_flat_alignment_status_is_the_inner_object(simulate: Callable[..., Api]) -> None:
    api = simulate(enveloped=False)
    answer = api.get(f"{V3}/alignment-project/status/{api.create_alignment()}")
    validate("nugen", "AlignmentProject", answer)


def test_the_detail_of_an_alignment_is_the_same_project(api: Api) -> None:
    alignment_id = api.create_alignment()
    detail = api.get(f"{V3}/alignment-project/{alignment_id}")
    assert validate("nugen", "AlignmentProject", detail) == alignment(api, alignment_id)


def test_an_evaluation(api: Api) -> None:
    body = {"model_id": api.trained_model(), "benchmark_id": "benchmark-demo-1"}
    evaluation_id = api.json("POST", f"{V3}/evaluations", json=body)["evaluation_id"]
    answers = life(api, evaluation, evaluation_id, 320 / 20)
    assert words(answers) == ["PROCESSING", "READY"]
    assert [answer["progress"] for answer in answers] == ["0/10 questions", "10/10 questions"]
    assert isinstance(answers[0]["eta_seconds"], int)
    assert [answer["avg_time_per_question"] for answer in answers] == [1.5, None]
    assert answers[-1]["eta_seconds"] == 0


def test_the_evaluation_that_an_alignment_begins_by_itself(api: Api) -> None:
    alignment_id = api.create_alignment(benchmark_id="benchmark-demo-1")
    evaluation_id = f"{alignment_id}-evaluation"
    assert api.call("GET", f"{V3}/evaluations/{evaluation_id}/status").status_code == 404
    assert api.get(f"{V3}/evaluations")["total"] == 0
    api.clock.forward(605 / 20)
    answers = life(api, evaluation, evaluation_id, 310 / 20)
    assert words(answers) == ["PROCESSING", "READY"]
    assert (answers[0]["questions_completed"], answers[0]["benchmark_id"]) == (0, "benchmark-demo-1")
    assert answers[-1]["progress"] == "20/20 questions"
    api.clock.forward(35 / 20)
    assert alignment(api, alignment_id)["status"] == "EVALUATED"
    assert [e["evaluation_id"] for e in api.get(f"{V3}/evaluations")["evaluations"]] == [evaluation_id]
    results = api.get(f"{V3}/evaluations/{evaluation_id}/results")
    model_id = alignment(api, alignment_id)["model_id"]
    assert (results["method"], results["model_id"]) == ("eval-compare", model_id)
    # So the slot called base_model holds the aligned model.
    assert results["base_model"]["model_id"] == model_id
    assert results["eval_model"]["model_id"] == results["model_id_2"] == "nugen-flash-instruct"


def test_an_alignment_that_fails_takes_its_evaluation_with_it(api: Api) -> None:
    alignment_id = api.create_alignment(benchmark_id="benchmark-demo-1")
    api.clock.forward(700 / 20)
    api.simulator.fail_job(alignment_id, "no GPU left")
    answer = evaluation(api, f"{alignment_id}-evaluation")
    assert (answer["status"], answer["error"]) == ("FAILED", "no GPU left")


def test_an_undeployment(api: Api) -> None:
    model_id = api.trained_model()
    api.json("POST", f"{V3}/models/deploy-model/{model_id}")
    api.clock.forward(10)
    api.json("DELETE", f"{V3}/models/undeploy-model/{model_id}")
    answers = life(api, undeployment, model_id, 40 / 20, step=0.1)
    assert words(answers) == ["PENDING", "COMPLETED"]
    assert [answer["result"] for answer in answers] == [None, {"message": "Model undeployed"}]


def test_an_undeployment_that_fails_says_why_and_can_be_tried_again(api: Api) -> None:
    model_id = api.trained_model()
    api.json("POST", f"{V3}/models/deploy-model/{model_id}")
    api.clock.forward(10)
    path = f"{V3}/models/undeploy-model/{model_id}"
    api.json("DELETE", path)
    api.simulator.fail_job(model_id, "the node is gone")
    answer = undeployment(api, model_id)
    assert (answer["status"], answer["result"]) == ("FAILED", {"message": "the node is gone"})
    assert api.call("DELETE", path).status_code == 200
    assert undeployment(api, model_id)["status"] == "PENDING"


def test_a_seekrflow_alignment(api: Api) -> None:
    body = {"instructions": "i", "files": ["file-1"]}
    job_id = api.json("POST", "/v1/flow/alignment/generate", json=body)["id"]
    answers = life(api, seekr, job_id, 620 / 20, step=0.1)
    assert words(answers) == ["pending", "queued", "running", "completed"]
    assert [bool(answer["completed_at"]) for answer in answers] == [False, False, False, True]
    assert answers[-1]["progress"] == 100
    assert [bool(answer["output_files"]) for answer in answers] == [False, False, False, True]


@pytest.mark.parametrize(("end", "word"), [("fail", "failed"), ("stop", "stopped"), ("cancel", "cancelled")])
def test_a_seekrflow_alignment_that_ends_early(api: Api, end: str, word: str) -> None:
    body = {"instructions": "i", "files": ["file-1"]}
    job_id = api.json("POST", "/v1/flow/alignment/generate", json=body)["id"]
    api.clock.forward(2)
    if end == "cancel":
        api.json("POST", f"/v1/flow/alignment/{job_id}/cancel")
    else:
        api.json("POST", f"/_simulator/jobs/{job_id}/{end}", json={"reason": "r"} if end == "fail" else None)
    answer = seekr(api, job_id)
    assert answer["status"] == word
    assert bool(answer["stopped_at"]) is (end != "fail")
    assert (answer["completed_at"], answer["eta_minutes"], answer["output_files"]) == (None, None, [])


def test_422_of_both_services(api: Api) -> None:
    for contract, path in (("nugen", f"{V3}/alignment-project/create"), ("seekr", "/v1/flow/alignment/generate")):
        answer = api.call("POST", path, json={})
        assert answer.status_code == 422
        assert validate(contract, "HTTPValidationError", answer.json())["detail"]
