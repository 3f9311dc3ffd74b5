"""What is special about each operator for Nugen."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_nugen.operators import files as files_module
from airflow_provider_nugen.operators.nugen import (
    CreateBenchmarkOperator,
    DeployModelOperator,
    GetEvaluationResultsOperator,
    UndeployModelOperator,
    UploadBenchmarkOperator,
    UploadDocumentsOperator,
)
from airflow_provider_nugen.simulator.timeline import Stage

from .support import BENCHMARK, DOCUMENTS, POKE, Life, Service, is_final, is_retryable


def upload(files: Any, key: str, **arguments: Any) -> Life:
    return Life(lambda: UploadDocumentsOperator(task_id="upload", files=files, retries=3, **arguments), key)


def named(service: Service) -> dict[str, str]:
    return {job.inputs["name"]: job.id for job in service.jobs("document")}


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
    assert run.value == [named(service)[file.name] for file in files]
    assert run.xcoms["document_ids"] == run.value


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
    assert run.value == [named(service)[f"{name}.txt"] for name in "abcd"]


@pytest.mark.parametrize("wrap", [str, Path, lambda file: ObjectStoragePath(f"file://{file}")])
def test_one_file_needs_no_list(service: Service, key: str, tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    (tmp_path / "a.txt").write_text("text")
    assert upload(wrap(tmp_path / "a.txt"), key).run().value == [named(service)["a.txt"]]


def test_a_file_that_is_there_already_is_reused(service: Service, key: str, tmp_path: Path, logs: Any) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    first = upload(tmp_path / "a.txt", key).run().value
    both = upload([tmp_path / "b.txt", tmp_path / "a.txt"], key).run().value
    assert both[1:] == first
    assert len(service.jobs("document")) == 2
    assert any("at the service already" in line for line in logs.at("info"))


@pytest.mark.parametrize("action", [{"action": "drop"}, {"action": "status", "status": 502}])
def test_an_upload_whose_answer_got_lost_is_one_document(
    service: Service, key: str, tmp_path: Path, action: dict[str, Any]
) -> None:
    (tmp_path / "a.txt").write_text("text")
    service.fault(operation="upload_documents", processed=True, **action)
    assert upload(tmp_path / "a.txt", key).run().value == [named(service)["a.txt"]]
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
        "nowhere://bucket/good.txt": "nowhere",
    }.items():
        run = upload([tmp_path / "good.txt", bad if "://" in bad else str(tmp_path / bad)], key).run()
        assert is_final(run)
        assert says in str(run.error)
    assert service.asked("upload_documents") == 0


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
    assert upload(source, key).run().value == [named(service)["large.txt"]]
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
    item = ITEMS[revision]
    for content, says in {
        "no json": "is not a benchmark",
        "\xff": "is not a benchmark",
        "{}": "must be a JSON array",
        "[]": "must be a JSON array",
        "[1]": "item 1 lacks",
        json.dumps([item, ITEMS["C" if revision == "B" else "B"]]): f"item 2 lacks {', '.join(item)}",
    }.items():
        file.write_bytes(content.encode("latin-1"))
        run = benchmark(file, key).run()
        assert is_final(run)
        assert says in str(run.error)
    assert service.asked("upload_benchmark") == 0
    file.write_text(json.dumps([item]))
    for source in (file, f"file://{file}"):
        run = benchmark(source, key).run()
        assert run.value == {"benchmark_id": service.jobs("benchmark")[-1].id}
    assert service.jobs("benchmark")[-1].inputs["name"] == "mine"


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
    assert run.value == {"model_id": model_id}


@pytest.mark.parametrize("revision", ["B", "C"])
@pytest.mark.parametrize("before", [False, True], ids=["never undeployed", "undeployed before"])
def test_400_can_mean_other_things(make_service: Callable[..., Service], key: str, revision: str, before: bool) -> None:
    # The model is deployed, and goes on costing money: no success.
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
            assert ("accuracy" in (run.value["comparison" if other else "metrics"])) is True


@pytest.mark.parametrize("num_questions", ["many", None, "{}"])
def test_a_number_that_is_none_is_named(service: Service, key: str, num_questions: Any) -> None:
    run = Life(
        lambda: CreateBenchmarkOperator(task_id="b", document_ids=DOCUMENTS, num_questions=num_questions), key
    ).run()
    assert is_final(run)
    assert f"num_questions is {num_questions!r}" in str(run.error)
    assert service.asked("create_benchmark") == 0
