"""Sweeps in Python, as `imgloc sweep` runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from imgloc import files
from imgloc.config.overrides import as_arguments
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override_values
from imgloc.errors import UserError
from imgloc.sweeps import folder, live, points, table
from imgloc.sweeps import search as searching
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.executor import Execution, SweepStop, open_execution
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.run import run_points
from imgloc.sweeps.spaces import Search
from imgloc.sweeps.subprocesses import check_in_a_process, run_process
from imgloc.sweeps.work import ClaimedStop, Plan
from imgloc.training.preemption import StopRequest


@dataclass(frozen=True)
class Swept:
    """How a sweep ended."""

    summary: dict[str, Any]  # the content of sweep.json
    failed: bool  # some point failed
    unfinished: bool  # some point was stopped


def sweep(
    recipe: str | Path,
    workdir: str | Path,
    *,
    split: str = "test",
    executor: str = "processes",
    jobs: int | None = None,
    options: Mapping[str, Any] | None = None,
    quiet: bool = False,
    **overrides: Any,
) -> dict[str, Any]:
    """Train and evaluate every point that `sweep()` of a recipe yields; the same call resumes.

    `executor` (in_process, processes, ray or slurm) decides where the points run, with `jobs` of them at the same time, and has
    `options`. `overrides` apply to all points. Returns the content of `workdir/sweep.json`: the state and the results of each point,
    and the means over seeds. After Ctrl-C the running points are saved and KeyboardInterrupt is raised. `quiet` prints no progress.
    Raises UserError for a point that cannot be trained, before the first one runs.
    """
    execution = open_execution(executor, jobs, [f"{key}={value}" for key, value in (options or {}).items()])
    override_values(read_recipe(str(recipe)), overrides)  # checks their types
    arguments = as_arguments(overrides)
    sweep_dir, expanded, todo = open_points(str(recipe), str(workdir), split, arguments)
    if todo:
        check_points(str(recipe), str(workdir), split, arguments)
    with StopRequest() as stop:
        swept = run(sweep_dir, str(recipe), split, expanded, todo, stop, Console(stderr=True, quiet=quiet), execution)
    if stop.interrupted and swept.unfinished:
        raise KeyboardInterrupt
    return swept.summary


def open_points(recipe: str, workdir: str, split: str, arguments: Sequence[str]) -> tuple[SweepDir, list[Point], list[Point]]:
    """Return the folder of a sweep, all of its points, and those that are not scored yet."""
    sweep_dir = folder.open_sweep(workdir)
    expanded = points.expand(read_recipe(recipe), points.read_sweep(recipe), arguments)
    return sweep_dir, expanded, folder.unscored(sweep_dir, expanded, split)


def check_points(recipe: str, workdir: str, split: str, arguments: Sequence[str]) -> None:
    """Check the points in a separate process. Raises UserError for a point that cannot be trained or scored."""
    check_in_a_process(["sweep", "--config", recipe, "--workdir", workdir, "--split", split, "--check", *arguments])


def run(
    sweep_dir: SweepDir,
    recipe: str,
    split: str,
    expanded: Sequence[Point],
    todo: Sequence[Point],
    stop: StopRequest,
    console: Console,
    execution: Execution,
) -> Swept:
    """Run the points that are not scored yet and write sweep.json; `console` shows the progress."""
    with live.Live(console, sweep_dir, todo, len(expanded) - len(todo)) as show:
        failed = run_points(Plan(sweep_dir, recipe, split), todo, stop, show, execution)
    summary: dict[str, Any] = table.summary(sweep_dir, expanded, split, failed)
    files.write_json(sweep_dir.summary, summary)
    return Swept(summary, bool(failed), stop.requested and any(point["state"] == "unfinished" for point in summary["points"]))


def watch(sweep_dir: SweepDir, split: str, expanded: Sequence[Point], todo: Sequence[Point], console: Console) -> Swept:
    """Show the progress of points that other processes run, until all have ended; writes nothing."""
    with live.Live(console, sweep_dir, todo, len(expanded) - len(todo)) as show:
        failed = live.watch(sweep_dir, todo, split, show)
    return Swept(table.summary(sweep_dir, expanded, split, failed), bool(failed), False)


def run_search(search: Search, recipe: str, workdir: str, arguments: Sequence[str], stop: StopRequest, console: Console) -> Swept:
    """Run `search()` of a recipe and write sweep.json.

    Raises UserError for a first point that cannot be trained, and where another process searches in the same folder.
    """
    sweep_dir = folder.open_sweep(workdir)
    if not (sweep_dir.path / searching.FILE).is_file():  # nothing has been trained
        check_points(recipe, workdir, "validation", arguments)
    folder.begin(sweep_dir)
    with Claims(sweep_dir.notes).hold("search") as claim:
        if claim is None:
            raise UserError(f"another process searches in '{workdir}'; wait until it has ended, or choose another --workdir")

        def train(point: Point, step: int) -> str:
            flags = ["--stop-after", str(step)] if step else []
            command = ["train", "--config", recipe, "--workdir", str(folder.run_of(sweep_dir, point).path), *flags, *point.arguments]
            held = ClaimedStop(SweepStop(stop), claim)
            return run_process(command, sweep_dir.log(point), claim.handle, held, {}) if not held.requested else ""

        def show(line: str) -> None:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

        summary = searching.run_search(search, recipe, sweep_dir, arguments, train, show)
    if summary is None:
        return Swept({}, failed=False, unfinished=True)
    files.write_json(sweep_dir.summary, summary)
    return Swept(summary, any(point["state"] == "failed" for point in summary["points"]), unfinished=False)
