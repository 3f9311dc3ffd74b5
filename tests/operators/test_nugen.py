"""What is special about each operator for Nugen."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_nugen.compat import AirflowFailException
from airflow_provider_nugen.exceptions import (
    InvalidArgumentError,
    JobFailedError,
    NotReadyError,
    ServiceUnreachableError,
)
from airflow_provider_nugen.operators import files as files_module
from airflow_provider_nugen.operators.nugen import (
    CreateBenchmarkOperator,
    DeployModelOperator,
    GetEvaluationResultsOperator,
    UndeployModelOperator,
    UploadBenchmarkOperator,
    UploadDocumentsOperator,
)
from airflow_provider_nugen.sensors.nugen import DocumentStatusSensor
from airflow_provider_nugen.simulator.timeline import Stage
from airflow_provider_nugen.triggers import job as triggers

from .support import BENCHMARK, DOCUMENTS, POKE, Life, Service, is_final, is_retryable


def upload(files: Any, key: str, **arguments: Any) -> Life:
    return Life(lambda: UploadDocumentsOperator(task_id="upload", files=files, retries=3, **arguments), key)


def named(service: Service) -> dict[str, str]:
    return {job.inputs["name"]: job.id for job in service.jobs("document")}


def item(service: Service, name: str) -> dict[str, Any]:
    """Return what an upload returns of a file."""
    (job,) = (job for job in service.jobs("document") if job.inputs["name"] == name)
    task_id = job.inputs.get("task_id")
    return {"name": name, "task_id": task_id, "document_id": None if task_id else job.id, "ready": False}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers end as soon as they can, and poll lists often."""
    monkeypatch.setattr(triggers, "MIN_RUN_TIME", 0.0)


@pytest.fixture(autouse=True)
def _list_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UploadDocumentsOperator, "list_delays", (0.0, *[0.1] * 20))


# Documents.


@pytest.mark.parametrize("revision", ["A", "B", "C"])
def test_documents_are_uploaded_in_order(
    make_service: Callable[..., Service], key: str, tmp_path: Path, revision: str
) -> None:
    service = make_service(nugen_revision=revision)
    files = [tmp_path / name for name in ("b.txt", "a.txt", "c.txt")]
    for file in files:
        file.write_text(file.name)
    run = upload(files, key, categories=["faq", "legal"]).run()
    assert run.value == run.xcoms["uploads"] == [item(service, file.name) for file in files]
    # The ids of tasks are no ids of documents, whatever the service calls them.
    known = {"document_ids": [named(service)[file.name] for file in files]} if revision == "C" else {}
    assert run.xcoms == {"return_value": run.value, "uploads": run.value, **known}


@pytest.mark.parametrize("revision", ["B", "C"])
@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("by", ["operator", "sensor"])
@pytest.mark.usefixtures("quick")
def test_the_wait_ends_with_the_final_ids_of_the_documents(
    make_service: Callable[..., Service], key: str, tmp_path: Path, revision: str, deferrable: bool, by: str
) -> None:
    service = make_service(nugen_revision=revision, speed=200)
    files = [tmp_path / name for name in ("b.txt", "a.txt")]
    for file in files:
        file.write_text(file.name)
    how = {"deferrable": deferrable, "poke_interval": POKE}
    if by == "operator":
        run = upload(files, key, wait_for_completion=True, **how).run()
    else:
        items = upload(files, key).run().value
        run = Life(lambda: DocumentStatusSensor(task_id="wait", document_id=items, **how), key).run()
    ids = [named(service)[file.name] for file in files]
    assert run.xcoms["document_ids"] == ids
    assert [(status["status"], status["state"], status["document_id"]) for status in run.value] == [
        ("READY", "SUCCEEDED", document_id) for document_id in ids
    ]


