"""One job per task: whatever happens to a try, the retry continues with its job; a cleared task starts anew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import tenacity.nap

from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.api.submission import ListPage
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.operators import identity, submit
from airflow_provider_nugen.operators.nugen import (
    CreateAlignmentOperator,
    CreateBenchmarkOperator,
    CreateEvaluationOperator,
    DeployModelOperator,
    UploadBenchmarkOperator,
)
from airflow_provider_nugen.operators.seekr import SeekrCreateAlignmentOperator, SeekrCreateDataJobOperator
from airflow_provider_nugen.operators.start import StartOperator
from airflow_provider_nugen.operators.submit import SubmitOperator
from airflow_provider_nugen.simulator.timeline import Stage

from .support import ALIGNMENT, BENCHMARK, DOCUMENTS, POKE, Life, Service, is_final, is_retryable

#: How an answer gets lost although the service has acted.
LOST = {
    "dropped": {"action": "drop", "processed": True},
    "502": {"action": "status", "status": 502, "processed": True},
    "504": {"action": "status", "status": 504, "processed": True},
    "408": {"action": "status", "status": 408, "processed": True},
    "503 without Retry-After": {"action": "status", "status": 503, "processed": True},
}
#: How a request fails without having been acted on.
REFUSED = {
    "429": {"action": "status", "status": 429, "retry_after": "0"},
    "503 with Retry-After": {"action": "status", "status": 503, "retry_after": "0"},
}


def alignment(**arguments: Any) -> CreateAlignmentOperator:
    return CreateAlignmentOperator(task_id="align", retries=3, **{**ALIGNMENT, **arguments})


def evaluation(service: Service, **arguments: Any) -> Callable[[], CreateEvaluationOperator]:
    model_id = service.trained()
    return lambda: CreateEvaluationOperator(
        task_id="evaluate", retries=3, **{"model_id": model_id, "benchmark_id": BENCHMARK, **arguments}
    )


def seekr(**arguments: Any) -> SeekrCreateAlignmentOperator:
    return SeekrCreateAlignmentOperator(task_id="align", retries=3, instructions="Be kind.", files=["f-1"], **arguments)


def data_job(**arguments: Any) -> SeekrCreateDataJobOperator:
    """Make an operator for a data job of one file."""
    own: dict[str, Any] = {"job_type": "principle_files", "file_ids": ["f-1"], "instructions": "Be kind."}
    return SeekrCreateDataJobOperator(task_id="data", poke_interval=POKE, retries=3, **own | arguments)


# Names that are generated.


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_is_made_up_for_in_the_same_try(
    service: Service, key: str, logs: Any, fault: str, memory: bool
) -> None:
    service.fault(operation="create_alignment", **LOST[fault])
    run = Life(alignment, key, memory=memory).run()
    assert [run.value["alignment_id"]] == service.live()
    assert any("not known whether the service acted" in line for line in logs.at("warning"))


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
@pytest.mark.parametrize("fault", REFUSED)
def test_what_was_refused_is_sent_again(service: Service, key: str, fault: str, memory: bool) -> None:
    service.fault(operation="create_alignment", times=2, **REFUSED[fault])
    run = Life(alignment, key, memory=memory).run()
    assert [run.value["alignment_id"]] == service.live()
    assert service.asked("create_alignment") == 3


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_what_is_refused_for_long_fails_the_try_and_is_sent_by_the_retry(
    service: Service, key: str, memory: bool
) -> None:
    service.fault("status", "create_alignment", status=429, retry_after="0", times=4)
    life = Life(alignment, key, memory=memory)
    assert is_retryable(life.run())
    assert [life.run().value["alignment_id"]] == service.live()
    # Who remembers that nothing was sent need not search.
    assert service.asked("list_alignments") == (0 if memory else 3)


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_service_that_stays_down_after_it_acted(service: Service, key: str, memory: bool) -> None:
    service.fault(operation="create_alignment", **LOST["502"])
    down = service.fault("status", "list_alignments", status=502, times=None)
    life = Life(alignment, key, memory=memory)
    assert is_retryable(life.run())
    assert is_retryable(life.run())
    assert down.operation == "list_alignments"
    service.world.clear_faults()
    assert [life.run().value["alignment_id"]] == service.live()


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_request_that_never_arrived_is_sent_by_the_retry(service: Service, key: str, memory: bool) -> None:
    service.fault("drop", "create_alignment")
    life = Life(alignment, key, memory=memory)
    first = life.run()
    assert is_retryable(first)
    assert "A retry searches again" in str(first.error)
    assert [life.run().value["alignment_id"]] == service.live()


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_try_that_dies_after_its_request(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch, memory: bool
) -> None:
    life = Life(alignment, key, memory=memory)
    with monkeypatch.context() as patch:

        def die(*args: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr("airflow_provider_nugen.operators.identity.JobRecord.record_started", die)
        with pytest.raises(KeyboardInterrupt):
            life.run()
    assert [life.run().value["alignment_id"]] == service.live()
    assert service.asked("create_alignment") == 1


def test_the_retry_continues_with_the_stored_job(service: Service, key: str) -> None:
    life = Life(lambda: alignment(name="A name of my own"), key)
    first, second = life.run(), life.run()
    assert first.value == second.value
    # What is listed is remembered before something is sent.
    assert service.asked("list_alignments") == 1


def test_a_stored_job_that_is_not_found_yet_is_neither_lost_nor_paid_twice(service: Service, key: str) -> None:
    life = Life(alignment, key)
    first = life.run()
    service.fault("status", "alignment_status", status=404)
    second = life.run()
    assert is_retryable(second)
    assert f"started alignment '{first.value['alignment_id']}'" in str(second.error)
    assert life.run().value == first.value
    assert len(service.live()) == 1


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
@pytest.mark.parametrize("end", ["fail", "stop"])
def test_a_job_that_ended_without_success_is_never_adopted(service: Service, key: str, end: str, memory: bool) -> None:
    life = Life(alignment, key, memory=memory)
    first = life.run().value["alignment_id"]
    if end == "fail":
        service.world.fail_job(first, "out of memory")
    else:
        service.world.stop_job(first)
    second = life.run().value["alignment_id"]
    assert second != first
    assert service.live() == [second]


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_job_whose_training_broke_is_not_adopted_whatever_its_word(service: Service, key: str, memory: bool) -> None:
    life = Life(alignment, key, memory=memory)
    first = life.run().value["alignment_id"]
    service.world.override_job(first, gpu_training_completed=False)
    assert life.run().value["alignment_id"] != first


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_job_that_failed_after_its_training_is_not_paid_again(service: Service, key: str, memory: bool) -> None:
    life = Life(alignment, key, memory=memory)
    first = life.run().value["alignment_id"]
    service.world.override_job(first, status="FAILED", gpu_training_completed=True, model_id="m-1")
    assert life.run().value["alignment_id"] == first
    assert len(service.jobs()) == 1


def test_two_jobs_of_the_generated_name_are_listed(service: Service, key: str) -> None:
    life = Life(alignment, key, memory=False)
    life.run()
    job = service.jobs()[0]
    service.world.add_job("alignment", "twin", [Stage("PROCESSING")], inputs=job.inputs)
    run = life.run()
    assert is_final(run)
    name = job.inputs["name"]
    assert f"'{job.id}' (PROCESSING, name '{name}', created 20" in str(run.error)
    assert f"'twin' (PROCESSING, name '{name}', created 20" in str(run.error)


def test_names_tell_task_instances_apart_and_are_plain_ascii(service: Service, key: str) -> None:
    lives = [Life(alignment, key, map_index=index) for index in (-1, 0, 1)]
    lives[0].ti.dag_id = "überschrift mit leerzeichen" + "x" * 300
    for life in lives:
        life.run()
    names = [job.inputs["name"] for job in service.jobs()]
    assert len(set(names)) == 3
    assert all(name.isascii() and " " not in name and len(name) < 100 for name in names)


# Clearing.


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_cleared_task_starts_anew_and_says_what_became_of_the_old_job(
    service: Service, key: str, logs: Any, memory: bool
) -> None:
    life = Life(alignment, key, memory=memory)
    first = life.run().value["alignment_id"]
    life.clear()
    second = life.run().value["alignment_id"]
    assert service.live() == [first, second]
    (line,) = [line for line in logs.at("warning") if "Before it was cleared" in line]
    assert f"alignment '{first}': PROCESSING, so it continues and may be billed" in line
    # And its retries continue with the new one, of which nothing is said.
    assert life.run().value["alignment_id"] == second
    assert len([line for line in logs.at("warning") if "Before it was cleared" in line]) == 1


def test_a_cleared_task_tells_of_its_failed_job(service: Service, key: str, logs: Any) -> None:
    life = Life(lambda: alignment(name="mine", wait_for_completion=True, poke_interval=POKE, deferrable=False), key)
    service.fault("delay", "alignment_status", seconds=0.3)
    service.world.add_fault({"action": "delay", "operation": "create_alignment", "seconds": 0})
    service.world.config.durations = {}
    job_id: list[str] = []

    class Failing(CreateAlignmentOperator):
        def wait(self, context: Any, started: str, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            job_id.append(started)
            service.world.fail_job(started, "out of memory")
            return super().wait(context, started, *args, **kwargs)

    life.make = lambda: Failing(task_id="align", name="mine", retries=3, wait_for_completion=True, **ALIGNMENT)
    assert is_retryable(life.run())
    life.clear()
    assert is_retryable(life.run())
    (line,) = [line for line in logs.at("warning") if "Before it was cleared" in line]
    assert f"alignment '{job_id[0]}': FAILED. It starts another one now." in line


def test_a_cleared_task_whose_old_job_cannot_be_read_starts_anew_all_the_same(
    service: Service, key: str, logs: Any
) -> None:
    life = Life(alignment, key)
    life.run()
    life.clear()
    service.fault("status", "alignment_status", status=404)
    assert life.run().value["alignment_id"] == service.live()[-1]
    assert any("before it was cleared is not known" in line for line in logs.at("warning"))
    assert len(service.live()) == 2


def test_without_memory_and_names_a_clear_cannot_be_told_from_a_retry(service: Service, key: str) -> None:
    life = Life(evaluation(service), key, memory=False)
    first = life.run().value["evaluation_id"]
    life.clear()
    run = life.run()
    assert is_final(run)
    assert repr(first) in str(run.error)
    assert "trigger a new run" in str(run.error)
    assert service.live("evaluation") == [first]


def test_without_memory_what_is_older_than_the_run_is_none_of_its_own(service: Service, key: str, logs: Any) -> None:
    # Clearing a task of a run that is over starts the run again.
    life = Life(evaluation(service), key, memory=False)
    first = life.run().value["evaluation_id"]
    service.world.job(first).created -= 300
    life.clear()
    assert life.run().value["evaluation_id"] != first
    assert any("keeps no memory" in line for line in logs.at("warning"))


@pytest.mark.parametrize("run_type", ["scheduled", "manual"])
@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_cleared_task_of_a_run_that_is_over_names_its_old_job(
    service: Service, key: str, logs: Any, memory: bool, run_type: str
) -> None:
    life = Life(alignment, key, memory=memory, run_type=run_type)
    first = life.run().value["alignment_id"]
    life.clear(run_is_over=True)
    second = life.run().value["alignment_id"]
    assert service.live() == [first, second]
    (line,) = [line for line in logs.at("warning") if "Before it was cleared" in line]
    # Of a scheduled run another Airflow may have one of the same id and hour.
    certain = memory or run_type == "manual"
    assert f"this task {'started' if certain else 'may have started'} alignment '{first}': PROCESSING, so it" in line
    assert life.run().value["alignment_id"] == second


@pytest.mark.parametrize("run_type", ["scheduled", "manual"])
@pytest.mark.parametrize("is_3_4", [True, False], ids=["3.4", "3.1"])
def test_adopting_after_a_clear_of_a_run_that_is_over(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch, run_type: str, is_3_4: bool
) -> None:
    monkeypatch.setattr(identity, "task_state_survives_clear", lambda: not is_3_4)
    life = Life(lambda: alignment(on_clear="adopt"), key, memory=is_3_4, run_type=run_type)
    first = life.run().value["alignment_id"]
    # A run of the same id in another Airflow.
    other = Life(lambda: alignment(on_clear="adopt"), key, memory=is_3_4, run_type=run_type)
    second = other.run().value["alignment_id"]
    assert first != second
    life.clear(run_is_over=True)
    if life.store is not None:
        life.store.values.clear()
    run = life.run()
    if run_type == "manual":
        assert run.value["alignment_id"] == first
    else:
        assert is_final(run)
        assert all(f"'{job_id}'" in str(run.error) for job_id in (first, second))
        assert "set on_clear='new'" in str(run.error)
        life.make = alignment
        assert life.run().value["alignment_id"] not in (first, second)
    assert other.run().value["alignment_id"] == second


def test_a_run_that_was_made_again_knows_nothing_of_the_one_before(service: Service, key: str, logs: Any) -> None:
    first = Life(lambda: alignment(on_clear="adopt"), key, memory=False, run_type="manual")
    second = Life(lambda: alignment(on_clear="adopt"), key, memory=False, run_type="manual")
    ids = {life.run().value["alignment_id"] for life in (first, second)}
    second.clear()
    assert second.run().value["alignment_id"] in ids
    assert len(service.live()) == len(ids) == 2


def test_a_cleared_job_without_a_name_whose_answer_got_lost_is_named(
    make_service: Callable[..., Service], key: str, logs: Any
) -> None:
    service = make_service()
    life = Life(evaluation(service), key)
    life.begin()
    record = identity.JobRecord(identity.TaskIdentity(life.context), life.context)
    operator = life.make()
    now = service.world.now()
    record.record_sending(operator.arguments_text(), [], now)
    service.world.add_job("evaluation", "lost", [Stage("PROCESSING")], inputs=operator.inputs())
    life.clear()
    assert life.run().value["evaluation_id"] != "lost"
    (line,) = [line for line in logs.at("warning") if "Before it was cleared" in line]
    assert "may have started evaluation 'lost': PROCESSING, so it continues" in line


def test_clearing_a_task_while_it_runs_is_a_retry_to_airflow(service: Service, key: str) -> None:
    life = Life(alignment, key)
    first = life.run().value
    # Neither max_tries nor retries change then.
    assert life.run().value == first


# Names that the user chose.


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_name_that_the_user_chose_is_never_used_to_adopt(service: Service, key: str, memory: bool) -> None:
    service.fault(operation="create_alignment", **LOST["dropped"])
    life = Life(lambda: alignment(name="A name of my own"), key, memory=memory)
    run = life.run()
    assert is_final(run)
    (job_id,) = service.live()
    assert f"'{job_id}' (PROCESSING" in str(run.error)
    assert "none is adopted and none is started" in str(run.error)
    assert is_final(life.run())
    assert service.live() == [job_id]


def test_jobs_of_other_names_are_no_candidates(service: Service, key: str) -> None:
    service.world.add_job("alignment", "other", [Stage("PROCESSING")], inputs={**ALIGNMENT, "name": "other"})
    service.fault("drop", "create_alignment")
    life = Life(lambda: alignment(name="mine"), key)
    assert is_retryable(life.run())
    assert life.run().value["alignment_id"] == service.live()[-1]


def test_a_job_of_the_chosen_name_is_a_candidate_whatever_else_the_list_says(service: Service, key: str) -> None:
    service.fault(operation="create_alignment", **LOST["dropped"])
    service.world.add_fault({"action": "delay", "operation": "list_alignments", "seconds": 0.0})
    life = Life(lambda: alignment(name="mine"), key)
    original = service.world.add_job

    def shown_otherwise(*args: Any, **fields: Any) -> Any:
        job = original(*args, **fields)
        job.overrides = {"base_model": "Nugen Flash (instruct)", "document_ids": None}
        return job

    service.world.add_job = shown_otherwise  # type: ignore[method-assign]
    try:
        assert is_final(life.run())
    finally:
        service.world.add_job = original  # type: ignore[method-assign]


def test_an_old_job_of_the_chosen_name_is_no_candidate(service: Service, key: str) -> None:
    old = service.world.add_job("alignment", "old", [Stage("PROCESSING")], inputs={**ALIGNMENT, "name": "mine"})
    old.created = time.time() - 3600
    service.fault("drop", "create_alignment", times=1)
    for memory in (True, False):
        life = Life(lambda: alignment(name="mine"), key, memory=memory)
        service.world.clear_faults()
        service.fault("drop", "create_alignment")
        assert is_retryable(life.run())
        new = life.run().value["alignment_id"]
        assert new != "old"
        service.world.stop_job(new)


# Jobs without names.


@pytest.mark.parametrize("fault", LOST)
def test_an_evaluation_is_found_by_what_was_submitted_and_when(service: Service, key: str, fault: str) -> None:
    make = evaluation(service)
    yesterday = service.world.add_job("evaluation", "old", [Stage("READY")], inputs=make().inputs())
    yesterday.created -= 86400
    service.world.add_job("evaluation", "other", [Stage("PROCESSING")], inputs={**make().inputs(), "benchmark_id": "b"})
    service.fault(operation="create_evaluation", **LOST[fault])
    run = Life(make, key).run()
    assert run.value["evaluation_id"] == service.live("evaluation")[-1]
    assert len(service.live("evaluation")) == 3


def test_an_evaluation_of_a_dead_try_is_found_only_with_memory(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for memory in (True, False):
        service.reset(key)
        life = Life(evaluation(service), key, memory=memory)
        with monkeypatch.context() as patch:

            def die(*args: Any) -> Any:
                raise KeyboardInterrupt

            patch.setattr("airflow_provider_nugen.operators.identity.JobRecord.record_started", die)
            with pytest.raises(KeyboardInterrupt):
                life.run()
        run = life.run()
        (job_id,) = service.live("evaluation")
        assert run.value["evaluation_id"] == job_id if memory else (is_final(run) and job_id in str(run.error))


@contextmanager
def beside(service: Service, create: str, **inputs: Any) -> Iterator[None]:
    """Let somebody else start an evaluation at the moment in which the task sends its own request."""
    original = ServiceHook.request

    def request(self: Any, call: Any) -> Any:
        if call.endpoint.operation == create:
            service.world.add_job("evaluation", "other", [Stage("PROCESSING")], inputs=inputs)
        return original(self, call)

    ServiceHook.request = request  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        ServiceHook.request = original  # type: ignore[method-assign]


def test_two_evaluations_alike_are_listed(service: Service, key: str) -> None:
    make = evaluation(service)
    service.fault(operation="create_evaluation", **LOST["502"])
    with beside(service, "create evaluation", **make().inputs()):
        run = Life(make, key).run()
    assert is_final(run)
    assert len(service.live("evaluation")) == 2
    for job_id in service.live("evaluation"):
        assert repr(job_id) in str(run.error)


def test_an_evaluation_that_was_there_before_is_not_the_tasks_own(service: Service, key: str) -> None:
    make = evaluation(service)
    service.world.add_job("evaluation", "twin", [Stage("PROCESSING")], inputs=make().inputs())
    service.fault(operation="create_evaluation", **LOST["502"])
    run = Life(make, key).run()
    assert run.value["evaluation_id"] != "twin"
    assert len(service.live("evaluation")) == 2


@pytest.mark.parametrize("argument", [{"model_id_2": "nugen-flash-instruct"}, {"custom_metrics": ["f1"]}])
def test_an_evaluation_is_not_adopted_when_the_list_does_not_show_all_it_was_created_with(
    service: Service, key: str, argument: dict[str, Any]
) -> None:
    # Perhaps it is the one without: from the list nobody can tell.
    make = evaluation(service, **argument)
    service.fault("drop", "create_evaluation")
    with beside(service, "create evaluation", **evaluation(service)().inputs()):
        run = Life(make, key).run()
    assert is_final(run)
    assert "'other'" in str(run.error)


def test_a_cleared_evaluation_does_not_adopt_the_one_before(service: Service, key: str) -> None:
    # However little time lies between the two.
    life = Life(evaluation(service), key)
    first = life.run().value["evaluation_id"]
    life.clear()
    service.fault("drop", "create_evaluation")
    assert is_retryable(life.run())
    second = life.run().value["evaluation_id"]
    assert second != first
    assert len(service.live("evaluation")) == 2


def test_the_whole_list_is_read(service: Service, key: str) -> None:
    make = evaluation(service)
    for number in range(205):
        job = service.world.add_job("evaluation", f"e-{number}", [Stage("READY")], inputs=make().inputs())
        job.created = 1.0
    service.fault(operation="create_evaluation", **LOST["502"])
    original, asked = service.world.add_job, service.asked("list_evaluations")

    def oldest(*args: Any, **fields: Any) -> Any:
        # The order of the list is not stated, so let the task's own job come last.
        job = original(*args, **fields)
        jobs = service.world.jobs
        service.world.jobs = {("evaluation", job.id): jobs.pop(("evaluation", job.id)), **jobs}
        return job

    service.world.add_job = oldest  # type: ignore[method-assign]
    try:
        run = Life(make, key).run()
    finally:
        service.world.add_job = original  # type: ignore[method-assign]
    assert run.value["evaluation_id"] in service.live("evaluation")
    # Three pages: before sending, and at each lookup.
    assert service.asked("list_evaluations") - asked == 3 * 3


def test_a_list_that_takes_no_notice_of_the_offset_does_not_go_on_for_ever(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_nugen.api.nugen import endpoints, models

    page = [{"evaluation_id": f"e-{n}", "status": "READY", "created_at": "2020-01-01T00:00:00Z"} for n in range(100)]
    items = [models.ListedEvaluation.read(item) for item in page]
    calls: list[Any] = []

    def request(self: Any, call: Any) -> Any:
        if call.endpoint is endpoints.LIST_EVALUATIONS:
            calls.append(call)
            return ListPage(items)
        return original(self, call)

    original = ServiceHook.request
    monkeypatch.setattr(ServiceHook, "request", request)
    service.fault("drop", "create_evaluation")
    run = Life(evaluation(service), key).run()
    # It need not be all that there is.
    assert is_final(run)
    assert "it shows 100, which may be one page of several" in str(run.error)
    assert len(calls) == 3 * 2  # lists, and pages each


@pytest.mark.parametrize(("revision", "early"), [("B", False), ("C", False), ("C", True)])
def test_a_deployment_is_the_models_own(
    make_service: Callable[..., Service], key: str, revision: str, early: bool
) -> None:
    service = make_service(nugen_revision=revision)
    model_id = service.trained()
    service.fault(operation="deploy", **LOST["502"])
    run = Life(lambda: DeployModelOperator(task_id="deploy", model_id=model_id, early=early, retries=1), key).run()
    assert run.value == {"model_id": model_id}
    assert service.asked("deploy") == 1


def test_a_deployment_that_never_began_is_sent_again(make_service: Callable[..., Service], key: str) -> None:
    for revision in "BC":
        service = make_service(nugen_revision=revision)
        model_id = service.trained()
        service.fault("drop", "deploy")
        life = Life(lambda model=model_id: DeployModelOperator(task_id="deploy", model_id=model, retries=1), key)
        assert is_retryable(life.run())
        assert life.run().value == {"model_id": model_id}
        assert service.asked("deploy") == 2


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_what_runs_is_adopted_also_after_a_clear(service: Service, key: str, memory: bool) -> None:
    model_id = service.trained()
    life = Life(lambda: DeployModelOperator(task_id="deploy", model_id=model_id, retries=1), key, memory=memory)
    life.run()
    life.clear()
    assert life.run().value == {"model_id": model_id}
    assert service.asked("deploy") == 1


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_deployment_without_times_is_adopted_by_a_retry(service: Service, key: str, memory: bool) -> None:
    model_id = service.trained()
    life = Life(lambda: DeployModelOperator(task_id="deploy", model_id=model_id, retries=1), key, memory=memory)
    life.run()
    service.world.override_job(model_id, start_time=None, end_time=None)
    assert life.run().value == {"model_id": model_id}
    assert service.asked("deploy") == 1


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_deployment_that_may_be_over_is_sent_again(service: Service, key: str, memory: bool) -> None:
    # The status of its task says COMPLETED for ever.
    model_id = service.trained()
    life = Life(lambda: DeployModelOperator(task_id="deploy", model_id=model_id, retries=1), key, memory=memory)
    life.run()
    service.world.add_job("deployment", model_id, [Stage("COMPLETED")])
    service.world.add_job("undeployment", model_id, [Stage("COMPLETED")])
    assert life.run().value == {"model_id": model_id}
    assert service.asked("deploy") == 2


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_failed_deployment_of_revision_c_is_not_adopted(
    make_service: Callable[..., Service], key: str, memory: bool
) -> None:
    service = make_service(nugen_revision="C")
    model_id = service.trained()
    life = Life(lambda: DeployModelOperator(task_id="deploy", model_id=model_id, retries=1), key, memory=memory)
    life.run()
    # It says nothing else of a deployment that failed without a reason.
    service.world.fail_job(model_id, "no GPU")
    service.world.override_job(model_id, status="UNDEPLOYED", error=None, result=None)
    life.run()
    assert service.asked("deploy") == 2


# Benchmarks: listed in revision B only.


def benchmark(kind: str, tmp_path: Any) -> Callable[[], Any]:
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps([{"question_num": 1, "question": "q", "answer": "a"}]))
    makes: dict[str, Callable[[], Any]] = {
        "create": lambda: CreateBenchmarkOperator(task_id="b", document_ids=DOCUMENTS, num_questions=3, retries=3),
        "upload": lambda: UploadBenchmarkOperator(
            task_id="b", file=str(file), name="n", document_id=DOCUMENTS[0], retries=3
        ),
    }
    return makes[kind]


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("kind", ["create", "upload"])
def test_a_benchmark_that_may_have_been_made_is_not_made_again(
    service: Service, key: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, fault: str, kind: str
) -> None:
    make = benchmark(kind, tmp_path)
    # As in revision C.
    monkeypatch.setattr(type(make()), "submission", replace(type(make()).submission, listing=None))
    life = Life(make, key)
    service.fault(operation=f"{kind}_benchmark", **LOST[fault])
    run = life.run()
    assert is_final(run)
    assert "has no list to search for its benchmark" in str(run.error)
    assert is_final(life.run())
    assert len(service.jobs("benchmark")) == 1
    life.clear()
    assert life.run().value["benchmark_id"] == service.jobs("benchmark")[-1].id


@pytest.mark.parametrize("kind", ["create", "upload"])
def test_in_revision_c_found_out_by_itself_there_is_no_list_of_benchmarks(
    make_service: Callable[..., Service], connection: Callable[..., str], key: str, tmp_path: Any, kind: str
) -> None:
    service = make_service(nugen_revision="C")
    connection("nugen", host=service.url)
    life = Life(benchmark(kind, tmp_path), key)
    service.fault(operation=f"{kind}_benchmark", **LOST["502"])
    run = life.run()
    # 502 proves no revision, and the router's answer may be that of a gateway.
    assert is_retryable(run)
    assert "has no list to search for its benchmark" in str(run.error)
    NugenHook().request(endpoints.BENCHMARK_STATUS.call(benchmark_id=BENCHMARK))
    run = life.run()
    assert is_final(run)
    assert "has no list to search for its benchmark" in str(run.error)
    assert len(service.jobs("benchmark")) == 1


def test_a_benchmark_is_reused_by_the_retry_where_its_id_was_stored(service: Service, key: str) -> None:
    life = Life(lambda: CreateBenchmarkOperator(task_id="b", document_ids=DOCUMENTS, num_questions=3, retries=3), key)
    assert life.run().value == life.run().value
    assert len(service.jobs("benchmark")) == 1


@pytest.mark.parametrize("fault", LOST)
def test_a_seekr_alignment_that_may_have_been_started_is_named_not_adopted(
    service: Service, key: str, fault: str
) -> None:
    old = service.world.add_job("seekr_alignment", "old", [Stage("running")])
    old.created -= 86400
    service.fault(operation="seekr_generate", **LOST[fault])
    life = Life(seekr, key)
    run = life.run()
    assert is_final(run)
    (job,) = [job for job in service.jobs("seekr_alignment") if job.id != "old"]
    assert repr(job.id) in str(run.error)
    assert "'old'" not in str(run.error)
    assert len(service.jobs("seekr_alignment")) == 2


def test_without_memory_jobs_from_before_the_dag_run_are_no_candidates(service: Service, key: str) -> None:
    old = service.world.add_job("seekr_alignment", "old", [Stage("running")])
    old.created -= 86400
    life = Life(seekr, key, memory=False)
    service.fault("status", "seekr_generate", status=429, retry_after="0", times=4)
    assert is_retryable(life.run())
    assert life.run().value["alignment_job_id"] != "old"
    # Of one that a try of this run may have started, that cannot be said.
    assert is_final(life.run())
    life.began = datetime.now(UTC) - timedelta(days=2)
    run = life.run()
    assert "'old'" in str(run.error)


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
@pytest.mark.parametrize("operation", ["seekr_create_data_job", "seekr_add_files", "seekr_start_data_job"])
@pytest.mark.parametrize("fault", LOST)
def test_a_data_job_is_one_whatever_answer_gets_lost(
    make_service: Callable[..., Service], key: str, operation: str, fault: str, memory: bool
) -> None:
    service = make_service(speed=1000)

    service.fault(operation=operation, **LOST[fault])
    life = Life(lambda: data_job(file_ids=["f-1", "f-2"]), key, memory=memory)
    run = life.run()
    if operation == "seekr_add_files":
        assert is_retryable(run)
        run = life.run()
    (job,) = service.jobs("data_job")
    assert run.value == {"data_job_id": job.id}
    assert job.inputs["file_ids"] == ["f-1", "f-2"]
    assert len(service.jobs("seekr_alignment")) == 1
    # What was done already is not done again.
    assert life.run().value == {"data_job_id": job.id}
    assert len(service.jobs("seekr_alignment")) == 1


def test_a_data_job_that_is_not_visible_at_once_is_not_given_up(make_service: Callable[..., Service], key: str) -> None:
    service = make_service(speed=1000)
    missing: dict[str, Any] = {"operation": "seekr_data_job", "status": 404}
    service.fault("status", **missing)
    life = Life(data_job, key)
    (job,) = life.run().value.values()
    assert [job.id for job in service.jobs("data_job")] == [job]

    service.fault("status", **missing, times=len(StartOperator.lookup_delays))
    life = Life(lambda: data_job(file_ids=["f-1", "f-2"]), key)
    run = life.run()
    assert is_retryable(run)
    assert "a retry will reuse it" in str(run.error)
    (other,) = life.run().value.values()
    assert [job.id for job in service.jobs("data_job")] == [job, other]


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
def test_a_data_job_that_a_person_has_reviewed_is_gone_on_with(
    make_service: Callable[..., Service], key: str, memory: bool
) -> None:
    service = make_service()
    life = Life(lambda: data_job(deferrable=False), key, memory=memory)
    # The first try ends before it has searched.
    service.fault("status", "seekr_data_job", status=404, times=len(StartOperator.lookup_delays))
    assert is_retryable(life.run())
    (job,) = service.jobs("data_job")
    job.overrides = {"status": "needs_review"}
    for _ in range(2):
        run = life.run()
        assert is_retryable(run)
        assert "a person must act" in str(run.error)
    job.overrides = {"status": "ready_to_start"}
    assert life.run().value == {"data_job_id": job.id}
    assert [job.id for job in service.jobs("data_job")] == [job.id]
    assert len(service.jobs("seekr_alignment")) == 1


def test_a_refused_request_does_not_settle_what_was_in_doubt_before(service: Service, key: str) -> None:
    life = Life(alignment, key)
    # Acted on, but neither answered nor listed yet.
    service.fault(operation="create_alignment", **LOST["502"])
    service.fault("status", "list_alignments", status=502, times=None)
    assert is_retryable(life.run())
    (job,) = service.live()
    service.world.clear_faults()
    hidden = service.world.jobs.pop(("alignment", job))
    service.fault("status", "create_alignment", status=429, retry_after="0", times=4)
    assert is_retryable(life.run())
    service.world.jobs["alignment", job] = hidden
    assert life.run().value == {"alignment_id": job}
    assert service.live() == [job]


def test_a_lost_answer_after_pauses_is_searched_for_a_minute_from_then_on(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0.0]
    clock = SimpleNamespace(time=lambda: time.time() + passed[0], sleep=lambda s: passed.append(passed.pop() + s))
    for module in (submit, identity):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=clock.sleep))
    monkeypatch.setattr(StartOperator, "lookup_delays", (0.0, 20.0, 20.0, 22.0))
    # The last of four attempts arrives, three minutes after the first, and its job is listed 45 s later.
    service.fault("status", "create_alignment", status=429, retry_after="60", times=3)
    service.fault(operation="create_alignment", **LOST["dropped"])
    read, listed_from = SubmitOperator._list, 180 + 45

    def read_late(*args: Any) -> Any:
        jobs = read(*args)
        return jobs._replace(jobs=jobs.jobs if passed[0] >= listed_from else (), now=(jobs.now or 0) + passed[0])

    monkeypatch.setattr(SubmitOperator, "_list", read_late)
    life = Life(alignment, key)
    assert [life.run().value["alignment_id"]] == service.live()
    assert service.asked("create_alignment") == 4


def test_a_list_that_is_not_there_is_not_taken_for_an_empty_one(service: Service, key: str) -> None:
    service.fault(operation="create_alignment", **LOST["502"])
    service.fault("status", "list_alignments", status=404)
    life = Life(alignment, key)
    run = life.run()
    assert is_final(run)
    assert "list alignments" in str(run.error)
    assert len(service.live()) == 1


@pytest.mark.parametrize("file_ids", [None, "['f-1', 'f-2']"])
def test_no_data_job_is_made_for_files_that_cannot_be_added(
    make_service: Callable[..., Service], key: str, file_ids: str | None
) -> None:
    service = make_service()
    run = Life(lambda: data_job(file_ids=file_ids), key).run()
    assert is_final(run)
    assert "file_ids" in str(run.error)
    assert not service.jobs("data_job")
