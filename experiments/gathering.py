"""What the experiments share: running a sweep, collecting its results, timing training steps. Imported by their run.py."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ml_collections import ConfigDict

from imgloc import files
from imgloc.config.resolve import resolve_from_data
from imgloc.errors import UserError
from imgloc.evaluation.statistics import t_interval
from imgloc.runs.provenance import describe_environment, git_commit

HERE = Path(__file__).parent
ROOT = HERE.parent
Json: TypeAlias = dict[str, Any]  # what a JSON file holds
Runs: TypeAlias = list[Json]
MNIST = ("mnist", "MNIST's four idx files")  # the default of --folder below $IMGLOC_DATA, and what it is


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Ends the program with one line for a user's mistake, or with the exit code of the imgloc command that failed."""
    try:
        yield
    except UserError as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        sys.exit(2)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


@errors_in_one_line()
def command_line(about: str, name: str, table: Callable[[Json], str], arm_name: Callable[[Mapping[str, Any]], str]) -> None:
    """Runs the sweep of configs/NAME.py and collects it in experiments/NAME/results.json, or times its steps; prints the table."""
    arguments = options(about, name).parse_args()
    path = HERE / name / "results.json"
    results: Json = files.read_json(path) if path.exists() else {}
    recipe = f"configs/{name}.py"
    data = f"--config.data.options.folder={arguments.folder}"
    if arguments.measure:
        results["steps"] = step_times(arms_of(recipe, [data], arm_name))
    elif not arguments.table:
        if not arguments.gather:
            command = [sys.executable, "-m", "imgloc", "sweep", "--config", recipe, "--workdir", arguments.workdir, data]
            subprocess.run(command, cwd=ROOT, check=True)
        runs = gathered(recipe, Path(arguments.workdir), arguments.folder)
        check_none_lost(path, len(results.get("runs", ())), len(runs), arguments.workdir)
        results["runs"] = runs
    if not arguments.table:
        files.write_json(path, results)
    print(table(results))


def options(about: str, name: str, data: tuple[str, str] = MNIST) -> argparse.ArgumentParser:
    """Returns a parser of the options that all these experiments have."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the table of the saved results and stop")
    parser.add_argument("--gather", action="store_true", help="collect the finished runs without training")
    parser.add_argument("--measure", action="store_true", help="time the training step of each arm, in turns; nothing else should run")
    folder, what = data
    parser.add_argument("--folder", default=os.path.join(os.environ.get("IMGLOC_DATA", "data"), folder), help=what)
    parser.add_argument("--workdir", default=str(ROOT / "runs" / name), help="the folder of the runs (default: runs/NAME of the checkout)")
    return parser


def check_none_lost(path: Path, before: int, after: int, workdir: str) -> None:
    """Raises UserError where a results.json would keep fewer runs than before: a fresh checkout has the results but not the runs."""
    if after < max(before, 1):
        possible = f"a --workdir with at least {max(before, 1)}" + (", or that file without its key 'runs'" if before else "")
        raise UserError(f"'{path}' keeps {before} runs, '{workdir}' has {after} finished ones; nothing was written; possible: {possible}")


def gathered(recipe: str, workdir: Path, folder: str) -> Runs:
    """Returns the record of each finished run of a recipe's sweep, in its order, without the `folder` of the data in its command."""
    from imgloc.config.recipes import read_recipe
    from imgloc.sweeps import folder as folders
    from imgloc.sweeps.points import expand, read_sweep

    sweep = folders.SweepDir(workdir)
    known = folders.runs_by_identity(sweep)
    runs = []
    for point in expand(read_recipe(recipe), read_sweep(recipe), [f"--config.data.options.folder={folder}"]):
        run = folders.run_of(sweep, point, known).path
        if not finished(run):
            print(f"not finished: {point.name}")
            continue
        runs.append({"overrides": dict(point.overrides), **kept(run, ("test@last", "test"), ("top1",), folder)})
    return runs


def finished(run: Path) -> bool:
    """Returns whether a run is trained and scored on the test split."""
    scored = run / "results.json"
    return (run / "finished.json").exists() and scored.exists() and "test" in files.read_json(scored)


def kept(run: Path, splits: Sequence[str], metrics: Sequence[str], folder: str) -> Json:
    """Returns what a results.json keeps of a finished run: its provenance, validation curve, and metrics of the splits it was scored on."""
    provenance, scored = files.read_json(run / "provenance.json"), files.read_json(run / "results.json")
    sessions, checkout = provenance["sessions"], run.absolute().parents[2]  # of runs/NAME/RUN
    commits = dict.fromkeys((session["commit"], session["dirty"]) for session in sessions)
    return {
        "seconds": round(sum(session["seconds"] for session in sessions), 1),
        "processes": len(sessions),
        "command": sessions[0]["command"].replace(f"{checkout}/", "").replace(folder, "FOLDER"),
        "commit": sessions[0]["commit"],
        "dirty": sessions[0]["dirty"],
        **({"went_on": [{"commit": git_commit, "dirty": dirty} for git_commit, dirty in list(commits)[1:]]} if len(commits) > 1 else {}),
        "machine": provenance["machine"],
        "jax": provenance["packages"]["jax"],
        "python": provenance["python"],
        "steps": files.read_json(run / "finished.json")["last_step"],
        "validation": validation_curve(run, metrics),
        "results": {split: {name: scored[split][name] for name in metrics if name in scored[split]} for split in splits if split in scored},
    }