@pytest.mark.usefixtures("quick")
def test_a_single_document_is_waited_for_by_what_its_upload_returned(
    make_service: Callable[..., Service], key: str, tmp_path: Path
) -> None:
    service = make_service(speed=200)
    (tmp_path / "a.txt").write_text("text")
    (one,) = upload(tmp_path / "a.txt", key).run().value
    ready = {"name": "a.txt", "task_id": None, "document_id": named(service)["a.txt"], "ready": True}
    for given in (one, one["task_id"], ready):
        run = Life(
            lambda given=given: DocumentStatusSensor(task_id="wait", document_id=given, poke_interval=POKE), key
        ).run()
        assert run.value["document_id"] == run.xcoms["document_id"] == named(service)["a.txt"]
    asked = service.asked("document_status")
    assert Life(lambda: DocumentStatusSensor(task_id="wait", document_id=[ready]), key).run().xcoms["document_ids"] == [
        named(service)["a.txt"]
    ]
    assert service.asked("document_status") == asked, "it is ready: there is nothing to ask for"


@pytest.mark.parametrize("memory", [True, False], ids=["Airflow 3.3", "before"])
def test_an_upload_that_fails_half_way_loses_nothing(service: Service, key: str, tmp_path: Path, memory: bool) -> None:
    files = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for file in files:
        file.write_text(file.name)
    life = Life(lambda: UploadDocumentsOperator(task_id="upload", files=files, retries=3), key, memory=memory)
    service.fault("status", "upload_documents", status=500, processed=False, skip=1, times=10)
    run = life.run()
    assert run.ending is not None
    assert not issubclass(run.ending, AirflowFailException)
    assert run.xcoms["uploads"] == [item(service, "a.txt")]
    service.world.clear_faults()
    asked = service.asked("upload_documents")
    for job in service.jobs("document"):
        service.world.finish_job(job.id)
    run = life.run()
    first = item(service, "a.txt")
    if not memory:  # the service has the file already, and names its document
        first |= {"task_id": None, "document_id": named(service)["a.txt"], "ready": True}
    assert run.value == [first, item(service, "b.txt"), item(service, "c.txt")]
    assert service.asked("upload_documents") - asked == (2 if memory else 3)
    for name in ("b.txt", "c.txt"):
        service.world.finish_job(named(service)[name])
    life.clear()
    assert [upload["document_id"] for upload in life.run().value] == list(named(service).values()), "starts anew"


