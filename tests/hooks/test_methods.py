"""The methods of the hooks: one for each endpoint, the same in sync and async code, and POSTs that are sent once."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.endpoint import Call, Endpoint
from airflow_provider_nugen.api.nugen import endpoints as nugen_endpoints
from airflow_provider_nugen.api.nugen import jobs as nugen_jobs
from airflow_provider_nugen.api.seekr import endpoints as seekr_endpoints
from airflow_provider_nugen.exceptions import (
    JobCancelledError,
    JobFailedError,
    JobTimeoutError,
    RequestRejectedError,
)
from airflow_provider_nugen.hooks.base import MAX_ATTEMPTS, ServiceHook
from airflow_provider_nugen.hooks.methods import Pages, asends
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.hooks.seekr import SeekrHook
from airflow_provider_nugen.simulator import Simulator, run_simulator
from airflow_provider_nugen.simulator.timeline import Stage

from .conftest import Answer, RequestRecord, Server

HOOKS: tuple[tuple[type[ServiceHook], Any], ...] = ((NugenHook, nugen_endpoints), (SeekrHook, seekr_endpoints))
METHODS = [
    pytest.param(hook, name, id=f"{hook.__name__}.{name}")
    for hook, _ in HOOKS
    for name, method in inspect.getmembers(hook, inspect.isfunction)
    if hasattr(method, "__wrapped__") and method.__module__.startswith("airflow_provider_nugen.")
    if not inspect.iscoroutinefunction(method) and not inspect.isasyncgenfunction(method)
]
#: What the same request as that of another endpoint is, read in another way.
SAME_REQUEST = {"UNDEPLOYMENT_DETAIL"}
#: What is passed, by the name or else the type of an argument.
VALUES: dict[str, Any] = {
    "Sequence[str]": ["one", "two"],
    "str": "some text",
    "int": 3,
    "messages": [{"role": "user", "content": "?"}],
    "training_files": ["file-1"],
}


@pytest.fixture
def benchmark_file(tmp_path: Path) -> Path:
    """A file that can be uploaded as anything."""
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps([{"question": "?", "answer": "!"}]))
    return path


def arguments(method: Any, file: Path) -> dict[str, Any]:
    """Make up the arguments that a method needs."""
    found: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            files = {"str | Path": file, "Sequence[str | Path]": [file]}
            found[name] = VALUES.get(name) or {**VALUES, **files}[parameter.annotation]
    return found


@pytest.mark.parametrize(("hook", "module"), HOOKS)
def test_there_is_a_method_for_each_endpoint(hook: Any, module: Any, benchmark_file: Path) -> None:
    sent: list[Any] = []

    class Recorder(hook):
        def call(self, call: Call[Any]) -> Any:
            sent.append(call.endpoint)
            return []

    recorder = Recorder()
    for param in METHODS:
        if param.values[0] is hook:
            name: Any = param.values[1]
            result = getattr(recorder, name)(**arguments(getattr(hook, name), benchmark_file))
            if isinstance(result, Iterator):
                list(result)
    missing = {
        name
        for name, value in vars(module).items()
        if isinstance(value, Endpoint) and not any(value is s for s in sent)
    }
    assert missing - SAME_REQUEST == set()


@pytest.mark.parametrize(("hook", "name"), METHODS)
def test_it_sends_the_same_in_async_code(
    hook: Any, name: str, server: Server, connection: Callable[..., str], benchmark_file: Path
) -> None:
    used = hook(connection(hook.service.conn_type, host=server.url, extra={}))
    fields = arguments(getattr(hook, name), benchmark_file)
    server.rule = lambda request: Answer(404, b'{"detail": "There is no such thing"}')

    def request() -> tuple[Any, ...]:
        (seen,) = server.seen
        server.seen.clear()
        # The boundary of a form is another one each time.
        body = seen.body.replace(seen.headers.get("Content-Type", "").partition("boundary=")[2].encode() or b"-", b"")
        return seen.method, seen.target, body

    with pytest.raises(errors.NotFoundError):
        list(getattr(used, name)(**fields))
    first = request()
    used.close()

    async def in_async_code() -> Any:
        result = getattr(used, f"a{name}")(**fields)
        return [item async for item in result] if inspect.isasyncgen(result) else await result

    with pytest.raises(errors.NotFoundError):
        asyncio.run(in_async_code())
    assert request() == first


@pytest.mark.parametrize(("hook", "name"), METHODS)
def test_it_is_documented_with_its_arguments_and_what_it_returns(hook: Any, name: str) -> None:
    method, amethod = getattr(hook, name), getattr(hook, f"a{name}")
    signature = inspect.signature(method)
    assert "Call" not in str(signature)
    assert not {"limit", "offset"} & signature.parameters.keys()
    for parameter in list(signature.parameters)[1:]:
        assert f":param {parameter}:" in method.__doc__
    assert amethod.__name__ == f"a{name}"
    assert f":meth:`{name}`" in amethod.__doc__


# POSTs.


@pytest.mark.parametrize("in_async_code", [False, True])
@pytest.mark.parametrize(("hook", "name"), METHODS)
def test_a_post_is_sent_again_only_if_it_was_certainly_not_acted_on(
    hook: Any,
    name: str,
    in_async_code: bool,
    server: Server,
    connection: Callable[..., str],
    sleeps: list[float],
    benchmark_file: Path,
) -> None:
    used = hook(connection(hook.service.conn_type, host=server.url, extra={}))
    fields = arguments(getattr(hook, name), benchmark_file)

    def attempts(answer: Answer) -> list[RequestRecord]:
        server.seen.clear()
        server.rule = lambda request: answer
        with pytest.raises(errors.ApiError):
            asyncio.run(in_loop(getattr(used, f"a{name}")(**fields))) if in_async_code else in_sync_code()
        used.close()
        return server.seen

    def in_sync_code() -> Any:
        return list(getattr(used, name)(**fields))

    async def in_loop(result: Any) -> Any:
        return [item async for item in result] if inspect.isasyncgen(result) else await result

    seen = attempts(Answer(502, b"Bad gateway"))
    once = seen[0].method == "POST" or name.startswith("upload_file")
    assert len(seen) == (1 if once else MAX_ATTEMPTS)
    assert len(attempts(Answer(429, b'{"detail": "slow down"}'))) == MAX_ATTEMPTS


def test_what_may_be_repeated_by_a_task_is_not_by_a_method(
    server: Server, connection: Callable[..., str], sleeps: list[float]
) -> None:
    server.rule = lambda request: Answer(502, b"Bad gateway")
    hook = NugenHook(connection("nugen", host=server.url))
    call = nugen_endpoints.CHAT_COMPLETION.call(model="m-1", messages=[])
    for send, expected in ((hook.request, MAX_ATTEMPTS), (hook.call, 1)):
        server.seen.clear()
        with pytest.raises(errors.TransientResponseError):
            send(call)
        assert len(server.seen) == expected


# Pages.


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Both services, whose jobs are quick."""
    with run_simulator(speed=1000, visible_after=0) as running:
        yield running


