"""Recurrent attention on MNIST, on cluttered translated MNIST with controls, and with a share of boxes in training.

    python experiments/glimpses/run.py --table             # prints the tables of results.json
    python experiments/glimpses/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist
    python experiments/glimpses/run.py --gather            # collects the runs without training, unfinished ones too
    python experiments/glimpses/run.py --measure           # times a step of each arm; nothing else should run

Two of these commands under `taskset -c 0` and `-c 1`, with different --only or --seeds, train on two cores. Finished runs are kept and
interrupted ones are resumed. Writes results.json, curves.svg and shares.svg, and prints the tables.
"""

from __future__ import annotations

import io
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from arms import SEEDS, Arm, Plan, Task, command_line
from gathering import Json, Runs, made_by, over_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAST, MEAN_OF_10 = "test@last", "test@averaged_last"
AVERAGED = ("--checkpoint", "last", "--name", "averaged", "--config.model.num_rollouts=10")
METRICS = {"top1": "error", "pointing_accuracy": "hit rate, last glimpse", "last_fixation_iou": "IoU, last glimpse"}
SPLITS = {LAST: "one rollout", MEAN_OF_10: "mean of 10 rollouts"}
TASKS = {
    "28x28": Task({"top1": "error"}, SPLITS, folder=True),
    "60x60": Task(METRICS, SPLITS, folder=True),
    "shares": Task({**METRICS, "mean_iou": "IoU, box", "gt_known_loc_50": "box correct"}, {LAST: "one rollout"}, folder=True),
    "100x100": Task(METRICS, {LAST: "one rollout"}, folder=True),
    "pairs": Task({"sequence_accuracy": "error, the pair", "label_accuracy": "error, a label"}, {LAST: "one rollout"}, folder=True),
}
ERRORS = ("top1", "sequence_accuracy", "label_accuracy")  # tables show 1 minus these, as the papers do
SHARES = {f"RAM, {100 * share:g} % of boxes": share for share in (0.0, 0.01, 0.1, 1.0)}


def ram(task: str, steps: int, *flags: str, also: bool = True) -> Arm:
    """Returns an arm with recurrent attention on cluttered canvases."""
    return Arm(task, "ram_cluttered", steps, flags, (AVERAGED,) if also else ())


