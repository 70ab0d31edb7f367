"""Feature maps of a backbone, from fine to coarse."""

from __future__ import annotations

import math
from typing import TypeAlias

import jax

#: What a backbone returns for images (b, h, w, c): its maps (b, h', w', d) from fine to coarse. The last ones have an axis of passes
#: after b, (b, s, h', w', d): the maps after each of s passes over the image; s is 1 for a network without recurrent passes.
FeatureMaps: TypeAlias = tuple[jax.Array, ...]


def last_maps(maps: FeatureMaps) -> jax.Array:
    """Returns the coarsest maps (b, h', w', d), those after the last pass."""
    return maps[-1][:, -1]


def maps_by_stride(maps: FeatureMaps, images_bxhxwxc: jax.Array) -> dict[int, jax.Array]:
    """Returns the deepest maps (b, h', w', d) of each stride, those after the last pass. Strides are powers of 2."""
    *finer, last_bxsxhxwxd = maps
    deepest, stride, before = {}, 1, images_bxhxwxc
    for each in (*finer, last_bxsxhxwxd[:, -1]):
        # The sides of a map are rounded up or down, so that the ratio is near the stride.
        ratio = max(before.shape[axis] / each.shape[axis] for axis in (1, 2))
        stride = _possible_stride(stride * 2 ** round(math.log2(ratio)), each, images_bxhxwxc)
        deepest[stride], before = each, each
    return deepest


def _possible_stride(estimate: int, maps: jax.Array, images: jax.Array) -> int:
    """Returns the power of 2 nearest to the estimate whose rounded quotients are the sides of the maps; the estimate if none is."""
    sides = [(images.shape[axis], maps.shape[axis]) for axis in (1, 2)]
    powers = [1 << exponent for exponent in range(max(images.shape[1:3]).bit_length() + 1)]
    possible = [power for power in powers if all(side // power <= length <= -(-side // power) for side, length in sides)]
    return min(possible, key=lambda power: abs(power - estimate), default=estimate)