@pytest.fixture
def seekr(simulator: Simulator, connection: Callable[..., str]) -> SeekrHook:
    """A hook for SeekrFlow."""
    fields = simulator.seekr_connection()
    return SeekrHook(connection(fields.pop("conn_type"), **fields))


@pytest.fixture
def nugen(simulator: Simulator, connection: Callable[..., str]) -> NugenHook:
    """A hook for Nugen."""
    fields = simulator.nugen_connection()
    return NugenHook(connection(fields.pop("conn_type"), **fields))


def test_a_list_is_read_to_its_end_page_by_page(simulator: Simulator, seekr: SeekrHook) -> None:
    made = {seekr.create_data_job(name=f"job {number}", job_type="principle_files").id for number in range(230)}
    simulator.world.clear_requests()
    found = [job.id for job in seekr.iter_data_jobs(job_type="principle_files")]
    assert made <= set(found)
    assert len(found) == len(set(found))
    assert len([seen for seen in simulator.requests if seen.method == "GET"]) == 3

    async def collect() -> list[str]:
        return [job.id async for job in seekr.aiter_data_jobs(job_type="principle_files")]

    assert asyncio.run(collect()) == found
    assert list(seekr.iter_data_jobs(job_type="context_grounded_files")) == []


def test_a_page_is_read_when_it_is_needed(simulator: Simulator, seekr: SeekrHook) -> None:
    for number in range(101):
        seekr.create_data_job(name=f"job {number}", job_type="context_grounded_vector_db", vector_database_id="v")
    simulator.world.clear_requests()
    next(seekr.iter_data_jobs(job_type="context_grounded_vector_db"))
    assert len(simulator.requests) == 1


