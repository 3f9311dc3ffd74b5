"""A list of jobs in one task: each is started once, as a job of its own, and all are waited for together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nugen.exceptions import JobFailedError
from airflow_provider_nugen.operators.identity import JobRecord, TaskIdentity
from airflow_provider_nugen.operators.nugen import CreateAlignmentOperator, CreateEvaluationOperator

from .support import BENCHMARK, DOCUMENTS, POKE, QUICK, Life, Service, is_final, is_retryable


def evaluations(service: Service, count: int = 3, **arguments: Any) -> Callable[[], CreateEvaluationOperator]:
    """Make operators that evaluate a number of models."""
    own = {"model_id": [service.trained(f"trained-{number}") for number in range(count)], "benchmark_id": BENCHMARK}
    return lambda: CreateEvaluationOperator(task_id="evaluate", retries=3, poke_interval=POKE, **{**own, **arguments})


def alignments(**arguments: Any) -> Callable[[], CreateAlignmentOperator]:
    """Make operators that align with two lists of documents."""
    own = {"base_model": "nugen-flash-instruct", "document_ids": [DOCUMENTS, DOCUMENTS]}
    return lambda: CreateAlignmentOperator(task_id="align", retries=3, poke_interval=POKE, **{**own, **arguments})


def die_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the process die after the answer to a number of requests, the last of them not recorded."""
    record_started, answered = JobRecord.record_started, []

    def record(self: JobRecord, job_id: str) -> None:
        answered.append(job_id)
        if len(answered) == number:
            raise KeyboardInterrupt
        record_started(self, job_id)

    monkeypatch.setattr(JobRecord, "record_started", record)


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_each_item_is_a_job_of_its_own(service: Service, key: str, memory: bool) -> None:
    run = Life(evaluations(service), key, memory=memory).run()
    assert run.value == {
        "evaluation_ids": service.live("evaluation"),
        "model_ids": [f"trained-{number}-model" for number in range(3)],
    }
    assert run.xcoms["evaluation_ids"] == run.value["evaluation_ids"]
    assert [job.inputs["model_id"] for job in service.jobs("evaluation")] == run.value["model_ids"]


@pytest.mark.parametrize("deferrable", [True, False])
def test_one_task_waits_for_all(make_service: Callable[..., Service], key: str, deferrable: bool) -> None:
    service = make_service(speed=QUICK)
    make = evaluations(service, wait_for_completion=True, deferrable=deferrable)
    run = Life(make, key).run()
    ids = [job.id for job in service.jobs("evaluation")]
    assert [status["evaluation_id"] for status in run.value] == run.xcoms["evaluation_ids"] == ids
    assert {status["state"] for status in run.value} == {"SUCCEEDED"}
    assert len(run.deferrals) <= 1


