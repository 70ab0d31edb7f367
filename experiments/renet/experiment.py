"""Recurrent sweeps and convolutions in equal training time: backbones of one localizer on scattered digits, and ReNet on MNIST.

Each arm of a task trains for as many steps as fit into the task's seconds, given its time per step on one core (`MS`, from --measure
under `taskset -c 0`). A fixed number of steps makes a run the same on every machine.
"""

from __future__ import annotations

from imgloc.experiments.columns import metric, milliseconds, parameters, steps, training_time
from imgloc.experiments.curves import Panel, learning_curves
from imgloc.experiments.declared import Arm, Experiment, Table
from imgloc.experiments.points import steps_of

SECONDS = {"digits": 180, "mnist": 480}  # of training steps
#: Milliseconds per step of each arm on one core of an AMD EPYC, and its recipe.
MS = {
    "digits": {"CNN, two looks": (121, "digits_cnn"), "LSTM, rows then columns": (78.8, "digits_lstm"),
               "localizer, cnn": (84.8, "digits_backbones"), "localizer, renet": (147, "digits_backbones"),
               "localizer, cnn_irnn": (92.8, "digits_backbones"), "localizer, conv_lstm": (116, "digits_backbones"),
               "RAM, 6 glimpses": (29.2, "digits_ram")},
    "mnist": {"three-layer CNN": (7.21, "three_layer_cnn_mnist"), "ReNet": (144, "renet_mnist")},
}  # fmt: skip
#: renet and conv_lstm were tried with 5e-3 and 1e-2 for 400 steps; the others use the recipe's learning rate.
LEARNING_RATES = {"cnn": 5e-3, "renet": 1e-2, "cnn_irnn": 5e-3, "conv_lstm": 1e-2}
FOUR = {"top1_loc_50": "both correct", "top1": "class correct", "mean_iou": "mean IoU", "gt_known_loc_50": "box correct"}


def arm(task: str, name: str) -> Arm:
    """Returns an arm that trains for the seconds of its task."""
    ms, recipe = MS[task][name]
    own, rate = name.removeprefix("localizer, "), LEARNING_RATES.get(name.removeprefix("localizer, "))
    backbone = {"model.backbone": own, "optim.lr": rate} if rate else {}
    return Arm(recipe, {**backbone, **steps_of(10 * round(100 * SECONDS[task] / ms))}, data="mnist" if task == "mnist" else "")


REST = (parameters(), steps(), milliseconds("ms per step, one core"), training_time("training, wall time"))
CLASS = "class correct (`top1`)"
MNIST = {"test@last": "test, last step", "test": "test, best of validation"}
EXPERIMENT = Experiment(
    arms={name: arm(task, name) for task, names in MS.items() for name in names},
    tables=(
        Table(
            "digits, 180 s of steps", (*(metric(key, f"{title} (`{key}`), test") for key, title in FOUR.items()), *REST),
            rows={name: name for name in MS["digits"]}, baseline_blank=" ", show_provenance=True,
            baselines={"test/median_box": "median box of training", "test/whole_image": "whole-image box"},
        ),
        Table(
            "mnist, 480 s of steps", (*(metric("top1", f"{CLASS}, {title}", split=key) for key, title in MNIST.items()), *REST),
            rows={name: name for name in MS["mnist"]}, show_provenance=True,
        ),
    ),
    pictures=lambda results, _: {
        "curves.svg": learning_curves(
            results, [Panel(task, list(names), log=True) for task, names in MS.items()],
            lambda _, name, step: step * next(names[name][0] for names in MS.values() if name in names) / 1000,
            "seconds of training steps", "1 - first metric, validation", error=True,
        )
    },
)  # fmt: skip
