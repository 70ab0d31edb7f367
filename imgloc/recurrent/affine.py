"""Recurrences whose step is a product with the state, then a cell: quick to differentiate, as their weights' gradients wait.

What autodiff makes of such a loop adds to the gradient of every weight in every step, and keeps every factor of every derivative.
Here the loop backward gives the gradients of the pre-activations alone, and those of the weights are one product over many steps and
the whole batch; of each step no more is kept than its activations and its carry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from imgloc.errors import UserError, chosen
from imgloc.ops.mesh_axes import vary_alike
from imgloc.recurrent.scan import Carry, time_first, where_given, without_padding

FORMS = ("projected first", "joined")  # of the product with the input: for many steps at once, or in each step
LONGEST, SHORTEST = 32, 8  # steps whose weights' gradients are one product: what they are computed from should stay in a cache
Cell = Callable[[Any, Carry], Carry]  # (pre-activations, carry) -> the next carry
Product = Callable[[jax.Array, jax.Array], jax.Array]  # of (t, b, f) and (f, g)
Joining = Callable[[jax.Array, jax.Array], Any]  # (x W + bias, h U + recurrent bias), (..., g) each -> pre-activations; linear


def affine_recur(
    cell: Cell, size: int, x_bxtxf: jax.Array, w_fxg: jax.Array, u_dxg: jax.Array, bias_g: jax.Array, mask_bxt: jax.Array | None,
    *, reverse: bool, form: str = "", recurrent_bias_g: jax.Array | None = None, join: Joining = jnp.add,
) -> jax.Array:  # fmt: skip
    """States (b, t, d) of carry = cell(join(x W + bias, h U + recurrent bias), carry), h the first of the carry's `size` arrays (b, d).

    They start at 0. `cell` may close over learned values, small ones such as a peephole's: their gradient is added up step by step; `join`
    is linear and closes over none. Mask and `reverse` are those of `imgloc.recurrent.scan.recur`; `form` is one of FORMS, chosen by
    what is quicker where it is empty. Raises UserError for what is no sequence, or no mask of it.
    """
    if x_bxtxf.ndim != 3 or not x_bxtxf.shape[1] or (mask_bxt is not None and mask_bxt.shape != x_bxtxf.shape[:2]):
        got = f"inputs of shape {x_bxtxf.shape}" + ("" if mask_bxt is None else f" with a mask of shape {mask_bxt.shape}")
        raise UserError(f"a recurrence got {got}; possible: (b, t, f), t above 0, as imgloc.recurrent.orders makes of images; mask (b, t)")
    timed = jax.tree.map(time_first, (without_padding(x_bxtxf, mask_bxt), mask_bxt))  # before it is projected: the projection is larger
    leaves, tree = jax.tree.flatten((*timed, (w_fxg, u_dxg, bias_g, recurrent_bias_g)))
    x, mask, weights = jax.tree.unflatten(tree, vary_alike(*leaves))  # here, so that gradients are summed over devices once
    u = weights[1]
    start = (vary_alike(jnp.zeros((x.shape[1], u.shape[0]), x.dtype), x)[0],) * size
    # A custom derivative sees its arguments alone: what the cell reads beside them would have a gradient of 0 in silence.
    cell, own = jax.closure_convert(cell, join(x[0] @ weights[0] + weights[2], _plus(start[0] @ u, weights[3])), start)
    given = start, x, mask, (*weights, own)

    def whole(form: str, product: Product) -> Callable[..., jax.Array]:
        def states(*given: Any) -> jax.Array:
            return _in_pieces(_piece(cell, join, product, joined=form == "joined", reverse=reverse), *given, reverse=reverse)

        return states

    if form:
        chosen("form of a recurrence", form, dict.fromkeys(FORMS))
    # experiments/operation_forms: one product of both halves wins on a CPU while the input is the smaller one.
    on_cpu = form or ("joined" if x.shape[-1] <= u.shape[0] else "projected first")
    elsewhere = whole(form or "projected first", jnp.matmul)
    return time_first(jax.lax.platform_dependent(*given, cpu=whole(on_cpu, _flat_product), default=elsewhere))


def piece_length(steps: int) -> int:
    """Steps of each of the equal pieces of a sequence: the most that are at most LONGEST, all where that is fewer than SHORTEST."""
    longest = max(length for length in range(1, min(steps, LONGEST) + 1) if steps % length == 0)
    return longest if longest >= SHORTEST else steps


def _in_pieces(piece: Any, start: Carry, x_txbxf: jax.Array, mask_txb: jax.Array | None, weights: Any, *, reverse: bool) -> jax.Array:
    """States (t, b, d) of a sequence, one piece after another."""
    steps = x_txbxf.shape[0]
    length = piece_length(steps)
    if length == steps:
        states: jax.Array = piece(start, x_txbxf, mask_txb, weights)[1]
        return states
    cut = jax.tree.map(lambda a: a.reshape(-1, length, *a.shape[1:]), (x_txbxf, mask_txb))
    pieces: jax.Array = jax.lax.scan(lambda carry, given: piece(carry, *given, weights), start, cut, reverse=reverse)[1]
    return pieces.reshape(steps, *pieces.shape[2:])


def _piece(cell: Callable[..., Carry], join: Joining, product: Product, *, joined: bool, reverse: bool) -> Any:
    """The function (start, x (t, b, f), mask (t, b) or None, weights) -> (last carry, states (t, b, d)).

    The weights are w, u, the bias, the recurrent bias or None, and a tuple of what else `cell` takes, after pre-activations and carry.
    """

    def forward(start: Carry, x: jax.Array, mask: jax.Array | None, weights: Any, *, linear: bool) -> tuple[Carry, tuple[jax.Array, Any]]:
        """Last carry, states, and where `linear` of each step (derivatives of pre-activations, carry, own) -> of the next carry."""
        w, u, bias, back_bias, own = weights
        both = jnp.concatenate([w, u]) if joined and join is jnp.add else None

        def step(carry: Carry, given: Any) -> tuple[Carry, tuple[jax.Array, Any]]:
            into, mask_b = given
            if both is not None:
                pre = _plus(jnp.concatenate([into, carry[0]], axis=-1) @ both + bias, back_bias)
            else:
                pre = join(into @ w + bias if joined else into, _plus(carry[0] @ u, back_bias))

            def kept(pre: Any, carry: Carry, own: Any) -> Carry:
                return where_given(mask_b, cell(pre, carry, *own), carry)

            if not linear:
                new = kept(pre, carry, own)
                return new, (new[0], None)
            new, push = jax.linearize(jax.checkpoint(kept, policy=_dear, prevent_cse=False), pre, carry, own)
            return new, (new[0], push)

        found: tuple[Carry, tuple[jax.Array, Any]] = jax.lax.scan(step, start, (x if joined else x @ w + bias, mask), reverse=reverse)
        return found

    @jax.custom_jvp
    def piece(start: Carry, x: jax.Array, mask: jax.Array | None, weights: Any) -> tuple[Carry, jax.Array]:
        last, (states, _) = forward(start, x, mask, weights, linear=False)
        return last, states

    @piece.defjvp
    def tangents(given: Any, moved: Any) -> Any:
        start, x, _, (w, u, *_) = given
        d_start, d_x, _, (d_w, d_u, d_bias, d_back_bias, d_own) = moved
        last, (states, pushes) = forward(*given, linear=True)
        before = jnp.concatenate([states[1:], start[0][None]] if reverse else [start[0][None], states[:-1]])
        d_pre = join(product(d_x, w) + product(x, d_w) + d_bias, _plus(product(before, d_u), d_back_bias))

        def step(d_carry: Carry, given: Any) -> tuple[Carry, jax.Array]:
            d_pre, push = given
            back = d_carry[0] @ u
            d_new: Carry = push(jax.tree.map(jnp.add, d_pre, join(jnp.zeros_like(back), back)), d_carry, d_own)
            return d_new, d_new[0]

        return (last, states), jax.lax.scan(step, d_start, (d_pre, pushes), reverse=reverse)

    return piece


def _dear(primitive: Any, *_: Any, **__: Any) -> bool:
    """Whether a value is kept for the way back: what costs more to compute than to read. All else is computed again from it."""
    return primitive.name in ("tanh", "logistic")


def _plus(a: jax.Array, b: jax.Array | None) -> jax.Array:
    return a if b is None else a + b


def _flat_product(a_txbxf: jax.Array, w_fxg: jax.Array) -> jax.Array:
    """Of (t, b, f) and (f, g), as one of two matrices: its transpose is another, on a CPU four times as quick as a sum over two axes.

    Not elsewhere: where the batch is split over devices, (t b) is not, and all of it would be gathered on each of them.
    """
    return (a_txbxf.reshape(-1, a_txbxf.shape[-1]) @ w_fxg).reshape(*a_txbxf.shape[:-1], -1)
