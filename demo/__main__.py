"""
Run the example DAGs on a real Airflow, against the simulated services.

The exit code is 0 only if every run succeeded.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import requests

from demo.client import AirflowApiError, Run
from demo.local_airflow import LocalAirflow
from demo.processes import ServiceDied
from demo.report import Reporter
from demo.simulator import Simulator
from demo.timeline import timeline

PROJECT = Path(__file__).parent.parent
SPEED = 30.0


@dataclass(frozen=True)
class DemoDag:
    """A DAG to run, and the configuration of its run."""

    dag_id: str
    conf: dict[str, Any] = field(default_factory=dict)


DAGS = (
    DemoDag("nugen_alignment_pipeline", {"poke_interval": 2}),
    DemoDag("seekr_alignment", {"poke_interval": 2}),
    DemoDag("nugen_evaluate_many", {"poke_interval": 2}),
    DemoDag("nugen_mlops_pipeline", {"poke_interval": 2}),
    DemoDag("seekr_data_job", {"poke_interval": 2}),
)


class Stopped(BaseException):
    """A signal asked us to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the demo.

    :param arguments: command line arguments, those of the program by default.
    :return: exit code.
    """
    options = _parser().parse_args(arguments)
    _raise_on_signals()
    reporter = Reporter()
    exit_code = 1
    try:
        options.home.mkdir(parents=True, exist_ok=True)
        with Simulator(options.home, SPEED) as simulator, _airflow(options.home, simulator, reporter) as airflow:
            try:
                simulator.wait_until_up()
                reporter.say("airflow", f"ready at {airflow.url}")
                exit_code = run_dags(airflow, DAGS, options.timeout, reporter)
                if options.ui:
                    stay(airflow, reporter)
            finally:
                reporter.say("demo", "stopping")
    except Stopped as stopped:
        # Ctrl-C is the way to end --ui, so no failure there.
        if not (options.ui and stopped.signum == signal.SIGINT and exit_code == 0):
            exit_code = 128 + stopped.signum
    except (ServiceDied, AirflowApiError, TimeoutError, RuntimeError, requests.RequestException) as error:
        reporter.block("The demo failed", str(error))
        reporter.notes({"logs": str(options.home / "airflow" / "logs")})
        exit_code = 1
    reporter.say("demo", "stopped; nothing is left running")
    return exit_code


def run_dags(airflow: LocalAirflow, dags: Sequence[DemoDag], timeout: float, reporter: Reporter) -> int:
    """
    Run DAGs at the same time, and report.

    :param airflow: a running Airflow.
    :param dags: the DAGs.
    :param timeout: seconds, counted from the start of the demo.
    :param reporter: tells what happens.
    :return: 0 if every run succeeded, else 1.
    """
    airflow.wait_for_dags([dag.dag_id for dag in dags])
    runs = []
    for dag in dags:
        airflow.unpause(dag.dag_id)
        runs.append(Run(dag.dag_id, airflow.trigger(dag.dag_id, dag.conf)))
        reporter.say(dag.dag_id, f"started with {dag.conf}")
    states: dict[Run, str] = {}
    problem = ""
    try:
        states = airflow.wait_for_runs(runs, max(1.0, timeout - reporter.elapsed), reporter.change)
    except TimeoutError as error:
        problem = str(error)
    not_done = [problem] if problem else []
    now = datetime.now(UTC)
    for run in runs:
        tasks = airflow.task_instances(*run)
        events = airflow.state_events(*run)
        reporter.tasks(
            run,
            states.get(run, "not finished"),
            [(task, timeline(task, events.get(task.key, []), now)) for task in tasks],
        )
        reporter.xcoms(run, airflow.xcoms(*run))
        if not problem and states[run] != "success":
            not_done.append(run.dag_id)
        for task in tasks:
            # A promoted model is not undeployed.
            if task.state in ("success", "skipped"):
                continue
            not_done.append(f"{run.dag_id}.{task.key}")
            if task.ran:
                log = airflow.task_log(*run, task.key.task_id, map_index=task.key.map_index, try_number=task.try_number)
                reporter.block(f"log of {run.dag_id}.{task.key}, try {task.try_number}", _tail(log, 60))
    if problem:
        reporter.block("Not finished", problem)
        for service in ("scheduler", "triggerer-0"):
            reporter.block(f"end of the {service}'s log", airflow.service_log(service))
    if not_done:
        reporter.notes({"logs": str(airflow.logs)})
    result = f"FAILED: {', '.join(not_done)}" if not_done else "every run succeeded"
    reporter.notes({"result": result, "seconds": f"{reporter.elapsed:.1f}"})
    return 1 if not_done else 0


def stay(airflow: LocalAirflow, reporter: Reporter) -> NoReturn:
    """
    Keep Airflow running until a signal comes.

    :param airflow: a running Airflow.
    :param reporter: tells how to log in.
    """
    reporter.notes({"URL": airflow.url, "user": airflow.username, "password": airflow.password, "stop": "Ctrl-C"})
    while True:
        airflow.check()
        time.sleep(1)


def _airflow(home: Path, simulator: Simulator, reporter: Reporter) -> LocalAirflow:
    reporter.say("simulator", simulator.url)
    access = {"host": simulator.url, "password": simulator.api_key}
    return LocalAirflow(
        home / "airflow",
        PROJECT / "example_dags",
        connections={
            "nugen_default": {"conn_type": "nugen", **access},
            "seekr_default": {"conn_type": "seekr", **access, "extra": {"team_id": "team-demo"}},
        },
        say=lambda text: reporter.say("airflow", text),
    )


def _raise_on_signals() -> None:
    signals = [
        sig
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # Ignored on purpose: nohup.
        if signal.getsignal(sig) is not signal.SIG_IGN
    ]

    def stop(signum: int, frame: FrameType | None) -> None:
        # An impatient second Ctrl-C must not interrupt the cleaning up.
        for sig in signals:
            signal.signal(sig, signal.SIG_IGN)
        raise Stopped(signum)

    for sig in signals:
        signal.signal(sig, stop)


def _tail(text: str, lines: int) -> str:
    return "\n".join(text.splitlines()[-lines:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--ui", action="store_true", help="keep Airflow running afterwards, and say how to log in")
    parser.add_argument(
        "--home",
        type=lambda text: Path(text).absolute(),
        default=PROJECT / ".demo",
        help="folder for everything that is written; default: .demo in the project",
    )
    parser.add_argument("--timeout", type=float, default=180, help="seconds for the whole demo; default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
