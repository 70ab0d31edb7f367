"""A ResNet on Tiny ImageNet: predicts one of 200 classes and the box of the object on 64x64 photographs.

imgloc data prepare tiny_imagenet --from tiny-imagenet-200.zip
imgloc train --config configs/tiny_imagenet.py --workdir runs/tiny_imagenet
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.data.source = "tfds"
    config.data.options.name = "tiny_imagenet"
    config.data.augment.update(name="photographs", smallest=0.5, brightness=0.2, contrast=0.2, saturation=0.2)
    config.data.threads = 2
    config.model.update(name="resnet", width=32, output_stride=8, box_from="maps")
    config.losses.cross_entropy = ConfigDict({"label_smoothing": 0.1})
    config.losses.box_l1 = ConfigDict({"weight": 4.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.optim.lr = 2e-3
    config.optim.warmup_steps = 200
    config.optim.weight_decay = 5e-2
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.998
    config.train.epochs = 20.0
    config.train.eval_every = 1000
    config.train.best_metric = "gt_known_loc_50"
    config.eval.after_training = "test"
    return config
