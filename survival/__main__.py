"""
Let two hundred waits survive on a real Airflow, with PostgreSQL, against the simulated services.

The exit code is 0 only if every wait ended exactly once, as it must, whatever broke meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import requests

from devtools.client import AirflowApiError
from devtools.gateway import GatewayServer
from devtools.local_airflow import claim_home
from devtools.postgres import Database
from devtools.processes import ServiceDied
from devtools.program import PROJECT, Stopped, raise_on_signals, use_utf8
from devtools.reporter import Reporter
from devtools.simulator import SimulatorServer
from devtools.supervised_airflow import SupervisedAirflow
from survival.faults import BUSY, CONNECTIONS, FAULTS, NO_FAULT, Fault, Scene
from survival.report import report
from survival.secrets_backend import CLASSPATH, Secrets
from survival.verdict import Row, judge
from survival.waits import DAGS, LONG, LONG_DAG, REFUSED, SHORT, Wait

#: Seconds after which a wait that should be over is left to the verdict.
END_TIMEOUT = 240.0

#: What a deployment of this size on two cores has.
CONFIG = {
    "AIRFLOW__CORE__PARALLELISM": "6",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "5",
    # A scheduler without a heartbeat for so long, for which a busy machine is enough, takes itself for dead, and queues
    # tasks that were queued once more, as another try.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "90",
}
TRIGGERER_HEALTH_CHECK_THRESHOLD = 10
#: The file of the secrets backend, in the home of the suite.
SECRETS = "connections.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the suite.

    :param arguments: command line arguments, those of the program by default.
    :return: exit code.
    """
    options = _parser().parse_args(arguments)
    raise_on_signals()
    reporter = Reporter()
    try:
        return _run(
            options.home, [f for f in FAULTS if any(text in f.name for text in options.only.split(","))], reporter
        )
    except Stopped as stopped:
        return 128 + stopped.signum
    except (ServiceDied, AirflowApiError, TimeoutError, RuntimeError, requests.RequestException) as error:
        reporter.block("The suite broke off", f"{type(error).__name__}: {error}")
        reporter.notes({"logs": str(options.home)})
        reporter.console.print("0 passed, 1 failed")
        return 1


def _run(home: Path, faults: Sequence[Fault], reporter: Reporter) -> int:
    lock = claim_home(home)
    try:
        with (
            Database(home / "postgres") as database,
            SimulatorServer(home / "simulator") as simulator,
            GatewayServer(home / "gateway", simulator.port) as gateway,
            _airflow(home, database, reporter) as airflow,
        ):
            try:
                access = {"host": gateway.url, "password": simulator.api_key}
                connections = {
                    conn_id: {"conn_type": conn_type, **access} for conn_id, conn_type in CONNECTIONS.items()
                }
                secrets = Secrets(home / SECRETS, connections)
                scene = Scene(airflow, simulator, gateway, secrets, database, lambda text: reporter.say("", text))
                for wait in (*LONG, *SHORT):
                    simulator.set_job(wait.kind.name, wait.job_id, [(wait.kind.running, 0)])
                airflow.wait_for_dags(DAGS)
                for dag_id in DAGS:
                    airflow.unpause(dag_id)
                scene.start_waits(LONG_DAG)
                rows, deaths, left = [], [], list(LONG)
                for fault in (*faults, NO_FAULT):
                    rows.append(_strike(fault, scene, left))
                    deaths += [f"{name} ({fault.name})" for name in airflow.deaths]
                    airflow.deaths.clear()
                for wait in left:
                    simulator.set_job(wait.kind.name, wait.job_id, [(wait.final_status, 0)])
                airflow.comes_true(lambda: not airflow.count_in("none", "deferred", *BUSY), END_TIMEOUT)
                simulator.note_changes()
                verdicts = judge(airflow, scene.started, simulator.jobs(), scene.refused)
            finally:
                reporter.say("survival", "stopping")
    finally:
        os.close(lock)
    for row in rows:
        row.verdicts = [verdict for verdict in verdicts if verdict.wait.job_id in row.hit]
    exit_code = report(reporter, rows, verdicts, simulator.changes, deaths)
    reporter.say("survival", "stopped; nothing is left running")
    return exit_code


def _strike(fault: Fault, scene: Scene, left: list[Wait]) -> Row:
    """Let a fault happen, and return when the waits whose jobs ended meanwhile have left the triggerer."""
    fault.before(scene)
    hit = scene.deferred()
    scene.say(f"--- {fault.name}: {len(hit)} waits")
    # They are kept for the fault that refuses them; if it does not happen, their jobs end after all faults.
    kept = set() if fault is NO_FAULT else {wait for wait in left if wait.job_id.endswith(REFUSED)}
    refused = kept if fault.refuses else set()
    scene.refused |= refused
    own = [wait for wait in left if wait in hit and wait not in kept][: fault.ending]
    left[:] = [wait for wait in left if wait not in own and wait not in refused]
    own += [wait for wait in hit if wait in SHORT and wait.timeout is None]
    for number, wait in enumerate(own):
        seconds = 1 + (fault.seconds - 1) * (number + 1) / len(own)
        scene.simulator.set_job(wait.kind.name, wait.job_id, [(wait.kind.running, seconds), (wait.final_status, 0)])
    fault.apply(scene)
    time.sleep(fault.seconds)
    happened = scene.airflow.comes_true(lambda: fault.until(scene), END_TIMEOUT)
    fault.restore(scene)
    scene.say("mended")
    # Also those that began meanwhile.
    hit |= scene.deferred()
    ending = {*own, *refused, *(wait for wait in hit if wait.timeout)}
    over = scene.airflow.comes_true(lambda: not ending & scene.deferred(), END_TIMEOUT)
    scene.say(f"{len(ending)} waits are over" if over else f"{len(ending & scene.deferred())} waits are not over")
    hit_ids, own_ids = (frozenset(wait.job_id for wait in waits) for waits in (hit, ending))
    survived = not (fault.by_service and scene.airflow.deaths)
    return Row(fault.name, hit_ids, own_ids, happened and over, survived)


def _airflow(home: Path, database: Database, reporter: Reporter) -> SupervisedAirflow:
    backend = {
        "AIRFLOW__SECRETS__BACKEND": CLASSPATH,
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"file": str(home / SECRETS)}),
    }
    return SupervisedAirflow(
        home / "airflow",
        Path(__file__).parent / "dags",
        config=CONFIG | backend,
        env={"PYTHONPATH": str(PROJECT)},
        database_url=database.url,
        triggerers=2,
        triggerer_health_check_threshold=TRIGGERER_HEALTH_CHECK_THRESHOLD,
        say=lambda text: reporter.say("airflow", text),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m survival", description=__doc__)
    parser.add_argument(
        "--home",
        type=lambda text: Path(text).absolute(),
        default=PROJECT / ".survival",
        help="folder for everything that is written; default: .survival in the project",
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT,...", help="only faults with one of these texts in their names"
    )
    return parser


if __name__ == "__main__":
    use_utf8()
    sys.exit(main())
