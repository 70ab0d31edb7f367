"""A random forest on the pixels of MNIST (28x28).

    imgloc train --config configs/mnist_forest.py --workdir runs/mnist_forest --config.data.options.folder=FOLDER

FOLDER contains MNIST's four idx files. The training split is read once; validation chooses model.min_leaf.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="forest", min_leaf=(1, 3), locate=False)
    config.train.epochs = 1.0
    config.train.batch_size = 100
    config.eval.after_training = "test"
    return config
