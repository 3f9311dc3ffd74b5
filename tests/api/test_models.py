"""How lenient every response model is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_nugen.api.models import Progress, ServiceModel, Timestamp
from airflow_provider_nugen.api.nugen.models import AlignmentStatus
from airflow_provider_nugen.api.response import read_any


class Parcel(ServiceModel):
    """A model with one field of each sort."""

    number: str
    at: Timestamp | None = None
    progress: Progress | None = None
    count: int | None = None
    weight: float | None = None
    fragile: bool | None = None
    marks: list[str] | None = None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-03-05T05:16:01Z", "2026-03-05T05:16:01+00:00"),
        ("2026-03-05 05:16:01.986524", "2026-03-05T05:16:01.986524+00:00"),
        ("2026-03-05T05:16:01", "2026-03-05T05:16:01+00:00"),
        ("2026-03-05T06:16:01+01:00", "2026-03-05T06:16:01+01:00"),
    ],
)
def test_a_timestamp_is_read_in_either_form_and_always_has_a_zone(sent: str, read: str) -> None:
    at = Parcel.read({"number": "p", "at": sent}).at
    assert at is not None
    assert at.isoformat() == read


@pytest.mark.parametrize("sent", [45, 45.5, "45", "5/10 questions", 0])
def test_progress_is_kept_as_sent(sent: Progress) -> None:
    progress = Parcel.read({"number": "p", "progress": sent}).progress
    assert (progress, type(progress)) == (sent, type(sent))


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("at", "yesterday"),
        ("at", {}),
        ("progress", {}),
        ("progress", [1]),
        ("count", "many"),
        ("count", 1.5),
        ("weight", float("nan")),
        ("weight", float("inf")),
        ("weight", 10**400),
        ("fragile", "perhaps"),
        ("marks", "no list"),
        ("marks", ["a", {}]),
    ],
)
def test_a_field_that_contradicts_its_contract_is_read_as_null_and_the_others_are_kept(field: str, sent: Any) -> None:
    good = {"number": "p", "count": 2, "weight": 0.5, "marks": ["a"]}
    parcel = Parcel.read({**good, field: sent})
    assert parcel.model_dump(exclude_none=True) == {name: value for name, value in good.items() if name != field}


@pytest.mark.parametrize("payload", [{}, {"number": None}, {"number": []}, {"number": True}, {"Number": "p"}])
def test_a_missing_required_field_is_an_error_that_names_it(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="field 'number'"):
        Parcel.read({**payload, "count": "many"})


@pytest.mark.parametrize("payload", [None, [], "p", 5, True])
def test_only_an_object_can_be_read(payload: object) -> None:
    with pytest.raises(ValueError, match=f"expected an object, not {type(payload).__name__}"):
        Parcel.read(payload)


def test_unknown_fields_are_ignored_and_numbers_are_taken_as_text() -> None:
    assert Parcel.read({"number": 17, "colour": "red"}).model_dump(exclude_none=True) == {"number": "17"}


def test_reading_leaves_the_payload_alone() -> None:
    payload = {"number": "p", "count": "many", "at": None}
    Parcel.read(payload)
    assert payload == {"number": "p", "count": "many", "at": None}


@pytest.mark.parametrize("payload", [None, {"models": []}, [1], "x"])
def test_where_only_the_status_matters_any_json_will_do(payload: object) -> None:
    assert read_any(payload) == payload


class Box(ServiceModel):
    """A model that holds others."""

    parcel: Parcel | None = None
    parcels: list[Parcel] | None = None


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        (Parcel, {"number": "p", "marks": [{}] * 1000}),
        (Box, {"parcel": {"number": "p", "marks": [{}] * 1000}}),
        (Box, {"parcels": [1] * 1000}),
        (AlignmentStatus, {"status": "READY", "document_ids": [{}] * 1000}),
    ],
)
def test_a_list_of_the_wrong_items_is_one_error_not_one_for_each(model: type[ServiceModel], sent: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(sent)
    assert caught.value.error_count() == 1
    scalars = {name: value for name, value in sent.items() if isinstance(value, str)}
    assert model.read(sent) == model.read(scalars)