def test_an_empty_list_starts_nothing_and_is_done(service: Service, key: str) -> None:
    run = Life(evaluations(service, model_id=[], wait_for_completion=True), key).run()
    assert run.value == []
    assert service.asked("create_evaluation") == 0


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_try_that_dies_between_the_items_pays_none_twice(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    life = Life(evaluations(service), key)
    with monkeypatch.context() as patch:
        die_at(patch, number)
        with pytest.raises(KeyboardInterrupt):
            life.run()
    assert life.run().value["evaluation_ids"] == service.live("evaluation")
    assert service.asked("create_evaluation") == 3


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
@pytest.mark.parametrize("number", [1, 2])
def test_generated_names_tell_the_items_apart(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch, number: int, memory: bool
) -> None:
    life = Life(alignments(), key, memory=memory)
    with monkeypatch.context() as patch:
        die_at(patch, number)
        with pytest.raises(KeyboardInterrupt):
            life.run()
    assert life.run().value["alignment_ids"] == service.live()
    assert len({job.inputs["name"] for job in service.jobs()}) == service.asked("create_alignment") == 2


def test_items_alike_are_jobs_of_their_own(service: Service, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(evaluations(service, model_id=[service.trained()] * 3), key)
    with monkeypatch.context() as patch:
        die_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            life.run()
    ids = life.run().value["evaluation_ids"]
    assert ids == service.live("evaluation")
    assert len(set(ids)) == service.asked("create_evaluation") == 3


def test_the_first_that_is_refused_ends_the_try_and_the_others_stay(service: Service, key: str, logs: Any) -> None:
    service.fault("status", "create_evaluation", status=429, retry_after="0", times=4, skip=1)
    life = Life(evaluations(service), key)
    assert is_retryable(life.run())
    (first,) = service.live("evaluation")
    assert f"Item 1 of 3 could not be started. Started before it: '{first}'." in logs.everything()
    assert life.run().value["evaluation_ids"] == service.live("evaluation")
    assert service.live("evaluation")[0] == first
    assert len(service.jobs("evaluation")) == 3


def test_only_what_failed_is_started_anew(service: Service, key: str) -> None:
    life = Life(evaluations(service), key)
    ids = life.run().value["evaluation_ids"]
    service.world.fail_job(ids[1], "out of memory")
    again = life.run().value["evaluation_ids"]
    assert (again[0], again[2]) == (ids[0], ids[2])
    assert again[1] not in ids
    assert len(service.jobs("evaluation")) == 4


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_job_that_fails_fails_the_task_when_all_are_over_and_the_retry_starts_only_this_one(
    make_service: Callable[..., Service], key: str, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    service = make_service(speed=QUICK)
    life = Life(evaluations(service, wait_for_completion=True, deferrable=deferrable), key)
    record_started = JobRecord.record_started

    def fail_second(self: JobRecord, job_id: str) -> None:
        record_started(self, job_id)
        if len(service.jobs("evaluation")) == 2:
            service.world.fail_job(job_id, "out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(JobRecord, "record_started", fail_second)
        first = life.run()
    assert is_retryable(first)
    assert isinstance(first.error, JobFailedError)
    assert "1 of 3 did not succeed" in str(first.error)
    ids = [job.id for job in service.jobs("evaluation")]
    assert ids[1] in str(first.error)
    again = [status["evaluation_id"] for status in life.run().value]
    assert (again[0], again[2]) == (ids[0], ids[2])
    assert len(service.jobs("evaluation")) == 4


def test_lists_of_different_lengths_start_nothing(service: Service, key: str) -> None:
    run = Life(evaluations(service, benchmark_id=[BENCHMARK]), key).run()
    assert is_final(run)
    assert "{'model_id': 3, 'benchmark_id': 1} must have the same length" in str(run.error)
    assert service.asked("create_evaluation") == 0


def test_a_wrong_item_is_found_before_anything_is_paid(service: Service, key: str) -> None:
    run = Life(evaluations(service, model_id=["m-1", " "]), key).run()
    assert is_final(run)
    assert service.asked("create_evaluation") == 0


def test_a_list_of_ids_is_one_job_where_a_job_takes_a_list(service: Service, key: str) -> None:
    run = Life(alignments(document_ids=DOCUMENTS), key).run()
    assert [run.value["alignment_id"]] == service.live()


def test_names_and_documents_of_alignments_are_theirs(service: Service, key: str) -> None:
    run = Life(alignments(name=["One", "Two"]), key).run()
    assert run.value["alignment_ids"] == service.live()
    assert [job.inputs["name"] for job in service.jobs()] == ["One", "Two"]


def test_a_task_of_one_job_keeps_the_identity_that_is_stored(service: Service, key: str) -> None:
    context: Any = Life(evaluations(service), key).context
    one, first, second = TaskIdentity(context), TaskIdentity(context, 0), TaskIdentity(context, 1)
    assert one.store_key == "airflow_provider_nugen.job"
    assert len({i.key for i in (one, first, second)}) == len({i.store_key for i in (one, first, second)}) == 3
    assert len({i.kin_key for i in (one, first, second)}) == 3
