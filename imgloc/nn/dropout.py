"""Dropout (Srivastava et al., 2014) whose rate may be an input of the compiled step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError


class Dropout(nn.Module):
    """In training each value is 0 with probability `rate`, and else divided by 1 - `rate`: the bits of `flax.linen.Dropout`.

    The rate of `nn.Dropout` decides in Python whether there is any dropout, and so must be a constant. This one may be traced, so that
    runs with other rates share a compiled step; a model lists the field that has it in `INPUT_FIELDS`.
    """

    rate: float | jax.Array
    deterministic: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns the values in their own dtype. Raises UserError for a rate outside [0, 1)."""
        if isinstance(self.rate, (int, float)) and not 0 <= self.rate < 1:
            raise UserError(f"dropout (model.dropout) must be at least 0 and less than 1, got {self.rate}")
        if self.deterministic or (isinstance(self.rate, (int, float)) and self.rate == 0):
            return x
        keep = 1.0 - jnp.asarray(self.rate, jnp.float32)
        is_kept = jax.random.bernoulli(self.make_rng("dropout"), keep, x.shape)
        return jnp.where(is_kept, x / keep.astype(x.dtype), jnp.zeros_like(x))
