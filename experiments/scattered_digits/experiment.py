"""A CNN and an LSTM on scattered digits: the same task, about the same training time."""

from __future__ import annotations

from digit_pictures import pictures

from imgloc.experiments.columns import median_range, metric, training_time
from imgloc.experiments.declared import Arm, Experiment, Table

METRICS = ("top1", "mean_iou", "gt_known_loc_50", "top1_loc_50")  # class correct, mean IoU, box correct, both correct
COLUMNS = [metric(name, f"`{name}`", median_range(dash="\N{EN DASH}")) for name in METRICS]
EXPERIMENT = Experiment(
    arms={"CNN, two looks": Arm("digits_cnn"), "LSTM, two passes": Arm("digits_lstm")},
    tables=(
        Table(
            "", (*COLUMNS, training_time("training")), baseline_blank=" ",
            baselines={"test/median_box": "median box of training", "test/whole_image": "whole-image box"},
        ),
    ),
    pictures=pictures,
)  # fmt: skip
