"""imgloc sweep"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imgloc.cli.console import console_for
from imgloc.cli.parsers import add_output_flags
from imgloc.errors import UserError

if TYPE_CHECKING:
    from imgloc.sweeps.folder import SweepDir

HELP = "train and evaluate every point that sweep() of a recipe yields; prints a table over seeds"
EXAMPLES = """\
sweep() in the recipe yields overrides such as {"optim.lr": 1e-3, "seed": 0}. All points are checked before the
first one runs. Each is trained and evaluated in new processes, in a run folder named after its overrides.

The same command resumes a sweep: it skips finished points, resumes interrupted ones and retries failed ones.
Several sweeps with the same folder, on one machine or on several, share the points; each ends when all points
have ended. Select models with --split validation, and use test only for the results that you report.

examples:
  imgloc sweep --config digits_cnn --workdir runs/digits
  imgloc sweep --config digits_cnn --workdir runs/short --config.train.steps=500 --split validation
  imgloc report runs/digits --out compare.html

exit codes: 0 all points finished, or stopped by SIGTERM; 1 a point failed; 2 a mistake in the command or the recipe;
130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("recipe", nargs="?", default="", help=argparse.SUPPRESS)  # how earlier versions named it
    parser.add_argument("--config", default="", metavar="RECIPE", help="a Python file with get_config() and sweep(), or a recipe's name")
    parser.add_argument("--workdir", required=True, metavar="DIR", help="folder of the sweep, with a run folder for each point")
    parser.add_argument("--split", default="test", help="split that each run is evaluated on (default: test)")
    parser.add_argument("--check", action="store_true", help="check the points and print their names without running them")
    add_output_flags(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run the sweep; returns 1 if a point failed, 130 if Ctrl-C stopped it, and otherwise 0, also if SIGTERM stopped it."""
    if not parsed.config or parsed.recipe:
        raise UserError(f"no recipe is given; add it as --config {parsed.recipe or 'RECIPE'}")

    from imgloc.devices import runtime

    runtime.prepare()

    from rich.console import Console
    from rich.text import Text

    from imgloc.api import sweeping
    from imgloc.sweeps import points
    from imgloc.training.preemption import StopRequest

    sweep, expanded, todo = sweeping.open_points(parsed.config, parsed.workdir, parsed.split, rest)
    console = Console(stderr=True, quiet=parsed.quiet)
    if parsed.check:
        with console.status("checking") as status:
            points.check(todo, parsed.split, lambda line: status.update(Text(line)))
        print("\n".join(point.name for point in expanded))
        return 0
    if todo:
        check = sweeping.check_in_a_process(parsed.config, parsed.workdir, parsed.split, rest)
        if check.returncode:
            sys.stderr.write(check.stderr)
            return check.returncode
    stop = StopRequest()
    swept = sweeping.run(sweep, parsed.config, parsed.split, expanded, todo, stop, console)
    if parsed.json:
        print(json.dumps(swept.summary))
    else:
        print_summary(swept.summary, sweep)
        if swept.unfinished:
            print(f"{parsed.workdir}: stopped, its state is saved. The same command resumes it")
    if swept.unfinished:
        return 130 if stop.interrupted else 0
    return int(swept.failed)


def print_summary(summary: Mapping[str, Any], sweep: SweepDir) -> None:
    """Print the table over seeds, then the failed points with their logs."""
    from imgloc.sweeps import table

    finished = sum(point["state"] == "finished" for point in summary["points"])
    print(f"{sweep.path}, {summary['split']}, {finished} of {len(summary['points'])} points finished", flush=True)
    if finished:
        seeds = table.seeds_table(summary)
        console_for(seeds, 160).print(seeds)
    for point in summary["points"]:
        if point["state"] == "failed":
            print(f"failed: {point['name']}: {point['error']}   log: {sweep.notes / point['name']}.log")
    print(f"results: {sweep.summary}   runs: {sweep.path}/*/")
