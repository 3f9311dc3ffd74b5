"""Files for SeekrFlow: checked before anything is sent, and each uploaded once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.seekr import endpoints, uploads
from airflow_provider_nugen.exceptions import PossibleDuplicateJobError, UploadError
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.operators.seekr import SeekrUploadFilesOperator

from .support import Life, Service, is_final, is_retryable

UPLOADS = ("seekr_upload_file", "seekr_upload_files")
SAMPLE = '{"messages": [{"role": "user", "content": "Hi"}]}\n'


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeekrUploadFilesOperator, "lookup_delays", (0.0, 0.0))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write files: ``write("a.md", "text")`` returns the path."""

    def make(name: str, content: str = "text") -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return str(path)

    return make


def life(files: Any, key: str, *, memory: bool = True, **arguments: Any) -> Life:
    return Life(
        lambda: SeekrUploadFilesOperator(task_id="upload", files=files, retries=3, **arguments), key, memory=memory
    )


def asked(service: Service) -> list[str]:
    return [seen.operation for seen in service.world.requests if seen.operation in UPLOADS]


def names(service: Service) -> dict[str, str]:
    return {job.id: job.inputs["filename"] for job in service.jobs("seekr_file")}


def test_small_files_go_together_and_ids_are_in_the_order_of_the_files(
    service: Service, write: Callable[..., str], key: str
) -> None:
    paths = [write("b.md"), write("a.txt", "longer text"), write("c.pdf")]
    run = life(paths, key).run()
    assert run.value == run.xcoms["file_ids"]
    assert [names(service)[file_id] for file_id in run.value] == ["b.md", "a.txt", "c.pdf"]
    assert asked(service) == ["seekr_upload_files"]
    jobs = {job.inputs["filename"]: job.inputs for job in service.jobs("seekr_file")}
    assert jobs["a.txt"] | {"samples": 0} == {
        "type": "txt",
        "purpose": "alignment",
        "filename": "a.txt",
        "bytes": 11,
        "samples": 0,
    }


@pytest.mark.parametrize("kind", [str, Path, ObjectStoragePath, lambda path: f"file://{path}"])
def test_a_file_can_be_a_path_a_url_or_an_object_of_airflow(
    service: Service, write: Callable[..., str], key: str, kind: Any
) -> None:
    run = life(kind(write("rules.md", "# Rules")), key).run()
    assert len(run.value) == 1
    assert asked(service) == ["seekr_upload_file"]
    ((_, content),) = [(name, content) for name, content in service_contents(service).items() if name in names(service)]
    assert content == b"# Rules"


def service_contents(service: Service) -> dict[str, bytes]:
    """Fetch what the simulator has kept, as a client would."""
    import requests

    headers = {"Authorization": service.world.api_key}
    return {
        file_id: requests.get(f"{service.url}/v1/flow/files/{file_id}/content", headers=headers, timeout=5).content
        for file_id in names(service)
    }


