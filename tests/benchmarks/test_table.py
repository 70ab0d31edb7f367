"""Tables of made-up rows."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks import table
from benchmarks.measure import Row


def text_of(rendered: Table) -> str:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(rendered)
    return captured.get()


def line(text: str, *words: str) -> list[str]:
    """Returns the words of the only line that contains all `words`."""
    (match,) = [row for row in text.splitlines() if all(word in row for word in words)]
    return match.split()


ROWS: list[Row] = [
    {"work": "a", "implementation": "imgloc", "setting": "box", "median_ms": 1234.5, "low_ms": 1200.0, "high_ms": 1300.0, "ratio": 1.0},
    {"work": "a", "implementation": "linen", "setting": "box", "median_ms": 2469.0, "low_ms": 2400.0, "high_ms": 2500.0, "ratio": 0.5},
    {"work": "a", "implementation": "torch_compiled", "setting": "box", "median_ms": None, "ratio": None, "reason": "no C++ compiler"},
    {"work": "b", "implementation": "torch_eager", "setting": "tuned", "median_ms": 3.14159, "low_ms": 3.0, "high_ms": 31.0, "ratio": None},
]
for _row in ROWS:
    _row |= {"gflop": 100.0, "floor_ms": 617.25, "share_of_peak": 617.25 / _row["median_ms"] if _row["median_ms"] else None}
ROWS[3] |= {"gflop": None, "floor_ms": None, "share_of_peak": None}


def test_every_row_is_a_line_with_its_spread_and_ratio() -> None:
    text = text_of(table.step_table(ROWS, "this machine"))
    assert text.splitlines()[0].strip() == "this machine"
    assert line(text, "imgloc", "50%") == ["a", "imgloc", "box", "1,234", "1,200", "to", "1,300", "1.00", "50%"]
    assert line(text, "linen", "25%")[-2:] == ["0.50", "25%"]
    unavailable = text_of(table.step_table([{**ROWS[2], "reason": "has no such cell"}], ""))
    assert line(unavailable, "torch_compiled") == ["a", "torch_compiled", "box", "-", "has", "no", "such", "cell", "-", "-"]
    assert "does not run: no C++ compiler" in " ".join(line(text, "torch_compiled"))
    assert line(text, "torch_eager") == ["b", "torch_eager", "tuned", "3.14", "3.00", "to", "31.0", "-", "-"]


def test_the_floor_is_compared_with_imgloc_and_the_fastest() -> None:
    text = text_of(table.floor_table(ROWS, 162.0))
    assert "162 GFLOP/s" in text
    assert line(text, "100.00") == ["a", "100.00", "617", "2.0", "2.0", "imgloc,", "box"]
    assert not [row for row in text.splitlines() if row.startswith(" b")]


def test_feeding_and_start_have_tables() -> None:
    row = {"work": "fed", "median_ms": 20.0, "low_ms": 19.0, "high_ms": 21.0, "images_per_second": 3200.0, "against": "lstm_28",
           "needed_images_per_second": 1600.0, "ratio": 0.5, "waiting_share": 0.0123}  # fmt: skip
    cells = line(text_of(table.feeding_table([row], "")), "lstm_28")
    assert cells == ["fed", "20.0", "19.0", "to", "21.0", "3,200", "lstm_28", "1,600", "0.50", "1.2%"]
    incomparable = {**row, "needed_images_per_second": None, "ratio": None}
    del incomparable["waiting_share"]
    assert line(text_of(table.feeding_table([incomparable], "")), "lstm_28")[-3:] == ["-", "-", "-"]
    started = {"work": "help", "median_ms": 250.0, "low_ms": 240.0, "high_ms": 1260.0}
    assert line(text_of(table.start_table([started], "")), "--help") == ["imgloc", "--help", "0.25", "0.24", "to", "1.26"]


@pytest.mark.parametrize(("value", "expected"), [(None, "-"), (0.0123, "0.01"), (9.99, "9.99"), (10.0, "10.0"), (4321.4, "4,321")])
def test_milliseconds_have_three_significant_digits(value: float | None, expected: str) -> None:
    assert table.milliseconds(value) == expected
