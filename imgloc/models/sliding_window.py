"""The detector of Dalal and Triggs (CVPR 2005): linear support vector machines on the gradient histograms of sliding windows.

Each class has a machine, which is a convolution over the blocks of an image pyramid. Its negative examples are windows of other
classes and of the background; after each round the windows with the highest wrong scores are added. A ridge regression from the same
histograms to the box corrects the box of a window, as in Felzenszwalb et al. (2010, section 7.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import UserError, check_at_least
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.crops import from_offsets, to_offsets
from imgloc.models.classical.linear import fit_linear_svm, fit_ridge
from imgloc.models.classical.training_images import TrainingImages, level_sides, read_training_images
from imgloc.models.classical.windows import WindowPyramid, block_maps, responses, window_boxes, window_vectors
from imgloc.nn.apply import as_inputs
from imgloc.nn.detections import Suppression, select_detections
from imgloc.nn.fitted import fitted
from imgloc.types import Batch, FloatArray, IntArray, Outputs

TINY = {"window": 16, "cell": 8, "orientations": 4, "levels": 2, "rounds": 1, "c": (0.1,)}
VARIANTS = {"detect": {**TINY, "max_detections": 3}}
EVALUATION_FIELDS = ("max_detections", "nms_iou")
POSITIVE_IOU, NEGATIVE_IOU = 0.6, 0.3  # of a window with the square around an object
BATCH = 50  # images whose blocks are in memory at once
CANDIDATES = 300  # windows that non-maximum suppression compares


class Model(nn.Module):
    """Outputs: logits, the highest value of each class over all windows; box, of the best window; objects with `max_detections`."""

    num_classes: int
    window: int = 28  # pixels of a window after resizing
    cell: int = 4  # pixels of a cell, by which windows are moved
    orientations: int = 9
    context: float = 1.4  # the side of a window divided by the longer side of its object
    levels: int = 6  # of the pyramid, between the smallest and the largest object of training
    c: tuple[float, ...] = (0.01, 0.1)  # searched: the weight of the errors of training
    box_alpha: float = 1.0  # of the ridge regression of the box
    rounds: int = 2  # of adding hard negative windows
    negatives: int = 3  # windows of an image that each round adds
    max_detections: int = 0  # objects of an image, for the task detect; 0: these outputs are absent
    nms_iou: float = 0.3  # of two windows of a class, above which the one with the lower value is left out
    sides: tuple[float, ...] = (0.5,)  # set by the fit: the sides of windows in units of the shorter side of the image

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check(self)
        pyramid, k = pyramid_of(self), self.num_classes
        weights = fitted(self, "weights", (pyramid.blocks, pyramid.blocks, pyramid.depth, k + 4))
        values_bxwxo = responses(block_maps(images, pyramid), weights) + fitted(self, "bias", (k + 4,))
        windows_wx4 = all_windows(images.shape[1], images.shape[2], pyramid)
        scores_bxwxk, boxes_bxwx4 = values_bxwxo[..., :k], from_offsets(windows_wx4, values_bxwxo[..., k:])
        best_b = scores_bxwxk.max(axis=2).argmax(axis=1)
        outputs = {
            "logits": scores_bxwxk.max(axis=1),
            "box": boxes.from_edges(jnp.take_along_axis(boxes_bxwx4, best_b[:, None, None], axis=1)[:, 0]),
        }
        if self.max_detections:
            how = Suppression(max_detections=self.max_detections, candidates=CANDIDATES, nms_iou=self.nms_iou)
            outputs |= select_detections(nn.sigmoid(scores_bxwxk), boxes_bxwx4, how)
        return outputs


def check(model: Model) -> None:
    """Raises UserError for fields out of range."""
    check_at_least(1, orientations=model.orientations, levels=model.levels, negatives=model.negatives, cell=model.cell)
    check_at_least(0, rounds=model.rounds, max_detections=model.max_detections)
    if model.window % model.cell or model.window < 2 * model.cell:
        raise UserError(f"model.window must be a multiple of model.cell, at least twice as large, got {model.window} and {model.cell}")
    if min(model.c) <= 0 or model.context < 1 or model.box_alpha <= 0:
        raise UserError(f"model.c and box_alpha must be above 0, context at least 1, got {model.c}, {model.box_alpha}, {model.context}")


def pyramid_of(model: Model) -> WindowPyramid:
    """The windows of a model."""
    return WindowPyramid(model.window, model.cell, model.orientations, model.sides)


def all_windows(height: int, width: int, pyramid: WindowPyramid) -> FloatArray:
    """The boxes (windows, 4) of all levels."""
    return np.concatenate([level.reshape(-1, 4) for level in window_boxes(height, width, pyramid)])


class Windows(NamedTuple):
    """Examples of windows; those of the background have the label `num_classes` and no offsets."""

    vectors_mxd: FloatArray
    labels_m: IntArray
    offsets_mx4: FloatArray


def prepare(model: Model, batches: Iterator[Batch]) -> TrainingImages:
    """The training images. Raises UserError where none has a box."""
    training = read_training_images(batches)
    training.with_object()
    return training


def fit(model: Model, training: TrainingImages, rng: np.random.Generator) -> Fitted:
    """The machines after the last round, and the regression of the box."""
    height, width = training.size
    squares = boxes.squares_around(training.boxes_nxmx4[training.mask_nxm], height, width, model.context)
    model = model.clone(sides=level_sides(squares, height, width, model.levels))
    seed, k = int(rng.integers(2**31)), model.num_classes
    windows = collect(model, training, None, rng)
    objects = windows.labels_m < k
    box = fit_ridge(windows.vectors_mxd[objects], windows.offsets_mx4[objects], model.box_alpha)
    for number in range(model.rounds + 1):
        machines = fit_linear_svm(windows.vectors_mxd, windows.labels_m, k + 1, model.c[0], seed)
        variables = {name: np.concatenate([machines[name][..., :k], box[name]], axis=-1) for name in ("weights", "bias")}
        pyramid = pyramid_of(model)
        variables["weights"] = variables["weights"].reshape(pyramid.blocks, pyramid.blocks, pyramid.depth, k + 4)
        if number < model.rounds:
            hard = collect(model, training, variables, rng)
            windows = Windows(*(np.concatenate(pair) for pair in zip(windows, hard, strict=True)))
    return Fitted(variables, {"sides": model.sides})


def collect(model: Model, training: TrainingImages, variables: dict[str, np.ndarray] | None, rng: np.random.Generator) -> Windows:
    """Windows of the training images: the best of each object and random others, or after a first fit, those that it scores highest."""
    pyramid, k = pyramid_of(model), model.num_classes
    height, width = training.size
    windows_wx4 = all_windows(height, width, pyramid)
    squares_nxmx4 = boxes.squares_around(training.boxes_nxmx4, height, width, model.context)
    compiled = jax.jit(lambda images: block_maps(as_inputs(images, jnp.float32), pyramid))
    scored = jax.jit(lambda maps, weights, bias: (responses(maps, weights) + bias)[..., :k].max(axis=2))
    parts = []
    for start in range(0, len(training.images_nxhxwxc), BATCH):
        part = training.part(slice(start, start + BATCH))
        maps = compiled(part.images_nxhxwxc)
        iou_bxmxw = boxes.iou(squares_nxmx4[start : start + BATCH, :, None], windows_wx4) * part.mask_nxm[..., None]
        is_free_bxw = iou_bxmxw.max(axis=1) < NEGATIVE_IOU
        rank_bxw = rng.random(is_free_bxw.shape, np.float32)
        if variables is not None:
            rank_bxw = np.asarray(scored(maps, variables["weights"], variables["bias"]))
        order_bxw = np.argsort(-np.where(is_free_bxw, rank_bxw, -np.inf), axis=1, kind="stable")[:, : model.negatives]
        image_m, window_m = np.repeat(np.arange(len(order_bxw)), order_bxw.shape[1]), order_bxw.reshape(-1)
        free = is_free_bxw[image_m, window_m]
        image_m, window_m, label_m = image_m[free], window_m[free], np.full(int(free.sum()), k, np.int32)
        offsets_mx4 = np.zeros((len(image_m), 4), np.float32)
        if variables is None:
            own = positives(part, iou_bxmxw)
            offset = to_offsets(windows_wx4[own[2]], part.boxes_nxmx4[own[0], own[1]])
            image_m, window_m = np.concatenate([own[0], image_m]), np.concatenate([own[2], window_m])
            label_m = np.concatenate([part.labels_nxm[own[0], own[1]], label_m])
            offsets_mx4 = np.concatenate([offset, offsets_mx4])
        vectors = window_vectors([np.asarray(level) for level in maps], pyramid, image_m, window_m)
        parts.append(Windows(vectors, label_m, offsets_mx4))
    return Windows(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def positives(part: TrainingImages, iou_bxmxw: FloatArray, count: int = 2) -> tuple[IntArray, IntArray, IntArray]:
    """(images, objects, windows): the best window of each object, and the next ones whose IoU is at least POSITIVE_IOU."""
    order_bxmxc = np.argsort(-iou_bxmxw, axis=2, kind="stable")[..., :count]
    enough = np.take_along_axis(iou_bxmxw, order_bxmxc, axis=2) >= POSITIVE_IOU
    enough[..., 0] = True
    image_p, object_p, rank_p = np.nonzero(enough & part.mask_nxm[..., None])
    return image_p, object_p, order_bxmxc[image_p, object_p, rank_p]


FIT = Fit(prepare, fit, ("c",), decides=("sides",))
