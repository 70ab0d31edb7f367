"""Which training strategy is worth its time: each is added to one plain baseline, with equal steps.

The baseline is Adam with cosine decay, without all of the strategies. Optimizers other than Adam have a learning rate of a
grid; the column `validation` chooses it.
"""

from __future__ import annotations

from typing import Any

from imgloc.experiments.columns import metric, milliseconds, training_time
from imgloc.experiments.comparisons import against, seeds_needed, validation
from imgloc.experiments.declared import Arm, Experiment, Table
from imgloc.experiments.points import steps_of

KEY = "top1_loc_50"
PLAIN = {
    "model.channels": (16, 32, 64), "model.hidden": 128, "optim.lr": 2e-3, "optim.warmup_steps": 0, "eval.bootstrap_samples": 200,
    **steps_of(600, 4),
}  # fmt: skip
STRATEGIES: dict[str, dict[str, Any]] = {
    "moving average of parameters": {"optim.ema": 0.98},
    "label smoothing": {"losses.cross_entropy.label_smoothing": 0.1},
    "warmup": {"optim.warmup_steps": 50},
    "weight decay (AdamW)": {"optim.weight_decay": 3e-2},
    "augmentation": {"data.options.train_rotate": 12.0, "data.options.train_stretch": 0.2, "data.options.train_shear": 0.15},
}
OPTIMIZERS: dict[str, dict[str, dict[str, Any]]] = {
    "SGD, rate": {f"{rate:g}": {"optim.name": "sgd", "optim.lr": rate} for rate in (0.01, 0.03, 0.1)},
    "Lion, rate": {f"{rate:g}": {"optim.name": "lion", "optim.b2": 0.99, "optim.lr": rate} for rate in (1e-4, 3e-4, 1e-3)},
}
ALL = {key: value for overrides in STRATEGIES.values() for key, value in overrides.items()}
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    **STRATEGIES,
    "all five": ALL,
    **{f"{name} {rate}": overrides for name, rates in OPTIMIZERS.items() for rate, overrides in rates.items()},
}
COLUMNS = (
    metric(KEY, "class and box"), against("plain", KEY, "points above plain"), metric("top1", "class"), metric("mean_iou", "mean IoU"),
    validation("validation"), training_time("training"), milliseconds("ms a step"), seeds_needed(KEY, 0.02, "seeds for 2 points"),
)  # fmt: skip
EXPERIMENT = Experiment(
    arms={name: Arm("digits_three_layer_cnn", {**PLAIN, **overrides}) for name, overrides in ARMS.items()},
    tables=(Table("added to the plain baseline", COLUMNS, show_provenance=True),),
    seeds=(0, 1, 2, 3, 4),
)
