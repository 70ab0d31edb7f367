"""A classifier of scattered digits whose score maps locate the digit: boxes are not learned, they choose one threshold on validation.

    imgloc train --config configs/digits_from_labels.py --workdir runs/digits_from_labels

Other methods: --config.model.head.name=adl, or rethought_cam; acol also needs the loss of its second classifier.
See docs/models/from_labels.md.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "localize_from_labels"
    config.data.options.update(train_rotate=12.0, train_stretch=0.2, train_shear=0.15)
    config.model.name = "weakly_supervised"
    config.losses.cross_entropy = ConfigDict({"label_smoothing": 0.05})
    config.losses.second = ConfigDict({"name": "cross_entropy", "output": "second_logits", "weight": 0.0, "label_smoothing": 0.05})
    config.optim.lr = 5e-3
    config.optim.warmup_steps = 100
    config.optim.weight_decay = 3e-2
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.99
    config.train.steps = 1500
    return config
