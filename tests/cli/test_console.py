"""Tables of commands in terminals of any width."""

from __future__ import annotations

import io

import pytest
import rich.console
from rich.table import Table

from imgloc.cli.console import console_for


@pytest.mark.parametrize("columns", [20, 60, 200])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_number_is_cut_off(monkeypatch: pytest.MonkeyPatch, columns: int, is_terminal: bool) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(is_terminal)))
    table = Table("a long name of a configuration with several words")
    table.add_column("metric", justify="right", no_wrap=True)
    table.add_column("other", justify="right", no_wrap=True)
    table.add_row("x", "0.123 [0.100, 0.200]", "0.456 [0.400, 0.500]")
    console = console_for(table, 120)
    console.file = io.StringIO()
    console.print(table)
    assert isinstance(console, rich.console.Console)
    for cell in ("0.123 [0.100, 0.200]", "0.456 [0.400, 0.500]", "metric", "other"):
        assert cell in console.file.getvalue()
    assert console.width >= (columns if is_terminal else 120)
