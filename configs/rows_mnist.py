"""A recurrent layer of 256 units reads the 28 rows of an MNIST digit, with the same training for every cell.

    imgloc train --config configs/rows_mnist.py --workdir runs/rows_gru --config.data.options.folder=FOLDER --config.model.cell.name=gru
    imgloc sweep --config configs/rows_mnist.py --workdir runs/rows_mnist --config.data.options.folder=FOLDER

FOLDER contains MNIST's four idx files; --config.data.options.digits=tfds reads them from TFDS instead. Training ends by printing the
accuracy of the last step's model on the 10,000 test digits (see experiments/rows_mnist).
"""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="sequence", cell={"name": "lstm"}, features=256)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.optim.lr = 2e-3
    config.optim.warmup_steps = 200
    config.optim.clip_norm = 1.0
    config.train.epochs = 10.0
    config.train.batch_size = 128
    config.train.steps_per_call = 10  # a step takes a few milliseconds
    config.train.eval_every = 430  # steps: about an epoch
    config.train.save_every = 430
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config


def sweep() -> Iterator[dict[str, Any]]:
    """Yields every cell with 256 units and the LSTM also with fewer; the first is the network of the published Keras program."""
    for seed in range(3):
        published = {"model.cell.name": "lstm", "model.cell.activation": "relu", "model.cell.kernel_init": "joint"}
        yield {**published, "model.features": 50, "seed": seed}
        yield {"model.cell.name": "lstm", "model.features": 128, "seed": seed}
        for cell in ("elman", "irnn", "minimal_gru", "gru", "lstm", "lru"):
            yield {"model.cell.name": cell, "model.features": 256, "seed": seed}
