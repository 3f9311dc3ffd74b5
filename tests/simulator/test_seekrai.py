"""SeekrFlow's own client, from PyPI, takes the simulator for the real service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen.simulator import run_simulator

from .vendor import VERSION, run

CLIENT = Path(__file__).with_name("seekrai_client.py")
KEY = "key-of-the-vendors-client"


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What the client saw."""
    with run_simulator(api_key=KEY, speed=1, visible_after=0) as simulator:
        return run(CLIENT, simulator.url, KEY)


def test_it_is_the_version_that_we_know(seen: dict[str, Any]) -> None:
    assert seen["seekrai"] == VERSION


def test_it_starts_reads_lists_cancels_and_deletes_alignments(seen: dict[str, Any]) -> None:
    alignments = seen["alignments"]
    outputs = alignments.pop("outputs")
    assert sorted(alignments.pop("output_files")) == sorted(outputs.values())
    assert "fine-tune" in outputs
    assert alignments == {
        "generated": "pending",
        "retrieved": "completed",
        "cancelled": "cancelled",
        "listed": True,
        "left": 0,
    }


def test_it_takes_a_data_job_through_its_life(seen: dict[str, Any]) -> None:
    assert seen["data_jobs"] == {
        "created": "needs_review",
        "files": ["file-1", "file-2"],
        "ready": "ready_to_start",
        "started": "pending",
        "alignment_job": True,
        "done": "completed",
        "outputs": 2,
        "timeline": ["created", "started"],
        "cancelled": "cancelled",
        "listed": ["second", "first"],
        "of_type": 0,
    }


def test_it_uploads_finds_fetches_and_deletes_files(seen: dict[str, Any]) -> None:
    files = seen["files"]
    assert "'exe' is not allowed" in files.pop("refused")
    assert files == {
        "uploaded": ["rules.md", 20, "md", "alignment"],
        "bulk": ["pairs.jsonl", "more.jsonl"],
        "retrieved": "rules.md",
        "same_content": True,
        "listed": ["pairs.jsonl", "more.jsonl"],
        "page": 1,
        "deleted": True,
        "missing": True,
    }


def test_it_fine_tunes_a_model(seen: dict[str, Any]) -> None:
    assert seen["fine_tunes"] == {
        "created": ["pending", "mine"],
        "done": ["completed", True],
        "events": True,
        "cancelled": "cancelled",
        "listed": 2,
    }


def test_it_deploys_a_model_and_asks_it(seen: dict[str, Any]) -> None:
    assert seen["deployments"] == {
        "created": "Pending",
        "early": True,
        "active": "Active",
        "differ": True,
        "demoted": "Inactive",
        "promoted": "Pending",
        "listed": True,
    }


def test_its_asynchronous_half_works_too(seen: dict[str, Any]) -> None:
    assert seen["asynchronous"] in ("pending", "queued", "running")


def test_it_understands_the_errors(seen: dict[str, Any]) -> None:
    assert seen["errors"]["missing"].startswith("InvalidRequestError")
    assert "lost not found" in seen["errors"]["missing"]
    assert seen["errors"]["wrong_key"].startswith("AuthenticationError")
