"""Submitting and waiting in one task: the same result in both modes, and ids that are there before."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sensors import harness

from airflow_provider_nugen.compat import (
    AirflowException,
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
)
from airflow_provider_nugen.operators.nugen import (
    CreateAlignmentOperator,
    CreateBenchmarkOperator,
    CreateEvaluationOperator,
    DeployModelOperator,
    UndeployModelOperator,
    UploadBenchmarkOperator,
)
from airflow_provider_nugen.operators.seekr import SeekrCreateAlignmentOperator, SeekrCreateDataJobOperator
from airflow_provider_nugen.simulator.timeline import Stage

from .support import ALIGNMENT, BENCHMARK, DOCUMENTS, POKE, QUICK, Life, Service, is_final, is_retryable

MODEL = "trained-model"
MODES: dict[str, dict[str, Any]] = {"deferrable": {}, "poke": {"deferrable": False}}
#: Operator, its arguments, the kind of the simulated job, the name of its id, and the status at the end.
OPERATORS: dict[str, tuple[Any, dict[str, Any], str, str, str]] = {
    "alignment": (CreateAlignmentOperator, ALIGNMENT, "alignment", "alignment_id", "READY"),
    "evaluated alignment": (
        CreateAlignmentOperator,
        {**ALIGNMENT, "benchmark_id": BENCHMARK, "wait_for": "evaluation"},
        "alignment",
        "alignment_id",
        "EVALUATED",
    ),
    "deployment": (DeployModelOperator, {"model_id": MODEL}, "deployment", "model_id", "COMPLETED"),
    "undeployment": (UndeployModelOperator, {"model_id": MODEL}, "undeployment", "model_id", "COMPLETED"),
    "evaluation": (
        CreateEvaluationOperator,
        {"model_id": MODEL, "benchmark_id": BENCHMARK},
        "evaluation",
        "evaluation_id",
        "READY",
    ),
    "benchmark": (
        CreateBenchmarkOperator,
        {"document_ids": DOCUMENTS, "num_questions": 3},
        "benchmark",
        "benchmark_id",
        "READY",
    ),
    "uploaded benchmark": (
        UploadBenchmarkOperator,
        {"file": "{{ params.folder }}/benchmark.json", "name": "n", "document_id": DOCUMENTS[0]},
        "benchmark",
        "benchmark_id",
        "READY",
    ),
    "seekr alignment": (
        SeekrCreateAlignmentOperator,
        {"instructions": "Be kind.", "files": ["f-1"]},
        "seekr_alignment",
        "alignment_job_id",
        "completed",
    ),
    "data job": (
        SeekrCreateDataJobOperator,
        {"job_type": "principle_files", "file_ids": ["f-1"], "instructions": "Be kind."},
        "data_job",
        "data_job_id",
        "completed",
    ),
}
#: Over at once, or so soon that the first poke may find it over: such a wait need not defer.
SOON_OVER = ("undeployment", "uploaded benchmark")


@pytest.fixture
def quick(make_service: Callable[..., Service]) -> Service:
    """Jobs that are done in a second."""
    return make_service(speed=QUICK)


def life(name: str, service: Service, key: str, tmp_path: Any, **arguments: Any) -> Life:
    """Make a task instance of an operator, and what it needs to exist."""
    (tmp_path / "benchmark.json").write_text(json.dumps([{"question_num": 1, "question": "q", "answer": "a"}]))
    service.trained()
    if name == "undeployment":
        service.world.add_job("deployment", MODEL, [("COMPLETED", 0)])
    cls, own, *_ = OPERATORS[name]
    own = json.loads(json.dumps(own).replace("{{ params.folder }}", str(tmp_path)))
    return Life(lambda: cls(task_id="t", retries=3, **{"poke_interval": POKE, "timeout": 20, **own, **arguments}), key)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_finished_job_gives_the_same_in_both_modes(quick: Service, key: str, tmp_path: Any, name: str) -> None:
    _, _, kind, id_name, status = OPERATORS[name]
    seen = {}
    for mode, arguments in MODES.items():
        quick.reset(key)
        run = life(name, quick, key, tmp_path, wait_for_completion=True, **arguments).run()
        assert run.value["status"] == status
        assert run.value["state"] == "SUCCEEDED"
        (job,) = quick.jobs(kind)[-1:]
        assert run.xcoms[id_name] == job.id
        if mode == "poke":
            assert not run.deferrals
        elif name not in SOON_OVER:
            assert run.deferrals
        # Ids and times differ.
        seen[mode] = {
            "xcoms": sorted(run.xcoms),
            "result": {key: value is None for key, value in run.value.items()},
        }
    assert seen["deferrable"] == seen["poke"]


@pytest.mark.parametrize("name", OPERATORS)
def test_without_waiting_the_ids_are_the_result(quick: Service, key: str, tmp_path: Any, name: str) -> None:
    _, _, kind, id_name, _ = OPERATORS[name]
    run = life(name, quick, key, tmp_path).run()
    (job,) = quick.jobs(kind)[-1:]
    assert run.value[id_name] == job.id
    assert {name: value for name, value in run.xcoms.items() if name != "return_value"} == run.value
    if name == "evaluation":
        assert run.value["model_id"] == MODEL


@pytest.mark.parametrize("memory", [True, False], ids=["with store", "without store"])
@pytest.mark.parametrize("push", [True, False], ids=["xcom", "do_xcom_push=False"])
@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "uploaded benchmark"])
def test_the_id_is_pushed_before_deferring(
    service: Service, key: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, name: str, push: bool, memory: bool
) -> None:
    _, _, kind, id_name, _ = OPERATORS[name]
    one = life(name, service, key, tmp_path, wait_for_completion=True, do_xcom_push=push)
    if not memory:
        one.store = None

    async def lost(trigger: Any) -> list[Any]:
        # Here is another process: whatever it needs to know must be in the database by now.
        (job,) = service.jobs(kind)[-1:]
        assert one.ti.xcoms[id_name] == job.id
        return [{"outcome": "failed", "message": f"{trigger.kwargs['job_id']} is {job.id}", "result": None}]

    monkeypatch.setattr(harness, "events_of", lost)
    run = one.run()
    assert is_retryable(run)
    job_id = service.jobs(kind)[-1].id
    assert str(run.error) == f"{job_id} is {job_id}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["alignment", "seekr alignment", "data job", "evaluation"])
def test_retries_buy_a_new_job_after_a_failed_one(
    quick: Service, key: str, tmp_path: Any, name: str, mode: str
) -> None:
    _, _, kind, id_name, status = OPERATORS[name]
    one = life(name, quick, key, tmp_path, wait_for_completion=True, **MODES[mode])
    started, jobs = quick.world.add_job, list[str]()

    def failing(kind_: str, *args: Any, **fields: Any) -> Any:
        job = started(kind_, *args, **fields)
        if kind_ == ("seekr_alignment" if name == "data job" else kind) and not jobs:
            jobs.append(job.id)
            job.end_early("failed" if job.kind in ("seekr_alignment", "data_job") else "FAILED", job.created, "no luck")
        return job

    quick.world.add_job = failing  # type: ignore[assignment, method-assign]
    try:
        first = one.run()
    finally:
        quick.world.add_job = started  # type: ignore[method-assign]
    assert is_retryable(first), "a retry may help"
    assert "failed" in str(first.error)
    if name != "evaluation":
        assert "no luck" in str(first.error)
    second = one.run()
    assert second.value["status"] == status
    bought = [job.id for job in quick.jobs(kind) if job.id != "trained"]
    assert len(bought) == 2
    assert second.xcoms[id_name] == bought[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_retry_after_a_timeout_waits_for_the_same_job(service: Service, key: str, tmp_path: Any, mode: str) -> None:
    one = life("seekr alignment", service, key, tmp_path, wait_for_completion=True, timeout=0.2, **MODES[mode])
    first = one.run()
    assert is_retryable(first)
    assert "timeout of 0.2 s" in str(first.error)
    (job_id,) = service.live("seekr_alignment")
    service.world.finish_job(job_id)
    assert one.run().xcoms["alignment_job_id"] == job_id


@pytest.mark.parametrize(
    ("limit", "mode"),
    # In the poke loop the execution_timeout is Airflow's own: see test_cancel.py.
    [
        (limit, mode)
        for limit in ("timeout", "execution_timeout")
        for mode in MODES
        if (limit, mode) != ("execution_timeout", "poke")
    ],
)
def test_cancel_on_timeout(service: Service, key: str, tmp_path: Any, limit: str, mode: str) -> None:
    one = life(
        "seekr alignment",
        service,
        key,
        tmp_path,
        wait_for_completion=True,
        cancel_on_timeout=True,
        **{limit: timedelta(seconds=0.3)},
        **MODES[mode],
    )
    first = one.run()
    assert isinstance(first.error, AirflowException if limit == "timeout" else AirflowTaskTimeout)
    (job,) = service.jobs("seekr_alignment")
    assert service.word(job.id) == "cancelled"
    # So the retry starts another one.
    second = one.run()
    assert second.ending is first.ending
    assert len(service.jobs("seekr_alignment")) == 2


@pytest.mark.parametrize("cancel", [True, False])
@pytest.mark.parametrize("error", [TaskDeferralTimeout, TaskDeferralError])
def test_a_wait_whose_trigger_was_lost_has_a_final_poll(
    service: Service, key: str, tmp_path: Any, error: type[Exception], cancel: bool
) -> None:
    one = life("seekr alignment", service, key, tmp_path, cancel_on_timeout=cancel, do_xcom_push=False)
    one.store = None
    one.run()
    (job_id,) = service.live("seekr_alignment")
    one.ti.xcoms["alignment_job_id"] = job_id
    reason = "Trigger timeout" if error is TaskDeferralTimeout else "Trigger failure"

    def resume() -> Any:
        return harness.on_worker(
            task := one.make(),
            task.resume_execution,
            next_method="__fail__",
            next_kwargs={"error": reason},
            context=one.context,
        )

    with pytest.raises(AirflowException) as raised:
        resume()
    assert not isinstance(raised.value, AirflowFailException)
    assert job_id in str(raised.value)
    assert bool(service.live("seekr_alignment")) is not (cancel and error is TaskDeferralTimeout)
    if service.live("seekr_alignment"):
        service.world.finish_job(job_id)
        assert resume()["status"] == "completed"


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_a_data_job_whose_trigger_was_lost_is_started_when_its_files_are_ready(
    service: Service, key: str, error: str, wait: bool
) -> None:
    def make() -> SeekrCreateDataJobOperator:
        return SeekrCreateDataJobOperator(
            task_id="t",
            job_type="principle_files",
            file_ids=["f-1"],
            wait_for_completion=wait,
            deferrable=False,
            poke_interval=POKE,
            timeout=0.3,
        )

    one = Life(make, key)
    assert is_retryable(one.run()), "the files are not ready in time"
    (job,) = service.jobs("data_job")
    one.ti.xcoms["data_job_id"] = job.id

    def resume() -> Any:
        lost = {"next_method": "__fail__", "next_kwargs": {"error": error}}
        return harness.on_worker(task := one.make(), task.resume_execution, context=one.context, **lost)

    with pytest.raises(AirflowException, match="files of data job"):
        resume()
    assert service.asked("seekr_start_data_job") == 0
    job.stages = [Stage("ready_to_start")]
    if wait:
        # It waits for the job from then on, which takes longer than it may.
        with pytest.raises(AirflowException, match=r"data job .* was not done"):
            resume()
        with pytest.raises(AirflowException, match=r"(: |for )data job"):
            resume()
    else:
        assert resume() == {"data_job_id": job.id}
    (started,) = service.jobs("seekr_alignment")
    assert service.asked("seekr_start_data_job") == 1
    service.world.finish_job(started.id)
    if wait:
        assert resume()["status"] == "completed"
    else:
        assert resume() == {"data_job_id": job.id}


def test_a_job_that_is_gone_ends_the_wait_for_good(service: Service, key: str, tmp_path: Any) -> None:
    one = life("seekr alignment", service, key, tmp_path, wait_for_completion=True, deferrable=False)
    service.fault("status", "seekr_alignment", status=403)
    assert is_final(one.run())


@pytest.mark.parametrize("mode", MODES)
def test_a_data_job_that_needs_review_says_that_a_person_must_act(
    service: Service, key: str, tmp_path: Any, mode: str
) -> None:
    for started in (False, True):
        service.reset(key)
        one = life("data job", service, key, tmp_path, wait_for_completion=True, **MODES[mode])
        original = service.world.add_job

        def add(kind: str, *args: Any, original: Any = original, started: bool = started, **fields: Any) -> Any:
            job = original(kind, *args, **fields)
            if kind == ("seekr_alignment" if started else "data_job"):
                data_job = service.jobs("data_job")[0]
                data_job.overrides = {"status": "needs_review", "status_message": "f-1 has no text"}
            elif kind == "data_job":
                job.overrides = {"status": "ready_to_start"}
            return job

        service.world.add_job = add  # type: ignore[method-assign]
        try:
            run = one.run()
        finally:
            service.world.add_job = original  # type: ignore[method-assign]
        assert is_retryable(run)
        assert "a person must act on the data job in SeekrFlow" in str(run.error)
        assert "f-1 has no text" in str(run.error)


def test_a_data_job_without_files(quick: Service, key: str) -> None:
    one = Life(
        lambda: SeekrCreateDataJobOperator(
            task_id="t",
            job_type="context_grounded_vector_db",
            vector_database_id="v-1",
            system_prompt="Be kind.",
            name="mine",
        ),
        key,
    )
    run = one.run()
    assert not run.deferrals
    (job,) = quick.jobs("data_job")
    assert run.value == {"data_job_id": job.id}
    assert job.inputs["name"] == "mine"
    assert quick.asked("seekr_add_files") == 0
    assert quick.asked("seekr_start_data_job") == 1


def test_waiting_for_an_evaluation_needs_a_benchmark_to_evaluate_with(service: Service, key: str) -> None:
    arguments = {"task_id": "t", "wait_for_completion": True, "wait_for": "evaluation", **ALIGNMENT}
    with pytest.raises(ValueError, match="needs benchmark_id"):
        CreateAlignmentOperator(**arguments)

    def rendered() -> CreateAlignmentOperator:
        task = CreateAlignmentOperator(benchmark_id="{{ params.benchmark }}", **arguments)
        task.benchmark_id = ""
        return task

    run = Life(rendered, key).run()
    assert is_final(run)
    assert "needs benchmark_id" in str(run.error)
    assert not service.jobs()


@pytest.mark.parametrize("interval", ["soon", "-1", "nan"])
def test_an_interval_that_is_none_ends_the_task_before_anything_is_paid_for(
    service: Service, key: str, interval: str
) -> None:
    run = Life(
        lambda: CreateAlignmentOperator(task_id="t", wait_for_completion=True, poke_interval=interval, **ALIGNMENT), key
    ).run()
    assert is_final(run)
    assert f"poke_interval is {interval!r}" in str(run.error)
    assert not service.jobs()
