"""Sweeps in Python, as `imgloc sweep` runs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from imgloc import files
from imgloc.config.overrides import as_arguments
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override_values
from imgloc.errors import UserError
from imgloc.sweeps import folder, points, table
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.run import Plan, run_points
from imgloc.training.preemption import StopRequest

NAME = "imgloc sweep: "  # before the messages of the command


@dataclass(frozen=True)
class Swept:
    """How a sweep ended."""

    summary: dict[str, Any]  # the content of sweep.json
    failed: bool  # some point failed
    unfinished: bool  # some point was stopped


def sweep(recipe: str | Path, workdir: str | Path, *, split: str = "test", quiet: bool = False, **overrides: Any) -> dict[str, Any]:
    """Train and evaluate every point that `sweep()` of a recipe yields, each in new processes; the same call resumes.

    `overrides` apply to all points. Returns the content of `workdir/sweep.json`: the state and the results of each point, and the
    means over seeds. After Ctrl-C the running point is saved and KeyboardInterrupt is raised. `quiet` prints no progress. Raises
    UserError for a point that cannot be trained, before the first one runs.
    """
    override_values(read_recipe(str(recipe)), overrides)  # checks their types
    arguments = as_arguments(overrides)
    sweep_dir, expanded, todo = open_points(str(recipe), str(workdir), split, arguments)
    if todo:
        check = check_in_a_process(str(recipe), str(workdir), split, arguments)
        if check.returncode:
            raise UserError(check.stderr.strip().splitlines()[-1].removeprefix(NAME))
    with StopRequest() as stop:
        swept = run(sweep_dir, str(recipe), split, expanded, todo, stop, Console(stderr=True, quiet=quiet))
    if stop.interrupted and swept.unfinished:
        raise KeyboardInterrupt
    return swept.summary


def open_points(recipe: str, workdir: str, split: str, arguments: Sequence[str]) -> tuple[SweepDir, list[Point], list[Point]]:
    """Return the folder of a sweep, all of its points, and those that are not scored yet."""
    sweep_dir = folder.open_sweep(workdir)
    expanded = points.expand(read_recipe(recipe), points.read_sweep(recipe), arguments)
    return sweep_dir, expanded, folder.unscored(sweep_dir, expanded, split)


def check_in_a_process(recipe: str, workdir: str, split: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Check the points in a separate process, which releases the GPU or TPU for training when it ends."""
    command = ["sweep", "--config", recipe, "--workdir", workdir, "--split", split, "--check", *arguments]
    return subprocess.run([sys.executable, "-m", "imgloc", *command], capture_output=True, text=True, check=False)


def run(
    sweep_dir: SweepDir, recipe: str, split: str, expanded: Sequence[Point], todo: Sequence[Point], stop: StopRequest, console: Console
) -> Swept:
    """Run the points that are not scored yet and write sweep.json; `console` shows the progress."""
    with table.Live(console, todo, len(expanded) - len(todo)) as show:
        failed = run_points(Plan(sweep_dir, recipe, split), todo, stop, show)
    summary: dict[str, Any] = table.summary(sweep_dir, expanded, split, failed)
    files.write_json(sweep_dir.summary, summary)
    return Swept(summary, bool(failed), stop.requested and any(point["state"] == "unfinished" for point in summary["points"]))
