"""The three-layer CNN with a box head on scattered digits.

imgloc train --config configs/digits_three_layer_cnn.py --workdir runs/digits_three_layer_cnn
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.model.name = "three_layer_cnn"
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.losses.box_l1 = ConfigDict({"weight": 4.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.optim.warmup_steps = 200
    config.train.steps = 2000
    return config
