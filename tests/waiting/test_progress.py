"""What the log says while a job runs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_nugen.waiting.state import WaitState

from .support import T0, tell, texts, waiter


def test_an_unknown_word_is_waited_on_and_said_once() -> None:
    wait = waiter()
    decisions = [tell(wait, "SOMETHING_NEW", after) for after in (0, 60, 120)]
    assert [decision.sleep for decision in decisions] == [60] * 3
    assert [len(texts(decision, logging.WARNING)) for decision in decisions] == [1, 0, 0]
    assert "unknown status 'SOMETHING_NEW'" in texts(decisions[0], logging.WARNING)[0]


def test_an_unknown_word_is_not_said_again_by_one_who_takes_the_wait_over() -> None:
    wait = waiter(state=WaitState(T0, seen=True, status="SOMETHING_NEW"))
    assert texts(tell(wait, "SOMETHING_NEW", 60), logging.WARNING) == []


def test_only_changes_are_said() -> None:
    wait = waiter()
    said = [
        texts(tell(wait, {"status": word, "progress": progress}, 60.0 * poll))
        for poll, (word, progress) in enumerate(
            [
                ("QUEUED", None),
                ("QUEUED", None),
                ("PROCESSING", 10),
                ("PROCESSING", 10),
                ("PROCESSING", "5/10 questions"),
            ]
        )
    ]
    start = "Nugen (connection 'my_conn'): alignment 'a-1': "
    assert said == [
        [start + "QUEUED"],
        [],
        [start + "PROCESSING (was QUEUED), progress 10 %"],
        [],
        [start + "PROCESSING, progress 5/10 questions"],
    ]


@pytest.mark.parametrize(
    ("first", "second", "after", "said"),
    [
        # what remains is said again when it moved by more than a minute, and more than a tenth of what remained
        (7200, 7140, 60, False),
        (7200, 7200, 60, False),
        (7200, 7800, 60, False),
        (7200, 9000, 60, True),
        (7200, 5000, 60, True),
        (120, 119, 60, False),
        (120, 240, 60, True),
        (None, 7200, 60, True),
        (7200, None, 60, True),
        (None, None, 60, False),
    ],
)
def test_an_estimate_is_said_when_it_moves(first: Any, second: Any, after: float, said: bool) -> None:
    wait = waiter()
    tell(wait, {"status": "PROCESSING", "eta_seconds": first}, 0)
    notes = texts(tell(wait, {"status": "PROCESSING", "eta_seconds": second}, after))
    assert bool(notes) is said
    if said and second:
        end = datetime.fromtimestamp(T0 + after + second, UTC).isoformat(timespec="seconds")
        assert f"expected to end {end}" in notes[0]
