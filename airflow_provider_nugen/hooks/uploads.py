"""Files that a hook's own methods upload: paths of this machine."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from pathlib import Path

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.api.errors import InvalidInputError
from airflow_provider_nugen.api.nugen.benchmark import FIELDS, read_benchmark, write_benchmark


def file_to_upload(file: str | Path, field: str = "files") -> Upload:
    """
    Return what is sent of a file.

    :param file: its path.
    :param field: the form field to send it in.
    :raises InvalidInputError: if there is no such file, or it is empty.
    """
    path = Path(file)
    if not path.is_file():
        raise InvalidInputError(f"there is no file {str(path)!r}.")
    if not (size := path.stat().st_size):
        raise InvalidInputError(f"the file {str(path)!r} is empty.")
    return Upload(field, path.name, lambda: path.open("rb"), size=size)


def benchmark_to_upload(file: str | Path) -> list[Upload]:
    """
    Return what is sent of the file of a benchmark: in the names of each API revision, of which one is sent.

    :param file: its path.
    :raises InvalidInputError: if it is not a benchmark.
    """
    upload = file_to_upload(file, "file")
    try:
        items = read_benchmark(Path(file).read_bytes())
    except ValueError as e:
        raise InvalidInputError(f"the file {upload.name!r} is not a benchmark: {e}.") from None
    return [
        Upload("file", upload.name, partial(BytesIO, write_benchmark(items, revision)), revision) for revision in FIELDS
    ]
