"""The loops that cells share: one call works through a whole sequence, either way, and stands still where a mask says so.

A masked step leaves the state as it was. So the last state of a padded sequence is that of the sequence alone, and
one that is read backwards starts where its own end is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from imgloc.errors import UserError
from imgloc.nn.mesh_axes import vary_alike

Carry = tuple[jax.Array, ...]
Step = Callable[[Carry, Any], Carry]


def recur(step: Step, start: Carry, inputs: Any, parameters: Any, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
    """States (b, t, ...) of carry = step(carry, inputs of the step), each the first of the carry's arrays (b, ...).

    `inputs` is a tree of arrays (t, b, ...), time first; `parameters` all that `step` reads beside them. Where the mask (b, t) is False the
    carry stays as it was; what the inputs there were computed from is to be finite, for the gradient's sake: see `without_padding`.
    `reverse` goes from the last step to the first; states stay at the places of their inputs.
    """
    timed = inputs, None if mask_bxt is None else time_first(mask_bxt)
    leaves = jax.tree.leaves((timed, parameters))
    begin = tuple(vary_alike(array, *leaves)[0] for array in start)

    def masked(carry: Carry, given: tuple[Any, jax.Array | None]) -> tuple[Carry, jax.Array]:
        current, mask_b = given
        new = where_given(mask_b, step(carry, current), carry)
        return new, new[0]

    states: jax.Array = jax.lax.scan(masked, begin, timed, reverse=reverse)[1]
    return time_first(states)


def where_given(mask_b: jax.Array | None, new: Carry, old: Carry) -> Carry:
    """The new carry, and the old one where the mask (b,) is False."""
    if mask_b is None:
        return new
    return tuple(jnp.where(mask_b.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(new, old, strict=True))


def check_sequence(x_bxtxf: jax.Array, mask_bxt: jax.Array | None, *, maps: bool = False) -> None:
    """Raises UserError for what is no sequence (b, t, f), or where there may be `maps` (b, t, ..., f), and for no mask of it (b, t)."""
    is_sequence = x_bxtxf.ndim == 3 or (maps and x_bxtxf.ndim > 3)
    if not is_sequence or not x_bxtxf.shape[1] or (mask_bxt is not None and mask_bxt.shape != x_bxtxf.shape[:2]):
        got = f"inputs of shape {x_bxtxf.shape}" + ("" if mask_bxt is None else f" with a mask of shape {mask_bxt.shape}")
        raise UserError(f"a recurrence got {got}; possible: (b, t, f), t above 0, as imgloc.nn.image_sequence makes of images; mask (b, t)")


def held(states_bxtxd: jax.Array, mask_bxt: jax.Array | None, *, reverse: bool = False) -> jax.Array:
    """The states (b, t, ...), and where the mask (b, t) is False those of the step before it, after it in `reverse`, or 0.

    For what is computed of states and inputs, and so does not stand still where the state does.
    """
    if mask_bxt is None:
        return states_bxtxd
    steps = jnp.arange(mask_bxt.shape[1])
    if reverse:
        places_bxt = jax.lax.cummin(jnp.where(mask_bxt, steps, len(steps)), axis=1, reverse=True)
    else:
        places_bxt = jax.lax.cummax(jnp.where(mask_bxt, steps, -1), axis=1)
    inside_bxt = (places_bxt >= 0) & (places_bxt < len(steps))
    chosen_bxt = jnp.where(inside_bxt, places_bxt, 0).reshape(*mask_bxt.shape, *[1] * (states_bxtxd.ndim - 2))
    return without_padding(jnp.take_along_axis(states_bxtxd, chosen_bxt, axis=1), inside_bxt)


def without_padding(x_bxtxf: jax.Array, mask_bxt: jax.Array | None) -> jax.Array:
    """The inputs (b, t, ...) with zeros where the mask (b, t) is False.

    What lies there may be infinite or no number, and that times a cotangent of 0 would reach the gradient of the kernel.
    """
    if mask_bxt is None:
        return x_bxtxf
    return jnp.where(mask_bxt.reshape(*mask_bxt.shape, *[1] * (x_bxtxf.ndim - 2)), x_bxtxf, 0)


def time_first(array: jax.Array) -> jax.Array:
    """(b, t, ...) as (t, b, ...), and back."""
    return jnp.swapaxes(array, 0, 1)
