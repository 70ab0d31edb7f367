"""Sets of objects: a recurrent decoder with four matchings of steps and objects, parallel queries, and a dense detector.

All arms see the same 0 to 5 digits on canvases of 64x64 pixels with the same backbone, and train for the same number of steps.
"""

from __future__ import annotations

from imgloc.experiments.columns import average, metric, milliseconds, over_seeds, parameters, steps
from imgloc.experiments.curves import Panel, learning_curves
from imgloc.experiments.declared import Arm, Experiment, Table
from imgloc.experiments.points import steps_of

LOSSES = ("set_class", "set_box", "set_presence")
STEPS = steps_of(6000)
#: The dense detector sees the canvases of the recipe digits_set_decoder, and finds objects on the maps that the decoders attend to.
DENSE = {
    "data.options.canvas": 64, "data.options.scale": (0.5, 0.9), "data.image_size": (64, 64), "model.strides": (4, 8),
    "model.channels": 32,
}  # fmt: skip


def matched(matching: str, decoder: str = "") -> Arm:
    """Returns an arm with the set decoder and a matching."""
    other = {"model.decoder.name": decoder} if decoder else {}
    return Arm("digits_set_decoder", {**{f"losses.{loss}.matching": matching for loss in LOSSES}, **other, **STEPS})


ARMS = {
    "recurrent, ReInspect": matched("reinspect"),
    "recurrent, Hungarian": matched("hungarian"),
    "recurrent, left to right": matched("left_to_right"),
    "recurrent, large to small": matched("large_to_small"),
    "queries, Hungarian": matched("hungarian", "queries"),
    "dense detector": Arm("digits_detector", {**DENSE, **STEPS}),
}
COLUMNS = (
    *(metric(key, title, over_seeds(1)) for key, title in {"ap50": "AP50", "ap": "AP", "f1": "F1"}.items()),
    # in objects, so it is not shown in per cent
    metric("count_error", "objects miscounted", lambda values: f"{average([value['mean'] for value in values]):.3f}"),
    parameters(), steps(), milliseconds("ms per step"),
)  # fmt: skip
EXPERIMENT = Experiment(
    arms=ARMS, tables=(Table("digits", COLUMNS, show_provenance=True),),
    pictures=lambda results, _: {
        "curves.svg": learning_curves(
            results, [Panel("digits", list(ARMS))], lambda _, __, step: step, "steps", "AP50 on validation, per cent", scale=100
        )
    },
)  # fmt: skip
