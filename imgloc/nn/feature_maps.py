"""Feature maps of a backbone, from fine to coarse."""

from __future__ import annotations

from typing import TypeAlias

import jax

#: What a backbone returns for images (b, h, w, c): its maps (b, h', w', d) from fine to coarse. The last ones have an axis of passes
#: after b, (b, s, h', w', d): the maps after each of s passes over the image; s is 1 for a network without recurrent passes.
FeatureMaps: TypeAlias = tuple[jax.Array, ...]


def maps_by_stride(maps: FeatureMaps, height: int) -> dict[int, jax.Array]:
    """Returns the deepest maps (b, h', w', d) of each stride, those after the last pass, for images of this height."""
    *finer, last_bxsxhxwxd = maps
    deepest, stride, before = {}, 1, height
    for each in (*finer, last_bxsxhxwxd[:, -1]):
        stride *= max(1, round(before / each.shape[1]))  # the height of a map is rounded up, so that the stride is not the plain ratio
        deepest[stride], before = each, each.shape[1]
    return deepest
