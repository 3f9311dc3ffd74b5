"""What troubles a wait in between, in every mode: poison, refused keys, resets, connections that are not found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.sdk import BaseHook
from hooks.conftest import Answer, RequestRecord, Server, served

from airflow_provider_nugen.api.job import JobKind, JobState
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.compat import AirflowNotFoundException
from airflow_provider_nugen.exceptions import JobCancelledError, JobFailedError, RequestRejectedError, final
from airflow_provider_nugen.hooks import key_check
from airflow_provider_nugen.hooks.base import ServiceHook
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.hooks.seekr import SeekrHook
from airflow_provider_nugen.sensors.base import JobSensor
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor
from airflow_provider_nugen.waiting import waiter

from .harness import MODES, Store, carried, run
from .support import SHORT, Logs, Service

ENDS = {
    JobState.SUCCEEDED: type(None),
    JobState.FAILED: final(JobFailedError),
    JobState.CANCELLED: final(JobCancelledError),
}
#: A field of any kind, and one of none.
FIELDS = (
    "error", "model_id", "progress", "result", "stage_failures", "eta_seconds", "performance_metrics", "status_message",
    "evaluation_id", "alignment_job", "files", "document_id", "alignment_id", "id", "message", "base_model", "unknown",
)  # fmt: skip


class AnySensor(JobSensor):
    """Waits for a job of any kind."""

    def __init__(self, *, kind: JobKind[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.hook_class: type[ServiceHook] = NugenHook if kind.service.conn_type == "nugen" else SeekrHook  # type: ignore[misc]
        self.nugen_conn_id, self.seekr_conn_id = "nugen_default", "seekr_default"

    def job_id(self, context: Any) -> str:
        return "j-1"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    yield from served(Server())


def words(kind: JobKind[Any]) -> dict[JobState, str]:
    """Return a status word for each state that the kind has."""
    return {state: word for word, state in reversed(kind.status_map.items())}


CASES = [(key, state) for key, kind in sorted(KINDS.items()) for state in ENDS if state in words(kind)]
#: What the fields hold; each case meets each of them, in one mode or another, and each kind each of them in each mode.
POISONS: tuple[Callable[[str], Any], ...] = (
    lambda key: {
        "text": f"{key}\ud83d\0",
        f"{key}\udfff": [2**70, -(2**200), 1e20, 1e999, float("nan")],
        "deep": json.loads("[" * 50 + "]" * 50),
    },
    lambda key: f"{key}\ud83d\0",
    lambda key: 2**70,
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "state"), CASES, ids=[f"{key} {state.value}" for key, state in CASES])
def test_whatever_fields_hold_a_wait_ends_as_it_must_and_airflow_can_carry_it(
    server: Server, connection: Callable[..., str], key: str, logs: Logs, kind: str, state: JobState, mode: str
) -> None:
    for conn_type in ("nugen", "seekr"):
        connection(conn_type, host=server.url)
    poison = POISONS[(list(ENDS).index(state) + list(MODES).index(mode)) % len(POISONS)](key)

    fields = dict.fromkeys(FIELDS, poison)

    def answer(job_state: JobState) -> Answer:
        return Answer(body=json.dumps({**fields, "status": words(KINDS[kind])[job_state]}).encode())

    def rule(request: RequestRecord) -> Answer:
        if request.target.endswith("/documents"):
            # A document whose status has no id is searched for here. A list without ids would be asked for again.
            return Answer(body=json.dumps({"documents": [{**fields, "status": poison, "document_id": "d-2"}]}).encode())
        return answer(state)

    server.rule = rule
    server.script.extend([answer(JobState.RUNNING)] * 2)
    arguments = {"kind": KINDS[kind], "poke_interval": SHORT, "use_eta": False, "timeout": 15, **MODES[mode]}
    done = run(lambda: AnySensor(task_id="wait", **arguments), key, store=Store())
    # A kind whose end needs an id fails without one; an id that is no text is none.
    allowed = {ENDS[state]} | ({final(JobFailedError)} if state is JobState.SUCCEEDED else set())
    assert type(done.error) in allowed, done.error
    for line in logs.everything().splitlines():
        if "urllib3" not in line:
            carried(line)


def refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key is refused for three polls and more."""
    service.world.add_fault({"action": "status", "status": 401, "skip": 1, "times": 12})


def reset(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy resets connections, and cuts answers short."""
    service.world.add_fault({"action": "drop", "skip": 1, "times": 4})
    service.world.add_fault({"action": "truncate", "skip": 1, "times": 2})


def no_secrets(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow finds no connection for a while; a refused key makes everybody read it again."""
    service.world.add_fault({"action": "status", "status": 401, "skip": 1, "times": 1})
    real, areal, calls = BaseHook.get_connection, BaseHook.aget_connection, iter(range(1000))

    def is_down() -> bool:
        return 1 <= next(calls) <= 6

    def get(conn_id: str) -> Any:
        if is_down():
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")
        return real(conn_id)

    async def aget(conn_id: str) -> Any:
        if is_down():
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")
        return await areal(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", get)
    monkeypatch.setattr(BaseHook, "aget_connection", aget)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("with_store", [True, False], ids=["store", "no store"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("trouble", [refused, reset, no_secrets], ids=lambda trouble: trouble.__name__)
def test_what_passes_ends_no_wait(
    service: Service, monkeypatch: pytest.MonkeyPatch, key: str, trouble: Any, mode: str, with_store: bool
) -> None:
    monkeypatch.setattr(waiter, "REFUSAL_RETRY", SHORT)
    monkeypatch.setattr(key_check, "REFUSAL_TTL", SHORT / 2)
    service.job("alignment", "a-1", "PROCESSING", "READY", step=0.02)
    trouble(service, monkeypatch)
    done = run(
        lambda: AlignmentStatusSensor(
            task_id="wait", alignment_id="a-1", poke_interval=SHORT, use_eta=False, timeout=60, **MODES[mode]
        ),
        key,
        store=Store() if with_store else None,
    )
    assert done.value["state"] == "SUCCEEDED"


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("with_store", [True, False], ids=["store", "no store"])
@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_stays_refused_ends_a_wait(service: Service, key: str, mode: str, with_store: bool) -> None:
    service.job("alignment", "a-1", "PROCESSING", step=0.02)
    service.world.add_fault({"action": "status", "status": 401, "skip": 1})
    done = run(
        lambda: AlignmentStatusSensor(
            task_id="wait", alignment_id="a-1", poke_interval=SHORT, use_eta=False, timeout=15, **MODES[mode]
        ),
        key,
        store=Store() if with_store else None,
    )
    assert done.ending is final(RequestRejectedError), done.error
    assert service.asked() > 4
