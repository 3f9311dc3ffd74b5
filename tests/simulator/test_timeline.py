"""What a job looks like is a function of its record and the time."""

from __future__ import annotations

import pytest

from airflow_provider_nugen.simulator.timeline import Job, Stage


def job(*stages: tuple[str, float]) -> Job:
    return Job("alignment", "x", 100.0, [Stage(*stage) for stage in stages])


def test_the_words_come_in_turn_and_the_last_one_stays() -> None:
    it = job(("QUEUED", 5), ("PROCESSING", 10), ("READY", 0))
    assert [it.word(now) for now in (99, 100, 104.9, 105, 114.9, 115, 1e9)] == [
        *("QUEUED", "QUEUED", "QUEUED", "PROCESSING", "PROCESSING", "READY", "READY")
    ]
    assert it.passed(110) == ["QUEUED", "PROCESSING"]
    assert (it.end(114.9), it.end(115)) == (None, 115)
    assert (it.remaining(105), it.remaining(115)) == (10, None)
    assert [it.progress(now) for now in (100, 107.5, 115)] == [0, 0.5, 1]
    assert [it.step_progress(now) for now in (100, 107.5, 110, 115)] == [0, 0.25, 0.5, 1]


def test_stages_without_length_are_passed_all_the_same() -> None:
    it = job(("PROCESSING", 10), ("READY", 0), ("DEPLOYING", 0), ("EVALUATED", 0))
    assert it.word(110) == "EVALUATED"
    assert it.passed(110) == ["PROCESSING", "READY", "DEPLOYING", "EVALUATED"]


def test_ended_early_in_the_middle() -> None:
    it = job(("PROCESSING", 10), ("READY", 0))
    it.end_early("FAILED", 104, "out of memory")
    assert (it.word(103), it.word(104), it.word(1e9)) == ("PROCESSING", "FAILED", "FAILED")
    assert it.passed(200) == ["PROCESSING", "FAILED"]
    assert (it.end(103), it.end(200), it.reason) == (None, 104, "out of memory")
    assert it.progress(200) == 0.4
    assert it.broken(200)
    assert not it.broken(103)


def test_what_has_ended_stays_as_it_is() -> None:
    it = job(("PROCESSING", 10), ("READY", 0))
    it.end_early("FAILED", 110)
    assert it.word(111) == "READY"
    broken = job(("PROCESSING", 10), ("READY", 0))
    broken.end_early("STOPPED", 105, "first")
    broken.end_early("FAILED", 106, "second")
    assert (broken.word(107), broken.reason) == ("STOPPED", "first")


def test_finished_before_its_time_it_has_been_through_everything() -> None:
    it = job(("PROCESSING", 10), ("READY", 5), ("EVALUATED", 0))
    it.end_early("EVALUATED", 102)
    assert it.passed(102) == ["PROCESSING", "READY", "EVALUATED"]
    assert (it.end(102), it.progress(102)) == (102, 1)
    assert it.start("READY") == 102


def test_a_job_whose_last_word_means_running_never_ends_by_itself() -> None:
    it = job(("PROCESSING", 0))
    assert (it.word(1e9), it.end(1e9), it.remaining(1e9), it.progress(1e9)) == ("PROCESSING", None, None, 0)
    it.end_early("FAILED", 200)
    assert (it.word(200), it.end(200)) == ("FAILED", 200)


def test_a_life_that_leads_to_failure() -> None:
    it = job(("PROCESSING", 10), ("FAILED", 0))
    assert it.progress(1e9) < 1
    assert it.broken(110)
    it.end_early("FAILED", 105)
    assert it.passed(105) == ["PROCESSING", "FAILED"]


def test_a_stage_that_a_job_does_not_have_begins_never() -> None:
    with pytest.raises(ValueError, match="READY"):
        job(("PROCESSING", 0)).start("READY")
