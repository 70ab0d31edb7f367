"""What experiments that are sweeps share: run one, gather its results, time its steps. Imported by their run.py."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imgloc import files
from imgloc.stats import t_interval

HERE = Path(__file__).parent
ROOT = HERE.parent
Runs = list[dict[str, Any]]


def command_line(about: str, name: str, table: Callable[[dict[str, Any]], str], timed: Callable[[Mapping[str, Any]], str]) -> None:
    """Run the sweep of configs/NAME.py and gather it into experiments/NAME/results.json, or measure its steps; print the table."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only print the table of the saved results")
    parser.add_argument("--gather", action="store_true", help="only gather the runs of the sweep that are finished")
    parser.add_argument("--measure", action="store_true", help="time a step of each arm, in turns; let nothing else run")
    parser.add_argument("--folder", default=os.path.join(os.environ.get("IMGLOC_DATA", "data"), "mnist"), help="MNIST's four idx files")
    parser.add_argument("--workdir", default=str(ROOT / "runs" / name), help="the sweep's folder (default: runs/NAME of the checkout)")
    wanted = parser.parse_args()
    path = HERE / name / "results.json"
    found: dict[str, Any] = files.read_json(path) if path.exists() else {}
    recipe = f"configs/{name}.py"
    data = f"--config.data.options.folder={wanted.folder}"
    if wanted.measure:
        found["steps"] = step_times(recipe, [data], timed)
    elif not wanted.table:
        if not wanted.gather:
            subprocess.run([sys.executable, "-m", "imgloc", "sweep", recipe, "--workdir", wanted.workdir, data], cwd=ROOT, check=True)
        found["runs"] = gathered(recipe, Path(wanted.workdir), wanted.folder)
    if not wanted.table:
        files.write_json(path, found)
    print(table(found))


def gathered(recipe: str, workdir: Path, folder: str) -> Runs:
    """What is kept of each finished run of a recipe's sweep, in its order; `folder`, where its data lay, is left out of its command."""
    from imgloc.config import read_recipe
    from imgloc.sweep import folder as folders
    from imgloc.sweep.points import expand, read_sweep

    sweep = folders.SweepDir(workdir)
    known = folders.runs_by_identity(sweep)
    kept = []
    for point in expand(read_recipe(recipe), read_sweep(recipe), [f"--config.data.options.folder={folder}"]):
        run = folders.run_of(sweep, point, known).path
        if not (run / "finished.json").exists() or "test" not in files.read_json(run / "results.json"):
            print(f"not finished: {point.name}")
            continue
        provenance = files.read_json(run / "provenance.json")
        sessions = provenance["sessions"]
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        results = files.read_json(run / "results.json")
        kept.append({
            "overrides": dict(point.overrides),
            "seconds": round(sum(session["seconds"] for session in sessions), 1),
            "processes": len(sessions),
            "command": sessions[0]["command"].replace(f"{ROOT}/", "").replace(folder, "FOLDER"),
            "commit": sessions[0]["commit"],
            "dirty": sessions[0]["dirty"],
            "machine": provenance["machine"],
            "jax": provenance["packages"]["jax"],
            "python": provenance["python"],
            "steps": files.read_json(run / "finished.json")["last_step"],
            "validation": [[line["step"], line["top1"]] for line in lines if line["kind"] == "validation"],
            "results": {split: results[split]["top1"] for split in ("test@last", "test")},
        })  # fmt: skip
    return kept


def step_times(recipe: str, arguments: Sequence[str], name: Callable[[Mapping[str, Any]], str], rounds: int = 7) -> dict[str, Any]:
    """Milliseconds of a training step and learned parameters of each of a sweep's configs but for the seed, measured in turns."""
    import jax

    from imgloc import build, loop, prepare, runtime
    from imgloc.config import read_recipe
    from imgloc.sweep.points import expand, read_sweep

    runtime.prepare()
    arms: dict[str, Callable[[], float]] = {}
    found: dict[str, Any] = {}
    for point in expand(read_recipe(recipe), read_sweep(recipe), arguments):
        title = name(point.overrides)
        if title in arms:
            continue
        config = build.in_steps(point.config)
        parts = prepare.build_parts(config)
        state = prepare.initial_state(config, parts)
        given = next(loop.open_batches(config, parts, 0))
        per_call = config.train.steps_per_call
        found[title] = {"parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params))}
        arms[title] = _timer(parts.train_step, state, given, per_call)
    times: dict[str, list[float]] = {title: [] for title in arms}
    for _ in range(rounds):
        for title, once in arms.items():
            times[title].append(once())
    for title, values in times.items():
        found[title]["ms"] = round(statistics.median(values[1:]), 3)  # the first round compiles
    return {"machine": f"{os.cpu_count()} cores", "of_cores": len(os.sched_getaffinity(0)), "arms": found}


def _timer(train_step: Callable[..., Any], state: Any, given: tuple[Any, ...], per_call: int, seconds: float = 1.0) -> Callable[[], float]:
    """A function that trains on the same batches for about some seconds and gives the milliseconds a step."""
    import jax

    holder = [state]

    def once() -> float:
        began, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - began < seconds:
            holder[0], metrics = train_step(holder[0], *given)
            jax.block_until_ready((holder[0], metrics))
            steps += per_call
        return (time.perf_counter() - began) * 1e3 / steps

    return once


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
    commits = ", ".join(sorted({run["commit"][:7] + (" (changed)" if run["dirty"] else "") for run in runs}))
    return f"Commits {commits}; {one['machine']}; JAX {one['jax']}, Python {one['python']}."
