"""Recurrent cells on the rows of MNIST's digits: one recipe, one budget, three seeds (the sweep of configs/rows_mnist.py)."""

from __future__ import annotations

from imgloc.experiments.columns import lowest_highest, metric, milliseconds, noted, over_seeds, parameters
from imgloc.experiments.declared import Experiment, Table
from imgloc.experiments.points import cell_title, swept

PUBLISHED = {"lstm, 256": "98.9", "elman, 256": "98.0"}  # R. Atienza, github.com/roatienza/Deep-Learning-Experiments: Adam, 20 epochs
LAST = "test@last"
EXPERIMENT = Experiment(
    arms=swept("rows_mnist", lambda overrides: f"{cell_title(overrides)}, {overrides['model.features']}", data="mnist"),
    tables=(
        Table(
            "cell, units",
            (
                metric("top1", "test top1, last step", over_seeds(), split=LAST),
                metric("top1", "lowest, highest", lowest_highest(2), split=LAST),
                noted("published", PUBLISHED), parameters(), milliseconds("ms per step"),
            ),
            show_provenance=True,
        ),
    ),
)  # fmt: skip
