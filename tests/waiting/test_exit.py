"""Whatever a service answers: what leaves the provider is what Airflow can carry."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from airflow.sdk.execution_time.comms import _RequestFrame
from airflow.triggers.base import TriggerEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.triggers.job import JobTrigger
from airflow_provider_nugen.waiting.result import MAX_FIELD, MAX_TEXT, Decision, LogMessage, Outcome, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.wait import JobWait
from airflow_provider_nugen.waiting.waiter import STALL_TIMEOUT

from .support import T0

#: Half an emoji, as an answer has it that was cut in the middle; a NUL; and numbers that no column holds.
HUGE = 10**5000
POISON: list[Any] = ["\ud83d", "a\0b", 2**64, -(2**200), HUGE, math.inf, math.nan, "x" * 30_000]
texts = st.text() | st.text(st.characters(categories=["Cs"]), min_size=1) | st.just("x" * 20_000)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(2**200), 2**200) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
#: A word of the kind, so that each outcome is reached, with anything in the other fields.
NAMES = [
    "error", "model_id", "progress", "result", "stage_failures", "eta_seconds", "performance_metrics", "status_message",
    "evaluation_id", "gpu_training_completed", "alignment_job", "files", "document_id", "alignment_id", "id", "message",
]  # fmt: skip


def carried(value: Any) -> Any:
    """Send a value as a task or a triggerer sends it to its supervisor, and return it as it arrives."""
    frame = bytes(_RequestFrame(id=1, body={"value": value}).as_bytes()[4:])
    arrived = msgspec.msgpack.decode(frame)[1]["value"]
    # The supervisor's request to the API server, and the database: JSONB of PostgreSQL holds no NUL.
    assert "\0" not in _texts(arrived)
    json.dumps(arrived, allow_nan=False).encode()
    json.dumps(arrived, allow_nan=False, ensure_ascii=False).encode()
    return arrived


def _texts(value: Any) -> str:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return "".join(map(_texts, value)) if isinstance(value, list) else str(value)


def assert_carried(wait: JobWait[Any], decisions: list[Decision]) -> None:
    """Assert that everything the provider would give to Airflow can be stored, and is the same afterwards."""
    for decision in decisions:
        for message in decision.messages:
            carried(message.text)
    trigger = JobTrigger.of(wait)
    _, kwargs = trigger.serialize()
    assert carried(kwargs) == kwargs
    assert JobTrigger(**kwargs).serialize()[1] == kwargs
    assert carried(wait.to_json()) == wait.to_json()
    result = wait.result()
    if result is not None:
        event = TriggerEvent(result.to_event())
        assert WaitResult.from_event(carried(event.payload)) == result
        assert len(json.dumps(result.to_event())) < 3_000_000


def waits(kind: str) -> list[JobWait[Any]]:
    return [
        JobWait(KINDS[kind], job_id, "my_conn", WaitSettings(deadline=T0 + 90), {"began": T0})
        for job_id in ("a-1", ["a-1", "a-2"])
    ]


def answer(wait: JobWait[Any], payload: Any, after: float) -> list[Decision]:
    # As Python reads it: what other JSON parsers refuse is read, too.
    body = json.dumps(payload).encode()
    decisions = []
    for waiter in wait.waiters.values():
        for _ in range(2):  # the detail, too
            if waiter.result is None:
                call = waiter.next_call()
                decisions.append(waiter.on_response(call, RawResponse(200, body), T0 + after))
    return decisions


@settings(max_examples=150)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    word=texts,
    known=st.none() | st.integers(0, 50),
    fields=st.dictionaries(st.sampled_from(NAMES), anything, max_size=6),
    others=st.dictionaries(texts, anything, max_size=2),
)
def test_any_json_is_carried(kind: str, word: str, known: int | None, fields: Any, others: Any) -> None:
    words = sorted(KINDS[kind].status_map)
    payload = {**others, **fields, "status": word if known is None else words[known % len(words)]}
    for wait in waits(kind):
        decisions = answer(wait, payload, 0)
        assert_carried(wait, decisions)
        assert_carried(wait, answer(wait, payload, 60))
        assert_carried(wait, answer(wait, payload, STALL_TIMEOUT + 120))


@pytest.mark.parametrize("poison", POISON, ids=range(len(POISON)))
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_word_of_every_kind_with_poison_in_every_field(kind: str, poison: Any) -> None:
    if poison == HUGE:
        poison = "\udfff"  # no JSON parser of Python's reads that number; see the next test
    payload = dict.fromkeys(NAMES, poison) | {"result": {"message": poison, "x": [poison]}, "error": poison}
    for word in [*KINDS[kind].status_map, "SOMETHING\ud83dNEW"]:
        for wait in waits(kind):
            assert_carried(wait, answer(wait, {**payload, "status": word}, 0))
            assert_carried(wait, answer(wait, {**payload, "status": word}, 90))


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("poison", POISON, ids=range(len(POISON)))
def test_no_result_and_no_line_can_pass_by(outcome: Outcome, poison: Any) -> None:
    nested: Any = poison
    for _ in range(500):
        nested = [nested]
    text = poison if isinstance(poison, str) else "a"
    for status in ({"a": poison, text: {text: [poison]}}, {"a": nested}, [{"a": poison}, None]):
        result = WaitResult(outcome, f"It ended: {text}", status)
        assert WaitResult.from_event(carried(result.to_event())) == result
        assert len(json.dumps(result.to_event())) < 3 * MAX_FIELD
    carried(LogMessage(20, text).text)


def test_an_error_with_poison_is_carried() -> None:
    for error in (errors.TransportError("\ud83d" * 5), errors.ConnectionSettingsError("x\udfffy" * 100_000)):
        for wait in waits("nugen.alignment"):
            decisions = [
                waiter.on_error(waiter.next_call(), error, T0 + after)
                for after in (0.0, 90.0)
                for waiter in wait.waiters.values()
            ]
            assert_carried(wait, decisions)


def test_a_stored_state_that_holds_poison_is_carried_on() -> None:
    state = WaitState(T0, True, "\ud83d", 2**70, failures=2**70)
    expected = {"began": T0, "seen": True, "status": "\ufffd", "progress": 2.0**70, "failures": 2.0**70}
    assert carried(state.to_json()) == expected
    carried(JobTrigger("nugen.alignment", "\ud83d", "c", of_another_version="\ud83d").serialize()[1])


def test_long_texts_are_cut_and_say_so_and_large_fields_are_left_out() -> None:
    result = WaitResult(
        Outcome.FAILED, "m", {"short": "x" * MAX_TEXT, "long": "y" * 2 * MAX_TEXT, "large": {"a": ["z" * 9999] * 50}}
    ).result
    assert isinstance(result, dict)
    assert result["short"] == "x" * MAX_TEXT
    assert result["long"] == "y" * MAX_TEXT + f"… ({2 * MAX_TEXT} characters)"
    assert result["large"].startswith("(left out: 5")


def test_values_that_airflow_can_carry_stay_as_they_are() -> None:
    status = {"status": "READY", "n": 2**53, "f": 0.5, "none": None, "emoji": "😀", "list": [{"a": [1, "b"]}]}
    result = WaitResult(Outcome.SUCCEEDED, "m 😀", status)
    assert (result.message, result.result) == ("m 😀", status)
    assert WaitResult.from_event(carried(result.to_event())) == result
