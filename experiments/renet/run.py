"""Recurrent sweeps and convolutions in equal training time: backbones of one localizer on scattered digits, and ReNet on MNIST.

    python experiments/renet/run.py --table             # prints the tables of results.json
    python experiments/renet/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist
    python experiments/renet/run.py --gather            # collects the finished runs without training
    python experiments/renet/run.py --measure           # times a step of each arm; nothing else should run

Each arm of a task trains for as many steps as fit into the task's seconds, given its time per step on one core (`MS`, from --measure
under `taskset -c 0`). A fixed number of steps makes a run the same on every machine. Two of these commands under `taskset -c 0` and
`-c 1`, with different --only or --seeds, train on two cores. Finished runs are kept and interrupted ones are resumed. Writes
results.json and curves.svg, and prints the tables.
"""

from __future__ import annotations

import io
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from arms import VALIDATIONS, Arm, Plan, Task, command_line
from gathering import Json, Runs, made_by, over_seeds

SECONDS = {"digits": 180, "mnist": 480}  # of training steps
MS: dict[str, float] = {}  # per step of each arm on one core of an AMD EPYC, from --measure


def timed(title: str, task: str, recipe: str, ms: float, *flags: str) -> tuple[str, Arm]:
    """Returns an arm that trains for the seconds of its task."""
    MS[title] = ms
    return title, Arm(task, recipe, VALIDATIONS * round(1000 * SECONDS[task] / ms / VALIDATIONS), flags)


def backbone(name: str, lr: float, ms: float) -> tuple[str, Arm]:
    """Returns an arm with the localizer and a backbone."""
    return timed(f"localizer, {name}", "digits", "digits_backbones", ms, f"--config.model.backbone={name}", f"--config.optim.lr={lr}")


FOUR = {"top1_loc_50": "both correct", "top1": "class correct", "mean_iou": "mean IoU", "gt_known_loc_50": "box correct"}
TASKS = {
    "digits": Task(FOUR, {"test": "test"}, folder=False, best=True),
    "mnist": Task({"top1": "class correct"}, {"test@last": "test, last step", "test": "test, best of validation"}, folder=True, best=True),
}
ARMS = dict((
    timed("CNN, two looks", "digits", "digits_cnn", 121),
    timed("LSTM, rows then columns", "digits", "digits_lstm", 78.8),
    # Learning rates: renet and conv_lstm were tried with 5e-3 and 1e-2 for 400 steps; the others use the recipe's.
    backbone("cnn", 5e-3, 84.8),
    backbone("renet", 1e-2, 147),
    backbone("cnn_irnn", 5e-3, 92.8),
    backbone("conv_lstm", 1e-2, 116),
    timed("RAM, 6 glimpses", "digits", "digits_ram", 29.2),
    timed("three-layer CNN", "mnist", "three_layer_cnn_mnist", 7.21),
    timed("ReNet", "mnist", "renet_mnist", 144),
))  # fmt: skip
BASELINES = {"median box of training": "test/median_box", "whole-image box": "test/whole_image"}
PLAN = Plan("renet", TASKS, ARMS, tuple(BASELINES.values()))


def table(task: str, results: Json) -> str:
    """Returns a Markdown table of a task in per cent: means over the seeds with 95 % t intervals."""
    compared, times = TASKS[task], results.get("steps", {}).get("arms", {})
    titles = [f"{title} (`{name}`), {split}" for split in compared.splits.values() for name, title in compared.metrics.items()]
    titles += ["parameters", "steps", "ms per step, one core", "training, wall time"]
    lines = [f"| {task}, {SECONDS[task]:g} s of steps | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    tabulated: Runs = []
    for title, runs in finished_of(task, results).items():
        timing = times.get(title, {"parameters": 0, "ms": float("nan")})
        cells = [
            over_seeds([run["results"][split][name]["mean"] for run in runs]) for split in compared.splits for name in compared.metrics
        ]
        cells += [f"{timing['parameters']:,}", f"{runs[0]['steps']:,}", f"{timing['ms']:.1f}"]
        lines.append(f"| {title} | " + " | ".join([*cells, f"{statistics.median(run['seconds'] for run in runs):.0f} s"]) + " |")
        tabulated += runs
    for title, split in BASELINES.items() if tabulated else ():
        values = tabulated[0]["results"].get(split, {})
        if "mean_iou" in values:
            lines.append(f"| {title} | " + " | ".join(f"{100 * values[name]['mean']:.2f}" for name in compared.metrics) + " | | | | |")
    return "\n".join([*lines, "", made_by(tabulated)] if tabulated else lines)


def finished_of(task: str, results: Json) -> dict[str, Runs]:
    """Returns the finished runs of each arm of a task that has any."""
    runs = {
        title: [run for run in results.get("runs", {}).get(title, ()) if "results" in run] for title in ARMS if ARMS[title].task == task
    }
    return {title: finished for title, finished in runs.items() if finished}


def curves(results: Json) -> str:
    """Returns an SVG of 1 minus each task's first metric on validation over seconds of training steps: median and range over the seeds."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "renet", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        for axes, (task, compared) in zip(figure.subplots(1, len(TASKS)), TASKS.items(), strict=True):
            for title, finished in finished_of(task, results).items():
                runs = [run["validation"] for run in finished]
                seconds = [point[0] * MS[title] / 1000 for point in runs[0]]
                errors = [[1 - run[i][1] for run in runs] for i in range(len(seconds))]
                (line,) = axes.plot(seconds, [statistics.median(values) for values in errors], marker="o", markersize=2.5, label=title)
                lowest, highest = [min(values) for values in errors], [max(values) for values in errors]
                axes.fill_between(seconds, lowest, highest, color=line.get_color(), alpha=0.15, linewidth=0)
            axes.set(xlabel="seconds of training steps", ylabel=f"1 - {next(iter(compared.metrics))}, validation", title=task, yscale="log")
            axes.grid(which="both", linewidth=0.3)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize=7.5)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


if __name__ == "__main__":
    command_line(__doc__ or "", PLAN, table, lambda results: {"curves.svg": curves(results)})
