"""Processes of the benchmark's own, which never outlive it, and a certificate for one of them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import IO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.samples import Sample

_PROJECT = Path(__file__).parent.parent
_PAGE = os.sysconf("SC_PAGE_SIZE")


class ChildDied(RuntimeError):
    """A process that should run has ended; the message has the end of what it said."""


class Child:
    """
    A running process.

    :param process: the process.
    :param errors: where it writes standard error to.
    """

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self.samples: list[Sample] = []
        self._process = process
        self._errors = errors

    @property
    def memory(self) -> int:
        """Resident memory, in bytes."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE

    def pin(self, core: int) -> None:
        """Let it run on one processor core only."""
        os.sched_setaffinity(self._process.pid, {core})

    def check(self) -> None:
        """Raise :class:`ChildDied` unless it runs."""
        if self._process.returncode is not None:
            self._errors.seek(0)
            raise ChildDied(self._errors.read().decode(errors="replace")[-2000:])

    async def read(self) -> None:
        """Collect its samples until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.endswith(b"}\n"):
                self.samples.append(json.loads(line))


@contextlib.asynccontextmanager
async def run_child(
    module: str, *arguments: str, stdin: IO[bytes] | int, pass_fds: Collection[int] = ()
) -> AsyncIterator[Child]:
    """
    Run a module of ours for the time of a ``with`` block.

    :param module: its name.
    :param arguments: its arguments.
    :param stdin: its standard input.
    :param pass_fds: further file descriptors that it gets.
    """
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            pass_fds=tuple(pass_fds),
            cwd=_PROJECT,
            # Ctrl-C in the terminal must reach the benchmark only, which then ends its processes in order.
            start_new_session=True,
        )
        child = Child(process, errors)
        reading = asyncio.create_task(child.read())
        try:
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await reading


def make_certificate(path: Path) -> None:
    """Write a certificate for 127.0.0.1, signed by itself, and its key into one file."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, private_key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private_key, hashes.SHA256())
    )
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
