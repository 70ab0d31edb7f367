"""Recurrent attention on MNIST, on cluttered translated MNIST with controls, and with a share of boxes in training."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgloc.experiments.columns import done, measured, metric, milliseconds, noted, over_seeds, parameters, step_times_of, training_time
from imgloc.experiments.curves import Panel, learning_curves, picture
from imgloc.experiments.declared import Arm, Column, Evaluation, Experiment, Json, Runs, Table
from imgloc.experiments.points import steps_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS, LAST = (0, 1, 2), "test@last"
AVERAGED = Evaluation("last", "averaged", {"model.num_rollouts": 10})
ERRORS = ("top1", "sequence_accuracy", "label_accuracy")  # tables show 1 minus these, as the papers do
THREE = {"top1": "error", "pointing_accuracy": "hit rate, last glimpse", "last_fixation_iou": "IoU, last glimpse"}
#: Metrics of each task, in the order of the tables.
METRICS = {
    "28x28": {"top1": "error"}, "60x60": THREE, "shares": {**THREE, "mean_iou": "IoU, box", "gt_known_loc_50": "box correct"},
    "100x100": THREE, "pairs": {"sequence_accuracy": "error, the pair", "label_accuracy": "error, a label"},
}  # fmt: skip
RANDOM = {"model.policy": "random", "losses.reinforce.weight": 0.0}
LARGE = {"data.image_size": (100, 100), "data.options.canvas": 100, "data.options.clutter": 8}
GAUSSIAN, TRANSFORMER = (
    {**LARGE, "model.policy": name, "model.scales": 1, "losses.reinforce.weight": 0.0} for name in ("gaussian", "transformer")
)
SMALL = {**LARGE, "model.stem": (6, 12), "model.middle": 16, "model.deep": 24}  # 5.5 million operations per image; RAM has 6.0
NO_BOXES, ALL_BOXES = "RAM, 0 % of boxes", "RAM, 100 % of boxes"
SHARES = {f"RAM, {100 * share:g} % of boxes": share for share in (0.0, 0.01, 0.1, 1.0)}


def arm(recipe: str, steps: int, overrides: Mapping[str, Any] | None = None, *evaluations: Evaluation) -> Arm:
    """Returns an arm that is scored by its last checkpoint, and by further evaluations."""
    return Arm(recipe, {**(overrides or {}), **steps_of(steps)}, data="mnist", evaluations=evaluations)


ARMS = {
    "28x28": {"RAM, 6 glimpses of 8x8": arm("ram_mnist", 64_500, {}, AVERAGED)},
    "60x60": {
        "RAM, 6 glimpses": arm("ram_cluttered", 40_000, {"model.glimpses": 6}, AVERAGED),
        "RAM, 8 glimpses": arm("ram_cluttered", 40_000, {}, AVERAGED),
        "random places, 8 glimpses": arm("ram_cluttered", 40_000, RANDOM, AVERAGED),
        "CNN": arm("cnn_cluttered", 17_900),
    },
    "shares": {name: arm("ram_shares", 12_000, {"data.options.train_box_fraction": share}) for name, share in SHARES.items()},
    "100x100": {
        "RAM, 8 glimpses, 4 scales": arm("ram_cluttered", 20_000, {**LARGE, "model.scales": 4}),
        "DRAW's glimpses": arm("ram_cluttered", 15_000, GAUSSIAN),
        "spatial transformer": arm("ram_cluttered", 15_000, TRANSFORMER),
        "DRAW's glimpses, three times as long": arm("ram_cluttered", 45_000, GAUSSIAN),
        "spatial transformer, three times as long": arm("ram_cluttered", 45_000, TRANSFORMER),
        "CNN, 100x100": arm("cnn_cluttered", 5_800, SMALL),
    },
    "pairs": {
        "DRAM, with context": arm("dram_pairs", 20_000), "DRAM, without context": arm("dram_pairs", 20_000, {"model.context": 0}),
    },
}  # fmt: skip
#: Errors in per cent, with their source in the README.
PUBLISHED = {
    "RAM, 6 glimpses of 8x8": "1.12 [1], 1.29 [2], 1.21 [3], 1.13 [4]", "RAM, 6 glimpses": "4.08 [1], 5.88 [2], 5.30 [4]",
    "RAM, 8 glimpses": "4.04 [1], 5.23 [2]", "random places, 8 glimpses": "14.4 [2]", "CNN": "8.09 [2]",
    "RAM, 8 glimpses, 4 scales": "8.11 [1], 10.83 [2]", "DRAW's glimpses": "3.36 [5]",
    "DRAW's glimpses, three times as long": "3.36 [5]", "CNN, 100x100": "0.92 [6], a far larger one",
    "DRAM, with context": "5 [7], of unordered pairs", "DRAM, without context": "7 [7], of unordered pairs",
}  # fmt: skip


def progress(results: Json, name: str, runs: Runs) -> str:
    """Returns the number of steps, the progress of unfinished runs, and the time that missing ones would take."""
    task = next(task for task, arms in ARMS.items() if name in arms)
    total, ms = ARMS[task][name].overrides["train.steps"], step_times_of(results, name).get("ms")
    parts = [f"{total:,}"]
    for run in runs:
        if "unfinished" in run:
            reached = f"{next(iter(METRICS[task]))} {run['validation'][-1][1]:.4f} of validation"
            parts.append(f"seed {run['seed']} at {run['unfinished']:,}, {reached}")
    missing = ", ".join(str(seed) for seed in SEEDS if seed not in {run["seed"] for run in runs})
    about = f", about {total * ms / 60_000:.0f} minutes of one core each" if ms else ""
    return "; ".join([*parts, *([f"not run: seed {missing}{about}"] if missing else [])])


def columns(task: str) -> tuple[Column, ...]:
    """Returns the columns of a task: its metrics, and what training took."""
    means = ((AVERAGED.split, "mean of 10 rollouts"),) if task in ("28x28", "60x60") else ()
    found = []
    for key, title in METRICS[task].items():
        without = (NO_BOXES,) if key in ("mean_iou", "gt_known_loc_50") else ()  # no loss trains these outputs
        for split, rollouts in ((LAST, "one rollout"), *(means if key == "top1" else ())):
            words = f"{title}, {rollouts}" if key == "top1" else title
            found.append(metric(key, words, over_seeds(empty="-"), split=split, error=key in ERRORS, hidden_for=without))
    return (
        *found, noted("published", PUBLISHED, "none found"), parameters(),
        measured("operations per image", "operations", lambda value: f"{value / 1e6:.1f} million"),
        milliseconds("ms per step, one core"), Column("steps", progress), training_time("training, wall time", "min", empty="-"),
    )  # fmt: skip


def table(task: str) -> Table:
    """Returns the table of a task; fixed boxes are those of the arm with all boxes."""
    fixed = {f"{LAST}/median_box": "median box of training", f"{LAST}/whole_image": "whole-image box"} if task == "shares" else {}
    rows = {name: name for name in ARMS[task]}
    return Table(task, columns(task), rows, fixed, baselines_of=ALL_BOXES, unfinished=True, show_provenance=True)


def pictures(results: Json, _: Path) -> dict[str, bytes]:
    """Returns the validation error over steps, and error, hit rate and IoU against the share of training digits that have a box."""
    panels = [Panel(task, list(ARMS[task]), log=True) for task in ("28x28", "60x60", "100x100")]
    errors = learning_curves(results, panels, lambda _, __, step: step, "steps", "error, validation, %", error=True, scale=100)
    return {"curves.svg": errors, "shares.svg": picture(lambda figure: shares(figure, results), (9.6, 3.2))}


def shares(figure: Figure, results: Json) -> None:
    """Draws a value for each run, and their means."""
    panels = {"top1": "error", "pointing_accuracy": "hit rate of the last glimpse", "mean_iou": "mean IoU of the box"}
    for axes, (name, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for position, arm_name in enumerate(SHARES):
            runs = done(results.get("runs", {}).get(arm_name, ())) if (name, arm_name) != ("mean_iou", NO_BOXES) else []
            values = [run["results"][LAST][name]["mean"] for run in runs]
            values = [1 - value for value in values] if name == "top1" else values
            axes.plot([position] * len(values), values, "o", color="C0", markersize=4, alpha=0.6)
            if values:
                axes.plot([position - 0.2, position + 0.2], [statistics.mean(values)] * 2, color="C0")
        labels = [f"{100 * share:g} %" for share in SHARES.values()]
        axes.set(xticks=range(len(SHARES)), xticklabels=labels, title=title, xlabel="training digits with a box")
        axes.grid(axis="y", linewidth=0.3)
        highest = axes.dataLim.ymax  # infinite where nothing is drawn
        axes.set(xlim=(-0.5, len(SHARES) - 0.5), ylim=(0, 1.05 * highest if 0 < highest < float("inf") else 1))


EXPERIMENT = Experiment(
    arms={name: each for arms in ARMS.values() for name, each in arms.items()},
    tables=tuple(table(task) for task in METRICS), seeds=SEEDS, operations=True, pictures=pictures,
)  # fmt: skip
