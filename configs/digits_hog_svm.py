"""Support vector machines on histograms of oriented gradients of whole canvases: the class and the box of scattered digits.

    imgloc train --config configs/digits_hog_svm.py --workdir runs/digits_hog_svm

The machines are fitted on the train.steps * train.batch_size examples that a network would read. A descriptor of a whole canvas has to
learn every position of every digit, which `digits_sliding_window` does not.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.model.update(name="support_vectors", descriptor={"name": "hog", "cell": 8, "block": 2}, c=(0.01, 0.1, 1.0), box_alpha=10.0)
    config.train.steps = 100
    config.train.batch_size = 100
    return config