def validation_curve(run: Path, metrics: Sequence[str]) -> list[list[float | None]]:
    """Returns [step, metric, ...] for each validation so far, None for a metric that the run does not have."""
    log = run / "metrics.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    validations = [(line["step"], map(line.get, metrics)) for line in lines if line["kind"] == "validation"]
    return [[step, *(None if value is None else round(value, 5) for value in values)] for step, values in validations]


def arms_of(recipe: str, arguments: Sequence[str], arm_name: Callable[[Mapping[str, Any]], str]) -> dict[str, ConfigDict]:
    """Returns the first config of each arm in a recipe's sweep."""
    from imgloc.config.recipes import read_recipe
    from imgloc.sweeps.points import expand, read_sweep

    configs: dict[str, ConfigDict] = {}
    for point in expand(read_recipe(recipe), read_sweep(recipe), arguments):
        configs.setdefault(arm_name(point.overrides), point.config)
    return configs


def step_times(configs: Mapping[str, ConfigDict], rounds: int = 7, *, operations: bool = False) -> Json:
    """Returns the milliseconds of a training step of each config, its batches made meanwhile as in training, and its parameters.

    All configs run in one process, in turns of about a second; times are medians over the turns. With `operations`, also the
    floating-point operations of a prediction per image, by XLA's analysis of the compiled program. XLA counts the body of a loop
    once, so the count is too low for recurrent models.
    """
    import jax
    import numpy as np

    from imgloc.devices import runtime
    from imgloc.training import loop, setup, step

    runtime.prepare()
    arms: Json = {}
    turns: dict[str, Callable[[], float]] = {}
    for title, recipe in configs.items():
        config = resolve_from_data(recipe)
        config.train.steps = 10**5  # more than are timed, so that batches do not end
        parts = setup.set_up(config)
        state = setup.initial_state(config, parts)
        arms[title] = {"parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params))}
        if operations:
            images = np.zeros((config.train.batch_size, *parts.spec.shape), np.uint8)
            predict: Any = parts.predict  # a jitted function
            cost = predict.lower(step.eval_variables(state), images).compile().cost_analysis()
            arms[title]["operations"] = round(cost["flops"] / config.train.batch_size)
        turns[title] = _timer(parts.train_step, state, loop.open_batches(config, parts, 0), config.train.steps_per_call)
    times: dict[str, list[float]] = {title: [] for title in turns}
    for _ in range(rounds + 1):
        for title, turn in turns.items():
            times[title].append(turn())
    for title, values in times.items():  # the first turn compiles
        arms[title] |= {"ms": round(statistics.median(values[1:]), 3), "lowest": round(min(values[1:]), 3)}
    where = describe_environment()
    return {
        **git_commit(), "machine": where["machine"], "jax": where["packages"]["jax"], "python": where["python"],
        "of_cores": len(os.sched_getaffinity(0)), "arms": arms,
    }  # fmt: skip


def _timer(train_step: Callable[..., Any], state: object, batches: Iterator[tuple[Any, ...]], per_call: int) -> Callable[[], float]:
    """Returns a function that trains for about a second and returns the milliseconds per step."""
    import jax

    holder = [state]

    def turn() -> float:
        began, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - began < 1.0:
            holder[0], metrics = train_step(holder[0], *next(batches))
            jax.block_until_ready((holder[0], metrics))
            steps += per_call
        return (time.perf_counter() - began) * 1e3 / steps

    return turn


def over_seeds(values: Sequence[float], digits: int = 2) -> str:
    """Returns the mean in per cent, with its 95 % t interval over several seeds, clipped to 0 and 100."""
    if len(values) < 2:
        return f"{100 * values[0]:.{digits}f}"
    interval = t_interval(list(values))
    low, high = max(interval.low, 0.0), min(interval.high, 1.0)
    return f"{100 * interval.mean:.{digits}f} [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def cell_title(overrides: Mapping[str, Any]) -> str:
    """Returns a cell with the settings that a run overrides, such as `lstm(activation=relu)`."""
    settings = {key.removeprefix("model.cell."): value for key, value in overrides.items() if key.startswith("model.cell.")}
    name = str(settings.pop("name"))
    return name + (f"({', '.join(f'{key}={value}' for key, value in settings.items())})" if settings else "")


def grouped(runs: Runs, arm_name: Callable[[Mapping[str, Any]], str]) -> dict[str, Runs]:
    """Returns the runs of each arm, which differ in their seeds, in the order of the sweep."""
    groups: dict[str, Runs] = {}
    for run in runs:
        groups.setdefault(arm_name(run["overrides"]), []).append(run)
    return groups


def made_by(runs: Runs) -> str:
    """Returns a line with the commits, machine and versions that made some runs."""
    first = runs[0]
    sessions = {(session["commit"], session["dirty"]) for run in runs for session in (run, *run.get("went_on", ()))}
    commits = ", ".join(sorted(git_commit[:7] + (" (changed)" if dirty else "") for git_commit, dirty in sessions))
    return f"Commits {commits}; {first['machine']}; JAX {first['jax']}, Python {first['python']}."
