"""Tables of rows for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.measure import Row
from benchmarks.works import NO_SUCH_CELL, NO_SUCH_MODEL

UNSTEADY = """\
busy: other programs used more than 15 % of the cores; spread: the processes differ by more than a third; such times have no ratio"""
COLUMNS = ("work", "implementation", "setting", "median ms", "lowest to highest", "ratio", "of peak")
CAPTION = """\
median over processes of their medians; lowest to highest of these
ratio: imgloc's time divided by that implementation's in the same setting (below 1: imgloc is faster)
box: out of the box, imgloc tunes itself; tuned: all with imgloc's allocator settings, linen also with its compiler options
of peak: share of the measured matrix-product rate that the work's multiplications and additions reach"""
FEEDING_CAPTION = """\
batch: making one batch alone; fed: a step in a loop that makes its data ahead; ratio: that time divided by the time of a step alone
(for a batch, at most 1 keeps up); waiting: share of a step spent waiting for data"""
READING_CAPTION = """\
batches of 64 read from JPEG files, decoded, randomly cropped, flipped, color-jittered; as many threads or workers as cores
torch_pillow: DataLoader, torchvision's transforms on Pillow images; torch_tensors: imgloc's decoder, transforms v2 on uint8 tensors
decode_: decoding alone, in one thread
ratio: images per second of the fastest imgloc divided by that implementation's (above 1: imgloc is faster)"""


def milliseconds(value: float | None) -> str:
    """Returns a time with three significant digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def step_table(rows: Sequence[Row], title: str) -> Table:
    """Returns the table of time, range, ratio and share of the peak of every row, or the reason why it has no time."""
    table = _empty(title, f"{CAPTION}\n{UNSTEADY}", COLUMNS)
    for i, row in enumerate(rows):
        if "reason" in row:
            missing = row["reason"] in (NO_SUCH_CELL, NO_SUCH_MODEL)
            cells = ["-", row["reason"] if missing else "does not run: " + row["reason"][:60], "-", "-"]
        else:
            share = row.get("share_of_peak")
            cells = [milliseconds(row["median_ms"]), spread(row), ratio(row), "-" if share is None else f"{share:.0%}"]
        table.add_row(row["work"], row["implementation"], row["setting"], *cells, end_section=_is_last_of_work(rows, i))
    return table


def floor_table(rows: Sequence[Row], peak_gflops: float) -> Table:
    """Returns the table of each work's arithmetic, its time at the measured rate (the floor), and the times of imgloc and the fastest."""
    title = f"floor: the arithmetic at the measured matrix-product rate, {peak_gflops:,.0f} GFLOP/s"
    caption = "arithmetic: matrix products and convolutions of the model with linen layers, counted from its jaxpr"
    table = _empty(title, caption, ("work", "GFLOP", "floor ms", "imgloc / floor", "fastest / floor", "fastest"))
    for name in dict.fromkeys(row["work"] for row in rows):
        timed = [row for row in rows if row["work"] == name and row["median_ms"]]
        if not timed or not timed[0]["floor_ms"]:
            continue
        floor = timed[0]["floor_ms"]
        ours = min((row["median_ms"] for row in timed if row["implementation"] == "imgloc"), default=None)
        best = min(timed, key=lambda row: float(row["median_ms"]))
        cells = [f"{timed[0]['gflop']:,.2f}", milliseconds(floor), f"{ours / floor:.1f}" if ours else "-"]
        table.add_row(name, *cells, f"{best['median_ms'] / floor:.1f}", f"{best['implementation']}, {best['setting']}")
    return table


def feeding_table(rows: Sequence[Row], title: str) -> Table:
    """Returns the table of time, images per second, the step that needs them, and the share of a step spent waiting."""
    columns = ("work", "median ms", "lowest to highest", "images/s", "needed by", "images/s needed", "ratio", "waiting")
    table = _empty(title, f"{FEEDING_CAPTION}\n{UNSTEADY}", columns)
    for row in rows:
        needed, waiting = row["needed_images_per_second"], row.get("waiting_share")
        cells = [milliseconds(row["median_ms"]), spread(row), f"{row['images_per_second']:,.0f}", row["against"]]
        cells += [f"{needed:,.0f}" if needed else "-", ratio(row), "-" if waiting is None else f"{waiting:.1%}"]
        table.add_row(row["work"], *cells)
    return table


def reading_table(rows: Sequence[Row], title: str) -> Table:
    """Returns the table of images per second of each implementation and imgloc's ratio to it."""
    columns = ("work", "implementation", "ms per batch", "lowest to highest", "images/s", "ratio")
    table = _empty(title, f"{READING_CAPTION}\n{UNSTEADY}", columns)
    for i, row in enumerate(rows):
        if "reason" in row:
            cells = ["-", "does not run: " + row["reason"][:60], "-", "-"]
        else:
            cells = [milliseconds(row["median_ms"]), spread(row), f"{row['images_per_second']:,.0f}", ratio(row)]
        table.add_row(row["work"], row["implementation"], *cells, end_section=_is_last_of_work(rows, i))
    return table


def start_table(rows: Sequence[Row], title: str) -> Table:
    """Returns the table of seconds of each command."""
    titles = {
        "help": "imgloc --help",
        "train_cold": "imgloc train to its first step, empty compilation cache",
        "train_warm": "the same, warm compilation cache",
    }
    table = _empty(title, "", ("command", "median s", "lowest to highest"))
    for row in rows:
        low, high = row["low_ms"] / 1e3, row["high_ms"] / 1e3
        table.add_row(titles[row["work"]], f"{row['median_ms'] / 1e3:.2f}", f"{low:.2f} to {high:.2f}")
    return table


def spread(row: Row) -> str:
    """Returns the lowest and the highest time of the processes."""
    return f"{milliseconds(row['low_ms'])} to {milliseconds(row['high_ms'])}"


def ratio(row: Row) -> str:
    """Returns the ratio of a row with two decimals, or why its time is not compared."""
    return row.get("unsteady") or "-" if row["ratio"] is None else f"{row['ratio']:.2f}"


def _is_last_of_work(rows: Sequence[Row], i: int) -> bool:
    return i + 1 == len(rows) or rows[i + 1]["work"] != rows[i]["work"]


def _empty(title: str, caption: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.title_justify = table.caption_justify = "left"
    texts = {"work", "implementation", "setting", "command", "fastest", "needed by"}
    for name in columns:
        table.add_column(name, justify="left" if name in texts else "right")
    return table
