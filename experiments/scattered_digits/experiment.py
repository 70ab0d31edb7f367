"""A CNN and an LSTM on scattered digits: the same task, about the same training time."""

from __future__ import annotations

from digit_pictures import pictures

from imgloc.experiments.columns import median_range, metric, training_time
from imgloc.experiments.comparisons import seeds_needed
from imgloc.experiments.declared import Arm, Experiment, Table

METRICS = ("top1", "mean_iou", "gt_known_loc_50", "top1_loc_50")  # class correct, mean IoU, box correct, both correct
KEY, DIFFERENCES = "top1_loc_50", {"0.5 points": 0.005, "1 point": 0.01, "2 points": 0.02}  # of the table of seeds
COLUMNS = [metric(name, f"`{name}`", median_range(dash="\N{EN DASH}")) for name in METRICS]
EXPERIMENT = Experiment(
    arms={
        "CNN, two looks": Arm("digits_cnn"),
        "quickstart's CNN": Arm("digits_cnn", {"train.steps": 1500}),  # as scripts/quickstart trains
        "LSTM, two passes": Arm("digits_lstm"),
    },
    tables=(
        Table(
            "", (*COLUMNS, training_time("training")), baseline_blank=" ",
            baselines={"test/median_box": "median box of training", "test/whole_image": "whole-image box"},
        ),
        Table("seeds for a difference of", tuple(seeds_needed(KEY, difference, title) for title, difference in DIFFERENCES.items())),
    ),
    pictures=pictures,
)  # fmt: skip
