"""Maps of the classes and their means, the logits, as in class activation mapping (Zhou et al., 2016, arXiv:1512.04150)."""

from __future__ import annotations

import jax
from flax import linen as nn


def class_maps(features_bxhxwxc: jax.Array, num_classes: int, *, name: str = "classes") -> tuple[jax.Array, jax.Array]:
    """Returns the logits (b, k) and the maps (b, h, w, k) whose means they are; called in a module's compact method.

    The dense layer that follows global average pooling is applied to each location instead, which gives the same logits. The bias is part
    of the maps, where it changes neither their order nor a normalization by minimum and maximum.
    """
    maps_bxhxwxk = nn.Dense(num_classes, name=name)(features_bxhxwxc)
    return maps_bxhxwxk.mean(axis=(1, 2)), maps_bxhxwxk
