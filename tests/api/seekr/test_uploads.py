"""Which files SeekrFlow takes, how they are sent together, and how they are found again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.api.seekr.models import File
from airflow_provider_nugen.api.seekr.uploads import (
    MAX_BATCH_BYTES,
    MAX_BATCH_FILES,
    OwnFile,
    assign,
    batches,
    check_samples,
    check_type,
    match_files,
)

SENT = 1767323045.0  # 2026-01-02T03:04:05Z
OWN = OwnFile("a.md", 7)


def listed(**fields: Any) -> File:
    return File.read(
        {
            "id": "f-1",
            "filename": "a.md",
            "bytes": 7,
            "purpose": "alignment",
            "created_at": "2026-01-02T03:04:06Z",
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("name", "purpose", "is_taken"),
    [
        ("a.md", "alignment", True),
        ("A.PDF", "alignment", True),
        ("a.b.docx", "alignment", True),
        ("a.parquet", "alignment", False),
        ("a.parquet", "pre-train", True),
        ("a.md", "fine-tune", False),
        ("a.jsonl", "alignment", True),
        ("a.jsonl", "preference-fine-tune", True),
        ("md", "alignment", False),
        ("a.", "alignment", False),
    ],
)
def test_types(name: str, purpose: str, is_taken: bool) -> None:
    if is_taken:
        check_type(name, purpose)
    else:
        with pytest.raises(ValueError, match=rf"'{name}'.*'{purpose}'"):
            check_type(name, purpose)


def test_samples_are_counted_and_no_more_of_the_file_is_read_than_needed() -> None:
    def endless() -> Iterator[bytes]:
        for number in range(200):
            assert number <= 100, "read on"
            yield b'{"messages": []}\n'

    check_samples("a.jsonl", endless(), 100)
    with pytest.raises(ValueError, match=r"'a.jsonl' has 60 samples; at least 100 are needed"):
        check_samples("a.jsonl", [b"{}\n", b"\n"] * 60, 100)
    for line in (b"[]\n", b"{\n", b"\xff\n"):
        with pytest.raises(ValueError, match=r"line 2 of 'a.jsonl' is not a JSON object"):
            check_samples("a.jsonl", [b"{}\n", line], 100)


@given(st.lists(st.integers(1, 2 * MAX_BATCH_BYTES), max_size=40))
def test_no_file_is_lost_and_no_request_too_large(sizes: list[int]) -> None:
    files = [OwnFile(f"{number}.md", size) for number, size in enumerate(sizes)]
    groups = batches(files)
    assert [file for group in groups for file in group] == files
    assert all(len(group) == 1 or sum(file.size for file in group) <= MAX_BATCH_BYTES for group in groups)


def test_small_files_save_requests() -> None:
    files = [OwnFile(f"{number}.md", 10) for number in range(MAX_BATCH_FILES + 1)]
    assert [len(group) for group in batches(files)] == [MAX_BATCH_FILES, 1]


@pytest.mark.parametrize(
    ("fields", "is_own"),
    [
        ({}, True),
        ({"filename": "b.md"}, False),
        ({"bytes": 8}, False),
        ({"bytes": None}, True),
        ({"purpose": "fine-tune"}, False),
        ({"purpose": None}, True),
        ({"created_at": "2026-01-02T03:01:00Z"}, False),
        ({"created_at": "2026-01-02T03:03:00Z"}, True),
        ({"created_at": None}, True),
        ({"id": "other"}, False),
    ],
)
def test_a_file_is_found_by_name_size_purpose_and_time(fields: dict[str, Any], is_own: bool) -> None:
    file = listed(**fields)
    found = match_files([OWN], [file], "alignment", not_before=SENT, others=["other"])
    assert found == ({OWN.key: [file]} if is_own else {})


def test_two_that_fit_are_both_named() -> None:
    found = match_files([OWN], [listed(), listed(id="f-2")], "alignment", not_before=None)
    assert [file.id for file in found[OWN.key]] == ["f-1", "f-2"]


def test_ids_of_a_request_are_told_by_name_in_any_order() -> None:
    files = [OwnFile("a.md", 7), OwnFile("b.md", 7), OwnFile("c.md", 7)]
    answer = [listed(id=f"f-{name}", filename=f"{name}.md") for name in "cab"]
    answer[0] = listed(id="f-c", filename="c.md", bytes=None)
    assert assign(files, answer) == {file.key: f"f-{file.name[0]}" for file in files}


def test_without_names_the_order_counts_and_a_single_file_is_the_one() -> None:
    files = [OwnFile("a.md", 7), OwnFile("b.md", 7)]
    answer = [listed(id=f"f-{number}", filename=None) for number in range(2)]
    assert assign(files, answer) == {files[0].key: "f-0", files[1].key: "f-1"}
    assert assign([OWN], [listed(filename="renamed.md")]) == {OWN.key: "f-1"}


@pytest.mark.parametrize("answer", [[], [listed()], [listed(), listed(id="f-2", filename="c.md")]])
def test_an_answer_that_lacks_a_file_is_refused(answer: list[File]) -> None:
    with pytest.raises(ValueError, match="no id for"):
        assign([OWN, OwnFile("b.md", 7)], answer)
