"""What the demo, the survival suite, the benchmarks and the tests run real processes with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
import pytest
import requests
import requests_mock

from airflow_provider_nugen.simulator import run_simulator
from devtools import polling
from devtools.certificates import make_certificate
from devtools.client import AirflowClient, Run, TaskKey
from devtools.gateway import POISON_NUMBER, POISON_TEXT, GatewayServer
from devtools.local_airflow import claim_home
from devtools.polling import wait_until
from devtools.processes import Processes, ServiceDied, child_environment

PROJECT = Path(__file__).parents[1]
#: A blank, an umlaut and parentheses, which shells, make and SQLAlchemy could all trip over.
FOLDER = "Ein Ördner (1)"
#: What an answer of revision B says about the request, and not about the job.
TIMES = ("start_time", "end_time")


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


def is_alive(pid: int) -> bool:
    # Where nobody waits for orphans, what was killed stays a zombie.
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock on which only sleeping takes time."""
    clock = SimpleNamespace(now=0.0)
    fake = SimpleNamespace(
        monotonic=lambda: clock.now, sleep=lambda seconds: setattr(clock, "now", clock.now + seconds)
    )
    monkeypatch.setattr(polling, "time", fake)
    return clock


def test_waiting_returns_what_the_condition_returned(clock: SimpleNamespace) -> None:
    assert wait_until(lambda: clock.now >= 3 and "there", 5, "it") == "there"


def test_waiting_ends_with_what_was_missing(clock: SimpleNamespace) -> None:
    with pytest.raises(TimeoutError, match=r"^After 5 s: it is not there$"):
        wait_until(lambda: False, 5, lambda: "it is not there")
    assert 5 < clock.now < 6


