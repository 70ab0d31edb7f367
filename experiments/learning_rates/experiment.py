"""Learning rate and batch size of the three-layer CNN, with the same number of training images.

An arm is called BATCH-RATE. A batch of 256 images has a sixteenth of the steps of one of 16.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgloc.experiments.columns import done, metric, steps, training_time
from imgloc.experiments.comparisons import choice, of_chosen
from imgloc.experiments.curves import band, finish, picture
from imgloc.experiments.declared import Arm, Experiment, Json, Table
from imgloc.experiments.points import steps_of

IMAGES = 38_400
BATCHES = (16, 64, 256)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
KEY = "top1_loc_50"
COMMON = {"model.channels": (16, 32, 64), "model.hidden": 128, "optim.warmup_steps": 0, "eval.bootstrap_samples": 200}


def arm(batch: int, rate: float) -> Arm:
    """Returns an arm that trains on the common number of images."""
    overrides = {**COMMON, "train.batch_size": batch, "optim.lr": rate, **steps_of(IMAGES // batch, 4)}
    return Arm("digits_three_layer_cnn", overrides)


def curves(results: Json, _: Path) -> dict[str, bytes]:
    """Returns class and box on the test images over the learning rate, the median over the seeds and their range, by batch size."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for batch in BATCHES:
            runs = {rate: done(results.get("runs", {}).get(f"{batch}-{rate:g}", [])) for rate in RATES}
            values = {rate: [100 * run["results"]["test"][KEY]["mean"] for run in several] for rate, several in runs.items() if several}
            band(axes, f"batches of {batch}", list(values), list(values.values()))
        axes.set(xlabel="learning rate", ylabel="class and box correct, test (%)", xscale="log")
        finish(axes)

    return {"rates.svg": picture(draw, (5.2, 3.8))}


GRID = [metric(KEY, f"rate {rate:g}", arm=f"{rate:g}") for rate in RATES]
EXPERIMENT = Experiment(
    arms={f"{batch}-{rate:g}": arm(batch, rate) for batch in BATCHES for rate in RATES},
    tables=(
        Table(
            "class and box", (*GRID, choice("chosen rate"), of_chosen(KEY, "class and box"), of_chosen("mean_iou", "mean IoU")),
            rows={f"{batch}-{{}}": f"batches of {batch}" for batch in BATCHES}, show_provenance=True,
        ),
        Table("batch and rate", (steps(), training_time("training"))),
    ),
    seeds=(0, 1, 2, 3, 4), extra_metrics=("mean_iou", "top1"), pictures=curves,
)  # fmt: skip
