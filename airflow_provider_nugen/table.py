"""Tables for the log."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

#: Characters of a line.
WIDTH = 120


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    Return a table as text.

    :param columns: the names of the columns.
    :param rows: the cells of each row; long ones are wrapped.
    """
    # Loaded only now: a DAG file need not pay for it.
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    console = Console(width=WIDTH, color_system=None, file=io.StringIO(), markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()
