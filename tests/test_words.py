"""The words of CONTRIBUTING.md: names and phrases that were replaced do not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("airflow_provider_nugen", "benchmarks", "demo", "devtools", "docs", "example_dags", "survival", "tests")
TEXTS = (".py", ".md", ".rst", ".toml", ".yml", ".yaml")

#: Phrase: what to write instead.
PHRASES = {
    r"\b(first|last|final|next|each|one|two|every|a) looks?\b|_looks?\b|\blooks?_(?!up)": "poke, poll; lookup",
    r'"""Say\b': "Return, Build, Decide, Read, Log",
    r"\bso (many|much)\b": "the number, with its unit",
    r"\bgo(es|ing)?[ _]on\b|\bwent on\b": "continue",
    r"\b(ours|theirs)\b": "the names of the two sides",
    r"\ba try before\b": "an earlier try",
    r"\b(is|are) none of (a|an|the)\b": "is not a",
    r"\bdo(es)? no harm\b": "it is safe to",
    r"\bhand(s|ed)?[ _]on\b": "push an XCom, pass on",
    r"\bNugen facts\b": "the page of the documentation",
    r"\bnone any more\b|\bended right\b": "no fault, ended correctly",
}
#: Name in code: what it is called now.
NAMES = {
    "World|Seen|saw|cut_off|strikes": "SimulatorState, RequestRecord, record, end_early, matches",
    "Memory|Ending|Note": "WaitState, WaitResult, LogMessage",
    "Reading|refine": "JobStatus, interpret",
    "after_loss|_killer|was_there|still_waited_for": "on_trigger_failure, _cancel_target, known_to_exist",
    "Listed|Choice|choose|own_name|doubtful": "ListedJob, JobMatch, match_job, generated_name, candidates",
    "Pace|paced|pacing": "RateLimiter, eta_interval",
    r"SHORTEST_\w+|LONGEST_\w+|STALL|FRESH|ABSURD|SPREAD": "a name with its unit: MIN_INTERVAL, STALL_TIMEOUT",
    "NotYetError|not_yet|repeatable|error_words": "NotReadyError, not_ready_status, idempotent, error_message",
    "AlignmentCreated|_read_thing|SharedClient": "CreateAlignmentResponse, _read_simple_status, AsyncClient",
    "PEACE|POWERLESS": "NO_FAULT, UNPRIVILEGED_USER",
}


@cache
def texts() -> dict[str, str]:
    """Return what is written by hand, by path."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")] + list(ROOT.iterdir())
    return {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in sorted(paths)
        if path.suffix in TEXTS and "_build" not in path.parts and path != Path(__file__)
    }


@cache
def names() -> list[tuple[str, str]]:
    """Return every name in the code, each with the line it is in."""
    return [found for path, text in texts().items() if path.endswith(".py") for found in _names(path, text)]


def _names(path: str, text: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(text)):
        for field in ("id", "attr", "arg", "name"):
            if isinstance(name := getattr(node, field, None), str):
                yield name, f"{path}:{getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("phrase", PHRASES)
def test_the_words_of_the_field_are_used(phrase: str) -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(phrase, line)
    ]
    assert not found, f"write: {PHRASES[phrase]}"


@pytest.mark.parametrize("replaced", NAMES)
def test_a_name_that_was_replaced_does_not_come_back(replaced: str) -> None:
    found = [f"{where}: {name}" for name, where in names() if re.fullmatch(replaced, name)]
    assert not found, f"call it: {NAMES[replaced]}"
