"""Recurrent cells that read MNIST's 784 pixels one by one, in equal training time (the sweep of configs/pixels_mnist.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgloc.experiments.columns import done, lowest_highest, metric, milliseconds, noted, over_seeds, parameters, step_times_of, steps
from imgloc.experiments.curves import Panel, learning_curves
from imgloc.experiments.declared import Column, Experiment, Json, Table
from imgloc.experiments.points import cell_title, swept

#: Le, Jaitly and Hinton, 2015, arXiv:1504.00941: 100 units, their best of a search, up to a million steps.
PUBLISHED = {"pixels: irnn": "97", "permuted_pixels: irnn": "82"}
LAST = "test@last"


def arm_name(overrides: Mapping[str, Any]) -> str:
    """Returns the order of the pixels and the cell, with its form where that is set."""
    cell = cell_title(overrides)
    return f"{overrides['model.scan_order']}: {cell if 'form' in cell else cell.split('(')[0]}"


def seconds(results: Json, name: str, step: float) -> float:
    """Returns the time of training steps on one core."""
    return step * step_times_of(results, name)["ms"] / 1000


ARMS = swept("pixels_mnist", arm_name, data="mnist")
TIME = Column("time", lambda results, name, runs: f"{seconds(results, name, done(runs)[0]['steps']):.0f} s")
COLUMNS = (
    metric("top1", "test top1, last step", over_seeds(1), split=LAST), metric("top1", "lowest, highest", lowest_highest(1), split=LAST),
    noted("published", PUBLISHED), parameters(), steps(), milliseconds("ms per step, one core", 0), TIME,
)  # fmt: skip
PANELS = [
    Panel(order.replace("_", " "), [name for name in ARMS if name.startswith(f"{order}: ")]) for order in ("pixels", "permuted_pixels")
]
EXPERIMENT = Experiment(
    arms=ARMS, tables=(Table("pixels, cell", COLUMNS, show_provenance=True),),
    pictures=lambda results, _: {
        "curves.png": learning_curves(results, PANELS, seconds, "seconds of one core", "accuracy, validation, %", scale=100, form="png"),
    },
)  # fmt: skip
