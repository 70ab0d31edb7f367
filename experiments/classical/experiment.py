"""Classical localizers and classifiers, fitted without gradients, on MNIST and on scattered digits.

An arm is called DATA-MODEL. Arms of a data set are fitted on the same examples, and validation chooses among their candidates.
"""

from __future__ import annotations

from typing import Any

from imgloc.experiments.columns import metric, over_images, training_time
from imgloc.experiments.declared import Arm, Experiment, Table
from imgloc.experiments.points import steps_of

MNIST = {"top1": "class"}
DIGITS = {"top1_loc_50": "class and box", "top1": "class", "mean_iou": "mean IoU", "gt_known_loc_50": "box (IoU .5)"}
GAUSSIAN = {"model.kernel": "rbf", "model.descriptor.cell": 7, "model.c": (10.0,)}
#: Title, recipe, and what an arm overrides; models that look at parts of a canvas are fitted on 2,000, the others on 10,000.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mnist-hog_linear": ("linear SVM on HOG", "mnist_hog_svm", steps_of(550, 1)),
    "mnist-hog_gaussian": ("SVM with an RBF kernel on HOG", "mnist_hog_svm", {**GAUSSIAN, **steps_of(550, 1)}),
    "mnist-forest": ("forest on pixels", "mnist_forest", steps_of(550, 1)),
    "digits-sliding_window": ("sliding windows", "digits_sliding_window", steps_of(20, 1)),
    "digits-cascade": ("cascade", "digits_cascade", steps_of(20, 1)),
    "digits-proposals": ("proposals", "digits_sliding_window", {"model.name": "proposals", **steps_of(20, 1)}),
    "digits-template_matching": ("template matching", "digits_sliding_window", {"model.name": "template_matching", **steps_of(20, 1)}),
    "digits-otsu_component": ("Otsu's component", "digits_sliding_window", {"model.name": "otsu_component", **steps_of(20, 1)}),
    "digits-saliency_box": ("saliency", "digits_sliding_window", {"model.name": "saliency_box", **steps_of(20, 1)}),
    "digits-hog_svm": ("linear SVM on HOG of the canvas", "digits_hog_svm", steps_of(100, 1)),
    "digits-forest": ("forest on pixels of the canvas", "digits_forest", steps_of(100, 1)),
}
FIXED = {"test/median_box": "digits, median box of training", "test/whole_image": "digits, whole image"}


def arm(name: str) -> Arm:
    """Returns an arm; it is scored by the best candidate alone."""
    _, recipe, own = MODELS[name]
    batch = {"train.batch_size": 100} if name.startswith("digits") else {}
    return Arm(recipe, {**own, **batch, "eval.after_training": ""}, data="" if batch else "mnist")


EXPERIMENT = Experiment(
    arms={name: arm(name) for name in MODELS},
    seeds=(0,),
    tables=tuple(
        Table(
            data,
            (
                *(metric(key, title, over_images(3, scale=1) if key == "mean_iou" else over_images()) for key, title in keys.items()),
                training_time("seconds", ""),
            ),
            rows={name: f"{data}, {title}" for name, (title, _, _) in MODELS.items() if name.startswith(data)},
            baselines=FIXED if data == "digits" else {}, show_provenance=True,
        )
        for data, keys in (("mnist", MNIST), ("digits", DIGITS))
    ),
)  # fmt: skip
