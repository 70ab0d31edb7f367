"""Initial values of the weights of recurrent cells, and the activations of their states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from imgloc.errors import look_up

Activation: TypeAlias = Callable[[jax.Array], jax.Array]
Initializer: TypeAlias = Callable[..., jax.Array]  # (key, shape, dtype=float32)
ACTIVATIONS: dict[str, Activation] = {"tanh": jnp.tanh, "relu": nn.relu, "sigmoid": nn.sigmoid}
KERNEL_INITS = ("per_gate", "joint")  # a kernel for each gate, as in linen; or one matrix for all gates, as in Keras


def get_activation(name: str) -> Activation:
    """Returns the activation of a name. Raises UserError for an unknown one."""
    return look_up("activation of a cell", name, ACTIVATIONS)


def per_gate(init: Initializer, gates: int) -> Initializer:
    """Returns an initializer of the kernels of several gates side by side, (..., gates d), that draws each of them separately."""

    def init_gates(key: jax.Array, shape: tuple[int, ...], *dtype: DTypeLike) -> jax.Array:
        gate_shape = (*shape[:-1], shape[-1] // gates)
        return jnp.concatenate([init(k, gate_shape, *dtype) for k in jax.random.split(key, gates)], axis=-1)

    return init_gates


def gate_kernels(layer: nn.Module, inputs: int, features: int, gates: int, *, kernel_init: str = "per_gate") -> tuple[jax.Array, jax.Array]:
    """Returns the parameters `kernel` (inputs, gates d), Glorot, and `recurrent_kernel` (d, gates d), orthogonal, of a layer.

    Call it in the compact method of the layer. `kernel_init` is one of KERNEL_INITS: the entries of one orthogonal matrix for all
    gates are smaller.
    """
    look_up("kernel_init of a cell", kernel_init, dict.fromkeys(KERNEL_INITS))
    glorot, orthogonal = nn.initializers.glorot_uniform(), nn.initializers.orthogonal()
    if kernel_init == "per_gate":
        glorot, orthogonal = per_gate(glorot, gates), per_gate(orthogonal, gates)
    kernel: jax.Array = layer.param("kernel", glorot, (inputs, gates * features))
    recurrent_kernel: jax.Array = layer.param("recurrent_kernel", orthogonal, (features, gates * features))
    return kernel, recurrent_kernel


def gate_biases(values: Mapping[str, float]) -> Initializer:
    """Returns an initializer of the biases of gates side by side, with one constant for each gate."""

    def constants(_: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
        return jnp.repeat(jnp.asarray(list(values.values()), dtype), shape[-1] // len(values))

    return constants
