"""Masks of padded sequences: a step where the mask is False leaves the state of a recurrence unchanged.

So the last state of a padded sequence is the last state of the sequence alone, in either direction.
"""

from __future__ import annotations

from typing import TypeAlias

import jax
import jax.numpy as jnp

from imgloc.errors import UserError

Carry: TypeAlias = tuple[jax.Array, ...]  # the state of a recurrence: arrays (b, ...), of which the first is its output


def where_unmasked(mask_b: jax.Array | None, new: Carry, old: Carry) -> Carry:
    """Returns the new carry where the mask (b,) is True or None, and the old one elsewhere."""
    if mask_b is None:
        return new
    return tuple(jnp.where(mask_b.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(new, old, strict=True))


def check_sequence(x_bxtxf: jax.Array, mask_bxt: jax.Array | None, *, maps: bool = False) -> None:
    """Raises UserError unless the inputs are a sequence (b, t, f), or with `maps` (b, t, ..., f), and the mask is None or (b, t)."""
    is_sequence = x_bxtxf.ndim == 3 or (maps and x_bxtxf.ndim > 3)
    if not is_sequence or not x_bxtxf.shape[1] or (mask_bxt is not None and mask_bxt.shape != x_bxtxf.shape[:2]):
        got = f"inputs of shape {x_bxtxf.shape}" + ("" if mask_bxt is None else f" with a mask of shape {mask_bxt.shape}")
        raise UserError(f"a recurrence got {got}; expected inputs (b, t, f), t at least 1, and a mask (b, t)")


def hold_last(states_bxtxd: jax.Array, mask_bxt: jax.Array | None, *, reverse: bool = False) -> jax.Array:
    """Returns the states (b, t, ...), at masked steps those of the last unmasked step before (with `reverse`: after), or 0.

    It serves outputs that are computed from states and inputs, which do not stay constant where the state does.
    """
    if mask_bxt is None:
        return states_bxtxd
    steps = jnp.arange(mask_bxt.shape[1])
    if reverse:
        index_bxt = jax.lax.cummin(jnp.where(mask_bxt, steps, len(steps)), axis=1, reverse=True)
    else:
        index_bxt = jax.lax.cummax(jnp.where(mask_bxt, steps, -1), axis=1)
    inside_bxt = (index_bxt >= 0) & (index_bxt < len(steps))
    index = jnp.where(inside_bxt, index_bxt, 0).reshape(*mask_bxt.shape, *[1] * (states_bxtxd.ndim - 2))
    return zero_masked(jnp.take_along_axis(states_bxtxd, index, axis=1), inside_bxt)


def zero_masked(x_bxtxf: jax.Array, mask_bxt: jax.Array | None) -> jax.Array:
    """Returns the inputs (b, t, ...) with zeros where the mask (b, t) is False.

    Padding may be infinite or NaN, and the product of that with a cotangent of 0 would reach the gradient of the kernel.
    """
    if mask_bxt is None:
        return x_bxtxf
    return jnp.where(mask_bxt.reshape(*mask_bxt.shape, *[1] * (x_bxtxf.ndim - 2)), x_bxtxf, 0)


def time_major(array: jax.Array) -> jax.Array:
    """Returns (b, t, ...) as (t, b, ...), and the reverse."""
    return jnp.swapaxes(array, 0, 1)
