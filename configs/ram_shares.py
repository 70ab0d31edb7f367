"""Recurrent attention that also draws a box, on cluttered translated MNIST of which a share of the locations is told.

    imgloc train --config configs/ram_shares.py --workdir runs/tenth --config.data.options.folder=FOLDER
    imgloc sweep configs/ram_shares.py --workdir runs/shares --config.data.options.folder=FOLDER

FOLDER holds MNIST's four idx files. Where an image's location is told, the policy is drawn to it and the box learns it; what the
others teach the policy is its reward. See experiments/glimpses.
"""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.data.source = "cluttered_mnist"
    config.data.options.update(digits="idx", folder="data/mnist", canvas=60, clutter=4, train_boxed=0.1)
    config.data.image_size = (60, 60)
    config.model.update(name="ram", glimpses=6, size=12, scales=3, locate=True)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.losses.reinforce = ConfigDict({"weight": 0.3, "reward": "probability", "trace": 0.5})
    config.losses.place = ConfigDict({"weight": 1.0})
    config.losses.box_l1 = ConfigDict({"weight": 4.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 200
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.999
    config.train.steps = 12_000
    config.train.batch_size = 128
    config.train.steps_per_call = 10
    config.train.eval_every = 1200
    config.train.save_every = 1200
    config.train.best_metric = "top1"  # where no location is told, nothing trains the box
    config.eval.after_training = "test@last"
    return config


def sweep() -> Iterator[dict[str, Any]]:
    for seed in range(3):
        for share in (0.0, 0.01, 0.1, 1.0):
            yield {"data.options.train_boxed": share, "seed": seed}
