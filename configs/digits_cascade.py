"""The cascade of Viola and Jones on scattered digits.

    imgloc train --config configs/digits_cascade.py --workdir runs/digits_cascade

The cascade is fitted on windows of the train.steps * train.batch_size examples that a network would read.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.model.name = "cascade"
    config.train.steps = 40
    config.train.batch_size = 100
    return config
