"""How glimpses are read: crops of several scales around a place, or one window of any size sampled by filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.models.policies.policy import Aim, Layers, PolicyInput, View
from imgloc.nn import glimpse

VISIBLE_WEIGHT = 0.01  # of the largest weight of a window: pixels with smaller weights do not count as visible
QUARTER = math.log(3)  # exp(-softplus(log 3)) is a quarter


def crop_sensor(images_bxhxwxc: jax.Array, size: int, scales: int) -> Callable[[Aim], View]:
    """A sensor of square crops around a place, each with twice the side of the one before, pooled to `size` pixels a side."""
    height, width = images_bxhxwxc.shape[1:3]
    levels = glimpse.mean_pyramid(images_bxhxwxc, scales)

    def read(aim: Aim) -> View:
        window_bx4 = glimpse.crop_boxes(aim.place_bx2, size, height, width)
        weights = [glimpse.crop_weights(aim.place_bx2, size, 2**i, height, width) for i in range(scales)]
        return _view(images_bxhxwxc, glimpse.read_crops(levels, aim.place_bx2, size), window_bx4, weights)

    return read


def window_sensor(
    images_bxhxwxc: jax.Array, size: int, scales: int, *, weigh: Callable[[Aim, jax.Array, int, int, int], glimpse.Weights]
) -> Callable[[Aim], View]:
    """A sensor of one window of the aim's side; `weigh(aim, window_bx4, size, height, width)` returns the weights of its filters."""

    def read(aim: Aim) -> View:
        assert aim.side_b is not None, "the policy must choose the side of its window"
        window_bx4 = jnp.concatenate([aim.place_bx2, aim.side_b[:, None], aim.side_b[:, None]], axis=-1)
        box_bx4 = jnp.concatenate([aim.place_bx2 - aim.side_b[:, None] / 2, aim.place_bx2 + aim.side_b[:, None] / 2], axis=-1)
        weights = weigh(aim, window_bx4, size, *images_bxhxwxc.shape[1:3])
        return _view(images_bxhxwxc, [glimpse.read_window(images_bxhxwxc, weights)], box_bx4, [weights])

    return read


def choose_window(layers: Layers, inputs: PolicyInput) -> tuple[Aim, Mapping[str, jax.Array]]:
    """The window that the layer `window` chooses: x, y, side and, as a fourth output, blur. Differentiable; there are no features.

    It is never larger than the image. Outputs of 0 are the center of the image with a quarter of its side.
    """
    outputs_bxn = layers["window"](inputs.state_bxu).astype(jnp.float32)
    side_b = jnp.exp(-nn.softplus(outputs_bxn[:, 2] + QUARTER))
    blur_b = jnp.exp(outputs_bxn[:, 3]) if outputs_bxn.shape[1] > 3 else None
    return Aim((1 + jnp.tanh(outputs_bxn[:, :2])) / 2, side_b, blur_b), {}


def _view(images: jax.Array, patches: Sequence[jax.Array], window_bx4: jax.Array, weights: Sequence[glimpse.Weights]) -> View:
    visible = jnp.zeros(images.shape[:3], jnp.float32)
    for i, (rows, columns) in enumerate(weights):
        by_row, by_column = (each.max(axis=1) > VISIBLE_WEIGHT * each.max(axis=(1, 2))[:, None] for each in (rows, columns))
        inside = by_row[:, :, None] & by_column[:, None]
        visible = jnp.maximum(visible, inside * 0.5**i)
    flat = [patch.reshape(images.shape[0], -1).astype(images.dtype) for patch in patches]
    return View(jnp.concatenate(flat, axis=-1), window_bx4, visible)
