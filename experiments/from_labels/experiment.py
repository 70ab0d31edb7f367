"""Localization from labels alone: seven methods on digits and on Tiny ImageNet, beside full supervision and fixed boxes.

An arm is called DATA-METHOD. All arms of a data set share the backbone, the steps and the optimizer.
"""

from __future__ import annotations

from imgloc.experiments.columns import count, metric, over_seeds_or_images
from imgloc.experiments.declared import Arm, Experiment, Table
from imgloc.experiments.points import steps_of

METRICS = {
    "gt_known_loc_30": "GT-known, IoU .3", "gt_known_loc_50": "IoU .5", "gt_known_loc_70": "IoU .7",
    "oracle_gt_known_loc_50": "IoU .5, oracle threshold", "top1_loc_50": "class and box", "top1": "class",
}  # fmt: skip
METHODS = {
    "cam": {"model.head.name": "cam"},
    "hide_and_seek": {"model.head.name": "cam", "data.batch_transforms": ("hide_and_seek",)},
    "cutmix": {"model.head.name": "cam", "data.batch_transforms": ("cutmix",)},
    "adl": {"model.head.name": "adl"},
    "acol": {"model.head.name": "acol", "losses.second.weight": 1.0},
    "rethought_cam": {"model.head.name": "rethought_cam"},
    "multiplicative_fusion": {"model.head.name": "multiplicative_fusion"},
}
TITLES = {
    "cam": "CAM", "hide_and_seek": "Hide-and-Seek", "cutmix": "CutMix", "adl": "ADL", "acol": "ACoL",
    "rethought_cam": "rethought CAM", "multiplicative_fusion": "multiplicative fusion", "full_supervision": "full supervision",
}  # fmt: skip
#: The control has the same backbone and steps, with the head of `localizer` and the losses of boxes.
SUPERVISED = {
    "digits": ("digits_backbones", {"optim.warmup_steps": 100, "optim.clip_norm": 5.0, "optim.ema": 0.99, "model.dropout": 0.0}),
    "tiny": ("tiny_imagenet", {
        "model.name": "localizer", "model.stem": (32, 64), "model.middle": 64, "model.deep": 128, "optim.lr": 4e-3, "optim.ema": 0.995,
        "train.best_metric": "top1_loc_50", "train.epochs": 0.0,
    }),
}  # fmt: skip
RECIPES = {"digits": "digits_from_labels", "tiny": "tiny_imagenet_from_labels"}
#: An override that names another head drops the recipe's options.
SHARED = {"digits": steps_of(600, 5), "tiny": {"model.head.channels": 128, **steps_of(2000, 5)}}
FIXED = {"center_box": "center box", "whole_image": "whole image", "median_box": "median box of training"}


def arm(data: str, method: str) -> Arm:
    """Returns an arm; it is scored by the best checkpoint alone."""
    recipe, own = (RECIPES[data], {**METHODS[method], **SHARED[data]}) if method in METHODS else SUPERVISED[data]
    steps = {key: value for key, value in SHARED[data].items() if key.startswith("train.")}
    return Arm(recipe, {**own, **steps, "eval.after_training": ""}, data="tiny_imagenet" if data == "tiny" else "")


COLUMNS = [metric(key, title, over_seeds_or_images(), in_baseline_rows=key != "oracle_gt_known_loc_50") for key, title in METRICS.items()]
EXPERIMENT = Experiment(
    arms={f"{data}-{method}": arm(data, method) for data in RECIPES for method in TITLES},
    tables=tuple(
        Table(
            data, (count("seeds"), *COLUMNS), rows={f"{data}-{method}": f"{data}, {title}" for method, title in TITLES.items()},
            baselines={f"test/{name}": f"{data}, {title}" for name, title in FIXED.items()}, baseline_blank=" ", show_provenance=True,
        )
        for data in RECIPES
    ),
)  # fmt: skip
