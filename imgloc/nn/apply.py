"""Applies a model to a batch of images; no other file of the package calls `model.apply`."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Float, PyTree, UInt8

from imgloc.errors import look_up
from imgloc.types import Array, Batch, Outputs

DTYPES: Mapping[str, DTypeLike] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def compute_dtype(name: str) -> DTypeLike:
    """The dtype that a config's `train.dtype` names. Raises UserError for an unknown name."""
    return look_up("dtype (train.dtype)", name, DTYPES)


def as_inputs(images_bxhxwxc: UInt8[Array, "b h w c"], dtype: DTypeLike) -> Float[jax.Array, "b h w c"]:
    """uint8 images scaled to [0, 1]."""
    return jnp.asarray(images_bxhxwxc).astype(dtype) / jnp.asarray(255, dtype)


def cast(tree: PyTree, dtype: DTypeLike) -> PyTree:
    """The tree with its floating-point arrays converted to a dtype; other arrays are unchanged."""
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def apply_train(
    params: PyTree, model_state: Mapping[str, PyTree], batch: Batch, key: jax.Array, *, model: nn.Module, dtype: DTypeLike = jnp.float32
) -> tuple[Outputs, PyTree]:
    """The model's outputs and its new state, both float32, in training mode; the computation is in `dtype`."""
    variables = {"params": cast(params, dtype), **model_state}
    inputs = as_inputs(batch.images_bxhxwxc, dtype)
    outputs, new_state = model.apply(variables, inputs, train=True, rngs={"dropout": key}, mutable=list(model_state))
    return cast(outputs, jnp.float32), cast(new_state, jnp.float32)


def predict_step(
    variables: Mapping[str, PyTree], images_bxhxwxc: UInt8[Array, "b h w c"], *, model: nn.Module, dtype: DTypeLike = jnp.float32
) -> Outputs:
    """The model's float32 outputs for uint8 images, in evaluation mode; the computation is in `dtype`."""
    lowered = {name: cast(collection, dtype) if name == "params" else collection for name, collection in variables.items()}
    outputs: Outputs = cast(model.apply(lowered, as_inputs(images_bxhxwxc, dtype), train=False), jnp.float32)
    return outputs
