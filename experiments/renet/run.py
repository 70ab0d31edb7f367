"""Recurrent sweeps beside convolutions in equal training time: trunks of one localizer on scattered digits, and ReNet on MNIST.

    python experiments/renet/run.py --table             # prints the tables of the saved results.json
    python experiments/renet/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist
    python experiments/renet/run.py --gather            # only gathers the runs that are finished
    python experiments/renet/run.py --measure           # the time of a step of each arm anew; let nothing else run

Each arm of a task trains for as many steps as fit into the task's seconds at its time a step on one core (`MS`, by --measure under
`taskset -c 0`): what is equal is the time of training steps on the machine that measured; that they are steps makes a run the same bits
anywhere. `taskset -c 0` and `-c 1` before two of these commands, with different --only or --seeds, share the runs between two cores.
Finished runs are not made again, interrupted ones go on. Writes results.json and curves.svg, and prints the tables.
"""

from __future__ import annotations

import io
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from arms import VALIDATIONS, Arm, Plan, Task, command_line
from gathering import Runs, made_by, over_seeds

SECONDS = {"digits": 180, "mnist": 480}  # of training steps
MS: dict[str, float] = {}  # a step of each arm, of one core of an AMD EPYC, by --measure


def timed(title: str, task: str, recipe: str, ms: float, *flags: str) -> tuple[str, Arm]:
    """An arm that trains for its task's seconds."""
    MS[title] = ms
    return title, Arm(task, recipe, VALIDATIONS * round(1000 * SECONDS[task] / ms / VALIDATIONS), flags)


def trunk(name: str, lr: float, ms: float) -> tuple[str, Arm]:
    """The localizer with a trunk."""
    return timed(f"localizer, {name}", "digits", "digits_backbones", ms, f"--config.model.trunk={name}", f"--config.optim.lr={lr}")


FOUR = {"top1_loc_50": "both right", "top1": "class right", "mean_iou": "mean IoU", "gt_known_50": "box right"}
TASKS = {
    "digits": Task(FOUR, {"test": "test"}, mnist=False, best=True),
    "mnist": Task({"top1": "class right"}, {"test@last": "test, last step", "test": "test, best of validation"}, mnist=True, best=True),
}
ARMS = dict((
    timed("CNN, two looks", "digits", "digits_cnn", 121),
    timed("LSTM, rows then columns", "digits", "digits_lstm", 78.8),
    # Learning rates: renet and conv_lstm were tried at 5e-3 and 1e-2 for 400 steps, the others have the recipe's.
    trunk("cnn", 5e-3, 84.8),
    trunk("renet", 1e-2, 147),
    trunk("cnn_irnn", 5e-3, 92.8),
    trunk("conv_lstm", 1e-2, 116),
    timed("RAM, 6 glimpses", "digits", "digits_ram", 29.2),
    timed("CNN of the seed", "mnist", "three_layer_cnn_mnist", 7.21),
    timed("ReNet", "mnist", "renet_mnist", 144),
))  # fmt: skip
BASELINES = {"median box of training": "test/median_box", "whole-image box": "test/whole_image"}
PLAN = Plan("renet", TASKS, ARMS, tuple(BASELINES.values()))


def table(task: str, found: dict[str, Any]) -> str:
    """A Markdown table of a task, in per cent: means over the seeds and their 95 % t intervals."""
    wanted, times = TASKS[task], found.get("steps", {}).get("arms", {})
    titles = [f"{title} (`{name}`), {split}" for split in wanted.splits.values() for name, title in wanted.metrics.items()]
    titles += ["parameters", "steps", "ms a step, one core", "training, all told"]
    lines = [f"| {task}, {SECONDS[task]:g} s of steps | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    every: Runs = []
    for title, runs in finished_of(task, found).items():
        known = times.get(title, {"parameters": 0, "ms": float("nan")})
        cells = [over_seeds([run["results"][split][name]["mean"] for run in runs]) for split in wanted.splits for name in wanted.metrics]
        cells += [f"{known['parameters']:,}", f"{runs[0]['steps']:,}", f"{known['ms']:.1f}"]
        lines.append(f"| {title} | " + " | ".join([*cells, f"{statistics.median(run['seconds'] for run in runs):.0f} s"]) + " |")
        every += runs
    for title, split in BASELINES.items() if every else ():
        values = every[0]["results"].get(split, {})
        if "mean_iou" in values:
            lines.append(f"| {title} | " + " | ".join(f"{100 * values[name]['mean']:.2f}" for name in wanted.metrics) + " | | | | |")
    return "\n".join([*lines, "", made_by(every)] if every else lines)


def finished_of(task: str, found: dict[str, Any]) -> dict[str, Runs]:
    """The finished runs of each arm of a task."""
    runs = {title: [run for run in found.get("runs", {}).get(title, ()) if "results" in run] for title in ARMS if ARMS[title].task == task}
    return {title: of for title, of in runs.items() if of}


def curves(found: dict[str, Any]) -> str:
    """Each task's first metric on validation over seconds of training steps, as SVG: medians over the seeds, lowest to highest shaded."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "renet", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        for axes, (task, wanted) in zip(figure.subplots(1, len(TASKS)), TASKS.items(), strict=True):
            for title, finished in finished_of(task, found).items():
                runs = [run["validation"] for run in finished]
                seconds = [point[0] * MS[title] / 1000 for point in runs[0]]
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
    command_line(__doc__ or "", PLAN, table, lambda found: {"curves.svg": curves(found)})
