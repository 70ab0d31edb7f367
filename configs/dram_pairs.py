"""Recurrent attention with a context network reads two digits anywhere on 100x100, left to right (Ba et al., 2015, arXiv:1412.7755).

    imgloc train --config configs/dram_pairs.py --workdir runs/dram_pairs --config.data.options.folder=FOLDER

FOLDER holds MNIST's four idx files. The paper classifies a pair as one of 55 classes; this recipe predicts a sequence of two labels.
For about the first two thousand steps its glimpses stay in a corner; then they move to the digits.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "read_sequence"
    config.data.source = "cluttered_mnist"
    config.data.options.update(digits="idx", folder="data/mnist", canvas=100, clutter=0, per_canvas=2)
    config.data.image_size = (100, 100)
    config.data.max_objects = 2
    config.model.update(name="ram", glimpses=5, size=12, scales=3, labels=2, context=12)
    config.losses.sequence = ConfigDict({"weight": 1.0})
    config.losses.reinforce = ConfigDict({"weight": 0.3, "reward": "probability", "gae_lambda": 0.5})
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 200
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.999
    config.train.steps = 20_000
    config.train.batch_size = 128
    config.train.steps_per_call = 10
    config.train.eval_every = 2000
    config.train.save_every = 2000
    config.train.best_metric = "sequence_accuracy"
    config.eval.after_training = "test@last"
    return config
