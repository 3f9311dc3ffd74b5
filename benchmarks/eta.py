"""
What it saves to believe the services' estimates, and what it costs when they are wrong.

Drives the real :class:`~airflow_provider_nugen.waiting.Waiter` through simulated time: nothing sleeps, nothing is
sent. Counts polls, and how long after its end a job is noticed (detection delay), beside a fixed interval.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
from collections.abc import Callable
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from airflow_provider_nugen import __version__
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState
from airflow_provider_nugen.waiting.waiter import Waiter

MINUTE, HOUR = 60.0, 3600.0
#: How long jobs take, in seconds.
DURATIONS = {"5 min": 5 * MINUTE, "1 h": HOUR, "4 h": 4 * HOUR, "24 h": 24 * HOUR}
#: When the waits begin, in epoch seconds.
START = 1_800_000_000.0

Estimate = Callable[[float, float, random.Random], dict[str, Any]]


def _useless(left: float, total: float, rand: random.Random) -> dict[str, Any]:
    return {"eta_seconds": rand.choice([None, 0, -left, 1e300, rand.uniform(0, 24 * HOUR)])}


#: What a service can say of a job, given how many seconds are left and how many it takes in all.
ESTIMATES: dict[str, Estimate] = {
    "exact": lambda left, total, rand: {"eta_seconds": left},
    "honest: within 10 %": lambda left, total, rand: {"eta_seconds": left * rand.uniform(0.9, 1.1)},
    "progress in whole per cent": lambda left, total, rand: {"progress": int(100 * (1 - left / total))},
    "optimistic: half": lambda left, total, rand: {"eta_seconds": left / 2},
    "pessimistic: twice": lambda left, total, rand: {"eta_seconds": left * 2},
    "useless": _useless,
    "none": lambda left, total, rand: {},
}


def wait(duration: float, interval: float, rand: random.Random, estimate: Estimate | None) -> tuple[int, float]:
    """
    Wait for one job.

    :param duration: how long it takes, in seconds.
    :param interval: the ``poke_interval``, in seconds.
    :param rand: for jitter and estimates.
    :param estimate: what the service says about it; ``None`` to poll at a fixed interval.
    :return: how many polls it took, and after how many seconds its end was noticed.
    """
    settings = WaitSettings(poke_interval=interval, use_eta=estimate is not None)
    waiter = Waiter(
        KINDS["nugen.evaluation"], "e-1", "nugen_default", settings, WaitState(START, seen=True), rand.random
    )
    now = START + waiter.first_sleep(START)
    polls, call = 1, waiter.next_call()
    while now < START + duration:
        left = START + duration - now
        said = estimate(left, duration, rand) if estimate else {}
        body = json.dumps({"status": "processing", **said}).encode()
        now += waiter.on_response(call, RawResponse(200, body), now).sleep
        polls += 1
    assert waiter.on_response(call, RawResponse(200, b'{"status": "completed"}'), now).result is not None
    return polls, now - START - duration


def measure(duration: float, interval: float, jobs: int, estimate: Estimate | None) -> tuple[float, float, float]:
    """Wait for many jobs; return the mean number of polls, and p50 and p95 of the delay in seconds."""
    rand = random.Random(7)
    # No job ends on the minute.
    waits = [wait(duration * rand.uniform(0.9, 1.1), interval, rand, estimate) for _ in range(jobs)]
    delays = statistics.quantiles((delay for _, delay in waits), n=20)
    return statistics.fmean(polls for polls, _ in waits), delays[9], delays[18]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eta", description=__doc__)
    parser.add_argument("--interval", type=float, default=60.0, help="poke_interval, in seconds (%(default)s)")
    parser.add_argument("--jobs", type=int, default=400, help="jobs per line (%(default)s)")
    arguments = parser.parse_args()
    table = Table("job", "estimate", box=box.MARKDOWN)
    for column in ("polls", "delay p50, s", "p95, s", "fixed: polls", "delay p50, s", "p95, s", "times fewer polls"):
        table.add_column(column, justify="right")
    for name, duration in track(DURATIONS.items(), "Simulating", transient=True):
        fixed = measure(duration, arguments.interval, arguments.jobs, None)
        for word, estimate in ESTIMATES.items():
            believing = measure(duration, arguments.interval, arguments.jobs, estimate)
            figures = [f"{figure:.0f}" for figure in (*believing, *fixed)]
            table.add_row(name, word, *figures, f"{fixed[0] / believing[0]:.1f}")
    print(f"airflow-provider-nugen {__version__}, Python {platform.python_version()}; poke_interval", end=" ")
    print(f"{arguments.interval:g} s, {arguments.jobs} jobs a line, each up to 10 % shorter or longer\n")
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
