"""A classifier of Tiny ImageNet whose score maps locate the object: boxes are not learned, they choose one threshold on validation.

imgloc data prepare tiny_imagenet --from tiny-imagenet-200.zip
imgloc train --config configs/tiny_imagenet_from_labels.py --workdir runs/tiny_imagenet_from_labels

Other methods: --config.model.head.name=adl, or rethought_cam; acol also needs the loss of its second classifier.
See docs/models/from_labels.md.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "localize_from_labels"
    config.data.source = "tfds"
    config.data.options.name = "tiny_imagenet"
    # Crops need not keep an object: which ones do is not known from labels.
    config.data.augment.update(name="photographs", smallest=0.5, brightness=0.2, contrast=0.2, saturation=0.2, keep=False)
    config.data.threads = 2
    config.model.name = "weakly_supervised"
    config.model.backbone = ConfigDict({"name": "cnn", "stem": (32, 64), "middle": 64, "deep": 128})
    config.model.head = ConfigDict({"name": "cam", "channels": 128})
    config.losses.cross_entropy = ConfigDict({"label_smoothing": 0.1})
    config.losses.second = ConfigDict({"name": "cross_entropy", "output": "second_logits", "weight": 0.0, "label_smoothing": 0.1})
    config.optim.lr = 4e-3
    config.optim.warmup_steps = 200
    config.optim.weight_decay = 5e-2
    config.optim.clip_norm = 5.0
    config.optim.ema = 0.995
    config.train.steps = 2500
    config.eval.after_training = "test"
    return config
