"""A random forest (Breiman, 2001) or extremely randomized trees (Geurts et al., 2006) on a descriptor of the image.

The class is the mean of the class shares of the leaves, and the box the mean of their boxes. scikit-learn fits the trees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import freeze

from imgloc import boxes
from imgloc.errors import check_at_least, look_up
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.training_features import TrainingFeatures, boxed, describe_for, descriptor, labelled
from imgloc.models.classical.trees import NO_SIZES, Trees, tree_arrays
from imgloc.types import Outputs

TINY = {"trees": 3, "depth": (3,), "min_leaf": (1,), "descriptor": {"name": "pixels", "size": 8}}
VARIANTS = {"extra": {**TINY, "kind": "extra"}}
KINDS = {"random": "RandomForest", "extra": "ExtraTrees"}  # the classes of scikit-learn
SMALLEST_SHARE = 1e-6  # of a class, whose logarithm is its logit


class Model(nn.Module):
    """Outputs: logits, the logarithms of the shares of the classes; box with `locate`."""

    num_classes: int
    descriptor: Mapping[str, Any] = freeze({"name": "pixels"})  # a file of imgloc/models/descriptors and its fields
    kind: str = "random"  # random: the best threshold of each feature; extra: the best of random thresholds, without a bootstrap
    trees: int = 100  # of the class, and as many of the box
    depth: tuple[int, ...] = (0,)  # searched: the largest number of levels; 0: until leaves are pure
    min_leaf: tuple[int, ...] = (1,)  # searched: the smallest number of examples of a leaf
    locate: bool = True  # with trees for the box
    class_sizes: tuple[int, ...] = NO_SIZES  # set by the fit
    box_sizes: tuple[int, ...] = NO_SIZES  # set by the fit

    def __post_init__(self) -> None:
        self.descriptor = freeze(dict(self.descriptor))  # hashable, as `jax.jit` requires
        super().__post_init__()

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_at_least(1, trees=self.trees, min_leaf=self.min_leaf)
        check_at_least(0, depth=self.depth)
        look_up("kind (model.kind)", self.kind, KINDS)
        features_bxd = descriptor(self.descriptor)(images)
        share_bxk = Trees(self.trees, self.num_classes, self.class_sizes, name="classes")(features_bxd)
        outputs = {"logits": jnp.log(jnp.maximum(share_bxk, SMALLEST_SHARE))}
        if self.locate:
            outputs["box"] = boxes.from_edges(Trees(self.trees, 4, self.box_sizes, name="box")(features_bxd))
        return outputs


def fit(model: Model, training: TrainingFeatures, rng: np.random.Generator) -> Fitted:
    """The trees of the class and of the box, by scikit-learn with its defaults, except for the fields of the model."""
    from sklearn import ensemble

    options = {
        "n_estimators": model.trees, "max_depth": model.depth[0] or None, "min_samples_leaf": model.min_leaf[0],
        "max_features": "sqrt", "n_jobs": -1,
    }  # fmt: skip
    seeds = rng.integers(2**31, size=2).tolist()
    classifier = getattr(ensemble, f"{KINDS[model.kind]}Classifier")(**options, random_state=seeds[0]).fit(
        *labelled(training, model.num_classes)
    )
    trees = [each.tree_ for each in classifier.estimators_]
    columns = np.eye(model.num_classes, dtype=np.float32)[classifier.classes_]  # of the classes that occur
    classes, class_sizes = tree_arrays(trees, [tree.value[:, 0] @ columns for tree in trees])
    if not model.locate:
        return Fitted({"classes": classes}, {"class_sizes": class_sizes})
    regressor = getattr(ensemble, f"{KINDS[model.kind]}Regressor")(**options, random_state=seeds[1]).fit(*boxed(training))
    trees = [each.tree_ for each in regressor.estimators_]
    box, box_sizes = tree_arrays(trees, [tree.value[:, :, 0] for tree in trees])
    return Fitted({"classes": classes, "box": box}, {"class_sizes": class_sizes, "box_sizes": box_sizes})


FIT = Fit(describe_for, fit, ("depth", "min_leaf"), decides=("class_sizes", "box_sizes"))
