"""Arms that are compared: recipes with their flags, trained with several seeds, scored and gathered. Imported by run.py of experiments.

Finished runs are not made again, interrupted ones go on. Two of an experiment's commands, with different --only or --seeds, share its
runs between them. Tables are printed of the runs that are there, also where results.json keeps more and is left as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gathering import ROOT, Runs, check_none_lost, kept, mistakes_told, options, step_times, validation_curve

from imgloc import files
from imgloc.config.resolve import resolve

SEEDS = (0, 1, 2)  # of every arm
VALIDATIONS = 10  # of a run, evenly spaced: steps are a multiple of them


class Arm(NamedTuple):
    """A recipe with its flags."""

    task: str
    recipe: str
    steps: int
    flags: tuple[str, ...] = ()
    also: tuple[tuple[str, ...], ...] = ()  # other ways of scoring a finished run: flags of imgloc evaluate


class Task(NamedTuple):
    """What arms are compared on."""

    metrics: dict[str, str]  # of the tables, and what a table calls them
    splits: dict[str, str]  # scored: their name in results.json, and what a table says of them
    mnist: bool  # whether its data lie in --folder
    best: bool = False  # whether the checkpoint that was best on validation is scored as well


class Plan(NamedTuple):
    """An experiment: experiments/NAME."""

    name: str
    tasks: Mapping[str, Task]
    arms: Mapping[str, Arm]
    extra: tuple[str, ...] = ()  # more splits to keep where a run has them
    operations: bool = False  # whether --measure counts them: of models without a recurrence


@mistakes_told()
def command_line(
    about: str, plan: Plan, table: Callable[[str, dict[str, Any]], str], pictures: Callable[[dict[str, Any]], dict[str, str]]
) -> None:
    """Measure; or make what is missing, gather and draw; print the tables. `pictures`: texts of files by name, from what was found."""
    parser = options(about, plan.name)
    parser.add_argument("--only", nargs="+", default=list(plan.arms), choices=list(plan.arms), metavar="ARM", help="arms; without it all")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, choices=SEEDS, help="of the runs; without it all three")
    wanted = parser.parse_args()
    results = ROOT / "experiments" / plan.name / "results.json"
    if wanted.measure:
        steps = step_times({title: config_of(plan, title, wanted.folder) for title in wanted.only}, operations=plan.operations)
    elif not (wanted.table or wanted.gather):
        make(plan, wanted)
    found: dict[str, Any] = files.read_json(results) if results.exists() else {}  # now: another command may have written meanwhile
    before = _count(found.get("runs", {}))
    if wanted.measure:
        found["steps"] = {**steps, "arms": {**found.get("steps", {}).get("arms", {}), **steps["arms"]}}
    elif not wanted.table:
        made = {title: gathered(plan, title, Path(wanted.workdir), wanted.folder) for title in plan.arms}
        found["runs"] = {title: runs for title, runs in made.items() if runs}
    print("\n\n".join(table(task, found) for task in plan.tasks), flush=True)
    if wanted.table:
        return
    if not (wanted.measure or wanted.gather) and _count(found["runs"]) < before:
        print(f"'{results}' keeps {before} runs and is left as it is; above stand those of '{wanted.workdir}'")
        return
    if not wanted.measure:
        check_none_lost(results, before, _count(found["runs"]), wanted.workdir)
    files.write_json(results, found)
    for name, text in pictures(found).items():
        files.write_text(results.with_name(name), text)


def _count(arms: Mapping[str, Runs]) -> int:
    """Runs that are finished."""
    return sum("results" in run for runs in arms.values() for run in runs)


def make(plan: Plan, wanted: argparse.Namespace) -> None:
    """Train and score what is missing, seed by seed; nothing where the data of some arm are not there."""
    from imgloc.config import build

    for title in wanted.only:
        if plan.tasks[plan.arms[title].task].mnist:
            build.make_source(config_of(plan, title, wanted.folder).data, "train", 0)
    for seed in wanted.seeds:
        for title in wanted.only:
            train(plan, title, seed, run_of(wanted.workdir, title, seed), wanted.folder)


def run_of(workdir: str | Path, title: str, seed: int) -> Path:
    """Where an arm's run lies."""
    return Path(workdir) / f"{''.join(c if c.isalnum() else '-' for c in title)}-{seed}"


def data_flags(plan: Plan, arm: Arm, folder: str) -> list[str]:
    """Where the data of an arm's task lies."""
    return [f"--config.data.options.folder={folder}"] if plan.tasks[arm.task].mnist else []


def config_of(plan: Plan, title: str, folder: str) -> Any:
    """The config of an arm."""
    from imgloc.config.recipes import read_recipe

    arm = plan.arms[title]
    return resolve(read_recipe(str(ROOT / "configs" / f"{arm.recipe}.py")), [*arm.flags, *data_flags(plan, arm, folder)])


def train(plan: Plan, title: str, seed: int, run: Path, folder: str) -> None:
    """Make a run, or go on with it, and score it on the test images."""
    arm = plan.arms[title]
    task = plan.tasks[arm.task]
    if finished(run, task, arm):
        return
    command = [sys.executable, "-m", "imgloc"]
    every = [f"--config.train.{key}={arm.steps // VALIDATIONS}" for key in ("eval_every", "save_every")]
    flags = [*arm.flags, *data_flags(plan, arm, folder), f"--config.seed={seed}", f"--config.train.steps={arm.steps}", *every]
    subprocess.run([*command, "train", "--config", f"configs/{arm.recipe}.py", "--workdir", str(run), *flags], cwd=ROOT, check=True)
    if not (run / "finished.json").exists():
        sys.exit(f"{run} was stopped; run this again")
    for more in (*([()] if task.best else ()), *arm.also):
        subprocess.run([*command, "evaluate", str(run), "--split", "test", *more], cwd=ROOT, check=True)


def finished(run: Path, task: Task, arm: Arm) -> bool:
    """Whether a run is trained, and scored on all that is wanted of it."""
    scored, names = run / "results.json", list(task.splits)
    wanted = names if task.best or arm.also else names[:1]  # training scores the first itself
    return (run / "finished.json").exists() and scored.exists() and set(wanted) <= set(files.read_json(scored))


def gathered(plan: Plan, title: str, workdir: Path, folder: str) -> Runs:
    """What results.json keeps of an arm's runs: of those that are under way, how far they have come."""
    arm = plan.arms[title]
    task, runs = plan.tasks[arm.task], []
    for seed in SEEDS:
        run = run_of(workdir, title, seed)
        if finished(run, task, arm):
            runs.append({"seed": seed, **kept(run, [*task.splits, *plan.extra], list(task.metrics), folder)})
            continue
        print(f"not finished: {title}, seed {seed}")
        curve = validation_curve(run, list(task.metrics))
        if curve:
            runs.append({"seed": seed, "unfinished": curve[-1][0], "validation": curve})
    return runs
