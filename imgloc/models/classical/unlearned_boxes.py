"""Models that find a box without learning from boxes, and learn the class of what is in it."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.image.components import label, regions
from imgloc.interfaces import Fitted
from imgloc.models.classical.crops import BATCH, fit_crop_head
from imgloc.models.classical.training_images import TrainingImages
from imgloc.nn.apply import as_inputs
from imgloc.types import Array

Find = Callable[[jax.Array], jax.Array]  # images (b, h, w, c) in [0, 1] to boxes (b, 4)


def largest_component(mask_bxhxw: Array) -> jax.Array:
    """The box (b, 4) of the largest connected component of each mask; the whole image where a mask is empty."""
    found = regions(label(mask_bxhxw), 1)
    whole = jnp.array([0.0, 0.0, 1.0, 1.0])
    return jnp.where(found.labels_bxn[:, :1] > 0, found.boxes_bxnx4[:, 0], whole)


def fit_class_of_found(find: Find, training: TrainingImages, num_classes: int, *, c: float, rng: np.random.Generator) -> Fitted:
    """The class of the boxes that `find` returns for the training images: the variables of a `CropHead` under the name `head`."""
    compiled = jax.jit(lambda images: find(as_inputs(images, jnp.float32)))
    starts = range(0, len(training.label_n), BATCH)
    boxes_nx4 = np.concatenate([np.asarray(compiled(training.images_nxhxwxc[start : start + BATCH])) for start in starts])
    return Fitted({"head": fit_crop_head(training, boxes_nx4, num_classes, c=c, seed=int(rng.integers(2**31)))})
