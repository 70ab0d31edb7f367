"""A cell reads the 784 pixels of a digit of MNIST one by one, in their order or in one shuffled order for all.

    imgloc train --config configs/pixels_mnist.py --workdir runs/pixels_lru --config.data.options.folder=FOLDER --config.model.cell=lru
    imgloc train --config configs/pixels_mnist.py --workdir runs/permuted --config.model.read=permuted_pixels ...
    imgloc sweep configs/pixels_mnist.py --workdir runs/pixels_mnist --config.data.options.folder=FOLDER

FOLDER holds MNIST's four idx files; --config.data.options.digits=tfds reads it where TFDS has prepared it. The task is that of
Le, Jaitly and Hinton (2015, arXiv:1504.00941); experiments/pixels_mnist compares cells in equal time.
"""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from imgloc.config.schema import base

SECONDS = 240  # that each cell's steps take
STEP_MS = {"irnn": 38.8, "lstm": 151.6, "gru": 129.7, "lru": 275.4}  # of one core of an AMD EPYC, before the runs; later ones: results.json
CELLS: dict[str, dict[str, Any]] = {
    "irnn": {"model.cell": "irnn", "optim.lr": 3e-4},
    "lstm": {"model.cell": "lstm", "optim.lr": 2e-3},
    "gru": {"model.cell": "gru(update_bias=2.0)", "optim.lr": 5e-3},
    "lru": {
        "model.cell": "lru", "model.features": 64, "model.layers": 2, "model.residual": True, "model.summary": "mean", "optim.lr": 3e-3,
    },
}  # fmt: skip


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="sequence", cell="irnn", features=100, read="pixels")
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
    """Both orders, three seeds, and of each cell as many steps as the same time takes; then the LRU's other form, as many steps as it."""
    steps = {name: round(SECONDS * 1000 / milliseconds / 10) * 10 for name, milliseconds in STEP_MS.items()}
    for seed in range(3):
        for read in ("pixels", "permuted_pixels"):
            for name, settings in CELLS.items():
                yield {"model.read": read, **settings, **_looked_at(steps[name]), "seed": seed}
    for seed in range(3):
        other = {**CELLS["lru"], "model.cell": "lru(form=associative)"}
        yield {"model.read": "pixels", **other, **_looked_at(steps["lru"]), "seed": seed}


def _looked_at(steps: int) -> dict[str, int]:
    """So many steps, scored on the validation digits ten times."""
    return {"train.steps": steps, "train.eval_every": steps // 10}
