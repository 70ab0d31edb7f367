"""Recurrent attention on MNIST's 28 pixels: six glimpses of 8x8 (Mnih et al., 2014, arXiv:1406.6247: 1.29 % error; proceedings: 1.12 %).

    imgloc train --config configs/ram_mnist.py --workdir runs/ram --config.data.options.folder=FOLDER

FOLDER holds MNIST's four idx files.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="ram", glimpses=6, size=8, scales=1)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.losses.reinforce = ConfigDict({"weight": 0.3, "reward": "probability", "gae_lambda": 0.5})
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 200
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.999
    config.train.epochs = 150.0
    config.train.batch_size = 128
    config.train.steps_per_call = 10
    config.train.eval_every = 4300
    config.train.save_every = 4300
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config