def test_a_service_that_takes_no_notice_of_the_offset_is_not_asked_for_ever(
    server: Server, connection: Callable[..., str]
) -> None:
    items = [{"evaluation_id": f"e-{number}"} for number in range(100)]
    server.rule = lambda request: Answer(body=json.dumps({"evaluations": items}).encode())
    hook = NugenHook(connection("nugen", host=server.url, extra={"api_revision": "B"}))
    assert [item.evaluation_id for item in hook.iter_evaluations()] == [item["evaluation_id"] for item in items]
    assert len(server.seen) == 2


def test_what_a_growing_list_shows_twice_comes_once(server: Server, connection: Callable[..., str]) -> None:
    def page(*ids: int) -> Answer:
        return Answer(body=json.dumps({"evaluations": [{"evaluation_id": f"e-{one}"} for one in ids]}).encode())

    server.script.extend([page(*range(100, 0, -1)), page(1, 0)])
    hook = NugenHook(connection("nugen", host=server.url, extra={"api_revision": "B"}))
    assert [item.evaluation_id for item in hook.iter_evaluations()] == [f"e-{one}" for one in range(100, -1, -1)]


def test_pages_of_one_method_are_not_those_of_another() -> None:
    pages = Pages(2, "id")

    @pages.sends
    def iter_things(self: Any, limit: int, offset: int, *, of: str) -> Call[list[Any]]:
        """Iterate over things."""
        return Call(seekr_endpoints.LIST_FILES, {}, {"limit": limit, "offset": offset, "purpose": of})

    class Thing:
        def __init__(self, number: int) -> None:
            self.id = number

    class Hook:
        def call(self, call: Call[Any]) -> list[Any]:
            return [Thing(number) for number in range(5)][call.values["offset"] :][: call.values["limit"]]

    first, second = (iter_things(Hook(), of="x") for _ in range(2))
    assert [item.id for pair in zip(first, second, strict=True) for item in pair] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    with pytest.raises(AttributeError):
        asends(print)  # type: ignore[type-var]  # what is not declared by a call


# The whole way of a model, by hand.


def test_a_script_goes_the_whole_way_at_nugen(nugen: NugenHook, tmp_path: Path) -> None:
    document = tmp_path / "handbook.txt"
    document.write_text("Refunds are possible within 30 days.")
    (uploaded,) = nugen.upload_documents([document])
    status = nugen.wait_for_job("nugen.document", uploaded.id, poke_interval=0.01)
    made = nugen.create_alignment(
        name="by-hand", base_model="nugen-flash-instruct", document_ids=[str(status["document_id"])]
    )
    aligned = nugen.wait_for_job("nugen.alignment", made.alignment_id, poke_interval=0.01)
    nugen.deploy_model(aligned["model_id"])
    nugen.wait_for_job(nugen_jobs.DEPLOYMENT, aligned["model_id"], poke_interval=0.01)
    question = [{"role": "user", "content": "Refunds?"}]
    for _ in range(200):
        with contextlib.suppress(errors.TransientResponseError):  # it does not answer yet
            answer = nugen.chat(aligned["model_id"], question, max_tokens=50)
            break
        time.sleep(0.01)
    assert answer.content
    assert answer.confidence_score is not None
    nugen.undeploy_model(aligned["model_id"])
    nugen.wait_for_job("nugen.undeployment", aligned["model_id"], poke_interval=0.01)


