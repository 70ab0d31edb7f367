"""Sliding windows on scattered digits: a linear support vector machine for each class on gradient histograms (Dalal and Triggs).

    imgloc train --config configs/digits_sliding_window.py --workdir runs/digits_sliding_window

The detector is fitted on windows of the train.steps * train.batch_size examples that a network would read; validation chooses model.c.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.model.update(name="sliding_window", c=(0.01, 0.1))
    config.train.steps = 40
    config.train.batch_size = 100
    return config
