"""imgloc sweep"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgloc.config.recipes import read_recipe
    from imgloc.sweep.folder import SweepDir

HELP = "train and score every point that a recipe's sweep() yields; ends with a table over seeds"
EXAMPLES = """\
sweep() in the recipe yields overrides: {"optim.lr": 1e-3, "seed": 0}. All points are checked before the
first one runs; then each is trained and scored in fresh processes, in a run folder named by what it sets.

The same command goes on: finished points are skipped, interrupted ones resume, failed ones are tried again.
Started twice, on this machine or on others that see the folder, sweeps share the points and each ends when
all have ended. Choose by --split validation; keep test for what is reported.

examples:
  imgloc sweep configs/digits_cnn.py --workdir runs/digits
  imgloc sweep configs/digits_cnn.py --workdir runs/short --config.train.steps=500 --split validation
  imgloc report runs/digits/*/ --out compare.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("recipe", metavar="CONFIG", help="a recipe: a Python file with get_config() and sweep()")
    parser.add_argument("--workdir", required=True, metavar="DIR", help="the sweep's folder, with a run folder a point")
    parser.add_argument("--split", default="test", help="what to score each run on (default: test)")
    parser.add_argument("--check", action="store_true", help="check the points, print their names, and run nothing")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run the sweep; 0 also where a SIGTERM was obeyed, 1 where a point failed, 130 where Ctrl-C was obeyed."""
    from imgloc import files
    from imgloc.devices import runtime

    runtime.prepare()

    from rich.console import Console
    from rich.text import Text

    from imgloc.sweep import folder, points, run, table
    from imgloc.training.preemption import StopRequest

    sweep = folder.open_sweep(parsed.workdir)
    yielded = points.read_sweep(parsed.recipe)
    expanded = points.expand(read_recipe(parsed.recipe), yielded, rest)
    todo = folder.unscored(sweep, expanded, parsed.split)
    console = Console(stderr=True)
    if parsed.check:
        with console.status("checking") as status:
            points.check(todo, parsed.split, lambda line: status.update(Text(line)))
        print("\n".join(point.name for point in expanded))
        return 0
    if todo and (code := check_in_a_process(parsed, rest)):
        return code
    stop = StopRequest()
    with table.Live(console, todo, len(expanded) - len(todo)) as show:
        failed = run.run_points(run.Plan(sweep, parsed.recipe, parsed.split), todo, stop, show)
    found = table.summary(sweep, expanded, parsed.split, failed)
    files.write_json(sweep.summary, found)
    print_summary(found, sweep)
    if stop.requested and any(point["state"] == "unfinished" for point in found["points"]):
        print(f"{parsed.workdir}: stopped, its state is saved. The same command goes on from there")
        return 130 if stop.interrupted else 0
    return 1 if failed else 0


def check_in_a_process(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Check the points in a process that ends: one that has looked at a GPU or TPU holds it, and no other could train there."""
    command = ["sweep", parsed.recipe, "--workdir", parsed.workdir, "--split", parsed.split, "--check", *rest]
    return subprocess.run([sys.executable, "-m", "imgloc", *command], stdout=subprocess.DEVNULL, check=False).returncode


def print_summary(found: Mapping[str, Any], sweep: SweepDir) -> None:
    """The table over seeds, then what failed and where more is told of it."""
    from rich.console import Console

    from imgloc.sweep import table

    console = Console()
    console = console if console.is_terminal else Console(width=160)
    finished = sum(point["state"] == "finished" for point in found["points"])
    print(f"{sweep.path}, {found['split']}, {finished} of {len(found['points'])} points finished", flush=True)
    if finished:
        console.print(table.seeds_table(found))
    for point in found["points"]:
        if point["state"] == "failed":
            print(f"failed: {point['name']}: {point['error']}   log: {sweep.notes / point['name']}.log")
    print(f"results: {sweep.summary}   runs: {sweep.path}/*/")
