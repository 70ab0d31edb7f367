"""A CNN trained from scratch on a folder of your own photographs with boxes, such as the 200 of github.com/datitran/raccoon_dataset.

imgloc data check FOLDER --format csv
imgloc train --config configs/raccoon.py --workdir runs/raccoon --config.data.options.folder=FOLDER --config.data.options.format=csv
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.data.source = "folder"
    config.data.image_size = (96, 96)
    config.data.augment.update(name="photographs", smallest=0.4, brightness=0.3, contrast=0.3, saturation=0.3)
    config.data.threads = 2
    config.model.update(name="resnet", width=32, output_stride=8, box_from="maps")
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})  # this loss is 0 if there is only one class
    config.losses.box_l1 = ConfigDict({"weight": 4.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 50
    config.optim.weight_decay = 5e-2
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.99
    config.train.batch_size = 32
    config.train.epochs = 150.0
    config.train.eval_every = 0
    config.train.best_metric = "gt_known_loc_50"
    config.eval.after_training = "test@last"
    return config
