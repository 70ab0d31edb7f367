"""Support vector machines (Cortes and Vapnik, 1995) on a descriptor of the image: linear ones, or with an RBF kernel.

The logits are decision values, not probabilities. The box comes from ridge regression beside a linear machine, and from support vector
regression with an RBF kernel. scikit-learn fits the machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax.core import freeze

from imgloc import boxes
from imgloc.errors import UserError, unknown
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.kernels import KernelClassifier, KernelSums, fit_kernel_classifier, fit_kernel_regressor
from imgloc.models.classical.linear import Linear, fit_linear_svm, fit_ridge
from imgloc.models.classical.training_features import TrainingFeatures, boxed, describe_for, descriptor, labelled
from imgloc.types import Outputs

TINY = {"descriptor": {"name": "hog", "cell": 16, "block": 1}, "c": (1.0,)}
VARIANTS = {"rbf": {**TINY, "kernel": "rbf"}}
KERNELS = ("linear", "rbf")


class Model(nn.Module):
    """Outputs: logits, the decision values of the classes; box with `locate`."""

    num_classes: int
    descriptor: Mapping[str, Any] = freeze({"name": "hog"})  # a file of imgloc/models/descriptors and its fields
    kernel: str = "linear"  # linear: each class against the others; rbf: each pair of classes
    c: tuple[float, ...] = (0.01, 0.1, 1.0)  # searched: the weight of the errors of training
    gamma: tuple[float, ...] = (1.0,)  # searched: of the RBF kernel, in units of 1 / (d * variance of the features)
    tolerance: float = 0.02  # of the edges of boxes, in units of the image; smaller errors cost nothing (rbf)
    box_alpha: float = 1.0  # of the ridge regression of the box (linear)
    locate: bool = True  # with a box
    vectors: tuple[int, ...] = (1, 1)  # set by the fit: the numbers of support vectors of the class and of the box

    def __post_init__(self) -> None:
        self.descriptor = freeze(dict(self.descriptor))  # hashable, as `jax.jit` requires
        super().__post_init__()

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        if self.kernel not in KERNELS:
            raise unknown("kernel (model.kernel)", self.kernel, KERNELS)
        if min(*self.c, *self.gamma, self.box_alpha) <= 0:
            raise UserError(f"model.c, gamma and box_alpha must be above 0, got {self.c}, {self.gamma} and {self.box_alpha}")
        is_linear = self.kernel == "linear"
        features_bxd = descriptor(self.descriptor)(images)
        classifier = Linear(self.num_classes, name="classes") if is_linear else None
        outputs = {"logits": (classifier or KernelClassifier(self.num_classes, self.vectors[0], name="classes"))(features_bxd)}
        if self.locate:
            regressor = Linear(4, name="box") if is_linear else None
            outputs["box"] = boxes.from_edges((regressor or KernelSums(self.vectors[1], 4, name="box"))(features_bxd))
        return outputs


def fit(model: Model, training: TrainingFeatures, rng: np.random.Generator) -> Fitted:
    """The machines of the class and of the box."""
    c, gamma, seed = model.c[0], model.gamma[0], int(rng.integers(2**31))
    if model.kernel == "linear":
        classes = fit_linear_svm(*labelled(training, model.num_classes), model.num_classes, c, seed)
        return Fitted({"classes": classes, **({"box": fit_ridge(*boxed(training), model.box_alpha)} if model.locate else {})})
    machine, count = fit_kernel_classifier(*labelled(training, model.num_classes), model.num_classes, c, gamma)
    if not model.locate:
        return Fitted({"classes": machine}, {"vectors": (count, 1)})
    regressor, box_count = fit_kernel_regressor(*boxed(training), c, gamma, model.tolerance)
    return Fitted({"classes": machine, "box": regressor}, {"vectors": (count, box_count)})


FIT = Fit(describe_for, fit, ("c", "gamma"), decides=("vectors",))
