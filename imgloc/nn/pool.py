"""Pooling, on a CPU by elementwise operations on strided slices, which XLA fuses, and on an accelerator by the native operation."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.nn.conv_forms import Padding, Pads, Pair, resolve_pads, window_slices


def max_pool(x_bxhxwxc: jax.Array, window: Pair = (2, 2), strides: Pair | None = None, padding: Padding = "VALID") -> jax.Array:
    """Returns the largest value in each window; `strides` defaults to the window, padding is SAME, VALID or ((top, bottom), (left, right)).

    In a tie the gradient goes to the first maximum of the window, as in the native operation. NaN counts as the maximum.
    """
    strides = strides or window
    pads = _pads(x_bxhxwxc, window, strides, padding)

    def first_max(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where((b > a) | jnp.isnan(b), b, a)

    def sliced(x: jax.Array) -> jax.Array:
        return functools.reduce(first_max, window_slices(_padded(x, pads, -jnp.inf), window, strides))

    def native(x: jax.Array) -> jax.Array:
        return _reduce_window(x, -np.inf, jax.lax.max, window, strides, pads)

    out: jax.Array = jax.lax.platform_dependent(x_bxhxwxc, cpu=sliced, default=native)
    return out


@jax.custom_jvp
def global_max_pool(x_bxhxwxc: jax.Array) -> jax.Array:
    """Returns the largest value of each channel, (b, c); in a tie the gradient is shared.

    This is `x.max(axis=(1, 2))` with a safer gradient. JAX's gradient divides by the number of places where x equals its maximum,
    which is 0 if the compiler computes x twice with different rounding, as XLA does on a CPU without optimization.
    """
    return x_bxhxwxc.max(axis=(1, 2))


@global_max_pool.defjvp
def _global_max_pool_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (t,) = primals, tangents
    largest = x.max(axis=(1, 2))
    is_max = (x == largest[:, None, None]).astype(t.dtype)
    return largest, (is_max * t).sum(axis=(1, 2)) / jnp.maximum(is_max.sum(axis=(1, 2)), 1)


def average_pool(x_bxhxwxc: jax.Array, window: Pair = (2, 2), strides: Pair | None = None, padding: Padding = "VALID") -> jax.Array:
    """Returns the mean of each window, with zeros as padding; the arguments are those of `max_pool`."""
    strides = strides or window
    pads = _pads(x_bxhxwxc, window, strides, padding)

    def sliced(x: jax.Array) -> jax.Array:
        total = functools.reduce(jnp.add, window_slices(_padded(x, pads, 0.0), window, strides))
        return total / (window[0] * window[1])

    def native(x: jax.Array) -> jax.Array:
        return _reduce_window(x, 0.0, jax.lax.add, window, strides, pads) / (window[0] * window[1])

    out: jax.Array = jax.lax.platform_dependent(x_bxhxwxc, cpu=sliced, default=native)
    return out


def _pads(x: jax.Array, window: Pair, strides: Pair, padding: Padding) -> Pads:
    if x.ndim != 4:
        raise ValueError(f"pooling expects images (b, h, w, c); got {x.shape}")
    return resolve_pads(padding, (x.shape[1], x.shape[2]), window, strides)


def _reduce_window(x: jax.Array, init: float, reduce: Callable[..., jax.Array], window: Pair, strides: Pair, pads: Pads) -> jax.Array:
    # JAX recognizes a maximum or a sum, which have gradients, only if the initial value is a NumPy constant.
    out: jax.Array = jax.lax.reduce_window(x, np.asarray(init, x.dtype), reduce, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))
    return out


def _padded(x: jax.Array, pads: Pads, value: float) -> jax.Array:
    return jax.lax.pad(x, jnp.asarray(value, x.dtype), [(0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)])