def test_progress_counts_and_not_the_whole_time(clock: SimpleNamespace) -> None:
    # Something happens every 4 s, for a minute: a limit of 5 s without progress is not met.
    assert wait_until(lambda: clock.now >= 60, 5, "done", progress=lambda: clock.now // 4)
    with pytest.raises(TimeoutError, match=r"^After 5 s without any progress: done$"):
        wait_until(lambda: False, 5, "done", progress=lambda: min(clock.now // 4, 20))
    assert 85 < clock.now < 87


def test_a_check_ends_the_waiting(clock: SimpleNamespace) -> None:
    def check() -> None:
        raise ServiceDied("the scheduler ended")

    with pytest.raises(ServiceDied):
        wait_until(lambda: False, 5, "it", check=check)
    assert clock.now == 0


def test_a_child_knows_nothing_of_another_airflow_and_reads_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW__CORE__FERNET_KEY", "_AIRFLOW_PROCESS_CONTEXT", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.setenv(name, "of the user")
    env = child_environment({"AIRFLOW_HOME": "mine"})
    assert "of the user" not in env.values()
    assert env["PYTHONUTF8"] == "1"
    assert env["AIRFLOW_HOME"] == "mine"


def test_processes_run_in_any_folder_and_end_with_their_children(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    program = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, "ü")
time.sleep(600)
"""
    with Processes(logs=folder, env=child_environment({"LC_ALL": "C"}), cwd=folder) as processes:
        service = processes.start("parent", [sys.executable, "-c", program])
        pid, umlaut = wait_until(lambda: service.tail().split(), 60, "output", check=processes.check)
        assert umlaut == "ü"
        assert is_alive(int(pid))
    assert not is_alive(int(pid))


def test_a_process_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    with Processes(logs=tmp_path, env=child_environment({}), cwd=tmp_path) as processes:
        service = processes.start("broken", [sys.executable, "-c", "import sys; sys.exit('no configuration')"])
        service.wait(60)
        with pytest.raises(ServiceDied, match=r"broken ended with 1(.|\n)*no configuration"):
            processes.check()
        service = processes.start("killed", [sys.executable, "-c", "import time; time.sleep(600)"])
        service.may_end = processes.services["broken"].may_end = True
        processes.kill("killed", signal.SIGKILL)
        assert not service.alive
        processes.check()


def test_a_folder_that_is_something_else_is_not_wiped(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RuntimeError, match="will not be wiped"):
        claim_home(tmp_path)
    home = tmp_path / FOLDER
    lock = claim_home(home)
    try:
        with pytest.raises(RuntimeError, match="stop it first"):
            claim_home(home, timeout=0.1)
    finally:
        os.close(lock)
    (home / "left.txt").touch()
    os.close(claim_home(home))
    assert [path.name for path in home.iterdir()] == ["local-airflow.lock"]


def test_a_certificate_is_trusted_by_those_who_have_it(tmp_path: Path) -> None:
    certificate = tmp_path / "server.pem"
    make_certificate(certificate)
    with run_simulator(certfile=str(certificate)) as simulator:
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(simulator.url, timeout=30)
        assert requests.get(simulator.url, timeout=30, verify=str(certificate)).status_code


@pytest.mark.parametrize("utf8", ["0", "1"])
def test_a_program_reads_utf8_and_writes_what_the_terminal_can_show(tmp_path: Path, utf8: str) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / "program.py").write_text(
        "import sys\n"
        "from devtools.program import use_utf8\n"
        "use_utf8()\n"
        "open('written', 'w').write('ü')\n"
        "print(sys.flags.utf8_mode, sys.argv[1:], 'Ördner')\n",
        encoding="utf-8",
    )
    env = {"LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONPATH": str(PROJECT), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "program", "--home", "a b"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=60, check=False)
    assert done.stdout.decode("ascii") == "1 ['--home', 'a b'] ?rdner\n", done.stderr
    assert (folder / "written").read_bytes() == "ü".encode()


def test_what_the_scheduler_did_to_a_task_is_read_from_the_audit_log() -> None:
    run = Run("dag", "run")
    mismatch = "Executor reported that the task instance finished with state success, but its state is queued"
    rows = [
        {"task_id": "wait", "map_index": None, "event": "deferred", "extra": '{"host_name": "here"}'},
        {"task_id": "wait", "map_index": None, "event": "state mismatch", "extra": mismatch},
        {"task_id": "many", "map_index": 3, "event": "heartbeat timeout", "extra": "no heartbeat"},
        {"task_id": None, "map_index": None, "event": "trigger_dag_run", "extra": "{}"},
    ]
    with requests_mock.Mocker() as http:
        http.get("http://airflow/api/v2/eventLogs", json={"event_logs": rows, "total_entries": len(rows)})
        found = AirflowClient("http://airflow", "admin", "").scheduler_reasons(*run)
    assert found == {
        TaskKey("wait", -1): [f"state mismatch: {mismatch}"],
        TaskKey("many", 3): ["heartbeat timeout: no heartbeat"],
    }


def test_the_gateway_forwards_poisons_and_resets(tmp_path: Path) -> None:
    with (
        run_simulator() as simulator,
        GatewayServer(tmp_path / "gateway", port_of(simulator.url)) as gateway,
    ):
        simulator.add_job("alignment", "a-1", [("PROCESSING", 3600.0), ("READY", 0.0)])
        path = "/api/v3/alignment-project/status/a-1"
        key = {"Authorization": f"Bearer {simulator.nugen_connection()['password']}"}

        def get() -> requests.Response:
            return requests.get(gateway.url + path, headers=key, timeout=30)

        direct = requests.get(simulator.url + path, headers=key, timeout=30).json()
        assert {**get().json(), **dict.fromkeys(TIMES)} == {**direct, **dict.fromkeys(TIMES)}
        assert gateway.set_fault("poison", 1) == 0
        answer = get().json()
        assert (answer["status"], answer["error"]) == ("PROCESSING", POISON_TEXT)
        assert answer[POISON_TEXT] == [POISON_NUMBER, -POISON_NUMBER]
        assert gateway.set_fault("reset", 2) == 1
        assert get().ok
        with pytest.raises(requests.ConnectionError):
            get()
        assert gateway.set_fault("") == 1
        simulator.add_fault({"action": "truncate", "times": 1})
        with pytest.raises(requests.exceptions.RequestException):
            get()
        assert get().ok
