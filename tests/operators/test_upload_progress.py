"""How far an upload is, in the log."""

from __future__ import annotations

import io
import logging
import time
from contextlib import closing

import pytest

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.operators import upload_progress


def test_the_progress_of_a_long_upload_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = upload_progress.UploadProgress(40 * 10**6, logging.getLogger("upload"))
    upload = progress.watch(Upload("files", "a.md", lambda: io.BytesIO(b"x" * 1000)))
    with caplog.at_level(logging.INFO, "upload"), closing(upload.open()) as file:
        assert (len(file.read(1000)), file.tell()) == (1000, 1000)
        file.seek(0)  # sent once more: what was sent before does not count
        for _ in range(40):
            now[0] += 1
            progress.add(10**6)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert lines[1] == "Uploaded 20.0 of 40.0 MB (50 %), 1.00 MB/s."
