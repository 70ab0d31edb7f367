"""Variables that are fitted without gradients: the collection `fitted` of a model with `FIT`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

COLLECTION = "fitted"


def fitted(module: nn.Module, name: str, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The array that the fit has stored under a name in a compact module; zeros before."""
    value: jax.Array = module.variable(COLLECTION, name, jnp.zeros, shape, dtype).value
    return value
