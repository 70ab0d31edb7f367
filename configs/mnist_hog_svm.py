"""A support vector machine on histograms of oriented gradients classifies the digits of MNIST (28x28).

    imgloc train --config configs/mnist_hog_svm.py --workdir runs/mnist_hog_svm --config.data.options.folder=FOLDER
    imgloc sweep --config configs/mnist_hog_svm.py --workdir runs/mnist_hog_svms --config.data.options.folder=FOLDER

FOLDER contains MNIST's four idx files. The training split is read once; validation chooses model.c. The sweep compares the linear
machine with one with an RBF kernel, whose histograms are coarser because its time grows with their number.
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
    config.model.update(name="support_vectors", descriptor={"name": "hog", "cell": 4, "block": 2}, c=(0.01, 0.1, 1.0), locate=False)
    config.train.epochs = 1.0
    config.train.batch_size = 100
    config.eval.after_training = "test"
    return config


def sweep() -> Iterator[dict[str, Any]]:
    """Yields the linear machine and the one with an RBF kernel."""
    yield {}
    yield {"model.kernel": "rbf", "model.descriptor.cell": 7, "model.c": (1.0, 10.0)}
