"""How a cell's weights are drawn, and the functions that it may put on its states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import chosen

Activation = Callable[[jax.Array], jax.Array]
Initializer = Callable[..., Any]
ACTIVATIONS: dict[str, Activation] = {"tanh": jnp.tanh, "relu": nn.relu, "sigmoid": nn.sigmoid}
DRAWS = ("gate", "matrix")  # each gate's kernel for itself, as linen does; all of them as one matrix, as Keras does


def activation_of(name: str) -> Activation:
    """The function of a name. Raises UserError for another."""
    return chosen("activation of a cell", name, ACTIVATIONS)


def by_gate(draw: Initializer, gates: int) -> Initializer:
    """An initializer for the kernels of several gates side by side, (..., gates d), that draws each one for itself."""

    def drawn(key: jax.Array, shape: tuple[int, ...], *dtype: Any) -> jax.Array:
        one = (*shape[:-1], shape[-1] // gates)
        return jnp.concatenate([draw(k, one, *dtype) for k in jax.random.split(key, gates)], axis=-1)

    return drawn


def kernels(layer: nn.Module, inputs: int, features: int, gates: int, *, draw: str = "gate") -> tuple[jax.Array, jax.Array]:
    """The parameters `kernel` (inputs, gates d), Glorot, and `recurrent_kernel` (d, gates d), orthogonal, of a layer.

    Called in its compact method. `draw` is one of DRAWS: an orthogonal matrix of several gates together is smaller in its entries.
    """
    chosen("draw of a cell's weights", draw, dict.fromkeys(DRAWS))
    glorot, orthogonal = nn.initializers.glorot_uniform(), nn.initializers.orthogonal()
    if draw == "gate":
        glorot, orthogonal = by_gate(glorot, gates), by_gate(orthogonal, gates)
    kernel: jax.Array = layer.param("kernel", glorot, (inputs, gates * features))
    recurrent_kernel: jax.Array = layer.param("recurrent_kernel", orthogonal, (features, gates * features))
    return kernel, recurrent_kernel


def bias_of_gates(values: dict[str, float]) -> Initializer:
    """An initializer of the bias of gates side by side, each with its own constant."""

    def constants(_: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jnp.repeat(jnp.asarray(list(values.values()), dtype), shape[-1] // len(values))

    return constants
