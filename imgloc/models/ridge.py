"""Ridge regression (Hoerl and Kennard, 1970) on a descriptor of the image: to the box, and to 1 for its class and -1 for the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax.core import freeze

from imgloc import boxes
from imgloc.errors import UserError
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.linear import Linear, fit_ridge, fit_ridge_classifier
from imgloc.models.classical.training_features import TrainingFeatures, boxed, describe_for, descriptor, labelled
from imgloc.types import Outputs

TINY = {"descriptor": {"name": "hog", "cell": 16, "block": 1}, "alpha": (1.0,)}


class Model(nn.Module):
    """Outputs: logits, the regressed values of the classes; box with `locate`."""

    num_classes: int
    descriptor: Mapping[str, Any] = freeze({"name": "hog"})  # a file of imgloc/models/descriptors and its fields
    alpha: tuple[float, ...] = (0.1, 1.0, 10.0)  # searched: the weight of the squared weights
    locate: bool = True  # with a box

    def __post_init__(self) -> None:
        self.descriptor = freeze(dict(self.descriptor))  # hashable, as `jax.jit` requires
        super().__post_init__()

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        if min(self.alpha) <= 0:
            raise UserError(f"model.alpha must be above 0, got {self.alpha}")
        features_bxd = descriptor(self.descriptor)(images)
        outputs = {"logits": Linear(self.num_classes, name="classes")(features_bxd)}
        if self.locate:
            outputs["box"] = boxes.from_edges(Linear(4, name="box")(features_bxd))
        return outputs


def fit(model: Model, training: TrainingFeatures, rng: np.random.Generator) -> Fitted:
    """The solution of both least squares problems."""
    alpha = model.alpha[0]
    classes = fit_ridge_classifier(*labelled(training, model.num_classes), model.num_classes, alpha)
    return Fitted({"classes": classes, **({"box": fit_ridge(*boxed(training), alpha)} if model.locate else {})})


FIT = Fit(describe_for, fit, ("alpha",))
