"""A recurrent layer reads the 784 pixels of an MNIST digit one by one, in raster order or in one permuted order.

    imgloc train --config configs/pixels_mnist.py --workdir runs/pixels_lru --config.data.options.folder=FOLDER --config.model.cell.name=lru
    imgloc train --config configs/pixels_mnist.py --workdir runs/permuted --config.model.scan_order=permuted_pixels ...
    imgloc sweep --config configs/pixels_mnist.py --workdir runs/pixels_mnist --config.data.options.folder=FOLDER

FOLDER contains MNIST's four idx files; --config.data.options.digits=tfds reads them from TFDS instead. The task is that of Le, Jaitly
and Hinton (2015, arXiv:1504.00941); experiments/pixels_mnist compares cells at equal training time.
"""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from imgloc.config.schema import base

SECONDS = 240  # training time of each cell
STEP_MS = {
    "irnn": 38.8,
    "lstm": 151.6,
    "gru": 129.7,
    "lru": 275.4,
}  # on one core of an AMD EPYC, before the runs; later: results.json
CELLS: dict[str, dict[str, Any]] = {
    "irnn": {"model.cell.name": "irnn", "optim.lr": 3e-4},
    "lstm": {"model.cell.name": "lstm", "optim.lr": 2e-3},
    "gru": {"model.cell.name": "gru", "model.cell.update_bias": 2.0, "optim.lr": 5e-3},
    "lru": {
        "model.cell.name": "lru", "model.features": 64, "model.layers": 2, "model.residual": True, "model.pooling": "mean",
        "optim.lr": 3e-3,
    },
}  # fmt: skip


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="sequence", cell={"name": "irnn"}, features=100, scan_order="pixels")
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.optim.lr = 3e-4
    config.optim.warmup_steps = 100
    config.optim.clip_norm = 1.0
    config.train.steps = 6000
    config.train.batch_size = 64
    config.train.eval_every = 600
    config.train.save_every = 600
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config


def sweep() -> Iterator[dict[str, Any]]:
    """Yields both orders, each cell with as many steps as fit in SECONDS, and the LRU's associative form with the steps of its scan."""
    steps = {name: round(SECONDS * 1000 / milliseconds / 10) * 10 for name, milliseconds in STEP_MS.items()}
    for seed in range(3):
        for order in ("pixels", "permuted_pixels"):
            for name, settings in CELLS.items():
                yield {"model.scan_order": order, **settings, **_training(steps[name]), "seed": seed}
    for seed in range(3):
        associative = {**CELLS["lru"], "model.cell.form": "associative"}
        yield {"model.scan_order": "pixels", **associative, **_training(steps["lru"]), "seed": seed}


def _training(steps: int) -> dict[str, int]:
    """Returns a number of steps, with ten evaluations on the validation digits."""
    return {"train.steps": steps, "train.eval_every": steps // 10}