# Waiting.


@pytest.mark.parametrize(
    ("stages", "error"),
    [
        ([("TRAINING", 0.1), ("FAILED", 0.0)], JobFailedError),
        ([("TRAINING", 0.1), ("STOPPED", 0.0)], (JobCancelledError, JobFailedError)),
        ([("TRAINING", 60.0), ("READY", 0.0)], JobTimeoutError),
    ],
)
def test_a_wait_ends_as_that_of_a_task(
    simulator: Simulator, nugen: NugenHook, stages: list[tuple[str, float]], error: Any
) -> None:
    simulator.world.add_job("alignment", "a-ends", [Stage(*stage) for stage in stages])
    with pytest.raises(error) as caught:
        nugen.wait_for_job("nugen.alignment", "a-ends", timeout=0.5, poke_interval=0.01)
    assert (caught.value.service, caught.value.conn_id, caught.value.job_id) == ("Nugen", "nugen_default", "a-ends")


def test_a_wait_survives_what_a_task_survives(
    simulator: Simulator, seekr: SeekrHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_nugen.waiting import schedule

    monkeypatch.setattr(schedule, "FIRST_RETRY", 0.01)
    simulator.world.add_job("fine_tune", "ft-1", [Stage("running", 0.1), Stage("completed")])
    fault = simulator.add_fault({"action": "status", "status": 502, "times": 2, "operation": "seekr_fine_tune"})
    assert seekr.wait_for_job("seekr.fine_tune", "ft-1", poke_interval=0.01)["status"] == "completed"
    assert fault.struck == 2


def test_a_wait_that_the_service_refuses_ends(server: Server, connection: Callable[..., str]) -> None:
    server.rule = lambda request: Answer(403, b'{"detail": "not yours"}')
    hook = NugenHook(connection("nugen", host=server.url, extra={"api_revision": "B"}))
    with pytest.raises(RequestRejectedError, match="not yours"):
        hook.wait_for_job("nugen.alignment", "a-1")


@pytest.mark.parametrize("kind", ["alignment", "seekr.fine_tune"])
def test_a_kind_of_job_that_is_not_the_services_is_named_with_those_that_are(nugen: NugenHook, kind: str) -> None:
    with pytest.raises(ValueError, match=rf"{kind!r} is not a kind of job of Nugen; there are .*'nugen.alignment'"):
        nugen.wait_for_job(kind, "a-1")


def test_a_file_that_is_not_there_is_an_error_before_anything_is_sent(
    nugen: NugenHook, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.world.clear_requests()
    (tmp_path / "empty.txt").touch()
    (tmp_path / "wrong.json").write_text("{}")
    for name, message in (("lost.txt", "there is no file"), ("empty.txt", "is empty")):
        with pytest.raises(errors.InvalidInputError, match=message):
            nugen.upload_documents([tmp_path / name])
    with pytest.raises(errors.InvalidInputError, match="is not a benchmark"):
        nugen.upload_benchmark(tmp_path / "wrong.json", name="b", document_id="d-1")
    assert simulator.requests == []


@pytest.mark.parametrize("argument", ["timeout", "poke_interval"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_what_is_not_a_length_of_time_is_an_error_before_anything_is_asked(
    simulator: Simulator, nugen: NugenHook, argument: str, value: float
) -> None:
    before = len(simulator.requests)
    with pytest.raises(ValueError, match=argument):
        nugen.wait_for_job("nugen.alignment", "a", **{argument: value})
    assert len(simulator.requests) == before
