"""A parallel decoder: learned queries that attend to each other and to the image (DETR; Carion et al., 2020, arXiv:2005.12872).

All objects are predicted at once. The normalization precedes each layer, without which a small transformer is slow to learn (Xiong et al.,
2020, arXiv:2002.04745).
"""

from __future__ import annotations

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError, check_at_least

TINY = {"units": 8, "layers": 1, "heads": 2}


class Decoder(nn.Module):
    """Layers of self-attention among the queries, attention to the image, and a dense layer; a last attention with one head places them."""

    units: int = 128  # of a query
    layers: int = 3
    heads: int = 4  # of each attention but the last

    is_sequential: ClassVar[bool] = False

    @nn.compact
    def __call__(self, memory_bxlxd: jax.Array, steps: int, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Returns the states (b, m, units) of m queries, and their last attention (b, m, l), which sums to 1 over the cells."""
        check_at_least(1, units=self.units, layers=self.layers, heads=self.heads)
        if self.units % self.heads:
            raise UserError(f"model.decoder.units must be a multiple of model.decoder.heads ({self.heads}), got {self.units}")
        queries = self.param("queries", nn.initializers.normal(1.0), (steps, self.units))
        memory = nn.Dense(self.units, name="memory")(memory_bxlxd)
        x = jnp.broadcast_to(queries.astype(memory.dtype), (memory.shape[0], *queries.shape))
        for i in range(self.layers):
            own = nn.LayerNorm(name=f"own_norm{i}")(x)
            x = x + nn.MultiHeadDotProductAttention(self.heads, name=f"own{i}")(own, own)
            x = x + nn.MultiHeadDotProductAttention(self.heads, name=f"image{i}")(nn.LayerNorm(name=f"image_norm{i}")(x), memory)
            hidden = nn.relu(nn.Dense(2 * self.units, name=f"hidden{i}")(nn.LayerNorm(name=f"dense_norm{i}")(x)))
            x = x + nn.Dense(self.units, name=f"dense{i}")(hidden)
        x = nn.LayerNorm(name="norm")(x)
        query, keys = nn.Dense(self.units, name="query")(x), nn.Dense(self.units, use_bias=False, name="keys")(memory_bxlxd)
        scores = jnp.einsum("bmu,blu->bml", query, keys).astype(jnp.float32) / math.sqrt(self.units)
        return x, jax.nn.softmax(scores)
