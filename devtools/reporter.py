"""What programs print: one line per event, with the seconds since the start, and longer texts."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text


class Reporter:
    """Prints, with the seconds since its own start."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=140)
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def say(self, source: str, text: str) -> None:
        """
        Print one line.

        :param source: who or what it is about.
        :param text: what happened.
        """
        self.console.print(Text(f"[{self.elapsed:6.1f} s] {source:<50} {text}"), soft_wrap=True)

    def block(self, title: str, text: str) -> None:
        """
        Print a longer text, a log for instance.

        :param title: what it is.
        :param text: the text.
        """
        self.console.print(Text(f"\n--- {title} ---\n{text}\n"), soft_wrap=True)

    def notes(self, facts: Mapping[str, str]) -> None:
        """
        Print facts, one per line.

        :param facts: their names and values.
        """
        self.console.print()
        for name, value in facts.items():
            self.console.print(Text(f"{name + ':':<12}{value}"), soft_wrap=True)
