"""A cell reads the 784 pixels of a digit of MNIST one by one, in their order or in one shuffled order for all.

    imgloc train --config configs/pixels_mnist.py --workdir runs/pixels_lru --config.data.options.folder=FOLDER --config.model.cell=lru
    imgloc train --config configs/pixels_mnist.py --workdir runs/permuted --config.model.read=permuted_pixels ...

FOLDER holds MNIST's four idx files; --config.data.options.digits=tfds reads it where TFDS has prepared it. The task is that of
Le, Jaitly and Hinton (2015, arXiv:1504.00941); experiments/pixels_mnist compares cells in equal time.
"""

from ml_collections import ConfigDict

from imgloc.config import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="sequence", cell="irnn", features=100, read="pixels")
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 100
    config.optim.clip_norm = 1.0
    config.train.epochs = 5.0
    config.train.batch_size = 64
    config.train.eval_every = 430  # steps: half an epoch
    config.train.save_every = 430
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config