RANDOM = ("--config.model.policy=random", "--config.losses.reinforce.weight=0")
LARGE = ("--config.data.image_size=(100, 100)", "--config.data.options.canvas=100", "--config.data.options.clutter=8")
GAUSSIAN, TRANSFORMER = (
    (f"--config.model.policy={name}", "--config.model.scales=1", "--config.losses.reinforce.weight=0")
    for name in ("gaussian", "transformer")
)
SMALL = (
    "--config.model.stem=(6,12)",
    "--config.model.middle=16",
    "--config.model.deep=24",
)  # 5.5 million operations per image; RAM has 6.0
ARMS = {
    "RAM, 6 glimpses of 8x8": Arm("28x28", "ram_mnist", 64_500, (), (AVERAGED,)),
    "RAM, 6 glimpses": ram("60x60", 40_000, "--config.model.glimpses=6"),
    "RAM, 8 glimpses": ram("60x60", 40_000),
    "random places, 8 glimpses": ram("60x60", 40_000, *RANDOM),
    "CNN": Arm("60x60", "cnn_cluttered", 17_900),
    **{name: Arm("shares", "ram_shares", 12_000, (f"--config.data.options.train_box_fraction={share}",)) for name, share in SHARES.items()},
    "RAM, 8 glimpses, 4 scales": ram("100x100", 20_000, *LARGE, "--config.model.scales=4", also=False),
    "DRAW's glimpses": ram("100x100", 15_000, *LARGE, *GAUSSIAN, also=False),
    "spatial transformer": ram("100x100", 15_000, *LARGE, *TRANSFORMER, also=False),
    "DRAW's glimpses, three times as long": ram("100x100", 45_000, *LARGE, *GAUSSIAN, also=False),
    "spatial transformer, three times as long": ram("100x100", 45_000, *LARGE, *TRANSFORMER, also=False),
    "CNN, 100x100": Arm("100x100", "cnn_cluttered", 5_800, (*LARGE, *SMALL)),
    "DRAM, with context": Arm("pairs", "dram_pairs", 20_000),
    "DRAM, without context": Arm("pairs", "dram_pairs", 20_000, ("--config.model.context=0",)),
}  # fmt: skip
#: Errors in per cent, with their source in the README.
PUBLISHED = {
    "RAM, 6 glimpses of 8x8": "1.12 [1], 1.29 [2], 1.21 [3], 1.13 [4]",
    "RAM, 6 glimpses": "4.08 [1], 5.88 [2], 5.30 [4]",
    "RAM, 8 glimpses": "4.04 [1], 5.23 [2]",
    "random places, 8 glimpses": "14.4 [2]",
    "CNN": "8.09 [2]",
    "RAM, 8 glimpses, 4 scales": "8.11 [1], 10.83 [2]",
    "DRAW's glimpses": "3.36 [5]",
    "DRAW's glimpses, three times as long": "3.36 [5]",
    "CNN, 100x100": "0.92 [6], a far larger one",
    "DRAM, with context": "5 [7], of unordered pairs",
    "DRAM, without context": "7 [7], of unordered pairs",
}
ALL_BOXES = "RAM, 100 % of boxes"
UNTRAINED = {"RAM, 0 % of boxes": ("mean_iou", "gt_known_loc_50")}  # metrics of outputs that no loss trains
BASELINES = {"median box of training": f"{LAST}/median_box", "whole-image box": f"{LAST}/whole_image"}
PLAN = Plan("glimpses", TASKS, ARMS, tuple(BASELINES.values()), operations=True)


