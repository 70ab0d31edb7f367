"""A CNN backbone, with or without the context layers of Inside-Outside Net."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.nn.cell import Cell
from imgloc.nn.conv import Conv
from imgloc.nn.feature_maps import FeatureMaps
from imgloc.nn.pool import max_pool
from imgloc.nn.spatial_rnn import IRNN, FourDirectionalRNN

TINY = {"stem": (4, 4), "middle": 4, "deep": 8}


class Backbone(nn.Module):
    """Convolutions to stride 4 and, pooled, to stride 8, followed by context layers if there are `units`."""

    stem: tuple[int, ...] = (16, 32)  # channels of the stride-2 convolutions
    middle: int = 32  # channels at stride 4
    deep: int = 64  # channels at stride 8
    units: int = 0  # of each direction of the context layers; 0: no context
    context_layers: int = 2
    cell: Cell = IRNN  # of the context layers

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> FeatureMaps:
        """Returns the maps at stride 4, and those at stride 8 with the context concatenated, (b, 1, h/8, w/8, d)."""
        fine = stride_4_maps(images_bxhxwxc, self.stem, self.middle, train)
        coarse = max_pool(fine)
        for _ in range(2):
            coarse = conv_norm_relu(coarse, self.deep, train)
        if self.units:
            context = FourDirectionalRNN(self.deep, self.units, self.context_layers, self.cell, name="context")(coarse)
            coarse = jnp.concatenate([coarse, norm_relu(context, train)], axis=-1)
        return fine, coarse[:, None]


def stride_4_maps(images_bxhxwxc: jax.Array, stem: tuple[int, ...], middle: int, train: bool) -> jax.Array:
    """Returns maps (b, h/4, w/4, middle) of two stride-2 convolutions and one more; called in a module's compact method."""
    x = images_bxhxwxc
    for features in stem:
        x = conv_norm_relu(x, features, train, stride=2)
    return conv_norm_relu(x, middle, train)


def conv_norm_relu(x_bxhxwxc: jax.Array, features: int, train: bool, *, stride: int = 1) -> jax.Array:
    """Returns a 3x3 convolution with batch normalization and relu; called in a module's compact method."""
    return norm_relu(Conv(features, (3, 3), (stride, stride), use_bias=False)(x_bxhxwxc), train)


def norm_relu(x_bxhxwxc: jax.Array, train: bool) -> jax.Array:
    """Returns batch normalization followed by relu; called in a module's compact method."""
    return nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.95)(x_bxhxwxc))
