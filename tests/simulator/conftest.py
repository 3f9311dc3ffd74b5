"""The simulator on a real socket, with a clock that the test moves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from airflow_provider_nugen.simulator import Simulator, run_simulator

KEY = "key-of-the-simulator-0123"
#: Moments at which nothing has been rounded away: 2026-01-02T03:04:05Z.
NOW = 1767323045.0


@dataclass
class Clock:
    """A clock that stands still until it is told otherwise."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Api:
    """Both services of a simulator, as a client sees them."""

    simulator: Simulator
    clock: Clock
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, *, authorization: str | None = None, **options: Any) -> requests.Response:
        """Send a request with the right key, or another Authorization header (``""`` = none)."""
        if authorization is None:
            key = self.simulator.world.api_key
            authorization = key if path.startswith("/v1/flow") else f"Bearer {key}"
        headers = {**({"Authorization": authorization} if authorization else {}), **options.pop("headers", {})}
        return self.session.request(method, self.simulator.url + path, headers=headers, timeout=10, **options)

    def get(self, path: str, **options: Any) -> Any:
        """Read JSON that has to be there."""
        return self.json("GET", path, **options)

    def json(self, method: str, path: str, **options: Any) -> Any:
        answer = self.call(method, path, **options)
        assert answer.ok, f"{answer.status_code}: {answer.text}"
        return answer.json()

    def create_alignment(self, **body: Any) -> str:
        """Start an alignment in revision B."""
        wanted = {"name": "n", "base_model": "nugen-flash-instruct", "document_ids": ["doc-demo-1"], **body}
        return str(self.json("POST", "/api/v3/alignment-project/create", json=wanted)["alignment_id"])

    def trained_model(self) -> str:
        """Make a model that can be deployed, in any revision."""
        self.simulator.add_job("alignment", "trained", [("READY", 0)], inputs={"name": "Trained"})
        return "trained-model"


Simulators = dict[str, tuple[Simulator, Clock]]


@pytest.fixture(scope="session")
def running() -> Iterator[tuple[Simulators, contextlib.ExitStack]]:
    """The simulators that run: starting one takes longer than most tests."""
    with contextlib.ExitStack() as stack:
        yield {}, stack


@pytest.fixture
def simulate(running: tuple[Simulators, contextlib.ExitStack]) -> Iterator[Callable[..., Api]]:
    """
    Run simulators: ``simulate(nugen_revision="C")``.

    Tests with the same options have the same one after each other, as new.
    """
    idle, servers = running
    with contextlib.ExitStack() as stack:

        def run(**options: Any) -> Api:
            name = repr(sorted(options.items()))
            # Those that have a file or a clock of their test's own are of no use to another one.
            shared = not options.keys() & {"clock", "state_file", "certfile", "keyfile"}
            simulator, clock = idle.pop(name, (None, None)) if shared else (None, None)
            if simulator is None or clock is None:
                clock = options.setdefault("clock", Clock())
                # The clock stands still, so lists have to be quick, unless the test says otherwise.
                context = run_simulator(**{"api_key": KEY, "visible_after": 0.0, **options})
                simulator = (servers if shared else stack).enter_context(context)
            else:
                # It writes a request down only after its answer; with this one it has come to the end of them.
                requests.get(simulator.url + "/settle", timeout=10)
                clock.now = NOW
                simulator.reset()
            if shared:
                stack.callback(idle.__setitem__, name, (simulator, clock))
            api = Api(simulator, clock)
            stack.callback(api.session.close)
            return api

        yield run


@pytest.fixture
def api(simulate: Callable[..., Api]) -> Api:
    """A simulator of revision B."""
    return simulate()