def table(task: str, results: Json) -> str:
    """Returns a Markdown table of a task in per cent: means over the seeds with 95 % t intervals, and the unfinished runs."""
    compared, times = TASKS[task], results.get("steps", {}).get("arms", {})
    columns = [(split, name) for name in compared.metrics for split in compared.splits if name == "top1" or split == LAST]
    heads = [compared.metrics[name] + (f", {compared.splits[split]}" if name == "top1" else "") for split, name in columns]
    heads = [*heads, "published", "parameters", "operations per image", "ms per step, one core", "steps", "training, wall time"]
    lines = [f"| {task} | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    tabulated: Runs = []
    for title, arm in ARMS.items():
        if arm.task != task:
            continue
        runs = results.get("runs", {}).get(title, [])
        done = [run for run in runs if "results" in run]
        timing = times.get(title, {})
        cells = ["-" if name in UNTRAINED.get(title, ()) else
                 _cell([run["results"][split][name]["mean"] for run in done if name in run["results"].get(split, {})], name)
                 for split, name in columns]  # fmt: skip
        seconds = f"{statistics.median(run['seconds'] for run in done) / 60:.0f} min" if done else "-"
        cells += [PUBLISHED.get(title, "none found"), f"{timing['parameters']:,}" if timing else "-"]
        cells += [f"{timing['operations'] / 1e6:.1f} million" if "operations" in timing else "-", f"{timing['ms']:.1f}" if timing else "-"]
        cells += [_steps(title, runs, timing.get("ms")), seconds]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
        tabulated += done
    for title, split in BASELINES.items() if tabulated and "mean_iou" in compared.metrics else ():
        values: Json = next((run["results"].get(split, {}) for run in results["runs"].get(ALL_BOXES, ()) if "results" in run), {})
        cells = [_cell([values[name]["mean"]], name) if name in values else "-" for _, name in columns]
        lines.append(f"| {title} | " + " | ".join([*cells, "", "", "", "", "", ""]) + " |")
    return "\n".join([*lines, "", made_by(tabulated)] if tabulated else lines)


def _cell(values: Sequence[float], name: str) -> str:
    if not values:
        return "-"
    return over_seeds([1 - value for value in values] if name in ERRORS else values)


def _steps(title: str, runs: Runs, ms: float | None) -> str:
    """Returns the number of steps, the progress of unfinished runs, and the time that missing ones would take."""
    arm = ARMS[title]
    task = TASKS[arm.task]
    unfinished = [f"seed {run['seed']} at {run['unfinished']:,}, {next(iter(task.metrics))} {run['validation'][-1][1]:.4f} of validation"
                 for run in runs if "unfinished" in run]  # fmt: skip
    missing = [str(seed) for seed in SEEDS if seed not in {run["seed"] for run in runs}]
    remaining = f"not run: seed {', '.join(missing)}" + (f", about {arm.steps * ms / 60_000:.0f} minutes of one core each" if ms else "")
    return "; ".join([f"{arm.steps:,}", *unfinished, *([remaining] if missing else [])])


def curves(results: Json) -> str:
    """Returns an SVG of the validation error over steps, of finished and unfinished runs: median, and range from lowest to highest."""
    tasks = [task for task in ("28x28", "60x60", "100x100") if any(ARMS[title].task == task for title in results.get("runs", {}))]

    def draw(figure: Figure) -> None:
        for axes, task in zip(figure.subplots(1, max(len(tasks), 1), squeeze=False)[0], tasks, strict=False):
            for title, runs in results["runs"].items():
                if ARMS[title].task != task:
                    continue
                longest = max((run["validation"] for run in runs), key=len)
                errors = [[100 * (1 - run["validation"][i][1]) for run in runs if len(run["validation"]) > i] for i in range(len(longest))]
                medians = [statistics.median(values) for values in errors]
                (line,) = axes.plot([point[0] for point in longest], medians, marker="o", markersize=2.5, label=title)
                lowest, highest = [min(values) for values in errors], [max(values) for values in errors]
                axes.fill_between([point[0] for point in longest], lowest, highest, color=line.get_color(), alpha=0.15, linewidth=0)
            axes.set(xlabel="steps", ylabel="error, validation, %", title=task, yscale="log")
            low, high = axes.get_ylim()
            ticks = [tick for tick in (0.5, 1, 1.5, 2, 3, 5, 10, 20, 30, 50, 80) if low <= tick <= high]
            axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
            axes.grid(linewidth=0.3)
            axes.legend(fontsize=7.5)

    return _svg(draw, (4.6 * max(len(tasks), 1), 3.8))


def shares(results: Json) -> str:
    """Returns an SVG of error, hit rate and IoU of the box against the share of training digits that have a box."""

    def draw(figure: Figure) -> None:
        panels = {"top1": "error", "pointing_accuracy": "hit rate of the last glimpse", "mean_iou": "mean IoU of the box"}
        for axes, (name, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
            for position, arm in enumerate(SHARES):
                runs = [run for run in results.get("runs", {}).get(arm, ()) if "results" in run]
                values = [run["results"][LAST][name]["mean"] for run in runs if name not in UNTRAINED.get(arm, ())]
                values = [1 - value for value in values] if name == "top1" else values
                axes.plot([position] * len(values), values, "o", color="C0", markersize=4, alpha=0.6)
                if values:
                    axes.plot([position - 0.2, position + 0.2], [statistics.mean(values)] * 2, color="C0")
            labels = [f"{100 * share:g} %" for share in SHARES.values()]
            axes.set(xticks=range(len(SHARES)), xticklabels=labels, title=title, xlabel="training digits with a box")
            axes.grid(axis="y", linewidth=0.3)
            axes.set_xlim(-0.5, len(SHARES) - 0.5)
            highest = axes.dataLim.ymax  # infinite where nothing is drawn
            axes.set_ylim(0, 1.05 * highest if 0 < highest < float("inf") else 1)

    return _svg(draw, (9.6, 3.2))


def _svg(draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "glimpses", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


if __name__ == "__main__":
    command_line(__doc__ or "", PLAN, table, lambda results: {"curves.svg": curves(results), "shares.svg": shares(results)})
