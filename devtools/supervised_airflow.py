"""The private Airflow with a supervisor, as every deployment has one: what dies by itself is started again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import requests

from devtools.client import AirflowApiError, TaskInstance
from devtools.local_airflow import JOB_TYPES, LocalAirflow, triggerer_name
from devtools.polling import wait_until

#: Seconds between two requests for the state of the tasks.
POLL_INTERVAL = 2.0


class SupervisedAirflow(LocalAirflow):
    """A private Airflow which, once it has started, starts again what died by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: What died by itself, each time that it did.
        self.deaths: list[str] = []
        self._supervised = False

    def start(self) -> None:
        """Start everything, see :class:`devtools.local_airflow.LocalAirflow`."""
        super().start()
        self._supervised = True

    def check(self) -> None:
        """Start again what died by itself, once the start is over."""
        if not self._supervised:
            super().check()
            return
        for name, service in self.processes.services.items():
            if not service.alive and not service.may_end:
                self.deaths.append(name)
                # The rest of its container ends with it.
                self.processes.end([service], grace=0)
                self._start_service(name)

    def kill_triggerers(self, *indexes: int) -> None:
        """
        Kill triggerers with SIGKILL.

        :param indexes: which ones, counted from 0.
        """
        for index in indexes:
            self.kill_triggerer(index)

    def start_triggerers(self, *indexes: int) -> None:
        """
        Start triggerers that were killed, and return when they work.

        :param indexes: which ones, counted from 0.
        """
        job_type = JOB_TYPES["triggerer"]
        before = self.jobs(job_type)
        for index in indexes:
            self._start_service(triggerer_name(index))
        self.comes_true(lambda: len(self.jobs(job_type) - before) >= len(indexes), 120)

    def set_password(self, conn_id: str, conn_type: str, password: str) -> None:
        """
        Change the password of a connection.

        :param conn_id: its id.
        :param conn_type: its type, which the API requires, too.
        :param password: the new password.
        """
        self._send(
            "PATCH",
            f"/api/v2/connections/{quote(conn_id, safe='')}",
            params={"update_mask": "password"},
            json={"connection_id": conn_id, "conn_type": conn_type, "password": password},
        )

    def tasks_in(self, state: str) -> list[TaskInstance]:
        """
        Return the tasks of all DAGs that are in a state.

        :param state: the state.
        """
        found = self._collect("/api/v2/dags/~/dagRuns/~/taskInstances", "task_instances", state=state)
        return [TaskInstance.from_json(raw) for raw in found]

    def count_in(self, *states: str) -> int:
        """
        Return how many tasks of all DAGs are in one of these states.

        :param states: states; ``none`` before the scheduler has seen the task.
        """
        params = {"state": states, "limit": 1}
        return int(self._send("GET", "/api/v2/dags/~/dagRuns/~/taskInstances", params=params)["total_entries"])

    def comes_true(self, condition: Callable[[], bool], timeout: float, interval: float = POLL_INTERVAL) -> bool:
        """
        Wait for a condition, whatever dies meanwhile, and while the api-server does not answer.

        :param condition: what is waited for.
        :param timeout: seconds.
        :param interval: seconds between two calls.
        :return: whether it came true.
        """

        def answered() -> bool:
            try:
                return condition()
            except (AirflowApiError, requests.RequestException) as error:
                if isinstance(error, AirflowApiError) and error.status < 500:
                    raise
                return False

        try:
            return wait_until(answered, timeout, "true", interval=interval, check=self.check)
        except TimeoutError:
            return False
