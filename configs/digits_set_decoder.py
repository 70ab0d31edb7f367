"""A recurrent decoder names the digits of a canvas one by one: 0 to 5 small digits on 64 x 64 pixels.

imgloc train --config digits_set_decoder --workdir runs/digits_set_decoder
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "detect"
    config.data.options.update(objects=(0, 5), scale=(0.5, 0.9), train_rotate=12.0, train_stretch=0.2, train_shear=0.15)
    config.data.max_objects = 5
    config.model.update(name="set_decoder", channels=32, max_detections=6)
    config.losses.set_class = ConfigDict({"weight": 1.0, "matching": "reinspect"})
    config.losses.set_box = ConfigDict({"weight": 1.0, "matching": "reinspect"})
    config.losses.set_presence = ConfigDict({"weight": 2.0, "matching": "reinspect"})
    config.optim.lr = 2e-3
    config.optim.warmup_steps = 200
    config.optim.weight_decay = 3e-2
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.995
    config.train.batch_size = 32
    config.train.steps = 6000
    return config
