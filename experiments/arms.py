"""The arms of an experiment: recipes with flags, trained with several seeds, scored and collected. Imported by run.py of experiments.

Finished runs are kept and interrupted ones are resumed. Two commands of an experiment with different --only or --seeds can share its
runs. Tables show the runs of --workdir, also where results.json keeps more runs and is therefore not written.
"""

from __future__ import annotations

import argparse
import fnmatch
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gathering import MNIST, ROOT, Json, Runs, check_none_lost, errors_in_one_line, kept, options, step_times, validation_curve
from ml_collections import ConfigDict

from imgloc import files
from imgloc.config.resolve import resolve
from imgloc.errors import UserError

SEEDS = (0, 1, 2)  # of every arm
VALIDATIONS = 10  # of a run, evenly spaced: its steps are a multiple of this


class Arm(NamedTuple):
    """A recipe with its flags."""

    task: str
    recipe: str
    steps: int
    flags: tuple[str, ...] = ()
    also: tuple[tuple[str, ...], ...] = ()  # flags of further `imgloc evaluate` commands on a finished run


class Task(NamedTuple):
    """The task that arms are compared on."""

    metrics: dict[str, str]  # key of each metric in the tables -> its column title
    splits: dict[str, str]  # name of each scored split in results.json -> its description in a table
    folder: bool  # whether its data are read from --folder
    best: bool = False  # whether the best checkpoint on validation is scored as well


class Plan(NamedTuple):
    """The experiment in experiments/NAME."""

    name: str
    tasks: Mapping[str, Task]
    arms: Mapping[str, Arm]
    extra: tuple[str, ...] = ()  # further splits to keep, where a run has them
    operations: bool = False  # whether --measure counts operations; for models without a recurrence
    seeds: tuple[int, ...] = SEEDS  # that an arm may have
    validations: int = VALIDATIONS  # of a run
    data: tuple[str, str] = MNIST  # what --folder is: its default below $IMGLOC_DATA, and a description


@errors_in_one_line()
def command_line(about: str, plan: Plan, table: Callable[[str, Json], str], pictures: Callable[[Json], dict[str, str]]) -> None:
    """Times steps, or trains missing runs, collects results and draws; prints the tables. `pictures` returns file names with their text."""
    parser = options(about, plan.name, plan.data)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="ARM", help="arms to train, or patterns of them (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, choices=plan.seeds, help="seeds to train (default: 0 1 2)")
    arguments = parser.parse_args()
    arguments.only = matching(plan, arguments.only)
    results = ROOT / "experiments" / plan.name / "results.json"
    if arguments.measure:
        steps = step_times({title: config_of(plan, title, arguments.folder) for title in arguments.only}, operations=plan.operations)
    elif not (arguments.table or arguments.gather):
        make(plan, arguments)
    saved: Json = files.read_json(results) if results.exists() else {}  # read late: another command may have written meanwhile
    before = _count(saved.get("runs", {}))
    if arguments.measure:
        saved["steps"] = {**steps, "arms": {**saved.get("steps", {}).get("arms", {}), **steps["arms"]}}
    elif not arguments.table:
        collected = {title: gathered(plan, title, Path(arguments.workdir), arguments.folder) for title in plan.arms}
        saved["runs"] = {title: runs for title, runs in collected.items() if runs}
    print("\n\n".join(table(task, saved) for task in plan.tasks), flush=True)
    if arguments.table:
        return
    if not (arguments.measure or arguments.gather) and _count(saved["runs"]) < before:
        print(f"'{results}' keeps {before} runs and was not written; the tables above show those of '{arguments.workdir}'")
        return
    if not arguments.measure:
        check_none_lost(results, before, _count(saved["runs"]), arguments.workdir)
    files.write_json(results, saved)
    for name, text in pictures(saved).items():
        files.write_text(results.with_name(name), text)


