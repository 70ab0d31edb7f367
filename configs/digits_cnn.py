"""A second-look CNN on scattered digits: the quickstart.

imgloc train --config configs/digits_cnn.py --workdir runs/digits_cnn
imgloc sweep --config configs/digits_cnn.py --workdir runs/digits_cnn_sweep --split validation
"""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.model.name = "second_look"
    config.data.options.update(train_rotate=12.0, train_stretch=0.2, train_shear=0.15)
    config.losses.cross_entropy = ConfigDict({"label_smoothing": 0.05})
    config.losses.box_l1 = ConfigDict({"weight": 4.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.losses.first_l1 = ConfigDict({"name": "box_l1", "output": "first_box", "weight": 4.0})
    config.losses.first_giou = ConfigDict({"name": "giou", "output": "first_box", "weight": 1.0})
    config.optim.lr = 5e-3
    config.optim.warmup_steps = 200
    config.optim.weight_decay = 3e-2
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.995
    config.train.steps = 3400
    return config


def sweep() -> Iterator[dict[str, Any]]:
    """Yields three learning rates with three seeds each."""
    for lr in (2.5e-3, 5e-3, 1e-2):
        for seed in range(3):
            yield {"optim.lr": lr, "seed": seed}
