"""What the tests of sensors and of triggers share: a simulated service, its clock, and what was logged."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import structlog

from airflow_provider_nugen import tasks
from airflow_provider_nugen.hooks import key_check
from airflow_provider_nugen.sensors import base as sensors
from airflow_provider_nugen.simulator import Simulator, run_simulator
from airflow_provider_nugen.simulator.state import RequestRecord
from airflow_provider_nugen.triggers import job as triggers
from airflow_provider_nugen.waiting import schedule
from airflow_provider_nugen.waiting import waiter as waiting

#: When the time of every simulator begins, in epoch seconds: 2026-03-05T05:00:00Z.
T0 = 1_772_686_800.0
#: How many seconds a job has a status word, unless the test says otherwise.
STAGE = 0.06
#: The seconds between two polls, and the least that may be.
SHORT = 0.02


class Clock:
    """
    A clock that stands at :data:`T0` until the service has answered for the first time.

    So a job lives the same life for each wait, and a slow machine does not poke later than a fast one. With a
    ``step`` it moves on by that many seconds with every answer instead, and time does not matter at all.
    """

    def __init__(self) -> None:
        self.reset()

    def __call__(self) -> float:
        if self.step is not None:
            return T0 + self.step * self._answers
        return T0 if self._began is None else T0 + time.monotonic() - self._began

    def reset(self) -> None:
        """Stand at the beginning."""
        self._began: float | None = None
        self._answers = 0
        self.step: float | None = None

    def go(self) -> None:
        """Start, unless it runs already; called with every answer."""
        self._answers += 1
        if self._began is None:
            self._began = time.monotonic()


class Service:
    """A simulator with its clock, and what most tests do with it."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.simulator = simulator
        self.world = simulator.world
        self.url = simulator.url
        self._clock = clock
        record = self.world.record

        def answered(request: RequestRecord) -> None:
            record(request)
            clock.go()

        self.world.record = answered  # type: ignore[method-assign]

    def reset(self, key: str) -> None:
        """Forget what the test before did, once the last of its requests is answered."""
        self._settle()
        for _ in range(200):
            if sum(fault.struck for fault in self.world.faults if fault.action == "delay") <= self.asked():
                break
            time.sleep(0.01)
        self.world.jobs.clear()
        self.world.clear_faults()
        self.world.clear_requests()
        self.world.rotate_key(key)
        self._clock.reset()

    def _settle(self) -> None:
        """
        Let the simulator come to what was sent before: it handles requests in order, in a thread of its own.

        It writes a request down only after the answer, and one of the test before would be counted for this one.
        """
        connection = http.client.HTTPConnection(self.url.partition("//")[2])
        # No service is there, so it is not written down.
        connection.request("GET", "/settle")
        connection.getresponse().read()
        connection.close()

    def job(
        self, kind: str, job_id: str, *stages: str | tuple[str, float], step: float | None = None, **fields: Any
    ) -> None:
        """
        Let a job begin at :data:`T0`, which is until the next request is answered.

        :param stages: status words, each with its seconds, or for :data:`STAGE`; the last one lasts.
        :param step: seconds that pass with each answer, and only then.
        :param fields: see :meth:`SimulatorState.add_job`.
        """
        life = [(stage, STAGE) if isinstance(stage, str) else stage for stage in stages]
        self._clock.reset()
        self._clock.step = step
        self.world.add_job(kind, job_id, life, **fields)

    def asked(self, operation: str | None = None) -> int:
        """Count the requests that came, of one operation or of all."""
        self._settle()
        return sum(operation in (None, seen.operation) for seen in self.world.requests)


@pytest.fixture(scope="package")
def services() -> Iterator[Callable[..., Service]]:
    """
    Make simulators, one for each set of options.

    They are gone before the tests of other packages run, some of which replace ``sleep`` in all threads.
    """
    made: dict[tuple[tuple[str, Any], ...], Service] = {}
    with ExitStack() as stack:

        def make(**options: Any) -> Service:
            name = tuple(sorted(options.items()))
            if name not in made:
                clock = Clock()
                made[name] = Service(stack.enter_context(run_simulator(clock=clock, **options)), clock)
            return made[name]

        yield make


@pytest.fixture
def make_service(services: Callable[..., Service], connection: Callable[..., str], key: str) -> Callable[..., Service]:
    """Simulate both services with options of the test's choice, and make the default connections to them."""

    def make(**options: Any) -> Service:
        service = services(**options)
        service.reset(key)
        for fields in (service.simulator.nugen_connection(), service.simulator.seekr_connection()):
            connection(fields.pop("conn_type"), **fields)
        return service

    return make


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """Both services as most know them."""
    return make_service()


class Logs:
    """What was logged, by Airflow's loggers and by those of the standard library."""

    def __init__(self, entries: list[dict[str, Any]], caplog: pytest.LogCaptureFixture) -> None:
        self._entries = entries
        self._caplog = caplog

    def at(self, level: str) -> list[str]:
        """Return the messages of a level of Airflow's loggers, as ``warning``."""
        return [_text(entry) for entry in self._entries if entry["log_level"] == level]

    def everything(self) -> str:
        """Return all there is, whatever its level, with the arguments."""
        records = [f"{record.getMessage()} {record.__dict__}" for record in self._caplog.records]
        return "\n".join([*(f"{_text(entry)} {entry}" for entry in self._entries), *records])


def _text(entry: dict[str, Any]) -> str:
    event = str(entry["event"])
    arguments = entry.get("positional_args")
    return event % arguments if arguments else event


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture, key: str) -> Iterator[Logs]:
    """Collect what is logged; after the test, the key must not be in it."""
    caplog.set_level(0)
    with structlog.testing.capture_logs() as entries:
        logs = Logs(entries, caplog)
        yield logs
    assert key not in logs.everything()


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow shorter intervals than users may have."""
    monkeypatch.setattr(schedule, "MIN_INTERVAL", SHORT)


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defer and reschedule at once, whatever a job is expected to take: there is no scheduler to be confused."""
    monkeypatch.setattr(triggers, "MIN_RUN_TIME", 0.0)
    monkeypatch.setattr(sensors, "MIN_RESCHEDULE", 0.0)
    monkeypatch.setattr(tasks, "NEARLY_DONE", -1.0)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll again soon after a failed poll."""
    monkeypatch.setattr(schedule, "FIRST_RETRY", SHORT)
    monkeypatch.setattr(schedule, "MAX_RETRY_INTERVAL", SHORT)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch, quick_retries: None) -> None:
    """Shrink what takes minutes."""
    monkeypatch.setattr(waiting, "MAX_FAILURES", 3)
    # As with the real ones, an outage lasts longer than an id is fresh.
    monkeypatch.setattr(waiting, "NOT_FOUND_GRACE", 0.2)
    monkeypatch.setattr(waiting, "MAX_OUTAGE", 0.25)
    monkeypatch.setattr(waiting, "REFUSAL_HOLD", 0.1)
    monkeypatch.setattr(waiting, "REFUSAL_RETRY", SHORT)
    monkeypatch.setattr(key_check, "REFUSAL_TTL", SHORT / 2)
    monkeypatch.setattr(waiting, "STALL_TIMEOUT", 0.1)
