"""A dense detector of blood cells, trained from scratch on the 205 pictures of BCCD (github.com/Shenggan/BCCD_Dataset).

imgloc train --config bccd --workdir runs/bccd --config.data.options.folder=FOLDER --config.data.options.format=voc
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "detect"
    config.data.source = "folder"
    config.data.options.update(without_objects=True)  # they teach the background
    config.data.image_size = (240, 320)  # half of 480 x 640 pixels
    config.data.max_objects = 0  # as many as the training image with the most has
    # A crop may lose all objects (keep=False): it then teaches the background.
    config.data.augment.update(
        name="photographs", smallest=0.3, largest=1.0, aspect=(0.75, 1.333), keep=False, brightness=0.2, contrast=0.2, saturation=0.2
    )
    config.data.threads = 1
    config.model.update(name="detector", strides=(8, 16, 32), channels=64, head_layers=2)
    config.model.backbone = ConfigDict({"name": "resnet", "width": 32})
    config.losses.dense_class = ConfigDict({"weight": 1.0})
    config.losses.dense_box = ConfigDict({"weight": 2.0})
    config.optim.lr = 2e-3
    config.optim.warmup_steps = 200
    config.optim.weight_decay = 5e-2
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.998
    config.train.batch_size = 8
    config.train.steps = 5000
    config.train.eval_every = 500
    config.eval.batch_size = 8
    return config
