"""imgloc sweep"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imgloc.cli.console import console_for
from imgloc.cli.parsers import add_execution_flags, add_output_flags
from imgloc.errors import UserError

if TYPE_CHECKING:
    from imgloc.api.sweeping import Swept
    from imgloc.sweeps.folder import SweepDir
    from imgloc.sweeps.spaces import Search

HELP = "train and evaluate every point that sweep() of a recipe yields; prints a table over seeds"
EXAMPLES = """\
sweep() in the recipe yields overrides such as {"optim.lr": 1e-3, "seed": 0}. All points are checked before the
first one runs. Each is trained and evaluated in a run folder named after its overrides: in new processes, or
where and when another executor runs it.

The same command resumes a sweep: it skips finished points, resumes interrupted ones and retries failed ones.
Several sweeps with the same folder, on one machine or on several, share the points; each ends when all points
have ended. Select models with --split validation, and use test only for the results that you report.

A recipe with search() instead chooses each point by the validation results of those before it (docs/sweeps.md).

examples:
  imgloc sweep --config digits_cnn --workdir runs/digits
  imgloc sweep --config digits_cnn --workdir runs/digits --jobs 4
  imgloc sweep --config digits_cnn --workdir runs/digits --watch
  imgloc sweep --config digits_cnn --workdir runs/digits --executor slurm --option partition=gpu --option gpus_per_node=1
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
    parser.add_argument("--watch", action="store_true", help="run nothing; show the progress of a sweep that other processes run")
    add_execution_flags(parser)
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
    from imgloc.sweeps.executor import open_execution
    from imgloc.sweeps.search import read_search
    from imgloc.training.preemption import StopRequest

    search = read_search(parsed.config)
    if search is not None:
        return _run_search(search, parsed, rest)
    sweep, expanded, todo = sweeping.open_points(parsed.config, parsed.workdir, parsed.split, rest)
    console = Console(stderr=True, quiet=parsed.quiet)
    if parsed.check:
        with console.status("checking") as status:
            points.check(todo, parsed.split, lambda line: status.update(Text(line)))
        print("\n".join(point.name for point in expanded))
        return 0
    if parsed.watch:
        swept = sweeping.watch(sweep, parsed.split, expanded, todo, console)
        return finish(parsed, swept, sweep)
    execution = open_execution(parsed.executor, parsed.jobs, parsed.option)
    if todo:
        sweeping.check_points(parsed.config, parsed.workdir, parsed.split, rest)
    stop = StopRequest()
    swept = sweeping.run(sweep, parsed.config, parsed.split, expanded, todo, stop, console, execution)
    code = finish(parsed, swept, sweep)
    if swept.unfinished:
        return 130 if stop.interrupted else 0
    return code


def finish(parsed: argparse.Namespace, swept: Swept, sweep: SweepDir) -> int:
    """Print the results of a sweep; returns 1 if a point failed."""
    if parsed.json:
        print(json.dumps(swept.summary))
    else:
        print_summary(swept.summary, sweep)
        if swept.unfinished:
            print(f"{parsed.workdir}: stopped, its state is saved. The same command resumes it")
    return int(swept.failed)


def _run_search(search: Search, parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run `search()` of the recipe, which chooses by validation alone; prints its best points."""
    from rich.console import Console

    from imgloc.api import sweeping
    from imgloc.sweeps import search as searching
    from imgloc.training.preemption import StopRequest

    if parsed.watch or parsed.jobs or parsed.option or parsed.executor != "processes":
        raise UserError("a recipe with search() trains one point after another; leave out --watch, --executor, --jobs and --option")
    if parsed.split not in ("test", "validation"):
        raise UserError("a recipe with search() chooses its points by their results on validation; leave out --split")
    if parsed.check:
        print(searching.check(search, parsed.config, rest).name)
        return 0
    stop = StopRequest()
    console = Console(stderr=True, quiet=parsed.quiet)
    swept = sweeping.run_search(search, parsed.config, parsed.workdir, rest, stop, console)
    if swept.unfinished:
        print(f"{parsed.workdir}: stopped, its state is saved. The same command resumes it")
        return 130 if stop.interrupted else 0
    if parsed.json:
        print(json.dumps(swept.summary))
    else:
        states = [point["state"] for point in swept.summary["points"]]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        print(f"{parsed.workdir}: {counts}; the page of the search: imgloc report {parsed.workdir}")
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
