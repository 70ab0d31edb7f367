"""One localizer with four backbones on scattered digits: convolutions, spatial recurrent layers, and both.

    imgloc train --config configs/digits_backbones.py --workdir runs/digits_renet --config.model.backbone=renet

The backbones are cnn, renet, cnn_irnn and conv_lstm. renet and conv_lstm learn faster with --config.optim.lr=1e-2. See experiments/renet.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.model.update(name="localizer", backbone="cnn", dropout=0.1)
    config.data.options.update(train_rotate=12.0, train_stretch=0.2, train_shear=0.15)
    config.losses.cross_entropy = ConfigDict({"label_smoothing": 0.05})
    config.losses.box_l1 = ConfigDict({"weight": 4.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.optim.lr = 5e-3
    config.optim.warmup_steps = 200
    config.optim.weight_decay = 3e-2
    config.optim.clip_norm = 1.0
    config.optim.ema = 0.995
    config.train.steps = 3400
    return config
