"""Recurrent attention on cluttered translated MNIST: 60x60, four pieces (Mnih et al., 2014: 5.23 % error on arXiv, 4.04 % proceedings).

    imgloc train --config configs/ram_cluttered.py --workdir runs/ram_cluttered --config.data.options.folder=FOLDER

FOLDER holds MNIST's four idx files. See experiments/glimpses for the controls and for 100x100.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "cluttered_mnist"
    config.data.options.update(digits="idx", folder="data/mnist", canvas=60, clutter=4)
    config.data.image_size = (60, 60)
    config.model.update(name="ram", glimpses=8, size=12, scales=3)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.losses.reinforce = ConfigDict({"weight": 0.3, "reward": "probability", "gae_lambda": 0.5})
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 200
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.999
    config.train.steps = 40_000
    config.train.batch_size = 128
    config.train.steps_per_call = 10
    config.train.eval_every = 4000
    config.train.save_every = 4000
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config
