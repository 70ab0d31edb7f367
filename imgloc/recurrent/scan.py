"""The loop that every cell shares: one call works through a whole sequence, either way, and stands still where a mask says so.

A masked step leaves the state as it was. So the last state of a padded sequence is that of the sequence alone, and
one that is read backwards starts where its own end is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from imgloc.errors import chosen
from imgloc.ops.mesh_axes import vary_alike

Carry = tuple[jax.Array, ...]
Step = Callable[[Carry, Any], Carry]
FORMS = ("projected first", "joined")  # of the product with the input: for all steps at once, or one with the state's in each step


def recur(
    step: Step, start: Carry, inputs: Any, parameters: Any, mask_bxt: jax.Array | None = None, *, reverse: bool = False, unroll: int = 1
) -> jax.Array:
    """States (b, t, ...) of carry = step(carry, inputs of the step), each the first of the carry's arrays (b, ...).

    `inputs` is a tree of arrays (t, b, ...), time first; `parameters` all that `step` reads beside them. Where the mask (b, t) is False the
    carry stays as it was. `reverse` goes from the last step to the first; states stay at the places of their inputs.
    `unroll` steps at a time stand in the loop's body; where that is all of them, there is no loop.
    """
    timed = inputs, None if mask_bxt is None else time_first(mask_bxt)
    leaves = jax.tree.leaves((timed, parameters))
    begin = tuple(vary_alike(array, *leaves)[0] for array in start)

    def masked(carry: Carry, given: tuple[Any, jax.Array | None]) -> tuple[Carry, jax.Array]:
        current, mask_b = given
        new = step(carry, current)
        if mask_b is not None:
            new = tuple(jnp.where(mask_b.reshape(-1, *[1] * (a.ndim - 1)), a, old) for a, old in zip(new, carry, strict=True))
        return new, new[0]

    states: jax.Array = jax.lax.scan(masked, begin, timed, reverse=reverse, unroll=unroll)[1]
    return time_first(states)


def affine_recur(
    cell: Callable[[jax.Array, Carry], Carry], size: int, x_bxtxf: jax.Array, w_fxn: jax.Array, u_dxn: jax.Array, bias_n: jax.Array,
    mask_bxt: jax.Array | None, *, reverse: bool, form: str,
) -> jax.Array:  # fmt: skip
    """States (b, t, d) of carry = cell(x W + h U + bias, carry), where h is the first of the carry's `size` arrays (b, d).

    `form` is one of FORMS, chosen by what is quicker where it is empty.
    """
    start = (jnp.zeros((x_bxtxf.shape[0], u_dxn.shape[0]), x_bxtxf.dtype),) * size
    x_txbxf = time_first(without_padding(x_bxtxf, mask_bxt))  # before it is projected: the projection is larger

    def projected_first(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array) -> jax.Array:
        def step(carry: Carry, projected: jax.Array) -> Carry:
            return cell(projected + carry[0] @ u, carry)

        return recur(step, start, x @ w + bias, (u,), mask_bxt, reverse=reverse)

    def joined(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array) -> jax.Array:
        both = jnp.concatenate([w, u])

        def step(carry: Carry, inputs: jax.Array) -> Carry:
            return cell(jnp.concatenate([inputs, carry[0]], axis=-1) @ both + bias, carry)

        return recur(step, start, x, (both, bias), mask_bxt, reverse=reverse)

    forms = {"projected first": projected_first, "joined": joined}
    given = x_txbxf, w_fxn, u_dxn, bias_n
    if form:
        return chosen("form of a recurrence", form, forms)(*given)
    # experiments/operation_forms: one product of both halves wins on a CPU while the input is the smaller one.
    on_cpu = forms["joined" if x_bxtxf.shape[-1] <= u_dxn.shape[0] else "projected first"]
    states_bxtxd: jax.Array = jax.lax.platform_dependent(*given, cpu=on_cpu, default=projected_first)
    return states_bxtxd


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