def matching(plan: Plan, patterns: Sequence[str]) -> list[str]:
    """Returns the arms whose names match one of the patterns. Raises UserError for a pattern that none matches."""
    found = [[title for title in plan.arms if title == pattern or fnmatch.fnmatchcase(title, pattern)] for pattern in patterns]
    for pattern, titles in zip(patterns, found, strict=True):
        if not titles:
            raise UserError(f"--only is '{pattern}', which no arm matches; possible: {', '.join(plan.arms)}")
    return [title for title in plan.arms if any(title in titles for titles in found)]


def _count(arms: Mapping[str, Runs]) -> int:
    """Returns the number of finished runs."""
    return sum("results" in run for runs in arms.values() for run in runs)


def make(plan: Plan, arguments: argparse.Namespace) -> None:
    """Trains and scores missing runs, seed by seed. Raises UserError before the first one where the data of an arm are missing."""
    from imgloc.config import build

    for title in arguments.only:
        if plan.tasks[plan.arms[title].task].folder:
            build.make_source(config_of(plan, title, arguments.folder).data, "train", 0)
    for seed in arguments.seeds:
        for title in arguments.only:
            train(plan, title, seed, run_of(arguments.workdir, title, seed), arguments.folder)


def run_of(workdir: str | Path, title: str, seed: int) -> Path:
    """Returns the run folder of an arm and seed."""
    return Path(workdir) / f"{''.join(c if c.isalnum() else '-' for c in title)}-{seed}"


def data_flags(plan: Plan, arm: Arm, folder: str) -> list[str]:
    """Returns the flags that name the data of an arm's task."""
    return [f"--config.data.options.folder={folder}"] if plan.tasks[arm.task].folder else []


def config_of(plan: Plan, title: str, folder: str) -> ConfigDict:
    """Returns the config of an arm."""
    from imgloc.config.recipes import read_recipe

    arm = plan.arms[title]
    return resolve(read_recipe(str(ROOT / "configs" / f"{arm.recipe}.py")), [*arm.flags, *data_flags(plan, arm, folder)])


def train(plan: Plan, title: str, seed: int, run: Path, folder: str) -> None:
    """Trains a run, or resumes it, and scores it on the test images."""
    arm = plan.arms[title]
    task = plan.tasks[arm.task]
    if finished(run, task, arm):
        return
    command = [sys.executable, "-m", "imgloc"]
    intervals = [f"--config.train.{key}={arm.steps // plan.validations}" for key in ("eval_every", "save_every")]
    flags = [*arm.flags, *data_flags(plan, arm, folder), f"--config.seed={seed}", f"--config.train.steps={arm.steps}", *intervals]
    subprocess.run([*command, "train", "--config", f"configs/{arm.recipe}.py", "--workdir", str(run), *flags], cwd=ROOT, check=True)
    if not (run / "finished.json").exists():
        sys.exit(f"{run} was stopped; run this again")
    for scoring in (*([()] if task.best else ()), *arm.also):
        subprocess.run([*command, "evaluate", str(run), "--split", "test", *scoring], cwd=ROOT, check=True)


def finished(run: Path, task: Task, arm: Arm) -> bool:
    """Returns whether a run is trained and scored on every split of its task."""
    scored, names = run / "results.json", list(task.splits)
    expected = names if task.best or arm.also else names[:1]  # training itself scores the first
    return (run / "finished.json").exists() and scored.exists() and set(expected) <= set(files.read_json(scored))


def gathered(plan: Plan, title: str, workdir: Path, folder: str) -> Runs:
    """Returns what results.json keeps of an arm's runs; for unfinished ones, the validation curve so far."""
    arm = plan.arms[title]
    task, runs = plan.tasks[arm.task], []
    for seed in plan.seeds:
        run = run_of(workdir, title, seed)
        if finished(run, task, arm):
            runs.append({"seed": seed, **kept(run, [*task.splits, *plan.extra], list(task.metrics), folder)})
            continue
        if run.exists():
            print(f"not finished: {title}, seed {seed}")
        curve = validation_curve(run, list(task.metrics))
        if curve:
            runs.append({"seed": seed, "unfinished": curve[-1][0], "validation": curve})
    return runs
