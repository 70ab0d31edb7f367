"""Recurrent sweeps beside convolutions in equal training time: trunks of one localizer on scattered digits, and ReNet on MNIST.

    python experiments/renet/run.py --table             # prints the tables of the saved results.json
    python experiments/renet/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist
    python experiments/renet/run.py --measure           # the time of a step of each arm anew, into step_times.json; let nothing else run

Each arm of a task trains for as many steps as fit into the task's seconds at the arm's time a step in step_times.json: what is equal is the
time of training steps, on the machine that the times were measured on; that they are steps makes a run the same bits anywhere.
Finished runs are not made again, interrupted ones go on. Writes results.json after each run, curves.svg at the end, and prints the tables.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from imgloc import files, rundir

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUNS = ROOT / "runs" / "renet"
SEEDS = (0, 1, 2)
VALIDATIONS = 10  # of a run, evenly spaced
STEPS = 10  # in one turn of --measure


class Arm(NamedTuple):
    """A recipe with its flags."""

    task: str
    recipe: str
    flags: tuple[str, ...] = ()


class Task(NamedTuple):
    """What arms are compared on."""

    seconds: float  # of training steps
    metrics: dict[str, str]  # of the tables, the one that is drawn first
    splits: dict[str, str]  # scored: their name in results.json, and what the table says of them


FOUR = {"top1_loc_50": "both right", "top1": "class right", "mean_iou": "mean IoU", "gt_known_50": "box right"}
TASKS = {
    "digits": Task(180, FOUR, {"test": "test"}),
    "mnist": Task(600, {"top1": "class right"}, {"test@last": "test, last step", "test": "test, best of validation"}),
}
TRUNKS = {"cnn": 5e-3, "renet": 1e-2, "cnn_irnn": 5e-3, "conv_lstm": 1e-2}  # learning rates: the better of two after 400 steps
ARMS = {
    "CNN, two looks": Arm("digits", "digits_cnn"),
    "LSTM, rows then columns": Arm("digits", "digits_lstm"),
    **{
        f"localizer, {trunk}": Arm("digits", "digits_trunks", (f"--config.model.trunk={trunk}", f"--config.optim.lr={lr}"))
        for trunk, lr in TRUNKS.items()
    },
    "CNN of the seed": Arm("mnist", "seed_cnn_mnist"),
    "ReNet": Arm("mnist", "renet_mnist"),
}
BASELINES = {"median box of training": "test/median_box", "whole-image box": "test/whole_image"}
Found = dict[str, dict[str, dict[str, Any]]]


def main() -> None:
    """Measure; or make what is missing, then tabulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=os.path.join(os.environ.get("IMGLOC_DATA", "data"), "mnist"), help="MNIST's four idx files")
    parser.add_argument("--measure", action="store_true", help="time a step of each arm, in turns")
    parser.add_argument("--turns", type=int, default=7, help="of each arm when measuring")
    parser.add_argument("--table", action="store_true", help="only print the tables of the saved results")
    parser.add_argument("--only", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM", help="arms to train; without it all")
    wanted = parser.parse_args()
    if wanted.measure:
        measured = measure(wanted.folder, wanted.turns)
        files.write_json(HERE / "step_times.json", measured)
        print(json.dumps(measured, indent=2))
        return
    results = HERE / "results.json"
    found: Found = files.read_json(results) if results.exists() else {}
    for title in wanted.only if not wanted.table else ():
        for seed in SEEDS:
            found.setdefault(title, {})[str(seed)] = make_run(title, seed, wanted.folder)
            files.write_json(results, found)
    if not wanted.table:
        files.write_text(HERE / "curves.svg", curves(found))
    print("\n\n".join(table(task, found) for task in TASKS))


def steps_of(title: str) -> int:
    """Steps of an arm in its task's seconds: a multiple of its validations."""
    arm = ARMS[title]
    ms = files.read_json(HERE / "step_times.json")["arms"][title]["ms"]
    return VALIDATIONS * round(1000 * TASKS[arm.task].seconds / ms / VALIDATIONS)


def make_run(title: str, seed: int, folder: str) -> dict[str, Any]:
    """What results.json keeps of a run, which is made or goes on where it is not finished."""
    arm, steps = ARMS[title], steps_of(title)
    run = RUNS / f"{''.join(c if c.isalnum() else '-' for c in title)}-{seed}"
    command = [sys.executable, "-m", "imgloc"]
    every = [f"--config.train.{key}={steps // VALIDATIONS}" for key in ("eval_every", "save_every")]
    flags = [*arm.flags, *data_flags(arm, folder), f"--config.seed={seed}", f"--config.train.steps={steps}", *every]
    subprocess.run([*command, "train", "--config", f"configs/{arm.recipe}.py", "--workdir", str(run), *flags], cwd=ROOT, check=True)
    if not (run / "finished.json").exists():
        sys.exit(f"{run} was stopped; run this again")
    subprocess.run([*command, "evaluate", str(run), "--split", "test"], cwd=ROOT, check=True)
    provenance, scored = files.read_json(run / "provenance.json"), files.read_json(run / "results.json")
    sessions = provenance["sessions"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metrics = TASKS[arm.task].metrics
    splits = [split for split in (*TASKS[arm.task].splits, *BASELINES.values()) if split in scored]
    return {
        "steps": steps,
        "seconds": round(sum(session["seconds"] for session in sessions), 1),
        "processes": len(sessions),
        "command": sessions[0]["command"].replace(f"{ROOT}/", "").replace(folder, "FOLDER"),
        "commit": sessions[0]["commit"],
        "dirty": sessions[0]["dirty"],
        "machine": provenance["machine"],
        "jax": provenance["packages"]["jax"],
        "python": provenance["python"],
        "validation": [[line["step"], *(round(line[name], 5) for name in metrics)] for line in lines if line["kind"] == "validation"],
        "results": {split: {name: scored[split][name] for name in metrics if name in scored[split]} for split in splits},
    }


def data_flags(arm: Arm, folder: str) -> list[str]:
    """Where the data of an arm's task lies."""
    return [f"--config.data.options.folder={folder}"] if arm.task == "mnist" else []


def measure(folder: str, count: int) -> dict[str, Any]:
    """Milliseconds of a training step of each arm, its batches made meanwhile as in training, and its learned parameters.

    All arms in one process, in turns: medians over `count` turns.
    """
    from imgloc import runtime

    runtime.prepare()
    turns = {title: stepping(arm, folder, (count + 2) * STEPS) for title, arm in ARMS.items()}
    times: dict[str, list[float]] = {title: [] for title in ARMS}
    for _ in range(count + 1):
        for title, (turn, _) in turns.items():
            times[title].append(turn())
    kept = {
        title: {"ms": round(statistics.median(ms[1:]), 2), "lowest": round(min(ms[1:]), 2), "parameters": turns[title][1]}
        for title, ms in times.items()  # the first turn compiles
    }
    where = rundir.surroundings()
    return {**rundir.commit(), "machine": where["machine"], "jax": where["packages"]["jax"], "python": where["python"], "arms": kept}


def stepping(arm: Arm, folder: str, steps: int) -> tuple[Callable[[], float], int]:
    """A function that does STEPS steps of an arm's training and gives the milliseconds of one, and the number of parameters."""
    import jax

    from imgloc import build, loop, prepare
    from imgloc.config import read_recipe

    recipe = read_recipe(str(ROOT / "configs" / f"{arm.recipe}.py"))
    config = build.resolve(recipe, [*arm.flags, *data_flags(arm, folder), f"--config.train.steps={steps}", "--config.train.eval_every=0"])
    parts = prepare.build_parts(config)
    holder = [prepare.initial_state(config, parts)]
    batches = loop.open_batches(config, parts, 0)

    def turn() -> float:
        began = time.perf_counter()
        for _ in range(STEPS):
            holder[0], metrics = parts.train_step(holder[0], *next(batches))
        jax.block_until_ready((holder[0], metrics))
        return (time.perf_counter() - began) * 1e3 / STEPS

    return turn, sum(leaf.size for leaf in jax.tree.leaves(holder[0].params))


def table(task: str, found: Found) -> str:
    """A Markdown table of a task: medians over the seeds, lowest and highest; of the first metric the median run's 95 % interval."""
    wanted = TASKS[task]
    times = files.read_json(HERE / "step_times.json")["arms"]
    first = next(iter(wanted.metrics))
    titles = [f"{title} (`{name}`), {split}" for split in wanted.splits.values() for name, title in wanted.metrics.items()]
    titles += [f"its interval (`{first}`)", "parameters", "steps", "ms a step", "training, all told"]
    lines = [f"| {task}, {wanted.seconds:g} s of steps | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    arms = {title: list(found[title].values()) for title, arm in ARMS.items() if arm.task == task and title in found}
    for title, runs in arms.items():
        cells = [spread([run["results"][split][name]["mean"] for run in runs]) for split in wanted.splits for name in wanted.metrics]
        scored = sorted((run["results"][next(iter(wanted.splits))][first] for run in runs), key=lambda value: value["mean"])
        middle = scored[len(scored) // 2]
        cells += [f"{middle['low']:.4f} to {middle['high']:.4f}", f"{times[title]['parameters']:,}", f"{runs[0]['steps']:,}"]
        cells += [f"{times[title]['ms']:.1f}", f"{statistics.median(run['seconds'] for run in runs):.0f} s"]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    any_run = next((runs[0] for runs in arms.values()), {"results": {}})
    for title, split in BASELINES.items():
        values = any_run["results"].get(split, {})
        if "mean_iou" in values:
            lines.append(f"| {title} | " + " | ".join(f"{values[name]['mean']:.4f}" for name in wanted.metrics) + " | | | | | |")
    return "\n".join([*lines, *made_by([run for runs in arms.values() for run in runs])])


def made_by(runs: list[dict[str, Any]]) -> list[str]:
    """The commits, machines and versions that made some runs, as a paragraph."""
    if not runs:
        return []
    commits = ", ".join(sorted({run["commit"][:7] + (" (changed)" if run["dirty"] else "") for run in runs}))
    machines = "; ".join(sorted({f"{run['machine']}; JAX {run['jax']}, Python {run['python']}" for run in runs}))
    return ["", f"Commits {commits}; {machines}."]


def spread(values: list[float]) -> str:
    """Median with the lowest and the highest."""
    return f"{statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def curves(found: Found) -> str:
    """Each task's first metric on validation over seconds of training steps, as SVG: medians over the seeds, lowest to highest shaded."""
    import matplotlib
    from matplotlib.figure import Figure

    times = files.read_json(HERE / "step_times.json")["arms"]
    with matplotlib.rc_context({"svg.hashsalt": "renet", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        for axes, (task, wanted) in zip(figure.subplots(1, len(TASKS)), TASKS.items(), strict=True):
            for title in (title for title, arm in ARMS.items() if arm.task == task and title in found):
                runs = [run["validation"] for run in found[title].values()]
                seconds = [point[0] * times[title]["ms"] / 1000 for point in runs[0]]
                errors = [[1 - run[i][1] for run in runs] for i in range(len(seconds))]
                (line,) = axes.plot(seconds, [statistics.median(values) for values in errors], marker="o", markersize=2.5, label=title)
                lowest, highest = [min(values) for values in errors], [max(values) for values in errors]
                axes.fill_between(seconds, lowest, highest, color=line.get_color(), alpha=0.15, linewidth=0)
            axes.set(xlabel="seconds of training steps", ylabel=f"1 - {next(iter(wanted.metrics))}, validation", title=task, yscale="log")
            axes.grid(which="both", linewidth=0.3)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize=7.5)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


if __name__ == "__main__":
    main()
