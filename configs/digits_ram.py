"""Recurrent attention as a localizer on scattered digits: six glimpses of 16x16 at three scales, with supervised places.

    imgloc train --config configs/digits_ram.py --workdir runs/digits_ram

experiments/renet compares it with convolutions and ReNet layers.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.model.update(name="ram", glimpses=6, size=16, scales=3, locate=True)
    config.data.options.update(train_rotate=12.0, train_stretch=0.2, train_shear=0.15)
    config.losses.cross_entropy = ConfigDict({"label_smoothing": 0.05})
    config.losses.box_l1 = ConfigDict({"weight": 4.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.losses.reinforce = ConfigDict({"weight": 0.3, "reward": "probability", "gae_lambda": 0.5})
    config.losses.location_supervision = ConfigDict({"weight": 1.0})
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 200
    config.optim.weight_decay = 3e-2
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.995
    config.train.steps = 10_000
    return config
