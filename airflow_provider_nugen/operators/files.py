"""Files to upload: local, or in an object storage that Airflow knows; and which of them are uploaded already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow.sdk import ObjectStoragePath

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.compat import task_state_store
from airflow_provider_nugen.exceptions import InvalidArgumentError, final

if TYPE_CHECKING:
    from airflow.sdk import Context

#: A path on this machine, a URL such as ``s3://conn@bucket/key``, or Airflow's own path object.
LocalOrRemote = str | Path | ObjectStoragePath
#: Where a task keeps what it has uploaded, for its retries (Airflow 3.3 and later).
STORE_KEY = "airflow_provider_nugen.uploads"


def file_list(value: Sequence[LocalOrRemote] | LocalOrRemote, argument: str) -> Sequence[LocalOrRemote]:
    """
    Return files as they come out of arguments, templates and XComs.

    :param value: several files, or one.
    :param argument: the operator's argument, for errors.
    :raises InvalidArgumentError: if there are none, or a template has turned the list into text; final.
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "(")):
        raise final(InvalidArgumentError)(
            f"{argument} is text, not a list: {value!r}. Set render_template_as_native_obj=True on the DAG, so that "
            "templates keep the type of what they render."
        )
    if isinstance(value, (str, Path, ObjectStoragePath)):
        return [value]
    if not isinstance(value, Sequence) or not value:
        raise final(InvalidArgumentError)(
            f"{argument} is {value!r}: pass at least one file; if it comes from an XCom, check that the upstream task "
            "pushed it."
        )
    return value


def open_file(file: LocalOrRemote, argument: str, *, field: str = "files", limit: int | None = None) -> Upload:
    """
    Check a file before anything is sent.

    :param file: the file.
    :param argument: the operator's argument that names it, for errors.
    :param field: the form field to send it in.
    :param limit: the most bytes that the service takes.
    :raises InvalidArgumentError: if there is no such file, or it is empty or too large; final.
    """
    path = _path(file, argument)
    if not exists(file, argument):
        raise final(InvalidArgumentError)(f"{argument}: there is no file {str(file)!r}.")
    size = path.stat().st_size
    if size == 0:
        raise final(InvalidArgumentError)(f"{argument}: {str(file)!r} is empty.")
    if limit is not None and size > limit:
        raise final(InvalidArgumentError)(
            f"{argument}: {str(file)!r} has {size / 10**6:.1f} MB, more than the {limit / 10**6:g} MB that the service "
            "takes. Split it."
        )
    return Upload(field, path.name, lambda: _open(path), size=size)


def exists(file: LocalOrRemote, argument: str) -> bool:
    """
    Return whether there is such a file; parameters as of :func:`open_file`.

    :raises InvalidArgumentError: if it can never be read; final.
    """
    try:
        return bool(_path(file, argument).is_file())
    except ValueError as e:  # no filesystem for this kind of URL
        raise _unreadable(file, argument, e) from None


def file_name(file: LocalOrRemote, argument: str) -> str:
    """Return the name of a file, without folders; parameters as of :func:`open_file`."""
    return str(_path(file, argument).name)


def _path(file: LocalOrRemote, argument: str) -> Path | ObjectStoragePath:
    try:
        return ObjectStoragePath(str(file)) if "://" in str(file) else Path(str(file))
    except ValueError as e:
        raise _unreadable(file, argument, e) from None


def _unreadable(file: LocalOrRemote, argument: str, error: ValueError) -> Exception:
    return final(InvalidArgumentError)(f"{argument}: {str(file)!r} cannot be read: {error}.")


def _open(path: Path | ObjectStoragePath) -> BinaryIO:
    if isinstance(path, ObjectStoragePath):
        # What its own open() returns is a wrapper that HTTP clients do not take for a file.
        return cast(BinaryIO, path.fs.open(path.path, "rb"))
    return path.open("rb")


class UploadRecord:
    """
    What a task has uploaded, by name of the file, kept from try to try.

    Without a task state store (before Airflow 3.3) nothing is kept. A task that was cleared starts anew.

    :param context: the context of the running task.
    """

    def __init__(self, context: Context) -> None:
        self._store = task_state_store(context)
        #: Which tries share the record; clearing the task changes it.
        self._max_tries = context["ti"].max_tries
        stored = None if self._store is None else self._store.get(STORE_KEY)
        if not isinstance(stored, dict) or stored.get("max_tries") != self._max_tries:
            stored = {}
        self.uploads: dict[str, dict[str, Any]] = stored.get("uploads", {})

    def add(self, upload: dict[str, Any]) -> None:
        """
        Keep an upload.

        :param upload: what is known of it; JSON values, with its ``name``.
        """
        if self._store is not None and self.uploads.get(upload["name"]) != upload:
            self.uploads = {**self.uploads, upload["name"]: upload}
            self._store.set(STORE_KEY, {"max_tries": self._max_tries, "uploads": self.uploads})

    def clear(self) -> None:
        """Forget all uploads, so that a retry uploads them again."""
        if self._store is not None:
            self._store.delete(STORE_KEY)
