"""Times imgloc beside plain linen layers, PyTorch and Keras: `python -m benchmarks WHAT`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Row
from imgloc import files
from imgloc.cli.parsers import report_errors_in_one_line
from imgloc.errors import UserError, one_line, unknown

if TYPE_CHECKING:
    from rich.table import Table

DESCRIPTION = "Times imgloc on this machine beside plain linen layers, and beside PyTorch and Keras where they are installed."
EXAMPLES = """\
step: training steps, and EfficientNet's forward pass      infer: forward passes of every work, batch 1 and 8
input: making batches and using them, JPEG decoding        start: from the command to the first step, imgloc --help
read: reading, decoding and augmenting photographs, beside PyTorch's DataLoader with torchvision
cells: training steps of every recurrent cell, over 28 rows, 784 pixels or, for conv_lstm, 8 maps

Each implementation runs in its own processes, one after another in turns. Nothing else should run meanwhile.
To install PyTorch and Keras: pip install 'imgloc[bench]' (on a CPU, with PyTorch's CPU build).
On an accelerator the same commands compute in bfloat16 and also time ResNet-50.

examples:
  python -m benchmarks step --json step.jsonl
  python -m benchmarks step --works three_layer_cnn_224,lstm_28 --implementations imgloc,torch_eager --settings tuned
"""
WHAT = ("step", "cells", "input", "read", "start", "infer")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    report_errors_in_one_line(parser)
    parser.add_argument("what", metavar="WHAT", help="step, cells, input, read, start or infer")
    parser.add_argument("--json", default="", metavar="FILE", help="write the rows to this file, one JSON object per line")
    parser.add_argument("--works", default="", metavar="A,B", help="time only these (step, cells, infer)")
    parser.add_argument("--implementations", default="", metavar="A,B", help="imgloc, linen, torch_eager, ... (step, cells, infer)")
    parser.add_argument("--settings", default="", metavar="A,B", help="box, tuned or both (step, cells, infer; default both)")
    parser.add_argument("--processes", type=int, default=3, metavar="N", help="processes of each implementation, in turns (default 3)")
    parser.add_argument(
        "--config", default="configs/digits_cnn.py", metavar="FILE", help="recipe that start trains (default configs/digits_cnn.py)"
    )
    parser.add_argument("--quick", action="store_true", help="few repeats, to check that everything runs")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks and returns the exit code."""
    try:
        return run(*make_parser().parse_known_args(arguments))
    except UserError as error:
        print(f"python -m benchmarks: {one_line(error)}", file=sys.stderr)
        return 2


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Runs a benchmark, prints its table and writes its rows."""
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: those of --help")
    if parsed.what not in WHAT:
        raise unknown("benchmark", parsed.what, WHAT)
    if parsed.processes < 1:
        raise UserError(f"--processes must be at least 1, got {parsed.processes}")
    target = Path(parsed.json) if parsed.json else None
    if target is not None and (target.is_dir() or not target.parent.is_dir()):
        raise UserError(f"cannot write --json '{target}'; it must be a file in a folder that exists")
    if parsed.what in ("input", "read", "start") and (parsed.works or parsed.implementations or parsed.settings):
        raise UserError(f"--works, --implementations and --settings apply only to step, cells and infer, not to '{parsed.what}'")

    rows = {"step": _steps, "cells": _steps, "infer": _steps, "input": _input, "read": _read, "start": _start}[parsed.what](parsed)
    if target is not None:
        files.write_text(target, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
        print(f"rows: {target}")
    return 0


def _steps(parsed: argparse.Namespace) -> list[Row]:
    from benchmarks import rounds, table, works

    group = parsed.what
    names = works.select_names("work", parsed.works, [work.name for work in works.WORKS[group]])
    implementations = works.select_names("implementation", parsed.implementations, works.IMPLEMENTATIONS)
    settings = works.select_names("setting", parsed.settings, works.SETTINGS)
    implementations, missing = rounds.installed(implementations)
    if missing:
        say(f"not installed, left out: {', '.join(missing)}; pip install 'imgloc[bench]'")
    if not implementations:
        raise UserError("none of these implementations is installed here; pip install 'imgloc[bench]'")

    say("measuring the rate of matrix products and counting the arithmetic of each work")
    machine = rounds.describe_machine(group, names, quick=parsed.quick)
    selected = rounds.select(group, names, machine["platform"], named=bool(parsed.works))
    sides = [rounds.Side(implementation, setting) for setting in settings for implementation in implementations]
    rows = rounds.time_in_turns(
        group, selected, sides, platform=machine["platform"], processes=parsed.processes, quick=parsed.quick, say=say
    )
    say("measuring the rate of matrix products again; the higher rate is used")
    again = rounds.describe_machine(group, [], quick=parsed.quick)
    machine["rate"] = max(machine["rate"], again["rate"])
    rows = _located(rounds.with_floor(rows, machine), machine, table.step_table)
    show(table.floor_table(rows, machine["rate"] / 1e9))
    return rows


def _input(parsed: argparse.Namespace) -> list[Row]:
    from benchmarks import rounds, table

    machine = rounds.describe_machine("step", [], quick=True)
    rows = rounds.feeding(machine["platform"], parsed.processes, quick=parsed.quick, say=say)
    return _located(rows, machine, table.feeding_table)


def _read(parsed: argparse.Namespace) -> list[Row]:
    import tempfile

    from benchmarks import rounds, table

    with tempfile.TemporaryDirectory(prefix="imgloc-bench-") as folder:
        rows = rounds.reading(Path(folder), parsed.processes, quick=parsed.quick, say=say)
    return _located(rows, rounds.describe_machine("step", [], quick=True), table.reading_table)


def _start(parsed: argparse.Namespace) -> list[Row]:
    from benchmarks import rounds, start, table

    rows = start.timed(parsed.config, processes=parsed.processes, say=say)
    return _located(rows, rounds.describe_machine("step", [], quick=True), table.start_table)


def _located(rows: Sequence[Row], machine: Row, make_table: Callable[[Sequence[Row], str], Table]) -> list[Row]:
    """Adds to rows where they were measured and prints their table."""
    from benchmarks import rounds

    where = rounds.about(machine)
    rows = [{**row, **where} for row in rows]
    show(make_table(rows, title(where)))
    return rows


def title(where: Row) -> str:
    """Returns the title of a table: device, threads and versions."""
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items() if name != "imgloc")
    device = f"{where['device']} ({where['platform']}), {where['machine']}, {where['threads']} threads for every implementation"
    return f"{device}\nPython {where['python']}, {versions}"


def say(line: str) -> None:
    """Prints a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


def show(table: Table) -> None:
    """Prints a table at the width of the terminal, or 150 columns wide to a file."""
    from rich.console import Console

    console = Console()
    console = console if console.is_terminal else Console(width=150)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
