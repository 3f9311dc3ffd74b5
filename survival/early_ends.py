"""
Count the waits that Airflow fails with "state mismatch", with the provider's pauses and without, on a busy machine.

The job of each wait ends a second after its first poke: right after the wait has left its worker. All processors are
kept busy meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devtools.local_airflow import LocalAirflow
from devtools.program import PROJECT, raise_on_signals, use_utf8
from devtools.reporter import Reporter

#: The DAGs, and the arguments of their sensors.
DAGS: dict[str, dict[str, Any]] = {
    "deferred_with_pause": {},
    "deferred_without_pause": {},
    "rescheduled_with_pause": {"deferrable": False, "mode": "reschedule"},
    "rescheduled_without_pause": {"deferrable": False, "mode": "reschedule"},
}
#: Environment variable: how many waits each DAG has.
WAITS = "EARLY_ENDS_WAITS"
#: Seconds from the first poke of a job to its end.
LIFE = 1.0
#: Seconds after which a run that makes no progress has failed.
TIMEOUT = 300.0


def job_ids(dag_id: str) -> list[str]:
    """
    Return the jobs that the tasks of a DAG wait for.

    :param dag_id: the DAG.
    """
    return [f"{dag_id}-{number}" for number in range(int(os.environ.get(WAITS, "20")))]


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run each DAG once, and print what became of its waits.

    :param arguments: command line arguments, those of the program by default.
    """
    from airflow_provider_nugen.simulator import Simulator, run_simulator

    parser = argparse.ArgumentParser(prog="python -m survival.early_ends", description=__doc__)
    parser.add_argument("--waits", type=int, default=20, help="waits of each DAG; default: 20")
    parser.add_argument(
        "--burners", type=int, default=os.cpu_count(), help="busy processes; default: one per processor"
    )
    options = parser.parse_args(arguments)
    raise_on_signals()
    reporter = Reporter()
    os.environ[WAITS] = str(options.waits)

    def end_jobs(simulator: Simulator, over: threading.Event) -> None:
        polled: dict[str, float] = {}
        while not over.wait(0.1):
            for seen in simulator.requests:
                polled.setdefault(seen.path.rsplit("/", 1)[-1], time.monotonic())
            for job_id in [job_id for job_id, when in polled.items() if time.monotonic() - when > LIFE]:
                if simulator.job(job_id).overrides == {}:
                    simulator.override_job(job_id, status="READY", model_id=f"{job_id}-model")

    with (
        tempfile.TemporaryDirectory(prefix="early-ends-") as home,
        run_simulator(api_key="early-ends-key") as simulator,
        LocalAirflow(
            Path(home) / "airflow",
            Path(__file__).parent / "early_dags",
            connections={"nugen_default": simulator.nugen_connection()},
            env={"PYTHONPATH": str(PROJECT), WAITS: str(options.waits)},
        ) as airflow,
    ):
        airflow.wait_for_dags(DAGS)
        over = threading.Event()
        ending = threading.Thread(target=end_jobs, args=(simulator, over))
        ending.start()
        try:
            for dag_id in DAGS:
                for job_id in job_ids(dag_id):
                    simulator.add_job("alignment", job_id, [("PROCESSING", 0)])
                airflow.unpause(dag_id)
                began = time.monotonic()
                with _burning(options.burners):
                    run_id = airflow.trigger(dag_id)
                    airflow.wait_for_run(dag_id, run_id, timeout=TIMEOUT)
                states = Counter(task.state for task in airflow.task_instances(dag_id, run_id))
                reasons = airflow.scheduler_reasons(dag_id, run_id).values()
                mismatches = sum(any(line.startswith("state mismatch") for line in lines) for lines in reasons)
                seconds = time.monotonic() - began
                reporter.say(dag_id, f"{dict(states)}, {mismatches} x state mismatch, {seconds:.0f} s")
        finally:
            over.set()
            ending.join()


@contextmanager
def _burning(count: int) -> Iterator[None]:
    """Keep processors busy."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


if __name__ == "__main__":
    use_utf8()
    main()
