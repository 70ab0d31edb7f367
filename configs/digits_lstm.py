"""An LSTM over the rows and columns of scattered digits, trained as in digits_cnn.

imgloc train --config configs/digits_lstm.py --workdir runs/digits_lstm
imgloc train --config configs/digits_lstm.py --workdir runs/digits_elman --config.model.cell.name=elman
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.model.name = "recurrent"
    config.data.options.update(train_rotate=12.0, train_stretch=0.2, train_shear=0.15)
    config.losses.cross_entropy = ConfigDict({"label_smoothing": 0.05})
    config.losses.box_l1 = ConfigDict({"weight": 4.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.optim.lr = 2e-3
    config.optim.warmup_steps = 500
    config.optim.weight_decay = 1e-2
    config.optim.clip_norm = 1.0
    config.optim.ema = 0.998
    config.train.steps = 3000
    config.train.eval_every = 500
    config.train.save_every = 500
    return config
