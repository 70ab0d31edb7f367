"""Parts of images at a fixed size, and their class by a linear support vector machine on their gradient histograms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.boxes import from_edges, squares_around
from imgloc.features.hog import hog
from imgloc.models.classical.linear import Arrays, Linear, fit_linear_svm, fit_ridge
from imgloc.models.classical.training_features import TrainingFeatures, labelled
from imgloc.models.classical.training_images import TrainingImages
from imgloc.nn.apply import as_inputs
from imgloc.types import Array, FloatArray

SIZE, CELL = 28, 4  # pixels of a part after resizing, and of a cell of its histograms
BATCH = 100  # images whose parts are in memory at once


def crops(images_bxhxwxc: Array, boxes_bxnx4: Array, size: int) -> jax.Array:
    """The parts (b, n, size, size, c) of images that boxes (xyxy in [0, 1]) enclose, resized by area-aware bilinear interpolation.

    Pixels beyond the image count as those at its edge.
    """
    _, height, width, _ = images_bxhxwxc.shape
    boxes = jnp.asarray(boxes_bxnx4)
    rows_bxnxsxh = _weights(boxes[..., 1] * height, boxes[..., 3] * height, size, height)
    columns_bxnxsxw = _weights(boxes[..., 0] * width, boxes[..., 2] * width, size, width)
    return jnp.einsum("bnsh,bhwc,bntw->bnstc", rows_bxnxsxh, images_bxhxwxc, columns_bxnxsxw, precision="highest")


def _weights(low_bxn: jax.Array, high_bxn: jax.Array, size: int, pixels: int) -> jax.Array:
    """The share (b, n, size, pixels) of each pixel in each of `size` samples between two edges: a triangle as wide as a sample."""
    step_bxnx1 = ((high_bxn - low_bxn) / size)[..., None]
    center_bxnxs = jnp.clip(low_bxn[..., None] + (jnp.arange(size) + 0.5) * step_bxnx1, 0.5, pixels - 0.5)
    distance = jnp.abs(jnp.arange(pixels) + 0.5 - center_bxnxs[..., None]) / jnp.maximum(step_bxnx1[..., None], 1.0)
    weights = jnp.maximum(1.0 - distance, 0.0)
    return weights / weights.sum(axis=-1, keepdims=True)


def crop_features(images_bxhxwxc: Array, boxes_bxnx4: Array) -> jax.Array:
    """The gradient histograms (b, n, d) of the parts of images in [0, 1] that boxes enclose."""
    parts = crops(images_bxhxwxc, boxes_bxnx4, SIZE)
    b, n = parts.shape[:2]
    features: jax.Array = hog(parts.reshape(b * n, *parts.shape[2:]), pixels_per_cell=(CELL, CELL), cells_per_block=(2, 2))
    return features.reshape(b, n, -1)


class CropHead(nn.Module):
    """The decision values of the classes of the squares around boxes, and with `refine` a box from the same histograms."""

    num_classes: int
    context: float = 1.4  # the side of a square divided by the longer side of its box
    refine: bool = False

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, boxes_bx4: jax.Array) -> dict[str, jax.Array]:
        """Returns `logits` (b, num_classes), and `box` (b, 4): that of the regression, or the given one."""
        _, height, width, _ = images_bxhxwxc.shape
        squares_bx1x4 = squares_around(boxes_bx4[:, None], height, width, self.context)
        features_bxd = crop_features(images_bxhxwxc.astype(jnp.float32), squares_bx1x4)[:, 0]
        outputs = {"logits": Linear(self.num_classes, name="classes")(features_bxd), "box": from_edges(boxes_bx4)}
        if self.refine:
            outputs["box"] = from_edges(from_offsets(squares_bx1x4[:, 0], Linear(4, name="box")(features_bxd)))
        return outputs


def from_offsets(squares: Array, offsets: Array) -> jax.Array:
    """The boxes whose edges are at offsets from the upper left corners of squares, in units of their sides."""
    origin, sides = squares[..., :2], squares[..., 2:] - squares[..., :2]
    return jnp.concatenate([origin + offsets[..., :2] * sides, origin + offsets[..., 2:] * sides], axis=-1)


def to_offsets(squares: FloatArray, boxes: FloatArray) -> FloatArray:
    """The inverse of `from_offsets`."""
    origin, sides = squares[..., :2], squares[..., 2:] - squares[..., :2]
    return np.concatenate([(boxes[..., :2] - origin) / sides, (boxes[..., 2:] - origin) / sides], axis=-1)


def fit_crop_head(
    training: TrainingImages,
    boxes_nx4: FloatArray,
    num_classes: int,
    *,
    c: float,
    seed: int,
    context: float = 1.4,
    box_alpha: float | None = None,
) -> dict[str, Arrays]:
    """The variables of `CropHead`, fitted on a given box of each image, and with `box_alpha` on its first object."""
    height, width = training.size

    @jax.jit
    def features(images: jax.Array, boxes_bx4: jax.Array) -> jax.Array:
        return crop_features(as_inputs(images, jnp.float32), squares_around(boxes_bx4[:, None], height, width, context))[:, 0]

    starts = range(0, len(boxes_nx4), BATCH)
    parts = [np.asarray(features(training.images_nxhxwxc[start : start + BATCH], boxes_nx4[start : start + BATCH])) for start in starts]
    has_box_n = training.mask_nxm[:, 0]
    described = TrainingFeatures(np.concatenate(parts), training.label_n, training.boxes_nxmx4[:, 0], has_box_n)
    variables = {"classes": fit_linear_svm(*labelled(described, num_classes), num_classes, c, seed)}
    if box_alpha is not None:
        offsets = to_offsets(squares_around(boxes_nx4, height, width, context), training.boxes_nxmx4[:, 0])
        variables["box"] = fit_ridge(described.features_nxd[has_box_n], offsets[has_box_n], box_alpha)
    return variables


def jittered(boxes_nx4: FloatArray, rng: np.random.Generator, share: float = 0.12) -> FloatArray:
    """Boxes that are moved and scaled at random by up to a share of their sides, as those that a detector finds."""
    sides = boxes_nx4[:, 2:] - boxes_nx4[:, :2]
    center = (boxes_nx4[:, :2] + boxes_nx4[:, 2:]) / 2 + rng.uniform(-share, share, sides.shape) * sides
    half = sides / 2 * rng.uniform(1 - share, 1 + share, (len(sides), 1))
    return np.concatenate([center - half, center + half], axis=1).astype(np.float32)
