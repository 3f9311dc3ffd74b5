"""
Run the example DAGs on a real Airflow, against the simulated services.

The exit code is 0 only if every run succeeded.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import requests

from demo.report import DemoReporter, write_xcoms
from demo.timeline import timeline
from devtools.client import AirflowApiError, AirflowClient, Run, TaskInstance
from devtools.local_airflow import LocalAirflow, claim_home
from devtools.polling import wait_until
from devtools.processes import ServiceDied
from devtools.program import PROJECT, Stopped, raise_on_signals, use_utf8
from devtools.simulator import SimulatorServer

SPEED = 30.0

#: Printed at the end.
NEXT = """\
make demo UI=1   the same, and Airflow stays up: see the graphs, the logs and the connection forms in your browser
example_dags/    the DAGs that have just run; nugen_alignment_pipeline.py is the one to begin with
README.md        a first DAG of your own, connections with your own API key, a test of your own with the simulator
make docs        the documentation, into docs/_build/html/index.html"""


@dataclass(frozen=True)
class DemoDag:
    """
    A DAG to run.

    :param dag_id: its id.
    :param conf: the configuration of its run.
    :param trains: nobody runs it: it runs when a model of this name is trained elsewhere.
    """

    dag_id: str
    conf: dict[str, Any] = field(default_factory=dict)
    trains: str = ""


DAGS = (
    DemoDag("nugen_alignment_pipeline", {"poke_interval": 2}),
    DemoDag("seekr_alignment", {"poke_interval": 2}),
    DemoDag("nugen_evaluate_many", {"poke_interval": 2}),
    DemoDag("nugen_mlops_pipeline", {"poke_interval": 2}),
    DemoDag("seekr_data_job", {"poke_interval": 2}),
    # Nobody sits there to approve.
    DemoDag("seekr_mlops_pipeline", {"poke_interval": 2, "approval": False}),
    DemoDag("nugen_new_models", trains="support-demo"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the demo.

    :param arguments: command line arguments, those of the program by default.
    :return: exit code.
    """
    options = _parser().parse_args(arguments)
    raise_on_signals()
    reporter = DemoReporter()
    exit_code = 1
    try:
        exit_code = _run(options.home, options.stall_timeout, options.ui, reporter)
    except Stopped as stopped:
        exit_code = 128 + stopped.signum
    except (ServiceDied, AirflowApiError, TimeoutError, RuntimeError, requests.RequestException) as error:
        reporter.block("The demo failed", str(error))
        reporter.notes({"logs": str(options.home / "airflow" / "logs")})
    reporter.say("demo", "stopped; nothing is left running")
    if exit_code == 0:
        reporter.block("What to do next", NEXT)
    return exit_code


def _run(home: Path, stall_timeout: float, ui: bool, reporter: DemoReporter) -> int:
    reporter.say("demo", f"{len(DAGS)} example DAGs on a real Airflow; the services are simulated, {SPEED:g} x as fast")
    lock = claim_home(home)
    try:
        with SimulatorServer(home / "simulator", SPEED) as simulator, _airflow(home, simulator, reporter) as airflow:
            exit_code = 1
            try:
                reporter.say("airflow", f"ready at {airflow.url}")
                exit_code = run_dags(airflow, simulator, DAGS, stall_timeout, home / "xcoms.json", reporter)
                if ui:
                    stay(airflow, reporter)
            except Stopped as stopped:
                # Ctrl-C is the way to end --ui, so no failure there.
                if not (ui and stopped.signum == signal.SIGINT and exit_code == 0):
                    raise
            finally:
                reporter.say("demo", "stopping")
    finally:
        os.close(lock)
    return exit_code


def run_dags(
    airflow: LocalAirflow,
    simulator: SimulatorServer,
    dags: Sequence[DemoDag],
    stall_timeout: float,
    xcom_file: Path,
    reporter: DemoReporter,
) -> int:
    """
    Run DAGs at the same time, and report.

    :param airflow: a running Airflow.
    :param simulator: the simulated services.
    :param dags: the DAGs.
    :param stall_timeout: seconds without any change of a task's state after which the runs are given up.
    :param xcom_file: where the XComs go.
    :param reporter: tells what happens.
    :return: 0 if every run succeeded, else 1.
    """
    airflow.wait_for_dags([dag.dag_id for dag in dags])
    runs = []
    watching = [dag for dag in dags if dag.trains]
    for dag in watching:
        train_elsewhere(airflow, simulator, dag, stall_timeout, reporter)
    for dag in dags:
        if not dag.trains:
            airflow.unpause(dag.dag_id)
            runs.append(Run(dag.dag_id, airflow.trigger(dag.dag_id, dag.conf)))
            reporter.say(dag.dag_id, f"started with {dag.conf}")
    for dag in watching:
        runs.append(triggered_run(airflow, dag, stall_timeout, reporter))
    states: dict[Run, str] = {}
    problem = ""
    try:
        states = airflow.wait_for_runs(runs, stall_timeout, reporter.change)
    except TimeoutError as error:
        problem = str(error)
    not_done = [problem] if problem else []
    now = datetime.now(UTC)
    xcoms = {}
    for run in runs:
        tasks = airflow.task_instances(*run)
        events = airflow.state_events(*run)
        xcoms[run] = airflow.xcoms(*run)
        reporter.tasks(
            run,
            states.get(run, "not finished"),
            [(task, timeline(task, events.get(task.key, []), now)) for task in tasks],
        )
        reporter.xcoms(run, xcoms[run])
        if not problem and states[run] != "success":
            not_done.append(run.dag_id)
        # A promoted model is not undeployed: its task is skipped.
        unsuccessful = [task for task in tasks if task.state not in ("success", "skipped")]
        not_done += [f"{run.dag_id}.{task.key}" for task in unsuccessful]
        explain(airflow, run, unsuccessful, reporter)
    if problem:
        reporter.block("Not finished", problem)
        for service in ("scheduler", "triggerer-0"):
            reporter.block(f"end of the {service}'s log", airflow.service_log(service))
    if not_done:
        reporter.notes({"logs": str(airflow.logs)})
    write_xcoms(xcom_file, xcoms)
    result = f"FAILED: {', '.join(not_done)}" if not_done else "every run succeeded"
    reporter.notes({"result": result, "seconds": f"{reporter.elapsed:.1f}", "all XComs": str(xcom_file)})
    return 1 if not_done else 0


