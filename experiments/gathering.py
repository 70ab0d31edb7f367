"""What experiments share: run a sweep, keep of its runs what a table needs, time steps. Imported by their run.py."""

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
from typing import Any

from imgloc.runs.provenance import commit
from imgloc.runs.provenance import surroundings
from imgloc import files
from imgloc.config.resolve import epochs_to_steps
from imgloc.errors import UserError
from imgloc.evaluation.statistics import t_interval
from imgloc.runs import run_dir

HERE = Path(__file__).parent
ROOT = HERE.parent
Runs = list[dict[str, Any]]


@contextlib.contextmanager
def mistakes_told() -> Iterator[None]:
    """Ends the program in one line where a user did something wrong; a command of imgloc that ended badly has said why itself."""
    try:
        yield
    except UserError as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        sys.exit(2)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


@mistakes_told()
def command_line(about: str, name: str, table: Callable[[dict[str, Any]], str], timed: Callable[[Mapping[str, Any]], str]) -> None:
    """Run the sweep of configs/NAME.py and gather it into experiments/NAME/results.json, or measure its steps; print the table."""
    wanted = options(about, name).parse_args()
    path = HERE / name / "results.json"
    found: dict[str, Any] = files.read_json(path) if path.exists() else {}
    recipe = f"configs/{name}.py"
    data = f"--config.data.options.folder={wanted.folder}"
    if wanted.measure:
        found["steps"] = step_times(arms_of(recipe, [data], timed))
    elif not wanted.table:
        if not wanted.gather:
            subprocess.run([sys.executable, "-m", "imgloc", "sweep", recipe, "--workdir", wanted.workdir, data], cwd=ROOT, check=True)
        runs = gathered(recipe, Path(wanted.workdir), wanted.folder)
        check_none_lost(path, len(found.get("runs", ())), len(runs), wanted.workdir)
        found["runs"] = runs
    if not wanted.table:
        files.write_json(path, found)
    print(table(found))


def options(about: str, name: str) -> argparse.ArgumentParser:
    """What every such experiment is asked for."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only print what the saved results say")
    parser.add_argument("--gather", action="store_true", help="only gather the runs that are finished")
    parser.add_argument("--measure", action="store_true", help="time a step of each arm, in turns; let nothing else run")
    parser.add_argument("--folder", default=os.path.join(os.environ.get("IMGLOC_DATA", "data"), "mnist"), help="MNIST's four idx files")
    parser.add_argument("--workdir", default=str(ROOT / "runs" / name), help="the runs' folder (default: runs/NAME of the checkout)")
    return parser


def check_none_lost(path: Path, before: int, after: int, workdir: str) -> None:
    """Raises UserError where a results.json would keep fewer runs than it has: a fresh checkout holds the results, not the runs."""
    if after < max(before, 1):
        possible = f"a --workdir with at least {max(before, 1)}" + (", or that file without its key 'runs'" if before else "")
        raise UserError(f"'{path}' keeps {before} runs and '{workdir}' has {after} that are finished; left as it is; possible: {possible}")


def gathered(recipe: str, workdir: Path, folder: str) -> Runs:
    """What is kept of each finished run of a recipe's sweep, in its order; `folder`, where its data lay, is left out of its command."""
    from imgloc.config.recipes import read_recipe
    from imgloc.sweep import folder as folders
    from imgloc.sweep.points import expand, read_sweep

    sweep = folders.SweepDir(workdir)
    known = folders.runs_by_identity(sweep)
    found = []
    for point in expand(read_recipe(recipe), read_sweep(recipe), [f"--config.data.options.folder={folder}"]):
        run = folders.run_of(sweep, point, known).path
        if not finished(run):
            print(f"not finished: {point.name}")
            continue
        found.append({"overrides": dict(point.overrides), **kept(run, ("test@last", "test"), ("top1",), folder)})
    return found


def finished(run: Path) -> bool:
    """Whether a run is trained, and scored on the test split."""
    scored = run / "results.json"
    return (run / "finished.json").exists() and scored.exists() and "test" in files.read_json(scored)


def kept(run: Path, splits: Sequence[str], metrics: Sequence[str], folder: str) -> dict[str, Any]:
    """What a results.json keeps of a finished run: who made it and how, its validation curve, and its metrics of the splits that it has."""
    provenance, scored = files.read_json(run / "provenance.json"), files.read_json(run / "results.json")
    sessions, checkout = provenance["sessions"], run.absolute().parents[2]  # of runs/NAME/RUN
    commits = dict.fromkeys((session["commit"], session["dirty"]) for session in sessions)
    return {
        "seconds": round(sum(session["seconds"] for session in sessions), 1),
        "processes": len(sessions),
        "command": sessions[0]["command"].replace(f"{checkout}/", "").replace(folder, "FOLDER"),
        "commit": sessions[0]["commit"],
        "dirty": sessions[0]["dirty"],
        **({"went_on": [{"commit": commit, "dirty": dirty} for commit, dirty in list(commits)[1:]]} if len(commits) > 1 else {}),
        "machine": provenance["machine"],
        "jax": provenance["packages"]["jax"],
        "python": provenance["python"],
        "steps": files.read_json(run / "finished.json")["last_step"],
        "validation": validation_curve(run, metrics),
        "results": {split: {name: scored[split][name] for name in metrics if name in scored[split]} for split in splits if split in scored},
    }


