"""What a localizer sees with: convolutions, sweeps, or both.

A trunk gives fine maps (b, h/4, w/4, c), or None where its last maps are fine enough to find edges on, and its last maps
(b, s, h', w', d) after each of its s looks: one, where it does not look again.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.cell import make_layer
from imgloc.nn.conv import Conv
from imgloc.nn.directional import IRNN, FourDirections, ReNet
from imgloc.nn.partial_predictions import evenly
from imgloc.nn.pool import max_pool

Sight = tuple[jax.Array | None, jax.Array]
LOOKS_SHOWN = 32  # at most, as answers that form


class Cnn(nn.Module):
    """Convolutions to stride 4 and, pooled, to stride 8; where there are `units`, a four-direction context layer behind them."""

    stem: tuple[int, ...]  # channels of the stride-2 convolutions
    middle: int  # channels at stride 4
    deep: int  # channels at stride 8
    units: int = 0  # of each direction of the context; 0: no context
    context_layers: int = 2
    cell: str = IRNN  # of the context

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> Sight:
        """Maps at stride 4, and those at stride 8: beside them, what the context says of each place."""
        fine = at_stride_4(images_bxhxwxc, self.stem, self.middle, train)
        coarse = max_pool(fine)
        for _ in range(2):
            coarse = conv_norm_relu(coarse, self.deep, train)
        if self.units:
            context = FourDirections(self.deep, self.units, self.context_layers, self.cell, name="context")(coarse)
            coarse = jnp.concatenate([coarse, norm_relu(context, train)], axis=-1)
        return fine, coarse[:, None]


class ConvLstm(nn.Module):
    """Convolutions to stride 8, and a convolutional LSTM that looks at their maps several times."""

    stem: tuple[int, ...]
    middle: int
    deep: int
    units: int  # of the LSTM
    looks: int

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> Sight:
        """Maps at stride 4, and the LSTM's states at stride 8: in training of its last look, else of each, or of LOOKS_SHOWN of many."""
        fine = at_stride_4(images_bxhxwxc, self.stem, self.middle, train)
        coarse = conv_norm_relu(max_pool(fine), self.deep, train)
        states = make_layer(f"conv_lstm(looks={self.looks})", self.units, name="looks")(coarse[:, None])
        return fine, states[:, -1:] if train else states[:, evenly(self.looks, LOOKS_SHOWN)]


class ReNets(nn.Module):
    """Layers of ReNet, one on the other: recurrence alone."""

    features: tuple[int, ...]  # of each direction, layer by layer
    patches: tuple[int, ...]  # their sides, layer by layer
    cell: str = "gru"

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> Sight:
        """The last layer's states (b, 1, h', w', 2 features). Raises UserError where some layer has no patch, or there is none."""
        if len(self.features) != len(self.patches) or not self.features:
            raise UserError(f"ReNet of {len(self.features)} layers has {len(self.patches)} patches; possible: one each")
        x = images_bxhxwxc
        for i, (features, patch) in enumerate(zip(self.features, self.patches, strict=True)):
            x = ReNet(features, patch, self.cell, name=f"layer{i}")(x)
        return None, x[:, None]


def at_stride_4(images_bxhxwxc: jax.Array, stem: tuple[int, ...], middle: int, train: bool) -> jax.Array:
    """Maps (b, h/4, w/4, middle) of two stride-2 convolutions and one more. Called in a module's compact method."""
    x = images_bxhxwxc
    for features in stem:
        x = conv_norm_relu(x, features, train, stride=2)
    return conv_norm_relu(x, middle, train)


def conv_norm_relu(x_bxhxwxc: jax.Array, features: int, train: bool, *, stride: int = 1) -> jax.Array:
    """A 3x3 convolution, batch normalization, relu. Called in a module's compact method."""
    return norm_relu(Conv(features, (3, 3), (stride, stride), use_bias=False)(x_bxhxwxc), train)


def norm_relu(x_bxhxwxc: jax.Array, train: bool) -> jax.Array:
    """Batch normalization, relu. Called in a module's compact method."""
    return nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.95)(x_bxhxwxc))
