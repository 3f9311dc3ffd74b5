"""Whether a base model can be aligned is read before it is paid for; only what the list proves stops an alignment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from requests_mock import Mocker

from airflow_provider_nugen.exceptions import InvalidArgumentError
from airflow_provider_nugen.operators.nugen import CreateAlignmentOperator

HOST = "https://nugen.example"


def models(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Return a list of base models as the service has it."""
    return [{"model_id": f"m-{n}", "alignment_ready": True, **fields} for n in range(count)]


@pytest.fixture
def check(connection: Callable[..., str], requests_mock: Mocker) -> Callable[..., None]:
    """Check a base model against a list."""
    connection("nugen", host=HOST)

    def run(base_model: str, listed: list[dict[str, Any]]) -> None:
        requests_mock.get(f"{HOST}/api/v3/models/base", json={"models": listed})
        CreateAlignmentOperator(task_id="t", base_model=base_model, document_ids=["d"]).check_before_paying()

    return run


@pytest.mark.parametrize("count", [3, 10, 50])
def test_a_model_that_is_listed_as_not_alignable_stops(check: Callable[..., None], count: int) -> None:
    listed = [*models(count), {"model_id": "mine", "alignment_ready": False}]
    with pytest.raises(InvalidArgumentError, match=r"'mine' cannot be aligned .*Nugen can align: 'm-0'"):
        check("mine", listed)


def test_a_model_that_a_short_list_lacks_stops(check: Callable[..., None]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'mine' cannot be aligned"):
        check("mine", models(9))


@pytest.mark.parametrize("count", [10, 20, 25, 50, 100])
def test_a_list_that_may_be_cut_proves_no_absence(check: Callable[..., None], logs: Any, count: int) -> None:
    check("mine", models(count))
    assert any("'mine' is not among" in line and "'m-0'" in line for line in logs.at("warning"))


def test_a_list_that_says_nothing_of_alignments_proves_nothing(check: Callable[..., None], logs: Any) -> None:
    for base_model in ("mine", "m-1"):
        check(base_model, models(3, alignment_ready=None))
    assert logs.at("error") == []