def validation_curve(run: Path, metrics: Sequence[str]) -> list[list[float | None]]:
    """[step, metric, ...] of each validation that a run has come to; None for a metric that it does not have."""
    log = run / "metrics.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    found = [(line["step"], map(line.get, metrics)) for line in lines if line["kind"] == "validation"]
    return [[step, *(None if value is None else round(value, 5) for value in values)] for step, values in found]


def arms_of(recipe: str, arguments: Sequence[str], name: Callable[[Mapping[str, Any]], str]) -> dict[str, Any]:
    """The configs of a recipe's sweep, one of each name."""
    from imgloc.config.recipes import read_recipe
    from imgloc.sweep.points import expand, read_sweep

    configs: dict[str, Any] = {}
    for point in expand(read_recipe(recipe), read_sweep(recipe), arguments):
        configs.setdefault(name(point.overrides), point.config)
    return configs


def step_times(configs: Mapping[str, Any], rounds: int = 7, *, operations: bool = False) -> dict[str, Any]:
    """Milliseconds of a training step of each config, its batches made meanwhile as in training, and its learned parameters.

    All configs in one process, in turns of about a second; medians over the turns. Where wanted, also the floating-point operations of
    an answer to one image by XLA's analysis of what it compiled: it counts a loop's body once, so a recurrence's are too few.
    """
    import jax
    import numpy as np

    from imgloc.devices import runtime
    from imgloc.training import loop, setup, step

    runtime.prepare()
    found: dict[str, Any] = {}
    turns: dict[str, Callable[[], float]] = {}
    for title, given in configs.items():
        config = epochs_to_steps(given)
        config.train.steps = 10**5  # that batches do not end
        parts = setup.set_up(config)
        state = setup.initial_state(config, parts)
        found[title] = {"parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params))}
        if operations:
            images = np.zeros((config.train.batch_size, *parts.view.shape), np.uint8)
            cost = parts.predict.lower(step.eval_variables(state), images).compile().cost_analysis()
            found[title]["operations"] = round(cost["flops"] / config.train.batch_size)
        turns[title] = _timer(parts.train_step, state, loop.open_batches(config, parts, 0), config.train.steps_per_call)
    times: dict[str, list[float]] = {title: [] for title in turns}
    for _ in range(rounds + 1):
        for title, turn in turns.items():
            times[title].append(turn())
    for title, values in times.items():  # the first turn compiles
        found[title] |= {"ms": round(statistics.median(values[1:]), 3), "lowest": round(min(values[1:]), 3)}
    return {**surroundings(), "of_cores": len(os.sched_getaffinity(0)), "arms": found}


def surroundings() -> dict[str, Any]:
    """The commit, machine and versions that measure."""
    where = surroundings()
    return {**commit(), "machine": where["machine"], "jax": where["packages"]["jax"], "python": where["python"]}


def _timer(train_step: Callable[..., Any], state: Any, batches: Iterator[tuple[Any, ...]], per_call: int) -> Callable[[], float]:
    """A function that trains for about a second and gives the milliseconds a step."""
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
    """Mean in per cent with the 95 % t interval over seeds, where there are several; what is no share of anything is cut off."""
    if len(values) < 2:
        return f"{100 * values[0]:.{digits}f}"
    interval = t_interval(list(values))
    low, high = max(interval.low, 0.0), min(interval.high, 1.0)
    return f"{100 * interval.mean:.{digits}f} [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def grouped(runs: Runs, name: Callable[[Mapping[str, Any]], str]) -> dict[str, Runs]:
    """The runs of each config but for the seed, in the order of the sweep."""
    groups: dict[str, Runs] = {}
    for run in runs:
        groups.setdefault(name(run["overrides"]), []).append(run)
    return groups


def made_by(runs: Runs) -> str:
    """The commits, machine and versions that made some runs, in a line."""
    one = runs[0]
    every = {(made["commit"], made["dirty"]) for run in runs for made in (run, *run.get("went_on", ()))}
    commits = ", ".join(sorted(commit[:7] + (" (changed)" if dirty else "") for commit, dirty in every))
    return f"Commits {commits}; {one['machine']}; JAX {one['jax']}, Python {one['python']}."
