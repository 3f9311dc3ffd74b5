"""What the tests of sensors and of triggers share: a simulated service, its clock, and what was logged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import structlog

from airflow_provider_nugen import waiting
from airflow_provider_nugen.simulator import Simulator, run_simulator

#: When every simulated world begins, in epoch seconds: 2026-03-05T05:00:00Z.
T0 = 1_772_686_800.0


class Clock:
    """
    A clock that stands at :data:`T0` until somebody asks the service.

    So a job lives the same life for each wait, and a slow machine does not look later than a fast one.
    """

    def __init__(self) -> None:
        self.reset()

    def __call__(self) -> float:
        if self._began is None and self._ready:
            self._began = time.monotonic()
        return T0 if self._began is None else T0 + time.monotonic() - self._began

    def reset(self) -> None:
        """Stop, at the beginning."""
        self._began: float | None = None
        self._ready = False

    def ready(self) -> None:
        """Go when asked the next time."""
        self._ready = True


class Service:
    """A simulator with its clock, and what most tests do with it."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.simulator = simulator
        self.world = simulator.world
        self.url = simulator.url
        self._clock = clock

    def reset(self, key: str) -> None:
        """Forget what the test before did, once the last of its requests is answered."""
        for _ in range(200):
            if sum(fault.struck for fault in self.world.faults if fault.action == "delay") <= self.asked():
                break
            time.sleep(0.01)
        self.world.jobs.clear()
        self.world.clear_faults()
        self.world.clear_requests()
        self.world.rotate_key(key)
        self._clock.reset()

    def job(self, kind: str, job_id: str, *stages: str | tuple[str, float], **fields: Any) -> None:
        """
        Let a job begin with the next request, at :data:`T0`.

        :param stages: status words, with the seconds that the job has them; without, it lasts 0.15 s. The last lasts.
        :param fields: see :meth:`World.add_job`.
        """
        life = [(stage, 0.15) if isinstance(stage, str) else stage for stage in stages]
        self._clock.reset()
        self.world.add_job(kind, job_id, life, **fields)
        self._clock.ready()

    def asked(self, operation: str | None = None) -> int:
        """Count the requests that came, of one operation or of all."""
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


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again soon after a failed look."""
    monkeypatch.setattr(waiting, "FIRST_RETRY", 0.1)
    monkeypatch.setattr(waiting, "LONGEST_RETRY", 0.1)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch, quick_retries: None) -> None:
    """Shrink what takes minutes."""
    monkeypatch.setattr(waiting, "MAX_FAILURES", 3)
    monkeypatch.setattr(waiting, "MAX_OUTAGE", 0.15)
    monkeypatch.setattr(waiting, "NOT_FOUND_GRACE", 0.15)
    monkeypatch.setattr(waiting, "STALL", 0.25)
