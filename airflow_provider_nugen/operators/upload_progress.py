"""How far the upload of files is, for the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO, cast

from airflow_provider_nugen.api.endpoint import Upload

#: Seconds between two lines about the progress of an upload.
PROGRESS_INTERVAL = 10.0


class UploadProgress:
    """
    Tells the log how far an upload is, at most every :data:`PROGRESS_INTERVAL` seconds.

    :param total: bytes of all files.
    :param log: where to tell it.
    """

    def __init__(self, total: int, log: Any = None) -> None:
        self._total = total
        self._log = log or logging.getLogger(__name__)
        self._sent = 0
        self._began = self._told = time.monotonic()

    def watch(self, upload: Upload) -> Upload:
        """Return the same upload, whose reading is watched."""
        return replace(upload, open=lambda: cast(BinaryIO, _Watched(upload.open(), self.add)))

    def add(self, count: int) -> None:
        """Count bytes that are sent, or, negative, that are to be sent once more."""
        self._sent += count
        now = time.monotonic()
        if now - self._told < PROGRESS_INTERVAL:
            return
        self._told = now
        rate = self._sent / (now - self._began)
        self._log.info(
            "Uploaded %.1f of %.1f MB (%.0f %%), %.2f MB/s.",
            self._sent / 10**6,
            self._total / 10**6,
            100 * self._sent / self._total,
            rate / 10**6,
        )


class _Watched:
    """A file that tells how much of it is read, from wherever it was last put to."""

    def __init__(self, file: BinaryIO, add: Callable[[int], None]) -> None:
        self._file = file
        self._add = add
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._read += len(data)
        self._add(len(data))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._add(-self._read)
        self._read = 0
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
