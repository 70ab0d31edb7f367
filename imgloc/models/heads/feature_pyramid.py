"""A feature pyramid: maps of equal depth at several strides, each with the context of the coarser ones.

Lin et al., 2017, arXiv:1612.03144, with batch normalization.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.models.backbones.cnn import conv_norm_relu, norm_relu
from imgloc.nn.conv import Conv


class FeaturePyramid(nn.Module):
    """The maps of a backbone at some strides, merged from coarse to fine."""

    strides: tuple[int, ...]
    channels: int

    @nn.compact
    def __call__(self, maps_by_stride: Mapping[int, jax.Array], *, train: bool) -> list[jax.Array]:
        """Returns maps (b, h', w', channels), one for each stride, from fine to coarse.

        They contain the context of all coarser maps of the backbone. Strides above those of the backbone are made from its last maps by
        convolutions of stride 2. Raises UserError for a stride that the backbone does not have.
        """
        known = dict(maps_by_stride)
        for stride in self.strides:
            if stride > max(known) and stride // 2 in known:
                known[stride] = conv_norm_relu(known[stride // 2], self.channels, train, stride=2)
            if stride not in known:
                possible = ", ".join(map(str, (*maps_by_stride, 2 * max(maps_by_stride))))
                raise UserError(f"model.strides has {stride}, of which the backbone has no maps; possible: {possible} and their doubles")
        merged: dict[int, jax.Array] = {}
        above: jax.Array | None = None
        for stride in sorted((each for each in known if each >= min(self.strides)), reverse=True):
            lateral = norm_relu(Conv(self.channels, (1, 1), use_bias=False)(known[stride]), train)
            merged[stride] = above = lateral if above is None else lateral + _enlarged(above, lateral)
        return [conv_norm_relu(merged[stride], self.channels, train) for stride in self.strides]


def _enlarged(maps_bxhxwxc: jax.Array, like: jax.Array) -> jax.Array:
    """Maps of the size of others, each value repeated; unlike that of `jax.image.resize`, its gradient needs no scatter."""
    b, h, w, c = maps_bxhxwxc.shape
    height, width = like.shape[1:3]
    times_h, times_w = -(-height // h), -(-width // w)
    repeated = jnp.broadcast_to(maps_bxhxwxc[:, :, None, :, None], (b, h, times_h, w, times_w, c))
    return repeated.reshape(b, h * times_h, w * times_w, c)[:, :height, :width]
