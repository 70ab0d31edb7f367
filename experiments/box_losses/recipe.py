"""A small three-layer CNN on scattered digits, with every loss of the box at weight 0 (off)."""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    """Returns the recipe that the arms share."""
    config = base()
    config.model.name = "three_layer_cnn"
    config.model.channels = (16, 32, 64)
    config.model.hidden = 128
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    for loss in ("box_l1", "iou", "giou", "diou", "ciou"):
        config.losses[loss] = ConfigDict({"weight": 0.0})
    config.optim.lr = 2e-3
    config.optim.warmup_steps = 50
    config.train.best_metric = "mean_iou"
    config.eval.bootstrap_samples = 200
    return config