def test_a_document_that_fails_is_uploaded_again_by_a_retry(service: Service, key: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    uploaded = upload(tmp_path / "a.txt", key)
    assert uploaded.run().value == [item(service, "a.txt")]
    service.world.fail_job(named(service)["a.txt"], "not a text")
    life = upload(tmp_path / "a.txt", key, wait_for_completion=True, poke_interval=POKE)
    life.store, life.ti.max_tries = uploaded.store, uploaded.ti.max_tries
    asked = service.asked("upload_documents")
    run = life.run()
    assert isinstance(run.error, JobFailedError)
    assert not isinstance(run.error, AirflowFailException)
    assert "not a text" in str(run.error)
    assert service.asked("upload_documents") == asked, "the earlier try has uploaded it"
    life.run()
    assert service.asked("upload_documents") == asked + 1


@pytest.mark.parametrize("known", [True, False], ids=["by its document", "by its task only"])
@pytest.mark.parametrize("stage", ["READY", "PROCESSING"])
@pytest.mark.usefixtures("quick")
def test_a_file_that_is_there_already_is_waited_for_however_its_status_is_known(
    make_service: Callable[..., Service], key: str, tmp_path: Path, known: bool, stage: str
) -> None:
    # Whether revision B's status endpoint knows ids of documents is not established: it must work either way.
    service = make_service(nugen_revision="B", status_by_document_id=known)
    (tmp_path / "a.txt").write_text("text")
    stages = [Stage("PROCESSING", 0.5), Stage("READY")] if stage == "PROCESSING" else [Stage("READY")]
    service.world.add_job("document", "d-1", stages, inputs={"name": "a.txt", "task_id": "t-1"})
    run = upload(tmp_path / "a.txt", key, wait_for_completion=True, poke_interval=POKE, deferrable=False).run()
    assert run.xcoms["document_ids"] == ["d-1"]
    assert service.word("d-1") == "READY"
    assert run.xcoms["uploads"][0]["task_id"] is None


def test_a_document_that_is_in_no_list_is_taken_to_be_ready(
    service: Service, key: str, tmp_path: Path, logs: Any
) -> None:
    (tmp_path / "a.txt").write_text("text")
    service.world.add_job("document", "d-1", [Stage("PROCESSING", 600)], inputs={"name": "a.txt", "task_id": "t-1"})
    service.fault("status", "list_documents", status=403)
    ready = {"name": "a.txt", "task_id": None, "document_id": "d-1", "ready": True}
    run = upload(tmp_path / "a.txt", key).run()
    assert (run.value, run.xcoms["document_ids"]) == ([ready], ["d-1"])
    assert any("'d-1' can be used already is not known" in line for line in logs.at("warning"))
    run = upload(tmp_path / "a.txt", key).run()
    assert isinstance(run.error, NotReadyError), "the list says that it is still processed"
    assert not isinstance(run.error, AirflowFailException)


def test_the_list_helps_out_while_the_status_of_documents_is_unwell(service: Service, key: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    service.world.add_job("document", "d-1", [Stage("READY")], inputs={"name": "a.txt", "task_id": "t-1"})
    service.fault("status", "document_status", status=500, times=None)
    run = upload(tmp_path / "a.txt", key).run()
    assert (run.value[0]["ready"], run.xcoms["document_ids"]) == (True, ["d-1"])
    # What is not known is not taken to be ready then.
    service.fault("status", "list_documents", status=403)
    assert isinstance(upload(tmp_path / "a.txt", key).run().error, ServiceUnreachableError)


@pytest.mark.parametrize(
    ("files", "says"),
    [([], "pass at least one file"), (None, "pass at least one file"), ("['a.txt']", "text, not a list"), (5, "is 5")],
)
def test_what_is_no_list_of_files_is_named(service: Service, key: str, files: Any, says: str) -> None:
    run = upload(files, key).run()
    assert isinstance(run.error, InvalidArgumentError)
    assert isinstance(run.error, AirflowFailException)
    assert says in str(run.error)


def test_a_path_an_object_storage_path_and_a_url(service: Service, key: str, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (tmp_path / name).write_text(name)
    files = [
        str(tmp_path / "a.txt"),
        tmp_path / "b.txt",
        ObjectStoragePath(f"file://{tmp_path}/c.txt"),
        f"file://{tmp_path}/d.txt",
    ]
    run = upload(files, key).run()
    assert run.value == [item(service, f"{name}.txt") for name in "abcd"]


@pytest.mark.parametrize("wrap", [str, Path, lambda file: ObjectStoragePath(f"file://{file}")])
def test_one_file_needs_no_list(service: Service, key: str, tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    (tmp_path / "a.txt").write_text("text")
    assert upload(wrap(tmp_path / "a.txt"), key).run().value == [item(service, "a.txt")]


def test_a_file_that_is_there_already_is_reused(service: Service, key: str, tmp_path: Path, logs: Any) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    assert upload(tmp_path / "a.txt", key).run().value == [item(service, "a.txt")]
    service.world.finish_job(named(service)["a.txt"])
    both = upload([tmp_path / "b.txt", tmp_path / "a.txt"], key).run().value
    again = {"name": "a.txt", "task_id": None, "document_id": named(service)["a.txt"], "ready": True}
    assert both == [item(service, "b.txt"), again]
    assert len(service.jobs("document")) == 2
    assert any("at the service already" in line for line in logs.at("info"))


@pytest.mark.parametrize("action", [{"action": "drop"}, {"action": "status", "status": 502}])
def test_an_upload_whose_answer_got_lost_is_one_document(
    make_service: Callable[..., Service], key: str, tmp_path: Path, action: dict[str, Any]
) -> None:
    service = make_service(speed=200)
    (tmp_path / "a.txt").write_text("text")
    service.fault(operation="upload_documents", processed=True, **action)
    (again,) = upload(tmp_path / "a.txt", key).run().value
    assert (again["task_id"], again["document_id"]) == (None, named(service)["a.txt"])
    assert len(service.jobs("document")) == 1


def test_a_conflict_that_names_no_document_is_an_error(service: Service, key: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    service.fault("status", "upload_documents", status=409)
    assert is_final(upload(tmp_path / "a.txt", key).run())


def test_all_files_are_checked_before_the_first_is_sent(
    service: Service, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UploadDocumentsOperator, "max_bytes", 2_000)
    (tmp_path / "good.txt").write_text("text")
    (tmp_path / "large.txt").write_bytes(b"x" * 2_001)
    (tmp_path / "empty.txt").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "good.txt").write_text("another text of the same name")
    for bad, says in {
        "large.txt": "more than the 0.002 MB",
        "empty.txt": "is empty",
        "missing.txt": "there is no file",
        "sub": "there is no file",
        "sub/good.txt": "['good.txt'] more than once",
        "nowhere://bucket/other.txt": "nowhere",
    }.items():
        run = upload([tmp_path / "good.txt", bad if "://" in bad else str(tmp_path / bad)], key).run()
        assert is_final(run)
        assert says in str(run.error)
    assert service.asked("upload_documents") == 0


@pytest.mark.newest
def test_a_file_that_is_uploaded_need_not_be_there_for_the_retry(service: Service, key: str, tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text(file.name)
    service.world.add_fault({"action": "status", "status": 500, "operation": "upload_documents", "skip": 1})
    life = upload(files, key)
    assert is_retryable(life.run())
    service.world.clear_faults()
    files[0].unlink()
    assert life.run().value == [item(service, "a.txt"), item(service, "b.txt")]
    files[1].unlink()
    assert is_final(upload(files[1:], key).run())


def test_the_limit_is_the_services() -> None:
    assert UploadDocumentsOperator.max_bytes == 100_000_000


@pytest.mark.parametrize("remote", [False, True], ids=["local", "object storage"])
def test_a_large_file_is_streamed(
    service: Service, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: bool
) -> None:
    size = 30_000_000
    file = tmp_path / "large.txt"
    with file.open("wb") as stream:
        stream.write(b"x" * 9_000)
        stream.truncate(size)
    reads: list[int] = []
    original = files_module._open

    def counted(path: Any) -> Any:
        stream = original(path)

        def read(amount: int = -1) -> bytes:
            data: bytes = stream.read(amount)
            reads.append(len(data))
            return data

        return _Proxy(stream, read)

    monkeypatch.setattr(files_module, "_open", counted)
    source = ObjectStoragePath(f"file://{file}") if remote else file
    assert upload(source, key).run().value == [item(service, "large.txt")]
    assert sum(reads) == size
    assert max(reads) <= 2**20


class _Proxy(io.RawIOBase):
    """A file whose reads are counted."""

    def __init__(self, stream: Any, read: Callable[..., bytes]) -> None:
        super().__init__()
        self._stream, self._read = stream, read

    def read(self, amount: int = -1) -> bytes:
        return self._read(amount)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, *args: Any) -> int:
        return int(self._stream.seek(*args))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        self._stream.close()
        super().close()


# Benchmarks.

ITEMS: dict[str, Any] = {
    "B": {"question_num": 1, "question": "q", "answer": "a"},
    "C": {"sample_num": 1, "instruction": "q", "response": "a"},
}


def benchmark(file: Any, key: str) -> Life:
    return Life(
        lambda: UploadBenchmarkOperator(task_id="b", file=file, name="mine", document_id=DOCUMENTS[0], retries=3), key
    )


@pytest.mark.parametrize("revision", ["B", "C"])
def test_a_benchmark_is_checked_before_it_is_sent(
    make_service: Callable[..., Service], key: str, tmp_path: Path, revision: str
) -> None:
    service = make_service(nugen_revision=revision)
    file = tmp_path / "benchmark.json"
    for content, says in {
        "no json": "is not a benchmark",
        "\xff": "is not a benchmark",
        "[" * 100_000: "is not a benchmark",
        "{}": "must be a JSON array",
        "[]": "must be a JSON array",
        "[1]": "item 1 is not an object",
        json.dumps(
            [ITEMS["B"], {"question": "q"}]
        ): "item 2 has no 'answer' (in the names of API revision C 'response')",
        json.dumps([{"response": "a"}]): "item 1 has no 'question'",
    }.items():
        file.write_bytes(content.encode("latin-1"))
        run = benchmark(file, key).run()
        assert isinstance(run.error, AirflowFailException)
        assert says in str(run.error)
    assert service.asked("upload_benchmark") == 0


@pytest.mark.parametrize("revision", ["B", "C"])
@pytest.mark.parametrize("names", ["B", "C"])
@pytest.mark.parametrize("numbered", [True, False])
def test_a_benchmark_is_sent_in_the_names_of_the_revision_that_is_spoken(
    make_service: Callable[..., Service], key: str, tmp_path: Path, revision: str, names: str, numbered: bool
) -> None:
    service = make_service(nugen_revision=revision)
    file = tmp_path / "benchmark.json"
    number, *rest = ITEMS[names].items()
    file.write_text(json.dumps([dict([number, *rest] if numbered else rest)]))
    for source in (file, f"file://{file}"):
        life = Life(
            lambda source=source: UploadBenchmarkOperator(
                task_id="b", file=source, name=f"mine {source}", document_id=DOCUMENTS[0]
            ),
            key,
        )
        assert life.run().value == {"benchmark_id": service.jobs("benchmark")[-1].id}
    inputs = service.jobs("benchmark")[-1].inputs
    assert inputs["name"] == f"mine file://{file}"
    assert [(q["question"], q["answer"]) for q in inputs["questions"]] == [("q", "a")]


def test_a_file_that_was_bad_does_not_look_like_a_request_that_was_sent(
    service: Service, key: str, tmp_path: Path
) -> None:
    file = tmp_path / "benchmark.json"
    # As text: Airflow 3.1 itself looks for the file of a Path.
    life = benchmark(str(file), key)
    assert is_final(life.run())
    file.write_text(json.dumps([ITEMS["B"]]))
    assert life.run().value["benchmark_id"]


# Deploying and undeploying.


def test_deploying_early(make_service: Callable[..., Service], key: str) -> None:
    service = make_service(nugen_revision="C")
    service.world.add_job("alignment", "a-1", [Stage("PROCESSING", 600), Stage("READY")], inputs={"name": "n"})
    service.world.override_job("a-1", early_deployable=False)
    life = Life(lambda: DeployModelOperator(task_id="d", model_id="a-1", early=True, retries=3), key)
    service.fault("status", "deploy", status=409)
    run = life.run()
    assert is_retryable(run), "there may be a checkpoint later"
    assert "no checkpoint" in str(run.error)
    service.fault("status", "deploy", status=409)
    late = Life(lambda: DeployModelOperator(task_id="d", model_id="a-1", retries=3), key)
    assert is_retryable(late.run())


def undeploy(model_id: str, key: str, **arguments: Any) -> Life:
    return Life(
        lambda: UndeployModelOperator(task_id="u", model_id=model_id, retries=3, poke_interval=POKE, **arguments), key
    )


@pytest.mark.parametrize("revision", ["B", "C"])
@pytest.mark.parametrize("waits", [False, True])
def test_undeploying_twice(make_service: Callable[..., Service], key: str, revision: str, waits: bool) -> None:
    service = make_service(nugen_revision=revision, speed=1000)
    model_id = service.trained()
    service.world.add_job("deployment", model_id, [Stage("DEPLOYED" if revision == "C" else "COMPLETED")])
    for _ in range(2):
        run = undeploy(model_id, key, wait_for_completion=waits).run()
        assert run.value["model_id"] == run.xcoms["model_id"] == model_id
    assert len(service.jobs("undeployment")) == 1


@pytest.mark.parametrize("revision", ["B", "C"])
def test_a_model_that_never_was_deployed_is_undeployed(
    make_service: Callable[..., Service], key: str, revision: str
) -> None:
    service = make_service(nugen_revision=revision)
    model_id = service.trained()
    run = undeploy(model_id, key, wait_for_completion=True).run()
    # In revision C every model has a deployment, whose status says that there is none.
    assert run.value["model_id"] == model_id
    assert run.value.get("status", "UNDEPLOYED") == "UNDEPLOYED"


@pytest.mark.parametrize("revision", ["B", "C"])
@pytest.mark.parametrize("before", [False, True], ids=["never undeployed", "undeployed before"])
def test_400_can_mean_other_things(make_service: Callable[..., Service], key: str, revision: str, before: bool) -> None:
    # The model is deployed, and still costs money: no success.
    service = make_service(nugen_revision=revision)
    model_id = service.trained()
    if before and revision == "B":
        service.world.add_job("undeployment", model_id, [Stage("COMPLETED")]).created -= 3600
    service.world.add_job("deployment", model_id, [Stage("DEPLOYED" if revision == "C" else "COMPLETED")])
    service.fault("status", "undeploy", status=400)
    assert is_final(undeploy(model_id, key).run())


def test_an_undeployment_whose_answer_got_lost(service: Service, key: str) -> None:
    model_id = service.trained()
    service.world.add_job("deployment", model_id, [Stage("COMPLETED")])
    service.fault("drop", "undeploy", processed=True)
    assert undeploy(model_id, key).run().value == {"model_id": model_id}


# Results.


def test_results(make_service: Callable[..., Service], key: str) -> None:
    for revision in "BC":
        service = make_service(nugen_revision=revision)
        model_id = service.trained()
        for job_id, other in (("single", None), ("compared", "nugen-flash-instruct")):
            inputs = {"model_id": model_id, "benchmark_id": BENCHMARK, "model_id_2": other}
            service.world.add_job("evaluation", job_id, [Stage("READY")], inputs=inputs)
            run = Life(lambda job_id=job_id: GetEvaluationResultsOperator(task_id="r", evaluation_id=job_id), key).run()
            assert {**run.xcoms, "return_value": None} == {
                "return_value": None,
                "evaluation_id": job_id,
                "model_id": model_id,
            }
            assert run.value["method"] == ("eval-compare" if other else "eval")
            if other:
                slots = {run.value[slot]["model_id"] for slot in ("base_model", "eval_model")}
                assert slots == {model_id, other}
            else:
                assert "answer_relevance_mean" in run.value["metrics"]


@pytest.mark.parametrize("num_questions", [0, -1, 2.5, True])
def test_a_number_that_can_be_none_is_known_before_anything_runs(num_questions: Any) -> None:
    with pytest.raises(ValueError, match=f"num_questions is {num_questions}; it must be a whole number of at least 1"):
        CreateBenchmarkOperator(task_id="b", document_ids=DOCUMENTS, num_questions=num_questions)


@pytest.mark.parametrize("num_questions", ["many", None, "{}", "0", "-5", "1e3", "99999999999"])
def test_a_number_that_is_none_is_named(service: Service, key: str, num_questions: Any) -> None:
    run = Life(
        lambda: CreateBenchmarkOperator(task_id="b", document_ids=DOCUMENTS, num_questions=num_questions), key
    ).run()
    assert is_final(run)
    assert f"num_questions is {num_questions!r}" in str(run.error)
    assert service.asked("create_benchmark") == 0
