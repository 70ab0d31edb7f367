"""Which loss of the box: L1, IoU, GIoU, DIoU and CIoU, each with the weight that validation chooses.

An arm is called LOSS-WEIGHT. All arms share the small three-layer CNN, the steps, and the loss of the class.
"""

from __future__ import annotations

from imgloc.experiments.columns import metric, steps, training_time
from imgloc.experiments.comparisons import choice, of_chosen
from imgloc.experiments.declared import Arm, Experiment, Table
from imgloc.experiments.points import steps_of

LOSSES = {"box_l1": "L1", "iou": "IoU", "giou": "GIoU", "diou": "DIoU", "ciou": "CIoU"}
WEIGHTS = (1, 4, 16)  # of the loss of the box; that of the class has weight 1
GRID = [metric("mean_iou", f"mean IoU, weight {weight}", arm=str(weight)) for weight in WEIGHTS]
CHOSEN = (choice("chosen"), of_chosen("mean_iou", "mean IoU"), of_chosen("gt_known_loc_50", "box"), of_chosen("gt_known_loc_70", "IoU .7"),
          of_chosen("top1", "class"), of_chosen("top1_loc_50", "class and box"))  # fmt: skip
EXPERIMENT = Experiment(
    arms={
        f"{loss}-{weight}": Arm("recipe.py", {f"losses.{loss}.weight": float(weight), **steps_of(400, 4)})
        for loss in LOSSES
        for weight in WEIGHTS
    },
    tables=(
        Table("loss of the box", (*GRID, *CHOSEN), rows={f"{loss}-{{}}": title for loss, title in LOSSES.items()}, show_provenance=True),
        Table("arm", (steps(), training_time("training"))),
    ),
    seeds=(0, 1, 2, 3, 4),
    extra_metrics=("gt_known_loc_50", "gt_known_loc_70", "top1", "top1_loc_50"),
)
