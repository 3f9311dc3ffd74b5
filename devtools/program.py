"""What the demo and the survival suite do as programs: read and write UTF-8, and end in order on a signal."""

from __future__ import annotations

import io
import locale
import os
import signal
import sys
from pathlib import Path
from types import FrameType

PROJECT = Path(__file__).parent.parent


class Stopped(BaseException):
    """A signal asked this program to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def use_utf8() -> None:
    """
    Start this program again in Python's UTF-8 mode, unless it runs in that mode.

    Airflow reads its own files in the encoding of the locale, and the paths of this program go into files that are
    UTF-8. The terminal keeps the encoding of the locale; what it cannot show becomes a question mark.
    """
    # With "-X utf8=0" the variable has no effect, and would have none the next time.
    if not sys.flags.utf8_mode and os.environ.get("PYTHONUTF8") != "1":
        # Not sys.argv, which has lost the "-m module".
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONUTF8": "1"})  # noqa: S606
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=locale.getencoding(), errors="replace")


def raise_on_signals() -> None:
    """Let the signals that end a program raise :class:`Stopped`, once."""
    signals = [
        sig
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # Ignored on purpose: nohup.
        if signal.getsignal(sig) is not signal.SIG_IGN
    ]

    def stop(signum: int, frame: FrameType | None) -> None:
        # An impatient second Ctrl-C must not interrupt the cleaning up.
        for sig in signals:
            signal.signal(sig, signal.SIG_IGN)
        raise Stopped(signum)

    for sig in signals:
        signal.signal(sig, stop)
