"""The console that a command prints its table on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def console_for(table: Table, width: int) -> Console:
    """A console as wide as the terminal, or `width` where there is none, but never so narrow that a number is cut off.

    Sets the least width of the columns of the table that do not wrap.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.measure import Measurement

    for column in table.columns:
        if column.no_wrap:
            column.min_width = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
    console, wide = Console(), Console(width=10_000)
    needed = Measurement.get(wide, wide.options, table).minimum
    return Console(width=max(console.width if console.is_terminal else width, needed))
