"""The file of a benchmark, in the names of each API revision (``docs/nugen-api.rst``, "Benchmark file")."""

from __future__ import annotations

import json
from typing import Any

#: The names of an item's number, question and answer, by API revision.
FIELDS = {
    "B": ("question_num", "question", "answer"),
    "C": ("sample_num", "instruction", "response"),
}


def read_benchmark(content: bytes) -> list[dict[str, Any]]:
    """
    Read and check the content of a benchmark file, in the names of either revision.

    :param content: the file, a JSON array of objects.
    :return: the items in revision B's names; what else an item has is kept, and a number is not demanded.
    :raises ValueError: naming the first item that the service would refuse.
    """
    try:
        items = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(items, list) or not items:
        raise ValueError("it must be a JSON array with at least one question")
    return [_read_item(number, item) for number, item in enumerate(items, 1)]


def _read_item(number: int, item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ValueError(f"item {number} is not an object")
    renamed = dict(item)
    for name_b, name_c in zip(FIELDS["B"], FIELDS["C"], strict=True):
        if name_c in renamed and name_b not in renamed:
            renamed[name_b] = renamed.pop(name_c)
    for name_b, name_c in list(zip(FIELDS["B"], FIELDS["C"], strict=True))[1:]:
        if name_b not in renamed:
            raise ValueError(f"item {number} has no {name_b!r} (in the names of API revision C {name_c!r})")
    return renamed


def write_benchmark(items: list[dict[str, Any]], revision: str) -> bytes:
    """
    Write a benchmark file in the names of an API revision.

    :param items: the items, as :func:`read_benchmark` returned them.
    :param revision: the API revision. In C each item gets a number, since it is not known whether C demands one.
    """
    if revision == "C":
        names = dict(zip(FIELDS["B"], FIELDS["C"], strict=True))
        items = [
            {"sample_num": number, **{names.get(name, name): value for name, value in item.items()}}
            for number, item in enumerate(items, 1)
        ]
    return json.dumps(items).encode()
