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

from imgloc.errors import chosen
from imgloc.ops.mesh_axes import vary_alike
from imgloc.recurrent.scan import Carry, time_first, where_given, without_padding

FORMS = ("projected first", "joined")  # of the product with the input: for many steps at once, or in each step
LONGEST, SHORTEST = 32, 8  # steps whose weights' gradients are one product: what they are computed from should stay in a cache
Cell = Callable[[Any, Carry], Carry]  # (pre-activations, carry) -> the next carry
Joining = Callable[[jax.Array, jax.Array], Any]  # (x W + bias, h U + recurrent bias), (..., g) each -> pre-activations; linear


def affine_recur(
    cell: Cell, size: int, x_bxtxf: jax.Array, w_fxg: jax.Array, u_dxg: jax.Array, bias_g: jax.Array, mask_bxt: jax.Array | None,
    *, reverse: bool, form: str = "", recurrent_bias_g: jax.Array | None = None, join: Joining = jnp.add,
) -> jax.Array:  # fmt: skip
    """States (b, t, d) of carry = cell(join(x W + bias, h U + recurrent bias), carry), h the first of the carry's `size` arrays (b, d).

    They start at 0. `cell` and `join` close over nothing that is differentiated. Mask and `reverse` are those of
    `imgloc.recurrent.scan.recur`; `form` is one of FORMS, chosen by what is quicker where it is empty.
    """
    timed = jax.tree.map(time_first, (without_padding(x_bxtxf, mask_bxt), mask_bxt))  # before it is projected: the projection is larger
    leaves, tree = jax.tree.flatten((*timed, (w_fxg, u_dxg, bias_g, recurrent_bias_g)))
    x, mask, weights = jax.tree.unflatten(tree, vary_alike(*leaves))  # here, so that gradients are summed over devices once
    u = weights[1]
    start = (vary_alike(jnp.zeros((x.shape[1], u.shape[0]), x.dtype), x)[0],) * size

    def whole(form: str) -> Callable[..., jax.Array]:
        def states(*given: Any) -> jax.Array:
            return _in_pieces(_piece(cell, join, joined=form == "joined", reverse=reverse), *given, reverse=reverse)

        return states

    given = start, x, mask, weights
    if form:
        return time_first(whole(chosen("form of a recurrence", form, dict.fromkeys(FORMS, form)))(*given))
    # experiments/operation_forms: one product of both halves wins on a CPU while the input is the smaller one.
    on_cpu = whole("joined" if x.shape[-1] <= u.shape[0] else "projected first")
    return time_first(jax.lax.platform_dependent(*given, cpu=on_cpu, default=whole("projected first")))


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


def _piece(cell: Cell, join: Joining, *, joined: bool, reverse: bool) -> Any:
    """The function (start, x (t, b, f), mask (t, b) or None, (w, u, bias, recurrent bias or None)) -> (last carry, states (t, b, d))."""

    def forward(start: Carry, x: jax.Array, mask: jax.Array | None, weights: Any, *, linear: bool) -> tuple[Carry, tuple[jax.Array, Any]]:
        """Last carry, states, and where `linear` of each step the derivative (of pre-activations, of carry) -> of the next carry."""
        w, u, bias, back_bias = weights
        both = jnp.concatenate([w, u]) if joined and join is jnp.add else None

        def step(carry: Carry, given: Any) -> tuple[Carry, tuple[jax.Array, Any]]:
            into, mask_b = given
            if both is not None:
                pre = _plus(jnp.concatenate([into, carry[0]], axis=-1) @ both + bias, back_bias)
            else:
                pre = join(into @ w + bias if joined else into, _plus(carry[0] @ u, back_bias))

            def kept(pre: Any, carry: Carry) -> Carry:
                return where_given(mask_b, cell(pre, carry), carry)

            if not linear:
                new = kept(pre, carry)
                return new, (new[0], None)
            new, push = jax.linearize(jax.checkpoint(kept, policy=_dear, prevent_cse=False), pre, carry)
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
        d_start, d_x, _, (d_w, d_u, d_bias, d_back_bias) = moved
        last, (states, pushes) = forward(*given, linear=True)
        before = jnp.concatenate([states[1:], start[0][None]] if reverse else [start[0][None], states[:-1]])
        d_pre = join(_product(d_x, w) + _product(x, d_w) + d_bias, _plus(_product(before, d_u), d_back_bias))

        def step(d_carry: Carry, given: Any) -> tuple[Carry, jax.Array]:
            d_pre, push = given
            back = d_carry[0] @ u
            d_new: Carry = push(jax.tree.map(jnp.add, d_pre, join(jnp.zeros_like(back), back)), d_carry)
            return d_new, d_new[0]

        return (last, states), jax.lax.scan(step, d_start, (d_pre, pushes), reverse=reverse)

    return piece


def _dear(primitive: Any, *_: Any, **__: Any) -> bool:
    """Whether a value is kept for the way back: what costs more to compute than to read. All else is computed again from it."""
    return primitive.name in ("tanh", "logistic")


def _plus(a: jax.Array, b: jax.Array | None) -> jax.Array:
    return a if b is None else a + b


def _product(a_txbxf: jax.Array, w_fxg: jax.Array) -> jax.Array:
    """Of (t, b, f) and (f, g), as one of two matrices: its transpose is another, four times as quick as a sum over two axes."""
    return (a_txbxf.reshape(-1, a_txbxf.shape[-1]) @ w_fxg).reshape(*a_txbxf.shape[:-1], -1)
