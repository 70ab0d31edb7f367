"""Times this project beside plain linen layers, PyTorch and Keras: python -m benchmarks WHAT."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgloc import files
from imgloc.cli.parsers import tell_in_one_line
from imgloc.errors import UserError, one_line, unknown

DESCRIPTION = "Time this project on this machine, beside plain linen layers, PyTorch and Keras where they are installed."
EXAMPLES = """\
step: training steps, and EfficientNet's forward pass      infer: forward passes of every work, batch 1 and 8
input: making batches against using them, JPEG decoding    start: from the command to the first step, imgloc --help
read: photographs read, decoded and augmented, beside PyTorch's DataLoader with torchvision
cells: training steps of every recurrent cell, over 28 rows, 784 pixels and, of conv_lstm, 8 maps

Each implementation is timed in processes of its own, one after another in turns. Nothing else should run meanwhile.
PyTorch and Keras: pip install 'imgloc[bench]' (on a CPU, PyTorch's CPU build).
On an accelerator the same commands compute in bfloat16 and add ResNet-50.

examples:
  python -m benchmarks step --json step.jsonl
  python -m benchmarks step --works three_layer_cnn_224,lstm_28 --implementations imgloc,torch_eager --settings tuned
"""
WHAT = ("step", "cells", "input", "read", "start", "infer")


def make_parser() -> argparse.ArgumentParser:
    """The command's arguments and help."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    tell_in_one_line(parser)
    parser.add_argument("what", metavar="WHAT", help="step, cells, input, read, start or infer")
    parser.add_argument("--json", default="", metavar="FILE", help="write the rows there, one JSON object a line")
    parser.add_argument("--works", default="", metavar="A,B", help="time these alone (step, cells, infer)")
    parser.add_argument("--implementations", default="", metavar="A,B", help="imgloc, linen, torch_eager, ... (step, cells, infer)")
    parser.add_argument("--settings", default="", metavar="A,B", help="box, tuned or both (step, cells, infer; default both)")
    parser.add_argument("--processes", type=int, default=3, metavar="N", help="processes of each, in turns (default 3)")
    parser.add_argument("--config", default="configs/digits_cnn.py", metavar="FILE", help="what start trains (configs/digits_cnn.py)")
    parser.add_argument("--quick", action="store_true", help="few repeats: to see that it works, not how fast")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; returns the exit code."""
    try:
        return run(*make_parser().parse_known_args(arguments))
    except UserError as error:
        print(f"python -m benchmarks: {one_line(error)}", file=sys.stderr)
        return 2


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Time, print the table, write the rows."""
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: those of --help")
    if parsed.what not in WHAT:
        raise unknown("benchmark", parsed.what, WHAT)
    if parsed.processes < 1:
        raise UserError(f"--processes is {parsed.processes}; possible: at least 1")
    target = Path(parsed.json) if parsed.json else None
    if target is not None and (target.is_dir() or not target.parent.is_dir()):
        raise UserError(f"cannot write --json '{target}'; possible: a file in a folder that exists")
    if parsed.what in ("input", "read", "start") and (parsed.works or parsed.implementations or parsed.settings):
        raise UserError(f"--works, --implementations and --settings choose for step, cells, infer; '{parsed.what}' has nothing to choose")

    rows = {"step": _steps, "cells": _steps, "infer": _steps, "input": _input, "read": _read, "start": _start}[parsed.what](parsed)
    if target is not None:
        files.write_text(target, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
        print(f"rows: {target}")
    return 0


def _steps(parsed: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks import rounds, table, works

    group = parsed.what
    names = works.chosen("work", parsed.works, [work.name for work in works.WORKS[group]])
    implementations = works.chosen("implementation", parsed.implementations, works.IMPLEMENTATIONS)
    settings = works.chosen("setting", parsed.settings, works.SETTINGS)
    implementations, missing = rounds.installed(implementations)
    if missing:
        say(f"not installed, left out: {', '.join(missing)}; pip install 'imgloc[bench]'")
    if not implementations:
        raise UserError("none of these implementations is installed here; pip install 'imgloc[bench]'")

    say("measuring the rate of matrix products, counting the arithmetic of each work")
    machine = rounds.describe_machine(group, names, quick=parsed.quick)
    selected = rounds.select(group, names, machine["platform"], named=bool(parsed.works))
    sides = [rounds.Side(implementation, setting) for setting in settings for implementation in implementations]
    rows = rounds.time_in_turns(
        group, selected, sides, platform=machine["platform"], processes=parsed.processes, quick=parsed.quick, say=say
    )
    say("measuring the rate of matrix products again; the higher counts")
    again = rounds.describe_machine(group, [], quick=parsed.quick)
    machine["rate"] = max(machine["rate"], again["rate"])
    where = rounds.about(machine)
    rows = [{**row, **where} for row in rounds.with_floor(rows, machine)]
    show(table.step_table(rows, title(where)))
    show(table.floor_table(rows, machine["rate"] / 1e9))
    return rows


def _input(parsed: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks import rounds, table

    machine = rounds.describe_machine("step", [], quick=True)
    where = rounds.about(machine)
    rows = [{**row, **where} for row in rounds.feeding(machine["platform"], parsed.processes, quick=parsed.quick, say=say)]
    show(table.feeding_table(rows, title(where)))
    return rows


def _read(parsed: argparse.Namespace) -> list[dict[str, Any]]:
    import tempfile

    from benchmarks import rounds, table

    with tempfile.TemporaryDirectory(prefix="imgloc-bench-") as folder:
        rows = rounds.reading(Path(folder), parsed.processes, quick=parsed.quick, say=say)
    where = rounds.about(rounds.describe_machine("step", [], quick=True))
    rows = [{**row, **where} for row in rows]
    show(table.reading_table(rows, title(where)))
    return rows


def _start(parsed: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks import rounds, start, table

    rows = start.timed(parsed.config, processes=parsed.processes, say=say)
    where = rounds.about(rounds.describe_machine("step", [], quick=True))
    rows = [{**row, **where} for row in rows]
    show(table.start_table(rows, title(where)))
    return rows


def title(where: Mapping[str, Any]) -> str:
    """Which device, how many threads, which versions."""
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items() if name != "imgloc")
    device = f"{where['device']} ({where['platform']}), {where['machine']}, {where['threads']} threads on every side"
    return f"{device}\nPython {where['python']}, {versions}"


def say(line: str) -> None:
    """How far it is, on standard error."""
    print(line, file=sys.stderr, flush=True)


def show(table: Any) -> None:
    """Print a table at the width of the terminal, or wide enough for a file."""
    from rich.console import Console

    console = Console()
    console = console if console.is_terminal else Console(width=150)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
