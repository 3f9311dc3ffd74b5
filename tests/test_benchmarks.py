"""The benchmarks run, and what is decided by simulated time holds. No time that passes is asserted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import eta, start, upload

PROJECT = Path(__file__).parents[1]
INTERVAL = 60.0


@pytest.mark.parametrize("job", ["1 h", "4 h", "24 h"])
@pytest.mark.parametrize("estimate", ["exact", "honest: within 10 %", "progress in whole per cent"])
def test_an_honest_estimate_saves_four_of_five_polls_and_no_end_is_noticed_later(job: str, estimate: str) -> None:
    fixed = eta.measure(eta.DURATIONS[job], INTERVAL, 60, None)
    believing = eta.measure(eta.DURATIONS[job], INTERVAL, 60, eta.ESTIMATES[estimate])
    assert fixed[0] / believing[0] >= 5
    assert believing[2] <= fixed[2] + INTERVAL / 10


@pytest.mark.parametrize("job", eta.DURATIONS)
@pytest.mark.parametrize("estimate", eta.ESTIMATES)
def test_no_estimate_delays_the_end_by_more_than_ten_intervals_or_asks_more_often(job: str, estimate: str) -> None:
    fixed = eta.measure(eta.DURATIONS[job], INTERVAL, 20, None)
    believing = eta.measure(eta.DURATIONS[job], INTERVAL, 20, eta.ESTIMATES[estimate])
    assert believing[0] <= fixed[0]
    assert believing[2] <= fixed[2] + 10 * INTERVAL


def test_an_upload_takes_no_more_memory_than_is_allowed() -> None:
    measured = upload.measure(300 * 10**6)
    assert measured["peak"] - measured["before"] < upload.LIMIT


def test_what_our_imports_cost_is_measured_beside_airflows_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(["--repeats", "1"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^\| PythonOperator +\| +\d+ +\| +\d+ +\| +1\.0 ", out, re.MULTILINE), out
    assert re.search(r"^\| nugen and seekr +\| .* \| none +\|$", out, re.MULTILINE), out


@pytest.mark.e2e
def test_our_trigger_is_measured_beside_a_bare_one() -> None:
    arguments = ["--kinds", "bare,nugen", "--waits", "3", "--repeats", "1", "--seconds", "1", "--markdown"]
    command = [sys.executable, "-m", "benchmarks.triggers", *arguments]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    for kind in ("bare", "nugen"):
        # No connection, no log line, no lookup.
        assert re.search(rf"^\| {kind} +\|.*\| +0 \| .*\| +0 \| +0 \| +\d+ of 3 \|$", run.stdout, re.MULTILINE), (
            run.stdout
        )
