"""A head that predicts classes and a box at every location of several maps, without anchors (FCOS; Tian et al., 2019, arXiv:1904.01355)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.models.backbones.cnn import norm_relu
from imgloc.nn.conv import Conv

PRIOR = 0.01  # probability of each class at a location before training, as in the focal loss's paper (arXiv:1708.02002, section 3.3)
LARGEST_EXPONENT = 6.0  # of a distance: 400 cells


class DenseHead(nn.Module):
    """Two towers of convolutions, for the class and for the box; kernels are shared by all maps, batch normalization is not.

    Sharing kernels makes the classes of small and large objects learn from each other; the statistics of the maps differ
    (RTMDet; Lyu et al., 2022, arXiv:2212.07784, section 3.2).
    """

    num_classes: int
    channels: int
    layers: int

    @nn.compact
    def __call__(self, maps: Sequence[jax.Array], strides: Sequence[int], images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        """Returns `dense_logits` (b, l, k), `dense_boxes` (b, l, 4) and `cells` (b, l, 4) for the l locations of all maps.

        A cell is the part of the image that a location stands for. A box reaches from the center of its cell by exp(x) cells to each
        side; it may leave the image. The score of a class is the sigmoid of its logit.
        """
        towers = {
            name: [Conv(self.channels, (3, 3), use_bias=False, name=f"{name}{i}") for i in range(self.layers)] for name in ("class", "box")
        }
        bias = nn.initializers.constant(-math.log((1 - PRIOR) / PRIOR))
        to_logits = ConvWithBias(self.num_classes, bias, name="logits")
        to_distances = ConvWithBias(4, nn.initializers.constant(math.log(2.0)), name="distances")
        logits, boxes, cells = [], [], []
        for each, stride in zip(maps, strides, strict=True):
            last = {}
            for name, tower in towers.items():
                x = each
                for conv in tower:
                    x = norm_relu(conv(x), train)
                last[name] = x
            b, h, w, _ = each.shape
            cells_lx4 = _cells(h, w, stride, images)
            distances = to_distances(last["box"]).astype(jnp.float32).reshape(b, h * w, 4)
            logits.append(to_logits(last["class"]).reshape(b, h * w, self.num_classes))
            boxes.append(_boxes(cells_lx4, distances))
            cells.append(jnp.broadcast_to(cells_lx4, (b, *cells_lx4.shape)))
        joined = {"dense_logits": logits, "dense_boxes": boxes, "cells": cells}
        return {name: jnp.concatenate(parts, axis=1) for name, parts in joined.items()}


class ConvWithBias(nn.Module):
    """A 3x3 convolution whose bias has its own initializer."""

    features: int
    bias_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x_bxhxwxc: jax.Array) -> jax.Array:
        bias = self.param("bias", self.bias_init, (self.features,))
        out: jax.Array = Conv(self.features, (3, 3), use_bias=False, kernel_init=nn.initializers.normal(0.01), name="conv")(x_bxhxwxc)
        return out + bias.astype(out.dtype)


def _cells(h: int, w: int, stride: int, images: jax.Array) -> jax.Array:
    """The cells (h w, 4) of a map in [0, 1] of the images (b, height, width, c); those of the last row and column may leave the image."""
    y, x = jnp.meshgrid(jnp.arange(h, dtype=jnp.float32), jnp.arange(w, dtype=jnp.float32), indexing="ij")
    step = jnp.array([images.shape[2], images.shape[1]] * 2, jnp.float32) / stride
    return jnp.stack([x, y, x + 1, y + 1], axis=-1).reshape(-1, 4) / step


def _boxes(cells_lx4: jax.Array, distances_bxlx4: jax.Array) -> jax.Array:
    center_lx2, side_lx2 = (cells_lx4[:, :2] + cells_lx4[:, 2:]) / 2, cells_lx4[:, 2:] - cells_lx4[:, :2]
    reach = jnp.exp(jnp.minimum(distances_bxlx4, LARGEST_EXPONENT))
    return jnp.concatenate([center_lx2 - side_lx2 * reach[..., :2], center_lx2 + side_lx2 * reach[..., 2:]], axis=-1)
