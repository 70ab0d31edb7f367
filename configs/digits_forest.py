"""A random forest on the pixels of scattered digits, for the class and the box: a classical model beside the networks.

    imgloc train --config configs/digits_forest.py --workdir runs/digits_forest

The forest is fitted on the train.steps * train.batch_size examples that a network would read; each value of model.min_leaf is a
candidate, and the validation split chooses one. Keys of optim, and train.log_every, eval_every and save_every, have no effect.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.model.update(name="forest", descriptor={"name": "pixels", "size": 32}, min_leaf=(1, 5))
    config.train.steps = 100
    config.train.batch_size = 100
    return config
