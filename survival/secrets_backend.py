"""A secrets backend that can fail: connections in a file, which may be missing for a while."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk.bases.secrets_backend import BaseSecretsBackend

CLASSPATH = f"{__name__}.FileBackend"


class FileBackend(BaseSecretsBackend):
    """
    Reads connections from a JSON file, each time anew.

    :param file: path of the file. While it is missing, every lookup fails.
    """

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = Path(file)

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        """
        Return a connection as JSON, ``None`` if there is none of this id.

        :param conn_id: its id.
        :param team_name: ignored.
        """
        value = json.loads(self.file.read_text(encoding="utf-8")).get(conn_id)
        return json.dumps(value) if value else None


class Secrets:
    """
    The file of the backend, and what can happen to it.

    :param file: the file.
    :param connections: the connections by their ids.
    """

    def __init__(self, file: Path, connections: Mapping[str, Mapping[str, Any]]) -> None:
        self.file = file
        self._connections = {conn_id: dict(fields) for conn_id, fields in connections.items()}
        self.restore()

    def set_password(self, password: str) -> None:
        """
        Change the password of all connections.

        :param password: the new password.
        """
        for fields in self._connections.values():
            fields["password"] = password
        self.restore()

    def fail(self) -> None:
        """Let every lookup fail from now on."""
        self.file.unlink()

    def restore(self) -> None:
        """Write the file, in one step."""
        draft = self.file.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(self._connections), encoding="utf-8")
        os.replace(draft, self.file)
