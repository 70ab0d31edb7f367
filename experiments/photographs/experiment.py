"""A CNN from scratch on photographs, Tiny ImageNet and 200 pictures of raccoons with three seeds, and a pretrained one on the raccoons."""

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
#: Stages 6 and 7 of published weights and the head are trained.
TUNED = {
    "data.options.format": "csv", "data.image_size": (160, 160), "model.name": "pooled", "model.box_from": "maps",
    "model.backbone.name": "efficientnet_lite", "model.backbone.output_stride": 16, "model.pretrained": "efficientnet_lite0",
    "optim.frozen": ("^backbone/(stem|stage[1-5])",), "train.epochs": 0.0, "train.steps": 200,
}  # fmt: skip
EXPERIMENT = Experiment(
    arms={
        "tiny_imagenet": Arm("tiny_imagenet", title="Tiny ImageNet val, 64 px: CNN", data="tiny_imagenet", seeds=(0,)),
        # the raccoons' files name the test split
        "raccoon": Arm("raccoon", {"data.options.format": "csv"}, title="raccoons, 96 px: CNN", data="raccoon", split="test@last"),
        "raccoon_fine_tuned": Arm(
            "raccoon", TUNED, title="raccoons, 160 px: EfficientNet-Lite0, fine-tuned", data="raccoon", split="test@last"
        ),
    },
    tables=(
        Table(
            "", (*COLUMNS, training_time("training", "min")), each_run=True,
            baselines={f"{split}/{name}": title for split in ("test", "test@last") for name, title in BOXES.items()},
        ),
    ),
)  # fmt: skip