def train_elsewhere(
    airflow: LocalAirflow, simulator: SimulatorServer, dag: DemoDag, timeout: float, reporter: DemoReporter
) -> None:
    """
    Start an alignment at the service, not in Airflow, once the watcher of a DAG runs.

    :param airflow: a running Airflow.
    :param simulator: the simulated services.
    :param dag: the DAG that watches for it.
    :param timeout: seconds to wait for the watcher.
    :param reporter: tells what happens.
    """
    airflow.unpause(dag.dag_id)
    airflow.reparse(dag.dag_id)
    # What is trained when the watcher sees the account for the first time is old.
    wait_until(lambda: simulator.has_answered("list_alignments"), timeout, "no watcher runs", check=airflow.check)
    simulator.create_alignment(dag.trains)
    reporter.say(dag.dag_id, f"an alignment {dag.trains!r} was started at the service, outside of Airflow")


def triggered_run(airflow: LocalAirflow, dag: DemoDag, timeout: float, reporter: DemoReporter) -> Run:
    """
    Return the run that a model has triggered.

    :param airflow: a running Airflow.
    :param dag: the DAG that watches for it.
    :param timeout: seconds to wait for the run.
    :param reporter: tells what happens.
    """
    run_id, *_ = wait_until(
        lambda: airflow.dag_runs(dag.dag_id), timeout, f"{dag.dag_id} has no run", check=airflow.check
    )
    reporter.say(dag.dag_id, f"the model is trained, and triggered {run_id}")
    return Run(dag.dag_id, run_id)


def explain(airflow: AirflowClient, run: Run, tasks: Sequence[TaskInstance], reporter: DemoReporter) -> None:
    """
    Print why tasks did not succeed: what the scheduler did to them, and their own logs.

    :param airflow: a running Airflow.
    :param run: their DAG run.
    :param tasks: the tasks.
    :param reporter: prints.
    """
    reasons = airflow.scheduler_reasons(*run) if tasks else {}
    for task in tasks:
        name = f"{run.dag_id}.{task.key}"
        if task.key in reasons:
            reporter.block(f"what the scheduler did to {name}", "\n".join(reasons[task.key]))
        if task.ran:
            log = airflow.task_log(*run, task.key.task_id, map_index=task.key.map_index, try_number=task.try_number)
            reporter.block(f"log of {name}, try {task.try_number}", _tail(log, 60))


def stay(airflow: LocalAirflow, reporter: DemoReporter) -> NoReturn:
    """
    Keep Airflow running until a signal comes.

    :param airflow: a running Airflow.
    :param reporter: tells how to log in.
    """
    reporter.notes({"URL": airflow.url, "user": airflow.username, "password": airflow.password, "stop": "Ctrl-C"})
    while True:
        airflow.check()
        time.sleep(1)


def _airflow(home: Path, simulator: SimulatorServer, reporter: DemoReporter) -> LocalAirflow:
    reporter.say("simulator", simulator.url)
    access = {"host": simulator.url, "password": simulator.api_key}
    return LocalAirflow(
        home / "airflow",
        PROJECT / "example_dags",
        connections={
            "nugen_default": {"conn_type": "nugen", **access},
            "seekr_default": {"conn_type": "seekr", **access, "extra": {"team_id": "team-demo"}},
        },
        # Also for the events of assets the scheduler makes runs only then.
        config={"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True"},
        say=lambda text: reporter.say("airflow", text),
    )


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
    parser.add_argument(
        "--stall-timeout",
        type=float,
        default=180,
        metavar="SECONDS",
        help="give up when no task has changed its state for this long; default: %(default)s",
    )
    return parser


if __name__ == "__main__":
    use_utf8()
    sys.exit(main())
