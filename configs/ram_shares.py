"""Recurrent attention with a box on cluttered translated MNIST, where only a fraction of the training images has a box.

    imgloc train --config configs/ram_shares.py --workdir runs/tenth --config.data.options.folder=FOLDER
    imgloc sweep --config configs/ram_shares.py --workdir runs/shares --config.data.options.folder=FOLDER

FOLDER holds MNIST's four idx files. Images with a box train the policy's places and the predicted box; the others train the policy by its
reward alone. See experiments/glimpses.
"""

from collections.abc import Iterator

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.data.source = "cluttered_mnist"
    config.data.options.update(digits="idx", folder="data/mnist", canvas=60, clutter=4, train_box_fraction=0.1)
    config.data.image_size = (60, 60)
    config.model.update(name="ram", glimpses=6, size=12, scales=3, locate=True)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.losses.reinforce = ConfigDict({"weight": 0.3, "reward": "probability", "gae_lambda": 0.5})
    config.losses.location_supervision = ConfigDict({"weight": 1.0})
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
    config.train.best_metric = "top1"  # without any box in the training split, nothing trains the predicted one
    config.eval.after_training = "test@last"
    return config


def sweep() -> Iterator[dict[str, float]]:
    for seed in range(3):
        for fraction in (0.0, 0.01, 0.1, 1.0):
            yield {"data.options.train_box_fraction": fraction, "seed": seed}
