"""A small CNN on cluttered translated MNIST with as many multiplications per image, within 10 %, as configs/ram_cluttered.py.

    imgloc train --config configs/cnn_cluttered.py --workdir runs/cnn_cluttered --config.data.options.folder=FOLDER

FOLDER holds MNIST's four idx files. See experiments/glimpses.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "cluttered_mnist"
    config.data.options.update(digits="idx", folder="data/mnist", canvas=60, clutter=4)
    config.data.image_size = (60, 60)
    config.model.update(name="localizer", backbone="cnn", locate=False, stem=(8, 24), middle=24, deep=32, hidden=128)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.optim.lr = 5e-3
    config.optim.warmup_steps = 200
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.999
    config.train.steps = 17_900  # takes as long as the 40,000 steps of ram_cluttered
    config.train.batch_size = 128
    config.train.eval_every = 1790
    config.train.save_every = 1790
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config
