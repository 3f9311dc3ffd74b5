"""
Files of SeekrFlow: what it takes, how many go into one request, and which of those that are there are the task's own.

Sources: the SeekrFlow page of the documentation, section "Files". Pure.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_nugen.api.seekr.models import File


_TRAINING = ("jsonl", "parquet", "pt")
#: The purposes, and the types of file that each takes.
TYPES: dict[str, tuple[str, ...]] = {
    "alignment": (
        *("html", "md", "rst", "rtf", "txt", "xml", "json", "jsonl", "csv", "doc", "docx", "pdf", "ppt", "pptx"),
    ),
    "fine-tune": _TRAINING,
    "preference-fine-tune": _TRAINING,
    "reinforcement-fine-tune": _TRAINING,
    "pre-train": _TRAINING,
}
#: The most bytes of a file: 4 GB, taken generously.
MAX_BYTES = 4 * 2**30
#: The fewest samples of a file for fine-tuning.
MIN_SAMPLES = 100
#: The most bytes, and the most files, of one request for several files: what is larger goes alone.
MAX_BATCH_BYTES = 64 * 2**20
MAX_BATCH_FILES = 50
#: The clocks of the service and of the workers may differ by this many seconds.
CLOCK_SKEW = 120.0


class OwnFile(NamedTuple):
    """
    A file that is to be uploaded.

    :param name: its name, without folders.
    :param size: its size in bytes.
    """

    name: str
    size: int

    @property
    def key(self) -> str:
        """What tells it from the other files of a task."""
        return f"{self.size} {self.name}"

    @classmethod
    def of(cls, key: str) -> OwnFile:
        """Return the file of a key."""
        size, _, name = key.partition(" ")
        return cls(name, int(size))


def check_type(name: str, purpose: str) -> None:
    """
    Check the type of a file, which its name ends with.

    :raises ValueError: if files of this type are not taken for the purpose.
    """
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    if suffix not in TYPES[purpose]:
        allowed = ", ".join(TYPES[purpose])
        raise ValueError(f"{name!r} is not of a type that purpose {purpose!r} allows ({allowed})")


def check_samples(name: str, lines: Iterable[bytes], least: int) -> None:
    """
    Check that a JSONL file has samples enough; no more lines are read than needed.

    :param name: the file's name, for the error.
    :param lines: its lines.
    :param least: the fewest samples.
    :raises ValueError: if there are fewer, or one of these lines is not a JSON object.
    """
    samples = 0
    for number, line in enumerate(lines, 1):
        if samples >= least:
            return
        if not line.strip():
            continue
        try:
            sample = json.loads(line)
        except (ValueError, RecursionError):
            sample = None
        if not isinstance(sample, dict):
            raise ValueError(f"line {number} of {name!r} is not a JSON object: a sample is one object a line")
        samples += 1
    if samples < least:
        raise ValueError(f"{name!r} has {samples} samples; at least {least} are needed")


def batches(files: Iterable[OwnFile]) -> list[list[OwnFile]]:
    """Group files into requests: small ones together, in order, large ones alone."""
    groups: list[list[OwnFile]] = []
    left = 0
    for file in files:
        if groups and file.size <= left and len(groups[-1]) < MAX_BATCH_FILES:
            groups[-1].append(file)
        else:
            groups.append([file])
            left = MAX_BATCH_BYTES
        left -= file.size
    return groups


def match_files(
    wanted: Iterable[OwnFile],
    listed: Iterable[File],
    purpose: str,
    *,
    not_before: float | None,
    others: Collection[str] = (),
) -> dict[str, list[File]]:
    """
    Find the files of a task among those that are listed, by name, size, purpose and time.

    :param wanted: the files.
    :param listed: what the service lists.
    :param purpose: the purpose that they are uploaded for.
    :param not_before: when the first request was sent, in epoch seconds, if that is known.
    :param others: ids of files that are certainly others: they were there before.
    :return: the candidates by the key of the file; files without any are left out.
    """
    found: dict[str, list[File]] = {}
    by_name: dict[str | None, list[File]] = {}
    for file in listed:
        by_name.setdefault(file.filename, []).append(file)
    for own in wanted:
        candidates = [
            file
            for file in by_name.get(own.name, ())
            if file.id not in others
            and file.bytes in (None, own.size)
            and file.purpose in (None, purpose)
            and (
                not_before is None or file.created_at is None or file.created_at.timestamp() >= not_before - CLOCK_SKEW
            )
        ]
        if candidates:
            found[own.key] = candidates
    return found


def assign(uploaded: Sequence[OwnFile], answered: Sequence[File]) -> dict[str, str]:
    """
    Return the id of each file of a request.

    :param uploaded: the files, in the order of the request.
    :param answered: what the service answered. Whether it keeps the order is not established, so names decide; where
        there are none, the order does.
    :return: the ids by the keys of the files.
    :raises ValueError: if they do not belong together.
    """
    if len(uploaded) == len(answered) and (len(answered) == 1 or all(file.filename is None for file in answered)):
        return {own.key: file.id for own, file in zip(uploaded, answered, strict=True)}
    ids = {(file.filename, file.bytes): file.id for file in answered}
    names = {file.filename: file.id for file in answered if file.bytes is None}
    assigned = {own.key: ids.get((own.name, own.size)) or names.get(own.name) for own in uploaded}
    if missing := [own.name for own in uploaded if assigned[own.key] is None]:
        raise ValueError(f"the answer has no id for {', '.join(map(repr, missing))}")
    return {key: file_id for key, file_id in assigned.items() if file_id is not None}
