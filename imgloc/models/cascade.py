"""The detector of Viola and Jones (CVPR 2001): a cascade of boosted stumps on Haar-like features finds objects of any class.

Windows slide over an image pyramid. The value of a window counts the stages that it passes; the windows that overlap the best one and
pass as many stages are averaged. A linear support vector machine on the gradient histograms around that window gives the class, and
a ridge regression from them the box.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import UserError, check_at_least
from imgloc.features.haar import HaarFeatures, haar_features
from imgloc.image.scale import as_gray
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.boosting import boost
from imgloc.models.classical.crops import CropHead, crops, fit_crop_head, jittered
from imgloc.models.classical.haar_windows import Stumps, normalized_values, pyramid_boxes, stage_sums, window_values
from imgloc.models.classical.training_images import TrainingImages, level_sides, read_training_images
from imgloc.nn.apply import as_inputs
from imgloc.nn.fitted import fitted
from imgloc.types import Batch, BoolArray, FloatArray, Outputs

TINY = {"window": 8, "stages": (2, 2), "pool": 30, "levels": 2, "c": (1.0,)}
NEGATIVE_IOU = 0.3  # of a window of the background with the square around an object
MERGED_IOU = 0.5  # of windows that are averaged with the best one
BATCH = 25  # images whose windows are in memory at once


class Model(nn.Module):
    """Outputs: logits, the decision values of the classes around the best window; box."""

    num_classes: int
    window: int = 16  # pixels of a window after resizing
    context: float = 1.2  # the side of a window divided by the longer side of its object
    levels: int = 7  # of the pyramid, between the smallest and the largest object of training
    stages: tuple[int, ...] = (4, 8, 12, 16, 24)  # stumps of each stage
    pool: int = 2000  # Haar-like features, drawn at random from all of a window, that boosting chooses from
    detection_rate: float = 0.99  # of the objects of training that each stage keeps
    negatives: int = 3000  # windows of the background that each stage is fitted on
    c: tuple[float, ...] = (0.1,)  # searched: the weight of the errors of the classifier
    box_alpha: float = 1.0  # of the ridge regression of the box
    sides: tuple[float, ...] = (0.5,)  # set by the fit: the sides of windows in units of the shorter side of the image

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check(self)
        count = sum(self.stages)
        stumps = Stumps(
            fitted(self, "corners", (count, 9, 2), jnp.int32), fitted(self, "corner_weights", (count, 9), jnp.int32),
            fitted(self, "thresholds", (count,)), fitted(self, "alphas", (count,)), fitted(self, "passes", (len(self.stages),)),
        )  # fmt: skip
        value_bxw = window_values(images, stumps, self.stages, self.window, self.sides)
        windows_wx4 = pyramid_boxes(images.shape[1], images.shape[2], self.window, self.sides)
        window_bx4 = merged(value_bxw, jnp.asarray(windows_wx4))
        # The head has its own context around the object, which a window exceeds by that of the model.
        center, half = (window_bx4[:, :2] + window_bx4[:, 2:]) / 2, (window_bx4[:, 2:] - window_bx4[:, :2]) / (2 * self.context)
        return CropHead(self.num_classes, refine=True, name="head")(images, jnp.concatenate([center - half, center + half], axis=1))


def check(model: Model) -> None:
    """Raises UserError for fields out of range."""
    check_at_least(1, stages=model.stages, levels=model.levels, pool=model.pool, negatives=model.negatives)
    if not model.stages or model.window < 4:
        raise UserError(f"model.stages must have a number of stumps and window at least 4 pixels, got {model.stages} and {model.window}")
    if not 0 < model.detection_rate <= 1 or model.context < 1 or min(*model.c, model.box_alpha) <= 0:
        given = f"{model.detection_rate}, {model.context}, {model.c} and {model.box_alpha}"
        raise UserError(f"model.detection_rate must be in (0, 1], context at least 1, c and box_alpha above 0, got {given}")


def merged(value_bxw: jax.Array, windows_wx4: jax.Array) -> jax.Array:
    """The mean (b, 4) of the windows that pass as many stages as the best one and overlap it."""
    best_b = value_bxw.argmax(axis=1)
    overlap_bxw = boxes.iou(windows_wx4[best_b][:, None], windows_wx4)
    same_bxw = jnp.floor(value_bxw) == jnp.floor(value_bxw.max(axis=1, keepdims=True))
    weight_bxw = (same_bxw & (overlap_bxw > MERGED_IOU)).astype(jnp.float32)
    return jnp.dot(weight_bxw, windows_wx4, precision="highest") / weight_bxw.sum(axis=1, keepdims=True)


def prepare(model: Model, batches: Iterator[Batch]) -> TrainingImages:
    """The training images that have an object."""
    return read_training_images(batches).with_object()


def fit(model: Model, training: TrainingImages, rng: np.random.Generator) -> Fitted:
    """The cascade, stage by stage, each on windows of the background that all stages before it call objects; then the head."""
    height, width = training.size
    squares_nx4 = boxes.squares_around(training.boxes_nxmx4[:, 0], height, width, model.context)
    model = model.clone(sides=level_sides(squares_nx4, height, width, model.levels))
    every = haar_features(model.window, model.window)
    pool = every[np.sort(rng.permutation(len(every))[: model.pool])]
    object_nxf = pool_values(model, training, np.arange(len(squares_nx4)), squares_nx4, pool)
    stages: list[Stumps] = []
    negative_mxf = np.zeros((0, len(pool)), np.float32)
    for count in model.stages:
        image_m, window_mx4 = background(model, training, stages, rng)
        if len(image_m):  # else no window of the background passes: this stage sees those of the one before
            negative_mxf = pool_values(model, training, image_m, window_mx4, pool)
        stage, passed_n = fit_stage(object_nxf, negative_mxf, pool, count, model.detection_rate)
        object_nxf = object_nxf[passed_n]
        stages.append(stage)
    corners, corner_weights, thresholds, alphas, passes = joined(stages)
    variables = {"corners": corners, "corner_weights": corner_weights, "thresholds": thresholds, "alphas": alphas, "passes": passes}
    seed = int(rng.integers(2**31))
    around_nx4 = jittered(boxes.squares_around(training.boxes_nxmx4[:, 0], height, width, 1.0), rng)
    head = fit_crop_head(training, around_nx4, model.num_classes, c=model.c[0], seed=seed, box_alpha=model.box_alpha)
    return Fitted({"head": head, **variables}, {"sides": model.sides})


def joined(stages: Sequence[Stumps]) -> Stumps:
    """The stumps of all stages."""
    return Stumps(*(np.concatenate(arrays) for arrays in zip(*stages, strict=True)))


def fit_stage(
    object_nxf: FloatArray, negative_mxf: FloatArray, pool: HaarFeatures, count: int, detection_rate: float
) -> tuple[Stumps, BoolArray]:
    """A stage of `count` stumps, and which objects pass it: at least the share `detection_rate`."""
    is_object_n = np.arange(len(object_nxf) + len(negative_mxf)) < len(object_nxf)
    chosen = boost(np.concatenate([object_nxf, negative_mxf]), is_object_n, count)
    polarity_s = np.array([stump.polarity for stump in chosen], np.int32)
    feature_s = np.array([stump.feature for stump in chosen])
    thresholds_s = np.array([stump.polarity * stump.threshold for stump in chosen], np.float32)
    weights_sx9 = (pool.weights_fxk[feature_s] * polarity_s[:, None]).astype(np.int32)
    alphas_s = np.array([stump.alpha for stump in chosen], np.float32)
    stage = Stumps(pool.corners_fxkx2[feature_s].astype(np.int32), weights_sx9, thresholds_s, alphas_s, np.zeros(1, np.float32))
    sum_n = np.asarray(stage_sums(jnp.asarray(polarity_s * object_nxf[:, feature_s], jnp.float32), stage, (count,)))[:, 0]
    # Sums of the same votes may differ by rounding.
    passes = np.float32(np.quantile(sum_n, 1 - detection_rate, method="lower")) - np.float32(1e-4)
    return stage._replace(passes_t=passes.reshape(1)), sum_n >= passes


def pool_values(model: Model, training: TrainingImages, image_m: np.ndarray, window_mx4: FloatArray, pool: HaarFeatures) -> FloatArray:
    """The values (m, f) of the features of the pool on windows of the images `image_m`."""

    @jax.jit
    def values(images: jax.Array, windows: jax.Array) -> jax.Array:
        parts = crops(as_gray(as_inputs(images, jnp.float32)), windows[:, None], model.window)
        return normalized_values(parts[:, 0, ..., 0], pool)[:, 0, 0]

    size = 10 * BATCH
    found = []
    for start in range(0, len(image_m), size):
        images, windows = training.images_nxhxwxc[image_m[start : start + size]], window_mx4[start : start + size]
        padding = [(0, size - len(images))]
        padded = np.pad(images, [*padding, (0, 0), (0, 0), (0, 0)]), np.pad(windows, [*padding, (0, 0)], mode="edge")
        found.append(np.asarray(values(*padded))[: len(images)])
    return np.concatenate(found)


def background(model: Model, training: TrainingImages, stages: Sequence[Stumps], rng: np.random.Generator) -> tuple[np.ndarray, FloatArray]:
    """At most `negatives` windows (their images, and their boxes) that overlap no object and pass all stages so far, drawn at random."""
    stumps, counts = (joined(stages), model.stages[: len(stages)]) if stages else (None, ())
    height, width = training.size
    windows_wx4 = pyramid_boxes(height, width, model.window, model.sides)
    squares_nxmx4 = boxes.squares_around(training.boxes_nxmx4, height, width, model.context)

    @jax.jit
    def passed(images: jax.Array, stumps: Stumps) -> jax.Array:
        return window_values(as_inputs(images, jnp.float32), stumps, counts, model.window, model.sides) >= len(counts)

    images, places, total = [], [], 0
    quota = max(1, -(-2 * model.negatives // len(training.label_n)))
    for start in range(0, len(training.label_n), BATCH):
        part = training.part(slice(start, start + BATCH))
        iou_bxmxw = boxes.iou(squares_nxmx4[start : start + BATCH, :, None], windows_wx4) * part.mask_nxm[..., None]
        is_free_bxw = iou_bxmxw.max(axis=1) < NEGATIVE_IOU
        if stumps is not None:
            is_free_bxw &= np.asarray(passed(part.images_nxhxwxc, stumps))
        rank_bxw = np.where(is_free_bxw, rng.random(is_free_bxw.shape, np.float32), -1)
        order_bxq = np.argsort(-rank_bxw, axis=1, kind="stable")[:, :quota]
        image_m, rank_m = np.nonzero(np.take_along_axis(is_free_bxw, order_bxq, axis=1))
        images.append(image_m + start)
        places.append(order_bxq[image_m, rank_m])
        total += len(image_m)
        if total >= model.negatives:
            break
    return np.concatenate(images)[: model.negatives], windows_wx4[np.concatenate(places)[: model.negatives]]


FIT = Fit(prepare, fit, ("c",), decides=("sides",))
