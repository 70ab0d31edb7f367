"""imgloc reproduce"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgloc.cli.console import console_for
from imgloc.cli.experiment import add_choice, print_failed
from imgloc.cli.parsers import add_execution_flags, add_output_flags, check_rest

if TYPE_CHECKING:
    from imgloc.api.experimenting import Reproduced
    from imgloc.evaluation.statistics import Interval

HELP = "run an experiment again, and report for each cell of its tables whether it agrees with the recorded one"
EXAMPLES = """\
Runs of the chosen arms and seeds that FOLDER/results.json has are trained and scored again in --workdir, and compared
with the recorded ones of the same seeds. A cell agrees if its 95 % interval and the recorded one overlap; equal means
equal to the last digit. results.json is not changed.

The command refuses to train where the code, a config or the data differs from that of the recorded runs.

examples:
  imgloc reproduce experiments/scattered_digits --arms CNN --seeds 0
  imgloc reproduce experiments/rows_mnist --arms 'gru, *' --folder FOLDER --allow-differences

exit codes: 0 every cell agrees, or stopped by SIGTERM; 1 a cell differs or a run failed; 2 a mistake in the command, or
code, config or data differ; 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    add_choice(parser)
    parser.add_argument("--workdir", default="", metavar="DIR", help="folder of the new runs (default: runs/reproduced/NAME)")
    parser.add_argument(
        "--allow-differences", action="store_true", help="compare although code, config or data differ; each difference is printed"
    )
    add_execution_flags(parser)
    add_output_flags(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Train again, compare, and print the cells."""
    check_rest(rest, "reproduce")

    from imgloc.devices import runtime

    runtime.prepare()

    from rich.console import Console

    from imgloc.api import experimenting
    from imgloc.sweeps.executor import open_execution
    from imgloc.training.preemption import StopRequest

    execution = open_execution(parsed.executor, parsed.jobs, parsed.option)
    chosen = experimenting.choose(parsed.experiment, parsed.arms, parsed.seeds, parsed.folder)
    planned, notes = experimenting.check_same(chosen, allow_differences=parsed.allow_differences)
    chosen = dataclasses.replace(chosen, arms=list(dict.fromkeys(each.arm for each in planned)))
    for note in notes if not parsed.quiet else ():
        print(f"imgloc reproduce: {note}", file=sys.stderr)
    workdir = parsed.workdir or str(Path("runs") / "reproduced" / chosen.place.absolute().name)
    with StopRequest() as stop:
        done = experimenting.reproduce(chosen, planned, workdir, stop, Console(stderr=True, quiet=parsed.quiet), execution)
    if stop.requested:
        print(f"{workdir}: stopped, its state is saved. The same command resumes it")
        return 130 if stop.interrupted else 0
    print_failed(done.failed, workdir)
    if parsed.json:
        cells = [
            {**cell._asdict(), "recorded": vars(cell.recorded), "new": cell.new and vars(cell.new), "verdict": cell.verdict}
            for cell in done.cells
        ]
        print(json.dumps({"agrees": done.agrees, "notes": notes, "failed": dict(done.failed), "cells": cells}))
    else:
        print_cells(done)
    return int(not done.agrees)


def print_cells(done: Reproduced) -> None:
    """Print a row for each cell, and how many agree."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from imgloc.experiments.agreement import counted

    table = Table(caption="value [95 % interval over images, and over seeds where there are several]", box=SIMPLE_HEAD, pad_edge=False)
    table.caption_justify = "left"
    for title in ("arm", "seeds", "metric", "recorded", "new", ""):
        table.add_column(title, no_wrap=True)
    for cell in done.cells:
        metric = cell.metric if cell.split == "test" else f"{cell.metric}, {cell.split}"
        words = (cell.arm, " ".join(map(str, cell.seeds)), metric, _shown(cell.recorded), _shown(cell.new), _verdict(cell.verdict))
        table.add_row(*map(Text, words))
    console_for(table, 120).print(table)
    print(counted(done.cells))


def _verdict(verdict: str) -> str:
    return "agrees, equal" if verdict == "equal" else verdict


def _shown(value: Interval | None) -> str:
    return "" if value is None else f"{value.mean:.4f} [{value.low:.4f}, {value.high:.4f}]"
