"""A dense detector on scattered digits, 0 to 5 of them on a canvas of 128 x 128 pixels.

imgloc train --config digits_detector --workdir runs/digits_detector
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "detect"
    config.data.options.update(canvas=128, objects=(0, 5), train_rotate=12.0, train_stretch=0.2, train_shear=0.15)
    config.data.image_size = (128, 128)
    config.data.max_objects = 5
    config.model.update(name="detector", strides=(8, 16), max_detections=20, candidates=100)
    config.losses.dense_class = ConfigDict({"weight": 1.0})
    config.losses.dense_box = ConfigDict({"weight": 2.0})
    config.optim.lr = 5e-3
    config.optim.warmup_steps = 200
    config.optim.weight_decay = 3e-2
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.995
    config.train.batch_size = 32
    config.train.steps = 4000
    return config
