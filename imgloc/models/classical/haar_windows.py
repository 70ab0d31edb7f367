"""Haar-like features of windows that slide over an image pyramid, each normalized by the spread of the pixels of its window."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.features.haar import HaarFeatures, haar_maps
from imgloc.image.scale import as_gray
from imgloc.models.classical.windows import level_size
from imgloc.types import Array, FloatArray

SMALLEST_SPREAD = 0.01  # of pixels in [0, 1]: avoids division by zero in flat windows


class Stumps(NamedTuple):
    """The stumps of all stages in order; a stump votes where its feature is below its threshold."""

    corners_sx9x2: Array
    weights_sx9: Array
    thresholds_s: Array
    alphas_s: Array
    passes_t: Array  # the sum of alphas that each stage requires


def pyramid_boxes(height: int, width: int, window: int, sides: tuple[float, ...]) -> FloatArray:
    """The boxes (windows, 4) of the windows at every pixel of all levels, xyxy in [0, 1]."""
    boxes = []
    for side in sides:
        h, w = level_size(height, width, window, side)
        x, y = np.meshgrid(np.arange(w - window + 1), np.arange(h - window + 1))
        boxes.append(np.stack([x / w, y / h, (x + window) / w, (y + window) / h], axis=-1).reshape(-1, 4))
    return np.concatenate(boxes).astype(np.float32)


def normalized_values(gray_bxhxw: jax.Array, features: HaarFeatures) -> jax.Array:
    """The values (b, rows, columns, f) of features on all windows, divided by the window's area and its standard deviation."""
    side = features.height
    area, ones = side * features.width, (1, side, features.width)

    def window_mean(images: jax.Array) -> jax.Array:
        sums: jax.Array = jax.lax.reduce_window(images, 0.0, jax.lax.add, ones, (1, 1, 1), "VALID")
        return sums / area

    centered = gray_bxhxw - gray_bxhxw.mean(axis=(1, 2), keepdims=True)
    variance = window_mean(jnp.square(centered)) - jnp.square(window_mean(centered))
    spread = jnp.maximum(jnp.sqrt(jnp.maximum(variance, 0.0)), SMALLEST_SPREAD)
    return haar_maps(gray_bxhxw, features) / (area * spread)[..., None]


def stage_sums(values: jax.Array, stumps: Stumps, stages: tuple[int, ...]) -> jax.Array:
    """The sums (..., stages) of the alphas of the stumps that vote, for values (..., s) of their features."""
    ends = np.cumsum(stages)
    member_sxt = (np.arange(ends[-1])[:, None] < ends) & (np.arange(ends[-1])[:, None] >= ends - np.array(stages))
    voted = jnp.where(values < stumps.thresholds_s, stumps.alphas_s, 0.0)
    return jnp.dot(voted, member_sxt.astype(np.float32), precision="highest")


def window_values(images_bxhxwxc: jax.Array, stumps: Stumps, stages: tuple[int, ...], window: int, sides: tuple[float, ...]) -> jax.Array:
    """The value (b, windows) of each window: the number of stages that it passes before it fails one, plus its mean share of votes.

    The share is below 1, so it orders windows that pass as many stages.
    """
    b, height, width, _ = images_bxhxwxc.shape
    gray = as_gray(images_bxhxwxc.astype(jnp.float32))[..., 0]
    features = HaarFeatures(window, window, stumps.corners_sx9x2, stumps.weights_sx9)  # type: ignore[arg-type]  # JAX arrays here
    values = []
    for side in sides:
        resized = jax.image.resize(gray, (b, *level_size(height, width, window, side)), "linear")
        sums = stage_sums(normalized_values(resized, features), stumps, stages)
        passed = jnp.cumprod((sums >= stumps.passes_t).astype(jnp.float32), axis=-1).sum(axis=-1)
        most = stage_sums(jnp.full((len(stumps.thresholds_s),), -jnp.inf), stumps, stages)
        values.append((passed + 0.999 * (sums / jnp.maximum(most, 1e-6)).mean(axis=-1)).reshape(b, -1))
    return jnp.concatenate(values, axis=1)
