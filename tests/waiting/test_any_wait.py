"""Any wait at all: it sleeps no longer than its deadline, never spins, and ends once."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_nugen.api.nugen import jobs
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.waiting.result import Decision, WaitResult
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState

from .support import T0, TRANSPORT, end_of, feed, http, http_date, tell, waiter

words = st.sampled_from(sorted({word for kind in KINDS.values() for word in kind.status_map} | {"SOMETHING_NEW", ""}))
payloads = st.fixed_dictionaries(
    {"status": words | st.sampled_from(["PROCESSING", "PENDING", "running"])},
    optional={
        "model_id": st.sampled_from(["m-1", None]),
        "evaluation_id": st.just("e-1"),
        "gpu_training_completed": st.sampled_from([True, None]),
        "performance_metrics": st.just({"accuracy_after": 0.9}),
        "eta_seconds": st.floats(),
        "progress": st.integers(0, 100)
        | st.floats()
        | st.sampled_from([10.0, 10.000000001, "5/10 questions", "7 %", "0/0"]),
        "error": st.just("broke"),
    },
)
headers = st.sampled_from([None, "0", "7", "100000", "soon", "9" * 50, http_date(500), http_date(-500)])
failures = st.one_of(
    st.just(TRANSPORT),
    st.builds(http, st.sampled_from([401, 401, 404, 404, 408, 429, 500, 502, 503]), st.just({"detail": "x"}), headers),
    st.builds(http, st.sampled_from([302, 400, 403, 404]), st.sampled_from([{"detail": "Not Found"}, {"detail": "x"}])),
)
events = st.tuples(payloads | failures, st.floats(0, 120))
wanted = st.builds(
    WaitSettings,
    poke_interval=st.sampled_from([0.0, 1.0, 60.0, 3600.0]) | st.floats(0, 100_000),
    deadline=st.none() | st.floats(-100, 10_000).map(lambda after: T0 + after),
    execution_deadline=st.none() | st.floats(-100, 10_000).map(lambda after: T0 + after),
    exponential_backoff=st.booleans(),
    use_eta=st.booleans(),
    max_wait=st.none() | st.floats(0, 1000),
    ignore_failures=st.booleans(),
)


@settings(max_examples=300)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    wanted=wanted,
    rand=st.floats(0, 1, exclude_max=True),
    seen=st.booleans(),
    events=st.lists(events, min_size=1, max_size=40),
)
def test_any_wait_sleeps_no_longer_than_its_deadline_never_spins_and_ends_once(
    kind: str, wanted: WaitSettings, rand: float, seen: bool, events: list[Any]
) -> None:
    wait = waiter(KINDS[kind], WaitState(T0, seen), rand, **asdict(wanted))
    ends = [end for end in (wanted.deadline, wanted.execution_deadline) if end is not None]
    now = T0 + wait.first_sleep(T0)
    assert not ends or now <= max(T0, min(ends))
    polls = 0
    for event, took in events:
        polls += 1
        now += took
        decision = tell(wait, event, now - T0)
        if decision.result:
            assert WaitResult.from_event(json.loads(json.dumps(decision.result.to_event()))) == decision.result
            assert not decision.sleep
            return
        if decision.sleep == 0:
            # At once: the detail, or what the kind is supplemented with, once.
            assert polls <= 2
        else:
            polls = 0
            assert decision.sleep > 0
            assert not ends or now + decision.sleep <= min(ends) + 1e-6
        assert WaitState.from_json(json.loads(json.dumps(wait.state.to_json()))) == wait.state
        now += decision.sleep
    if ends:
        # Whatever the last poll says, it is the last.
        now = max(now, min(ends))
        decision = tell(wait, "PENDING", now - T0)
        assert decision.result is not None


@given(wanted=wanted, event=failures | payloads, late=st.floats(0, 1e6))
def test_after_its_deadline_a_wait_continues_only_to_read_the_detail_once(
    wanted: WaitSettings, event: Any, late: float
) -> None:
    end = min(filter(None, (wanted.deadline, wanted.execution_deadline)), default=T0)
    wait = waiter(jobs.ALIGNMENT, WaitState(min(T0, end)), **{**asdict(wanted), "deadline": end})
    decision, after, polls = Decision(), end - T0 + late, 0
    while decision.result is None:
        assert decision.sleep == 0
        decision = tell(wait, event, after)
        polls += 1
        assert polls <= 2


def test_a_budget_is_written_for_people() -> None:
    budgets = {0: "0 s", 59: "59 s", 60: "1 min", 3600: "1 h", 90061: "1 d 1 h 1 min", 7 * 86400: "7 d"}
    for seconds, text in budgets.items():
        end = T0 + seconds
        assert f"timeout of {text} was over" in end_of(feed(waiter(deadline=end), (seconds, "PROCESSING"))).message
