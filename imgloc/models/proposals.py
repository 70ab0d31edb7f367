"""Boxes that enclose edges are proposed, and a linear support vector machine classifies the gradient histograms around each.

The value of a box is the length of the gradients inside it minus that in the frame around it, relative to its perimeter: a
simplification of edge boxes (Zitnick and Dollar, ECCV 2014), which count contours instead of pixels. A ridge regression from the same
histograms corrects the box of the best proposal, as in R-CNN (Girshick et al., 2014, arXiv:1311.2524).
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import UserError, check_at_least
from imgloc.image.integral import integral_image
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.crops import crop_features, from_offsets, jittered, to_offsets
from imgloc.models.classical.linear import Linear, fit_linear_svm, fit_ridge
from imgloc.models.classical.training_images import TrainingImages, level_sides, read_training_images
from imgloc.nn.apply import as_inputs
from imgloc.nn.detections import nms
from imgloc.types import Batch, FloatArray, Outputs

TINY = {"count": 3, "levels": 2, "c": (1.0,)}
ASPECTS = (0.5, 0.75, 1.0, 1.5)  # widths divided by heights
POSITIVE_IOU, NEGATIVE_IOU = 0.5, 0.3
CANDIDATES = 200  # boxes of the highest values that non-maximum suppression compares
DUPLICATE_IOU = 0.7
CONTEXT = 1.4  # the side of the square that is classified divided by the longer side of its box
BATCH = 50  # images at once


class Model(nn.Module):
    """Outputs: logits, the highest decision value of each class over the proposals; box, of the best proposal, corrected."""

    num_classes: int
    count: int = 24  # proposals of an image
    levels: int = 6  # heights of boxes, between those of the smallest and the largest object of training
    stride: float = 0.2  # between two boxes, in units of their sides
    exponent: float = 1.5  # of the perimeter by which the value of a box is divided: higher ones prefer smaller boxes
    c: tuple[float, ...] = (0.01, 0.1)  # searched: the weight of the errors of training
    box_alpha: float = 1.0  # of the ridge regression of the box
    sides: tuple[float, ...] = (0.5,)  # set by the fit: the longer sides of boxes in units of the shorter side of the image

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_at_least(1, count=self.count, levels=self.levels)
        if min(*self.c, self.box_alpha, self.stride) <= 0:
            raise UserError(f"model.c, box_alpha and stride must be above 0, got {self.c}, {self.box_alpha} and {self.stride}")
        inputs = images.astype(jnp.float32)
        _, height, width, _ = images.shape
        squares_bxnx4 = boxes.squares_around(propose(self, inputs), height, width, CONTEXT)
        features_bxnxd = crop_features(inputs, squares_bxnx4)
        value_bxnxk = Linear(self.num_classes, name="classes")(features_bxnxd)
        offset_bxnx4 = Linear(4, name="box")(features_bxnxd)
        best_b = value_bxnxk.max(axis=2).argmax(axis=1)[:, None, None]
        square_bx4, edges_bx4 = (jnp.take_along_axis(each, best_b, axis=1)[:, 0] for each in (squares_bxnx4, offset_bxnx4))
        return {"logits": value_bxnxk.max(axis=1), "box": boxes.from_edges(from_offsets(square_bx4, edges_bx4))}


def propose(model: Model, images_bxhxwxc: jax.Array) -> jax.Array:
    """The boxes (b, count, 4) with the highest values, without those that overlap a better one much; see the head of this file."""
    _, height, width, _ = images_bxhxwxc.shape
    grid_wx4 = box_grid(model, height, width)
    frame_wx4 = grid_wx4 + np.array([-1, -1, 1, 1]) * np.maximum(np.round(0.15 * (grid_wx4[:, 2:] - grid_wx4[:, :2]).max(-1)), 1)[:, None]
    dy, dx = (jnp.abs(jnp.diff(images_bxhxwxc, axis=axis)).max(axis=-1) for axis in (1, 2))
    energy = jnp.pad(dy, ((0, 0), (0, 1), (0, 0))) + jnp.pad(dx, ((0, 0), (0, 0), (0, 1)))
    sums = jnp.pad(integral_image(energy[..., None])[..., 0], ((0, 0), (1, 0), (1, 0)))

    def inside(edges_wx4: FloatArray) -> jax.Array:
        x0, y0, x1, y1 = np.clip(edges_wx4, 0, [width, height, width, height]).astype(np.int32).T
        return sums[:, y1, x1] - sums[:, y0, x1] - sums[:, y1, x0] + sums[:, y0, x0]

    perimeter_w = 2 * (grid_wx4[:, 2:] - grid_wx4[:, :2]).sum(axis=-1)
    inner_bxw = inside(grid_wx4)
    value_bxw = (2 * inner_bxw - inside(frame_wx4)) / jnp.asarray(perimeter_w**model.exponent, jnp.float32)
    value_bxc, place_bxc = jax.lax.top_k(value_bxw, min(CANDIDATES, len(grid_wx4)))
    unit = np.array([width, height, width, height], np.float32)
    boxes_bxcx4 = jnp.asarray((grid_wx4 / unit).astype(np.float32))[place_bxc]
    kept_bxc = nms(boxes.iou(boxes_bxcx4[:, :, None], boxes_bxcx4[:, None]) > DUPLICATE_IOU)
    rank_bxc = jnp.where(kept_bxc, value_bxc, value_bxc - 1e6)  # those that are left out come last
    best_bxn = jax.lax.top_k(rank_bxc, min(model.count, rank_bxc.shape[1]))[1]
    return jnp.take_along_axis(boxes_bxcx4, best_bxn[..., None], axis=1)


def box_grid(model: Model, height: int, width: int) -> FloatArray:
    """The boxes (w, 4) in whole pixels that may be proposed: of all sizes and aspects, at every `stride` of their sides."""
    found = []
    for side in model.sides:
        for aspect in ASPECTS:
            h, w = (max(2, round(side * min(height, width) * scale)) for scale in (min(1.0, 1.0 / aspect), min(1.0, aspect)))
            steps = [max(1, round(model.stride * n)) for n in (h, w)]
            x, y = np.meshgrid(np.arange(0, max(1, width - w + 1), steps[1]), np.arange(0, max(1, height - h + 1), steps[0]))
            found.append(np.stack([x, y, np.minimum(x + w, width), np.minimum(y + h, height)], axis=-1).reshape(-1, 4))
    return np.unique(np.concatenate(found), axis=0).astype(np.float64)


def prepare(model: Model, batches: Iterator[Batch]) -> TrainingImages:
    """The training images that have an object."""
    return read_training_images(batches).with_object()


def fit(model: Model, training: TrainingImages, rng: np.random.Generator) -> Fitted:
    """The machines on the proposals of the training images and on boxes near the objects, and the regression of the box."""
    height, width = training.size
    model = model.clone(
        sides=level_sides(boxes.squares_around(training.boxes_nxmx4[:, 0], height, width, 1.0), height, width, model.levels)
    )
    k, truth_nx4 = model.num_classes, training.boxes_nxmx4[:, 0]

    @jax.jit
    def features(images: jax.Array, near_bx4: jax.Array) -> tuple[jax.Array, jax.Array]:
        inputs = as_inputs(images, jnp.float32)
        every_bxnx4 = jnp.concatenate([near_bx4[:, None], propose(model, inputs)], axis=1)
        squares = boxes.squares_around(every_bxnx4, height, width, CONTEXT)
        return every_bxnx4, crop_features(inputs, squares)

    near_nx4 = jittered(truth_nx4, rng)
    vectors, labels, offsets = [], [], []
    for start in range(0, len(truth_nx4), BATCH):
        part = slice(start, start + BATCH)
        found_bxnx4, features_bxnxd = map(np.asarray, features(training.images_nxhxwxc[part], near_nx4[part]))
        iou_bxnxm = boxes.iou(found_bxnx4[:, :, None], training.boxes_nxmx4[part][:, None]) * training.mask_nxm[part][:, None]
        iou_bxn, nearest_bxn = iou_bxnxm.max(axis=2), iou_bxnxm.argmax(axis=2)
        label_bxn = np.where(iou_bxn >= POSITIVE_IOU, np.take_along_axis(training.labels_nxm[part], nearest_bxn, axis=1), k)
        used_bxn = (iou_bxn >= POSITIVE_IOU) | (iou_bxn < NEGATIVE_IOU)
        target_bxnx4 = np.take_along_axis(training.boxes_nxmx4[part], nearest_bxn[..., None], axis=1)
        vectors.append(features_bxnxd[used_bxn])
        labels.append(label_bxn[used_bxn])
        offsets.append(to_offsets(boxes.squares_around(found_bxnx4, height, width, CONTEXT), target_bxnx4)[used_bxn])
    vector_mxd, label_m = np.concatenate(vectors), np.concatenate(labels)
    machines = fit_linear_svm(vector_mxd, label_m, k + 1, model.c[0], int(rng.integers(2**31)))
    box = fit_ridge(vector_mxd[label_m < k], np.concatenate(offsets)[label_m < k], model.box_alpha)
    return Fitted({"classes": {name: machines[name][..., :k] for name in machines}, "box": box}, {"sides": model.sides})


FIT = Fit(prepare, fit, ("c",), decides=("sides",))
