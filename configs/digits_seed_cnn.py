"""The seed's CNN with a box head on scattered digits.

    imgloc train --config configs/digits_seed_cnn.py --workdir runs/digits_seed_cnn
"""

from ml_collections import ConfigDict

from imgloc.config import base


def get_config() -> ConfigDict:
    config = base()
    config.model.name = "seed_cnn"
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.losses.box_l1 = ConfigDict({"weight": 4.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.optim.warmup_steps = 200
    config.train.steps = 2000
    return config
