"""Files, fine-tunes and deployments: what is sent, and what the answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobState
from airflow_provider_nugen.api.seekr import endpoints, models, submissions
from airflow_provider_nugen.api.seekr.jobs import DEMOTION, DEPLOYMENT, FINE_TUNE

FINE_TUNE_WORDS = {
    "pending": RUNNING,
    "queued": RUNNING,
    "running": RUNNING,
    "completed": SUCCEEDED,
    "failed": FAILED,
    "cancelled": CANCELLED,
    "deleted": CANCELLED,
}
DEPLOYMENT_WORDS = {
    "Inactive": RUNNING,
    "Pending": RUNNING,
    "Started": RUNNING,
    "Active": SUCCEEDED,
    "Success": SUCCEEDED,
    "Failed": FAILED,
}


def fine_tune(**fields: Any) -> models.FineTune:
    return models.FineTune.read({"id": "ft-1", "status": "running", **fields})


def deployment(**fields: Any) -> models.Deployment:
    return models.Deployment.read({"id": "d-1", "status": "Active", **fields})


# What is sent.


def test_the_fields_of_a_fine_tune_go_into_their_objects() -> None:
    call = endpoints.CREATE_FINE_TUNE.call(
        project_id=1,
        model="m",
        training_files=["f"],
        n_epochs=2,
        accel_type="A10",
        n_accel=1,
        training_config_extra={"seed": 7, "n_epochs": 9},
        infrastructure_config_extra={"zone": "z"},
    )
    request = call.request("", "c")
    assert (request.method, request.target) == ("POST", "/v1/flow/fine-tune")
    assert request.json == {
        "project_id": 1,
        # A field of its own wins over the same one in the extras.
        "training_config": {"seed": 7, "n_epochs": 2, "model": "m", "training_files": ["f"]},
        "infrastructure_config": {"zone": "z", "accel_type": "A10", "n_accel": 1},
    }


@pytest.mark.parametrize(
    ("endpoint", "method", "target", "idempotent"),
    [
        (endpoints.FINE_TUNE, "GET", "/v1/flow/fine-tunes/x%2Fy", True),
        (endpoints.CANCEL_FINE_TUNE, "PUT", "/v1/flow/fine-tunes/x%2Fy/cancel", True),
        (endpoints.FINE_TUNE_EVENTS, "GET", "/v1/flow/fine-tunes/x%2Fy/events", True),
        (endpoints.DELETE_FINE_TUNE, "DELETE", "/v1/flow/fine-tunes/x%2Fy", True),
        (endpoints.DEPLOYMENT, "GET", "/v1/flow/deployments/x%2Fy", True),
        (endpoints.PROMOTE_DEPLOYMENT, "PUT", "/v1/flow/deployments/x%2Fy/promote", True),
        (endpoints.DEMOTE_DEPLOYMENT, "PUT", "/v1/flow/deployments/x%2Fy/demote", True),
        (endpoints.FILE, "GET", "/v1/flow/files/x%2Fy", True),
        (endpoints.DELETE_FILE, "DELETE", "/v1/flow/files/x%2Fy", True),
    ],
)
def test_verbs_and_paths(endpoint: Any, method: str, target: str, idempotent: bool) -> None:
    (name,) = endpoint._path_names
    request = endpoint.call(**{name: "x/y"}).request("", "c")
    assert (request.method, request.target, endpoint.is_idempotent) == (method, target, idempotent)


@pytest.mark.parametrize("endpoint", [endpoints.UPLOAD_FILE, endpoints.UPLOAD_FILES, endpoints.CREATE_DEPLOYMENT])
def test_what_makes_something_is_not_repeated_blindly(endpoint: Any) -> None:
    assert not endpoint.is_idempotent


def test_the_list_of_deployments_is_paged_by_skip() -> None:
    request = endpoints.LIST_DEPLOYMENTS.call(deployment_status="Active", limit=5, offset=10).request("", "c")
    assert request.target == "/v1/flow/deployments?deployment_status=Active&limit=5&skip=10"


# What answers say.


def test_the_answer_of_a_bulk_upload_is_a_list_or_one_file() -> None:
    one = {"id": "f", "filename": "a.md", "bytes": 3}
    assert [file.id for file in models.read_files([one, {**one, "id": "g"}])] == ["f", "g"]
    assert [file.bytes for file in models.read_files(one)] == [3]
    with pytest.raises(ValueError, match="id"):
        models.read_files([{"filename": "a.md"}])


@pytest.mark.parametrize("write", [str.upper, str.lower, str.title])
@pytest.mark.parametrize(
    ("kind", "read", "words"),
    [(FINE_TUNE, fine_tune, FINE_TUNE_WORDS), (DEPLOYMENT, deployment, DEPLOYMENT_WORDS)],
    ids=["fine-tune", "deployment"],
)
def test_every_word_means_what_the_facts_say_in_any_case(
    kind: Any, read: Any, words: dict[str, JobState], write: Any
) -> None:
    assert {*kind.status_map} == {word.upper() for word in words}
    for word, state in words.items():
        assert kind.read_status(read(status=write(word))).state is state, word


def test_a_demoted_deployment_is_inactive() -> None:
    done = {word for word in DEPLOYMENT_WORDS if DEMOTION.read_status(deployment(status=word)).state is SUCCEEDED}
    assert done == {"Inactive", "Failed"}
    assert {*DEMOTION.status_map} == {*DEPLOYMENT.status_map}


def test_a_deployment_that_is_inactive_before_it_started_leads_nowhere_and_after_that_was_demoted() -> None:
    for previous in (None, "Inactive"):
        read = DEPLOYMENT.read_status(deployment(status="Inactive"), previous)
        assert (read.state, "promote it" in read.stall_reason) == (RUNNING, True)
    read = DEPLOYMENT.read_status(deployment(status="Inactive"), "Pending")
    assert (read.state, read.stall_reason) == (CANCELLED, "")
    assert "demoted" in read.reason


def test_why_a_fine_tune_failed() -> None:
    events = [{"loss": 2.0, "epoch": 0.5}, {"loss": 1.5, "epoch": 1.0}]
    read = FINE_TUNE.read_status(fine_tune(status="failed", error_analysis="Out of memory.", events=events))
    assert "Out of memory" in read.reason
    assert "epoch 1" in read.reason


def test_ids_are_in_the_result_by_the_names_of_their_xcoms() -> None:
    for kind, answer in ((FINE_TUNE, fine_tune()), (DEPLOYMENT, deployment(model_id="ft-1"))):
        result = kind.result(answer, kind.read_status(answer))
        assert all(result[name] for name in kind.xcom_keys)
        assert result[kind.id_name] == result["id"]


@pytest.mark.parametrize(
    ("events", "epoch", "loss"),
    [
        ([{"loss": 1.0, "epoch": 1.0}, {"loss": 2.0, "epoch": 0.5}], 1.0, 1.0),
        (
            [
                {"loss": 1.0, "created_at": "2026-01-02T00:00:00Z"},
                {"loss": 2.0, "created_at": "2026-01-01T00:00:00Z"},
            ],
            None,
            1.0,
        ),
        (["x", None, {"loss": "?"}, {"loss": 1.0}], None, 1.0),
    ],
)
def test_the_event_that_tells_how_far_the_training_is(
    events: list[Any], epoch: float | None, loss: float | None
) -> None:
    answer = fine_tune(events=events)
    assert (answer.epoch, answer.loss) == (epoch, loss)
    assert fine_tune(events=[]).latest_event is None
    assert "events" not in answer.model_dump()


def test_events_come_in_a_list_or_in_an_object() -> None:
    assert models.read_events({"data": [1]}) == models.read_events([1]) == [1]
    payloads: tuple[Any, ...] = ({}, None, {"data": {}})
    for payload in payloads:
        with pytest.raises(ValueError, match="list of events"):
            models.read_events(payload)


@pytest.mark.parametrize(
    ("fields", "progress"),
    [
        ({}, None),
        ({"n_epochs": 2, "events": [{"epoch": 1.5, "loss": 0.83}]}, "1.5/2 epochs, loss 0.83"),
        ({"events": [{"epoch": 1.5}]}, "epoch 1.5"),
        ({"events": [{"loss": 0.83}]}, "loss 0.83"),
    ],
)
def test_how_the_training_goes_is_told_by_the_events(fields: dict[str, Any], progress: str | None) -> None:
    assert FINE_TUNE.read_status(fine_tune(**fields)).progress == progress


@pytest.mark.parametrize(
    ("fields", "is_wanted"),
    [
        ({"status": "pending"}, False),
        ({"status": "running"}, True),
        ({"status": "Completed"}, True),
        ({"status": "failed"}, True),
        ({"status": "running", "events": [{"loss": 1}]}, False),
    ],
)
def test_when_the_events_are_asked_for(fields: dict[str, Any], is_wanted: bool) -> None:
    assert FINE_TUNE.supplement is not None
    assert FINE_TUNE.supplement.is_wanted(fine_tune(**fields)) is is_wanted
    assert FINE_TUNE.supplement.add(fine_tune(**fields), [{"loss": 7}]).loss == 7


def test_jobs_are_listed_with_the_name_that_was_chosen_for_them() -> None:
    (listed,) = submissions.FINE_TUNE.listed(
        [models.CreateFineTuneResponse.read({"id": "ft-1", "status": "queued", "experiment_name": "n"})]
    )
    assert (listed.job_id, listed.name) == ("ft-1", "n")
    (listed,) = submissions.DEPLOYMENT.listed(
        [models.CreateDeploymentResponse.read({"id": "d-1", "status": "Active", "name": "n"})]
    )
    assert (listed.job_id, listed.name) == ("d-1", "n")
