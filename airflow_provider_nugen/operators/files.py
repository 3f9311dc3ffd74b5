"""Files to upload: local, or in an object storage that Airflow knows."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, cast

from airflow.sdk import ObjectStoragePath

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.compat import AirflowFailException

#: A path on this machine, a URL such as ``s3://conn@bucket/key``, or Airflow's own path object.
LocalOrRemote = str | Path | ObjectStoragePath


def open_file(file: LocalOrRemote, argument: str, *, field: str = "files", limit: int | None = None) -> Upload:
    """
    Check a file before anything is sent.

    :param file: the file.
    :param argument: the operator's argument that names it, for errors.
    :param field: the form field to send it in.
    :param limit: the most bytes that the service takes.
    :raises AirflowFailException: if there is no such file, or it is empty or too large.
    """
    try:
        path = ObjectStoragePath(str(file)) if "://" in str(file) else Path(str(file))
        exists = path.is_file()
    except ValueError as e:  # no filesystem for this kind of URL
        raise AirflowFailException(f"{argument}: {str(file)!r} cannot be read: {e}.") from None
    if not exists:
        raise AirflowFailException(f"{argument}: there is no file {str(file)!r}.")
    size = path.stat().st_size
    if size == 0:
        raise AirflowFailException(f"{argument}: {str(file)!r} is empty.")
    if limit is not None and size > limit:
        raise AirflowFailException(
            f"{argument}: {str(file)!r} has {size / 10**6:.1f} MB, more than the {limit / 10**6:g} MB that the service "
            "takes. Split it."
        )
    return Upload(field, path.name, lambda: _open(path), size=size)


def _open(path: Path | ObjectStoragePath) -> BinaryIO:
    if isinstance(path, ObjectStoragePath):
        # What its own open() returns is a wrapper that HTTP clients do not take for a file.
        return cast(BinaryIO, path.fs.open(path.path, "rb"))
    return path.open("rb")
