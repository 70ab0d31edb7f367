"""Rows as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.works import NO_SUCH_CELL, NOT_WRITTEN

COLUMNS = ("work", "implementation", "setting", "median ms", "lowest to highest", "ratio", "of peak")
CAPTION = """\
median over processes of each one's median; lowest to highest of these
ratio: imgloc's time to that implementation's, same setting (below 1: imgloc is faster)
box: each as it comes, imgloc tunes itself; tuned: all with imgloc's allocator settings, linen with its compiler options too
of peak: share of the measured matrix-product rate that the work's multiplications and additions reach"""
FEEDING_CAPTION = """\
batch: making one, nothing else done; fed: a step in a loop that makes its data ahead; ratio: that time to a step's alone
(for a batch: at most 1 keeps up); waiting: share of a step spent waiting for data"""


READING_CAPTION = """\
batches of 64 read from JPEG files, decoded, cropped at random, flipped, coloured; as many threads or workers as cores
torch_pillow: DataLoader, torchvision's transforms on Pillow's pictures; torch_tensors: imgloc's decoder, transforms v2 on uint8 tensors
decode_: decoding alone, in one thread
ratio: the quickest imgloc's images a second to that implementation's (above 1: imgloc is faster)"""


def milliseconds(value: float | None) -> str:
    """Three digits, more before the point where there are."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def step_table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Time, spread, ratio and share of the peak of every row; the reason where there is no time."""
    table = _empty(title, CAPTION, COLUMNS)
    for i, row in enumerate(rows):
        if "reason" in row:
            lacks = row["reason"] in (NO_SUCH_CELL, NOT_WRITTEN)
            cells = ["-", row["reason"] if lacks else "does not run: " + row["reason"][:60], "-", "-"]
        else:
            share = row.get("share_of_peak")
            cells = [milliseconds(row["median_ms"]), spread(row), ratio(row), "-" if share is None else f"{share:.0%}"]
        last = i + 1 == len(rows) or rows[i + 1]["work"] != row["work"]
        table.add_row(row["work"], row["implementation"], row["setting"], *cells, end_section=last)
    return table


def floor_table(rows: Sequence[Mapping[str, Any]], peak_gflops: float) -> Table:
    """Of each work: its arithmetic, its floor at the measured rate, and how far imgloc and the fastest are from it."""
    title = f"floor: the arithmetic at the measured matrix-product rate, {peak_gflops:,.0f} GFLOP/s"
    caption = "arithmetic: matrix products and convolutions of the model on plain linen layers, counted from its jaxpr"
    table = _empty(title, caption, ("work", "GFLOP", "floor ms", "imgloc / floor", "fastest / floor", "fastest"))
    for name in dict.fromkeys(row["work"] for row in rows):
        done = [row for row in rows if row["work"] == name and row["median_ms"]]
        if not done or not done[0]["floor_ms"]:
            continue
        floor = done[0]["floor_ms"]
        ours = min((row["median_ms"] for row in done if row["implementation"] == "imgloc"), default=None)
        best = min(done, key=lambda row: float(row["median_ms"]))
        cells = [f"{done[0]['gflop']:,.2f}", milliseconds(floor), f"{ours / floor:.1f}" if ours else "-"]
        table.add_row(name, *cells, f"{best['median_ms'] / floor:.1f}", f"{best['implementation']}, {best['setting']}")
    return table


def feeding_table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Time, images a second, what they are held against, and the share of a step spent waiting."""
    columns = ("work", "median ms", "lowest to highest", "images/s", "needed by", "images/s needed", "ratio", "waiting")
    table = _empty(title, FEEDING_CAPTION, columns)
    for row in rows:
        needed, waiting = row["needed_images_per_second"], row.get("waiting_share")
        cells = [milliseconds(row["median_ms"]), spread(row), f"{row['images_per_second']:,.0f}", row["against"]]
        cells += [f"{needed:,.0f}" if needed else "-", ratio(row), "-" if waiting is None else f"{waiting:.1%}"]
        table.add_row(row["work"], *cells)
    return table


def reading_table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Images a second of each implementation, and imgloc's to theirs."""
    table = _empty(title, READING_CAPTION, ("work", "implementation", "ms a batch", "lowest to highest", "images/s", "ratio"))
    for i, row in enumerate(rows):
        if "reason" in row:
            cells = ["-", "does not run: " + row["reason"][:60], "-", "-"]
        else:
            cells = [milliseconds(row["median_ms"]), spread(row), f"{row['images_per_second']:,.0f}", ratio(row)]
        last = i + 1 == len(rows) or rows[i + 1]["work"] != row["work"]
        table.add_row(row["work"], row["implementation"], *cells, end_section=last)
    return table


def start_table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Seconds of each command."""
    what = {
        "help": "imgloc --help",
        "train_cold": "imgloc train to its first step, nothing kept",
        "train_warm": "the same, compiled programs kept",
    }
    table = _empty(title, "", ("command", "median s", "lowest to highest"))
    for row in rows:
        low, high = row["low_ms"] / 1e3, row["high_ms"] / 1e3
        table.add_row(what[row["work"]], f"{row['median_ms'] / 1e3:.2f}", f"{low:.2f} to {high:.2f}")
    return table


def spread(row: Mapping[str, Any]) -> str:
    """Lowest to highest of the processes."""
    return f"{milliseconds(row['low_ms'])} to {milliseconds(row['high_ms'])}"


def ratio(row: Mapping[str, Any]) -> str:
    """Two digits after the point."""
    return "-" if row["ratio"] is None else f"{row['ratio']:.2f}"


def _empty(title: str, caption: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.title_justify = table.caption_justify = "left"
    words = {"work", "implementation", "setting", "command", "fastest", "needed by"}
    for name in columns:
        table.add_column(name, justify="left" if name in words else "right")
    return table
