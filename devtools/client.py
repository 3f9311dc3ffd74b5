"""The part of Airflow's REST API (v2) that the demo and the tests use."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import requests

from devtools.polling import wait_until

FINISHED_RUN_STATES = frozenset({"success", "failed"})
TASK_STATES = frozenset(
    {
        "awaiting_input",
        "deferred",
        "failed",
        "queued",
        "removed",
        "restarting",
        "running",
        "scheduled",
        "skipped",
        "success",
        "up_for_reschedule",
        "up_for_retry",
        "upstream_failed",
    }
)


class AirflowApiError(RuntimeError):
    """
    The api-server refused a request.

    :param message: method, path, status and answer.
    :param status: HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Run(NamedTuple):
    """A DAG run."""

    dag_id: str
    run_id: str


class TaskKey(NamedTuple):
    """A task of a DAG run; ``map_index`` is -1 unless it is mapped."""

    task_id: str
    map_index: int

    def __str__(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


@dataclass(frozen=True)
class TaskInstance:
    """A task instance as the API shows it; ``raw`` has the fields not named here."""

    run: Run
    key: TaskKey
    state: str | None
    try_number: int
    operator: str
    start_date: datetime | None
    end_date: datetime | None
    raw: Mapping[str, Any]

    @property
    def ran(self) -> bool:
        """Whether a worker has ever taken it up (a task that is skipped or upstream_failed has a start date, too)."""
        return bool(self.raw["hostname"])

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """
        Make one from the API's answer.

        :param raw: a TaskInstanceResponse.
        """
        return cls(
            run=Run(raw["dag_id"], raw["dag_run_id"]),
            key=TaskKey(raw["task_id"], raw["map_index"]),
            state=raw["state"],
            try_number=raw["try_number"],
            operator=raw.get("operator_name") or raw.get("operator") or "",
            start_date=_time(raw["start_date"]),
            end_date=_time(raw["end_date"]),
            raw=raw,
        )


@dataclass(frozen=True)
class StateEvent:
    """A task instance entered a state."""

    when: datetime
    state: str


@dataclass(frozen=True)
class TaskChange:
    """A change of state between two polls of :meth:`AirflowClient.wait_for_runs`."""

    task: TaskInstance
    previous: str | None


@dataclass(frozen=True)
class XCom:
    """An XCom with its value."""

    key: TaskKey
    name: str
    value: Any


class AirflowClient:
    """
    Talks to one api-server.

    :param url: its base URL.
    :param username: user of the simple auth manager.
    :param password: the user's password.
    """

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self.username = username
        self.password = password
        self._session = requests.Session()
        # Neither a proxy nor .netrc may come between us and 127.0.0.1.
        self._session.trust_env = False

    def login(self) -> None:
        """Get a token for everything that follows."""
        token = self._send("POST", "/auth/token", json={"username": self.username, "password": self.password})
        self._session.headers["Authorization"] = f"Bearer {token['access_token']}"

    def health(self) -> dict[str, str | None]:
        """Return the status of each component; empty while the api-server does not answer yet."""
        try:
            answer = self._send("GET", "/api/v2/monitor/health")
        except (requests.ConnectionError, requests.Timeout):
            return {}
        return {name: (component or {}).get("status") for name, component in answer.items()}

    def jobs(self, job_type: str) -> set[int]:
        """
        Return the ids of the components of a kind that have ever sent a heartbeat, with those that are gone.

        :param job_type: ``SchedulerJob``, ``TriggererJob`` or ``DagProcessorJob``.
        """
        return {job["id"] for job in self._collect("/api/v2/jobs", "jobs", job_type=job_type)}

    def execution_api_answers(self) -> bool:
        """Return whether the API that workers and triggerers use is up."""
        try:
            # Our token is for the other API, and this one would log a warning with a stack trace.
            self._send("GET", "/execution/health", headers={"Authorization": None})
        except (requests.ConnectionError, requests.Timeout):
            return False
        return True

    def check(self) -> None:
        """Raise if there is no point in waiting any longer; the waiting methods call it again and again."""

    # Connections and DAGs

    def add_connection(self, conn_id: str, connection: Mapping[str, Any]) -> None:
        """
        Store a connection; Airflow encrypts the password and the extras.

        :param conn_id: its id.
        :param connection: ``conn_type``, ``host``, ``login``, ``password``, ``schema``, ``port``, ``extra``
            (a dict or JSON).
        """
        body = {"connection_id": conn_id, **connection}
        if isinstance(body.get("extra"), Mapping):
            body["extra"] = json.dumps(body["extra"])
        self._send("POST", "/api/v2/connections", json=body)

    def import_errors(self) -> dict[str, str]:
        """Return the stack trace of each DAG file that could not be imported."""
        errors = self._collect("/api/v2/importErrors", "import_errors")
        return {error["filename"]: error["stack_trace"] for error in errors}

    def wait_for_dags(self, dag_ids: Iterable[str], timeout: float = 60) -> None:
        """
        Wait until DAGs are parsed and stored.

        :param dag_ids: their ids.
        :param timeout: seconds.
        :raises RuntimeError: if a DAG file cannot be imported.
        :raises TimeoutError: if a DAG is still missing.
        """
        missing = set(dag_ids)

        def all_there() -> bool:
            if errors := self.import_errors():
                texts = (f"{file}:\n{trace}" for file, trace in errors.items())
                raise RuntimeError("DAG files with import errors:\n" + "\n".join(texts))
            missing.difference_update(dag["dag_id"] for dag in self._collect("/api/v2/dags", "dags"))
            return not missing

        wait_until(
            all_there,
            timeout,
            lambda: f"no DAG named {', '.join(sorted(missing))}",
            check=self.check,
            progress=lambda: len(missing),
        )

    def unpause(self, dag_id: str) -> None:
        """
        Let the scheduler run a DAG.

        :param dag_id: its id.
        """
        self._send("PATCH", f"/api/v2/dags/{quote(dag_id, safe='')}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> str:
        """
        Start a DAG run and return its id.

        :param dag_id: id of the DAG, which must not be paused.
        :param conf: configuration of the run.
        :param run_id: id of the run, made up by default.
        """
        run_id = run_id or f"local__{uuid.uuid4().hex[:8]}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}
        self._send("POST", f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns", json=body)
        return run_id

    # Runs

    def dag_run_state(self, dag_id: str, run_id: str) -> str:
        """
        Return the state of a DAG run.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        """
        return str(self._send("GET", _path(Run(dag_id, run_id)))["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """
        Return the task instances of a run, in the order in which they started; those that have not started come last.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        """
        found = self._collect(f"{_path(Run(dag_id, run_id))}/taskInstances", "task_instances")
        tasks = [TaskInstance.from_json(raw) for raw in found]
        return sorted(tasks, key=lambda task: (task.start_date is None, task.raw["start_date"] or "", task.key))

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        timeout: float = 120,
        on_change: Callable[[TaskChange], None] | None = None,
    ) -> str:
        """
        Wait until a DAG run has ended and return its state.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        :param timeout: seconds without any change of a task's state.
        :param on_change: called for every change of a task's state.
        :raises TimeoutError: if it has not ended by then.
        """
        run = Run(dag_id, run_id)
        return self.wait_for_runs([run], timeout, on_change)[run]

    def wait_for_runs(
        self,
        runs: Sequence[Run],
        timeout: float = 120,
        on_change: Callable[[TaskChange], None] | None = None,
    ) -> dict[Run, str]:
        """
        Wait until several DAG runs have ended and return their states.

        :param runs: the runs.
        :param timeout: seconds without any change of a task's state.
        :param on_change: called for every change of a task's state.
        :raises TimeoutError: if nothing changed for so long, and one has not ended.
        """
        seen: dict[tuple[Run, TaskKey], str | None] = {}
        states = dict.fromkeys(runs, "queued")
        changes = 0

        def all_ended() -> bool:
            nonlocal changes
            for run in runs:
                if states[run] in FINISHED_RUN_STATES:
                    continue
                # The state first: when it is final, the tasks read after it are final as well.
                states[run] = self.dag_run_state(*run)
                for task in self.task_instances(*run):
                    previous = seen.get((run, task.key))
                    if task.state != previous:
                        seen[run, task.key] = task.state
                        changes += 1
                        if on_change:
                            on_change(TaskChange(task, previous))
            return FINISHED_RUN_STATES.issuperset(states.values())

        def unfinished() -> str:
            tasks = (
                f"{run.dag_id}.{key} is {state}"
                for (run, key), state in seen.items()
                if state not in ("success", "skipped")
            )
            return "; ".join([*(f"{run.dag_id} is {state}" for run, state in states.items()), *tasks])

        wait_until(all_ended, timeout, unfinished, interval=0.5, check=self.check, progress=lambda: changes)
        return states

    def scheduler_reasons(self, dag_id: str, run_id: str) -> dict[TaskKey, list[str]]:
        """
        Return what the scheduler has done to each task of a run, and why, from the audit log.

        A task that the scheduler fails ("state mismatch", "heartbeat timeout", "stuck in queued") says nothing of it in
        its own log.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        """
        reasons: dict[TaskKey, list[str]] = {}
        for row in self._collect("/api/v2/eventLogs", "event_logs", dag_id=dag_id, run_id=run_id):
            if row["task_id"] and row["event"] not in TASK_STATES and row["extra"]:
                key = TaskKey(row["task_id"], -1 if row["map_index"] is None else row["map_index"])
                reasons.setdefault(key, []).append(f"{row['event']}: {row['extra']}")
        return reasons

    def state_events(self, dag_id: str, run_id: str) -> dict[TaskKey, list[StateEvent]]:
        """
        Return when each task of a run entered which state, from the audit log.

        The execution API writes a row when a worker reports that a task starts and when it reports what became of it
        (deferred, success, ...), in the same transaction as the state itself: measured, and complete, where polling the
        state would miss what is short. The task instance itself knows only the first start and the last end, which
        includes the time in the triggerer. Airflow 3.1 does not write these rows yet.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        """
        rows = self._collect("/api/v2/eventLogs", "event_logs", dag_id=dag_id, run_id=run_id)
        events: dict[TaskKey, list[StateEvent]] = {}
        for row in rows:
            when = _time(row["when"])
            if row["task_id"] and row["event"] in TASK_STATES and when:
                key = TaskKey(row["task_id"], -1 if row["map_index"] is None else row["map_index"])
                events.setdefault(key, []).append(StateEvent(when, row["event"]))
        for task_events in events.values():
            task_events.sort(key=lambda event: event.when)
        return events

    def xcoms(self, dag_id: str, run_id: str) -> list[XCom]:
        """
        Return the XComs of a run with their values.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        """
        tasks = f"{_path(Run(dag_id, run_id))}/taskInstances"
        found = []
        for entry in self._collect(f"{tasks}/~/xcomEntries", "xcom_entries"):
            answer = self._send(
                "GET",
                f"{tasks}/{quote(entry['task_id'], safe='')}/xcomEntries/{quote(entry['key'], safe='')}",
                params={"map_index": entry["map_index"]},
            )
            key = TaskKey(entry["task_id"], entry["map_index"])
            found.append(XCom(key, entry["key"], answer["value"]))
        return found

    def task_log(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, try_number: int = 1) -> str:
        """
        Return the log of a try of a task, one line per message, with the stack traces.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        :param task_id: id of the task.
        :param map_index: index of a mapped task.
        :param try_number: which try.
        """
        answer = self._send(
            "GET",
            f"{_path(Run(dag_id, run_id))}/taskInstances/{quote(task_id, safe='')}/logs/{try_number}",
            params={"map_index": map_index, "full_content": True},
            headers={"Accept": "application/json"},
        )
        messages = [message for message in answer["content"] if not message["event"].startswith("::")]
        return "\n".join(_log_line(message) for message in messages)

    # Interventions

    def clear_tasks(self, dag_id: str, run_id: str, task_ids: Collection[str], *, downstream: bool = False) -> None:
        """
        Clear tasks, so that they run again.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        :param task_ids: tasks to clear.
        :param downstream: also clear what depends on them.
        """
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            "include_downstream": downstream,
        }
        self._send("POST", f"/api/v2/dags/{quote(dag_id, safe='')}/clearTaskInstances", json=body)

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str, *, map_index: int = -1) -> None:
        """
        Mark a task as ``success``, ``failed`` or ``skipped``, as a user does in the UI.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        :param task_id: id of the task.
        :param state: the new state.
        :param map_index: index of a mapped task.
        """
        path = f"{_path(Run(dag_id, run_id))}/taskInstances/{quote(task_id, safe='')}"
        if map_index >= 0:
            path += f"/{map_index}"
        self._send("PATCH", path, json={"new_state": state})

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """
        Mark a DAG run as ``success``, ``failed`` or ``queued``, as a user does in the UI.

        :param dag_id: id of the DAG.
        :param run_id: id of the run.
        :param state: the new state.
        """
        self._send("PATCH", _path(Run(dag_id, run_id)), json={"state": state})

    # Underneath

    def _send(self, method: str, path: str, **options: Any) -> Any:
        response = self._session.request(method, self.url + path, timeout=30, **options)
        if not response.ok:
            # Without what we sent, which may be a connection.
            answer = "" if method == "POST" and path.endswith("/connections") else f": {response.text[:500]}"
            raise AirflowApiError(f"{method} {path} -> {response.status_code}{answer}", response.status_code)
        return response.json() if response.content else None

    def _collect(self, path: str, name: str, **params: Any) -> list[dict[str, Any]]:
        """Return all the pages of a list (Airflow gives 100 items at most)."""
        items: list[dict[str, Any]] = []
        while True:
            page = self._send("GET", path, params={**params, "limit": 100, "offset": len(items)})
            items += page[name]
            if not page[name] or len(items) >= page["total_entries"]:
                return items


def _path(run: Run) -> str:
    return f"/api/v2/dags/{quote(run.dag_id, safe='')}/dagRuns/{quote(run.run_id, safe='')}"


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _log_line(message: Mapping[str, Any]) -> str:
    parts = [message.get("timestamp") or "", (message.get("level") or "").upper(), message["event"]]
    lines = [" ".join(filter(None, parts))]
    for error in message.get("error_detail") or []:
        lines += [
            f"    {frame['filename']}:{frame['lineno']} in {frame['name']}" for frame in error.get("frames") or []
        ]
        lines.append(f"    {error['exc_type']}: {error['exc_value']}")
    return "\n".join(lines)
