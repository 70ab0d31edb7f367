"""Applying a model to a batch of images; nothing else in the package calls `model.apply`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import chosen
from imgloc.types import Batch

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def compute_dtype(name: str) -> Any:
    """The dtype of a config's `train.dtype`."""
    return chosen("dtype (train.dtype)", name, DTYPES)


def as_inputs(images_bxhxwxc: jax.Array, dtype: Any) -> jax.Array:
    """uint8 images as numbers in [0, 1]."""
    return images_bxhxwxc.astype(dtype) / jnp.asarray(255, dtype)


def cast(tree: Any, dtype: Any) -> Any:
    """The tree with its floating-point arrays in another dtype."""
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def apply_train(
    params: Any, model_state: Any, batch: Batch, key: jax.Array, *, model: nn.Module, dtype: Any = jnp.float32
) -> tuple[Any, Any]:
    """The model's outputs (float32) and its new state, in training mode; computed in `dtype`."""
    variables = {"params": cast(params, dtype), **model_state}
    inputs = as_inputs(batch.images_bxhxwxc, dtype)
    outputs, new_state = model.apply(variables, inputs, train=True, rngs={"dropout": key}, mutable=list(model_state))
    return cast(outputs, jnp.float32), cast(new_state, jnp.float32)


def predict_step(variables: Any, images_bxhxwxc: jax.Array, *, model: nn.Module, dtype: Any = jnp.float32) -> Any:
    """The model's outputs (float32) for uint8 images, in evaluation mode."""
    lowered = {"params": cast(variables["params"], dtype), **{k: v for k, v in variables.items() if k != "params"}}
    outputs = model.apply(lowered, as_inputs(images_bxhxwxc, dtype), train=False)
    return cast(outputs, jnp.float32)