def test_a_large_file_goes_alone(
    service: Service, write: Callable[..., str], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_BATCH_BYTES", 10)
    life([write("a.md"), write("large.md", "x" * 50), write("b.md")], key).run()
    assert asked(service) == ["seekr_upload_file"] * 3


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("a.exe", "x", {}, "files: 'a.exe' is not of a type that purpose 'alignment' allows"),
        ("a.md", "", {}, "a.md' is empty"),
        ("a.md", "x", {"purpose": "fine-tune"}, "files: 'a.md' is not of a type that purpose 'fine-tune' allows"),
        (
            "a.jsonl",
            SAMPLE * 60,
            {"purpose": "fine-tune"},
            "files: 'a.jsonl' has 60 samples; at least 100 are needed",
        ),
        ("a.jsonl", "x\n" * 100, {"purpose": "fine-tune"}, "files: line 1 of 'a.jsonl' is not a JSON object"),
        ("a.md", "x", {"purpose": "{{ 'finetune' }}"}, "purpose is 'finetune'; it must be one of alignment, fine-tune"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_sent(
    service: Service, write: Callable[..., str], key: str, name: str, content: str, arguments: Any, message: str
) -> None:
    run = life([write(name, content)], key, **arguments).run()
    assert is_final(run)
    assert message in str(run.error)
    assert service.world.requests == []


def test_a_missing_file_and_two_of_one_name_are_errors_of_the_argument(
    service: Service, write: Callable[..., str], key: str
) -> None:
    for files, message in (
        ([write("a.md"), "/nowhere/b.md"], "files: there is no file '/nowhere/b.md'"),
        ([write("a.md"), write("other/a.md", "other")], "files: several have the same name"),
        ([], "files"),
    ):
        run = life(files, key).run()
        assert is_final(run)
        assert message in str(run.error)
    assert service.world.requests == []


def test_a_wrong_purpose_is_an_error_when_the_dag_is_parsed() -> None:
    with pytest.raises(Exception, match="purpose is 'finetune'"):
        SeekrUploadFilesOperator(task_id="upload", files=["a.jsonl"], purpose="finetune")


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("fault", [{"action": "drop"}, {"action": "status", "status": 502}])
def test_a_lost_answer_makes_no_second_file(
    service: Service, write: Callable[..., str], key: str, count: int, fault: dict[str, Any]
) -> None:
    operation = UPLOADS[count > 1]
    service.world.add_fault({**fault, "operation": operation, "times": 1, "processed": True})
    run = life([write(f"{number}.md", "x" * (number + 1)) for number in range(count)], key).run()
    assert sorted(run.value) == sorted(names(service))
    assert len(asked(service)) == 1


def test_a_list_that_is_cut_shorter_than_asked_for_is_read_to_its_end(
    service: Service, write: Callable[..., str], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ServiceHook.request

    def cut(self: ServiceHook, call: Call[Any], **kwargs: Any) -> Any:
        answer = request(self, call, **kwargs)
        return answer[:2] if call.endpoint is endpoints.LIST_FILES else answer

    monkeypatch.setattr(ServiceHook, "request", cut)
    service.world.add_fault({"action": "drop", "operation": UPLOADS[1], "times": 1, "processed": True})
    run = life([write(f"{number}.md", "x" * (number + 1)) for number in range(5)], key).run()
    assert sorted(run.value) == sorted(names(service))
    assert len(asked(service)) == 1


def test_what_never_arrived_is_uploaded_by_the_retry(service: Service, write: Callable[..., str], key: str) -> None:
    service.fault("drop", UPLOADS[0])
    task = life(write("a.md"), key)
    failed = task.run()
    assert isinstance(failed.error, UploadError)
    assert is_retryable(failed)
    assert "'a.md'" in str(failed.error)
    assert names(service) == {}
    assert task.run().value == [*names(service)]


@pytest.mark.parametrize("memory", [True, False])
def test_a_retry_finds_what_a_try_has_uploaded_that_died(
    service: Service, write: Callable[..., str], key: str, memory: bool
) -> None:
    service.world.add_fault({"action": "drop", "operation": UPLOADS[1], "times": 1, "processed": True})
    # The list, too: the try does not learn what it has done.
    lists = service.world.add_fault({"action": "status", "status": 500, "operation": "seekr_list_files", "skip": 1})
    task = life([write("a.md"), write("b.md")], key, memory=memory)
    assert is_retryable(task.run())
    assert len(names(service)) == 2
    service.world.faults.remove(lists)
    run = task.run()
    assert sorted(run.value) == sorted(names(service))
    assert len(names(service)) == 2


def test_files_that_are_uploaded_need_not_be_there_for_the_retry(
    service: Service, write: Callable[..., str], key: str
) -> None:
    service.world.add_fault({"action": "drop", "operation": UPLOADS[1], "times": 1, "processed": True})
    lists = service.world.add_fault({"action": "status", "status": 500, "operation": "seekr_list_files", "skip": 1})
    paths = [write("a.md"), write("b.md", "longer")]
    task = life(paths, key)
    assert is_retryable(task.run())
    service.world.faults.remove(lists)
    Path(paths[0]).unlink()
    run = task.run()
    assert [names(service)[file_id] for file_id in run.value] == ["a.md", "b.md"]
    # Nor for a retry of a later kind, such as one after a lost worker.
    Path(paths[1]).unlink()
    assert task.run().value == run.value


def test_a_file_that_vanished_before_it_was_uploaded_is_an_error(
    service: Service, write: Callable[..., str], key: str
) -> None:
    service.fault("drop", UPLOADS[0])
    path = write("a.md")
    task = life(path, key)
    assert is_retryable(task.run())
    Path(path).unlink()
    failed = task.run()
    assert is_final(failed)
    assert "there is no file 'a.md' any more" in str(failed.error)


def test_ids_so_far_survive_a_failure_half_way(
    service: Service, write: Callable[..., str], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_BATCH_FILES", 1)
    service.world.add_fault({"action": "status", "status": 429, "operation": UPLOADS[0], "skip": 1, "times": 10})
    task = life([write("a.md"), write("b.md"), write("c.md")], key)
    failed = task.run()
    assert isinstance(failed.error, UploadError)
    (first,) = names(service)
    service.world.clear_faults()
    run = task.run()
    assert run.value[0] == first
    assert sorted(names(service).values()) == ["a.md", "b.md", "c.md"]


def test_what_the_service_refuses_is_not_sent_again(service: Service, write: Callable[..., str], key: str) -> None:
    service.fault("status", UPLOADS[0], status=413)
    run = life(write("a.md"), key).run()
    assert is_final(run)
    assert isinstance(run.error, UploadError)
    assert len(asked(service)) == 1


def test_files_of_others_are_never_taken_for_its_own(service: Service, write: Callable[..., str], key: str) -> None:
    path = write("a.md")
    first = life(path, key).run().value
    service.world.add_fault({"action": "drop", "operation": UPLOADS[0], "times": 1, "processed": True})
    second = life(path, key).run().value
    assert second != first
    assert len(names(service)) == 2


def test_several_that_fit_are_named_and_none_is_taken(
    service: Service, write: Callable[..., str], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.md")
    service.world.add_fault({"action": "drop", "operation": UPLOADS[0], "times": 1, "processed": True})
    adopt = SeekrUploadFilesOperator._adopt

    def while_another_uploads_the_same(self: Any, *args: Any) -> None:
        monkeypatch.setattr(SeekrUploadFilesOperator, "_adopt", adopt)
        assert life(path, key).run().value
        self._adopt(*args)

    monkeypatch.setattr(SeekrUploadFilesOperator, "_adopt", while_another_uploads_the_same)
    run = life(path, key).run()
    assert is_final(run)
    assert isinstance(run.error, PossibleDuplicateJobError)
    assert all(file_id in str(run.error) for file_id in names(service))


def test_clearing_uploads_anew(service: Service, write: Callable[..., str], key: str) -> None:
    task = life(write("a.md"), key)
    first = task.run().value
    task.clear()
    assert task.run().value != first
    assert len(names(service)) == 2
