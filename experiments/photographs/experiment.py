"""A CNN from scratch on photographs: Tiny ImageNet, and 200 pictures of raccoons with three seeds."""

from __future__ import annotations

from imgloc.experiments.columns import metric, over_images, training_time
from imgloc.experiments.declared import Arm, Experiment, Table

METRICS = {
    "gt_known_loc_30": "IoU .3", "gt_known_loc_50": "IoU .5", "gt_known_loc_70": "IoU .7",
    "mean_iou": "mean IoU", "top1_loc_50": "class and box",
}  # fmt: skip
PATTERN = "{} [{}, {}]"
FORMS = {"mean_iou": over_images(3, pattern=PATTERN, scale=1)}
COLUMNS = [metric(key, title, FORMS.get(key, over_images(pattern=PATTERN))) for key, title in METRICS.items()]
BOXES = {"median_box": "median box of training", "whole_image": "whole-image box"}
EXPERIMENT = Experiment(
    arms={
        "tiny_imagenet": Arm("tiny_imagenet", title="Tiny ImageNet val, 64 px: CNN", data="tiny_imagenet", seeds=(0,)),
        # the raccoons' files name the test split
        "raccoon": Arm("raccoon", {"data.options.format": "csv"}, title="raccoons, 96 px: CNN", data="raccoon", split="test@last"),
    },
    tables=(
        Table(
            "", (*COLUMNS, training_time("training", "min")), each_run=True,
            baselines={f"{split}/{name}": title for split in ("test", "test@last") for name, title in BOXES.items()},
        ),
    ),
)  # fmt: skip
