"""Recurrences whose step is a product with the state, then a cell: quick to differentiate, as their weights' gradients wait.

What autodiff makes of such a loop adds to the gradient of every weight in every step, and keeps every factor of every derivative.
Here the loop backward gives the gradients of the pre-activations alone, and those of the weights are one product over many steps and
the whole batch; of each step no more is kept than its activations and its carry. A convolution may stand for the product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from imgloc.errors import chosen
from imgloc.nn.mesh_axes import vary_alike
from imgloc.nn.recurrence import Carry, check_sequence, time_first, where_given, without_padding

FORMS = ("projected first", "joined")  # of the product with the input: for many steps at once, or in each step
LONGEST, SHORTEST = 32, 8  # steps whose weights' gradients are one product: what they are computed from should stay in a cache
Cell = Callable[[Any, Carry], Carry]  # (pre-activations, carry) -> the next carry
Multiply = Callable[[jax.Array, jax.Array], jax.Array]  # (h (b, ..., d), U) -> (b, ..., g); linear in each of them
AtOnce = Callable[[Multiply, jax.Array, jax.Array], jax.Array]  # a product of all steps: (multiply, (t, b, ...), weights)
Joining = Callable[[jax.Array, jax.Array], Any]  # (x W + bias, h U + recurrent bias), (..., g) each -> pre-activations; linear


def affine_recur(
    cell: Cell, size: int, x_bxtxf: jax.Array, w_fxg: jax.Array | None, u_dxg: jax.Array, bias_g: jax.Array | None,
    mask_bxt: jax.Array | None, *, reverse: bool, form: str = "", recurrent_bias_g: jax.Array | None = None, join: Joining = jnp.add,
    multiply: Multiply = jnp.matmul,
) -> jax.Array:  # fmt: skip
    """States (b, t, d) of carry = cell(join(x W + bias, h U + recurrent bias), carry), h the first of the carry's `size` arrays (b, d).

    They start at 0. Without W the inputs are added as they are, (b, t, ..., g). `multiply` gives h U, states are then (b, t, ..., d) and U
    (..., d, g). `cell` may close over learned values, small ones such as a peephole's: their gradient is added up step by step; `join`
    is linear, and neither it nor `multiply` closes over any. Mask and `reverse` are those of `imgloc.nn.recurrence.recur`; `form` is
    one of FORMS, chosen by what is quicker where it is empty. Raises UserError for what is no sequence, or no mask of it.
    """
    check_sequence(x_bxtxf, mask_bxt, maps=w_fxg is None)
    timed = jax.tree.map(time_first, (without_padding(x_bxtxf, mask_bxt), mask_bxt))  # before it is projected: the projection is larger
    leaves, tree = jax.tree.flatten((*timed, (w_fxg, u_dxg, bias_g, recurrent_bias_g)))
    x, mask, weights = jax.tree.unflatten(tree, vary_alike(*leaves))  # here, so that gradients are summed over devices once
    w, u, *_ = weights
    start = (vary_alike(jnp.zeros((*x.shape[1:-1], u.shape[-2]), x.dtype), x)[0],) * size

    # A custom derivative sees its arguments alone: what the cell reads beside them would have a gradient of 0 in silence.
    first = join(_project(x[0], w, weights[2]), _plus(multiply(start[0], u), weights[3]))
    cell, own = jax.closure_convert(cell, first, start)

    def whole(form: str, at_once: AtOnce) -> Callable[..., jax.Array]:
        def states(*given: Any) -> jax.Array:
            piece = _piece(cell, join, multiply, at_once, joined=form == "joined" and w is not None, reverse=reverse)
            # XLA's gradients of a convolution's kernel take up to 200 times as long in a loop, on a CPU.
            length = piece_length(len(x)) if multiply is jnp.matmul else len(x)
            return _in_pieces(piece, *given, length=length, reverse=reverse)

        return states

    given = start, x, mask, (*weights, own)
    if form:
        chosen("form of a recurrence", form, dict.fromkeys(FORMS))
    # experiments/operation_forms: one product of both halves wins on a CPU while the input is the smaller one; two that are joined
    # otherwise take the same time in either form.
    on_cpu = form or ("joined" if w is not None and x.shape[-1] <= u.shape[0] else "projected first")
    elsewhere = whole(form or "projected first", _step_by_step)
    return time_first(jax.lax.platform_dependent(*given, cpu=whole(on_cpu, _flat), default=elsewhere))


def piece_length(steps: int) -> int:
    """Steps of each of the equal pieces of a sequence: the most that are at most LONGEST, all where that is fewer than SHORTEST."""
    longest = max(length for length in range(1, min(steps, LONGEST) + 1) if steps % length == 0)
    return longest if longest >= SHORTEST else steps


def _in_pieces(
    piece: Any, start: Carry, x_txbxf: jax.Array, mask_txb: jax.Array | None, weights: Any, *, length: int, reverse: bool
) -> jax.Array:  # fmt: skip
    """States (t, b, d) of a sequence, one piece of a length after another."""
    steps = len(x_txbxf)
    if length == steps:
        states: jax.Array = piece(start, x_txbxf, mask_txb, weights)[1]
        return states
    cut = jax.tree.map(lambda a: a.reshape(-1, length, *a.shape[1:]), (x_txbxf, mask_txb))
    pieces: jax.Array = jax.lax.scan(lambda carry, given: piece(carry, *given, weights), start, cut, reverse=reverse)[1]
    return pieces.reshape(steps, *pieces.shape[2:])


def _piece(
    cell: Callable[..., Carry], join: Joining, multiply: Multiply, at_once: AtOnce, *, joined: bool, reverse: bool
) -> Any:  # fmt: skip
    """The function (start, x (t, b, f), mask (t, b) or None, weights) -> (last carry, states (t, b, d)).

    The weights are w, u, bias and recurrent bias, None where there is none, and a tuple of what else `cell` takes behind its carry.
    """

    def forward(start: Carry, x: jax.Array, mask: jax.Array | None, weights: Any, *, linear: bool) -> tuple[Carry, tuple[jax.Array, Any]]:
        """Last carry, states, and where `linear` of each step (derivatives of pre-activations, carry, own) -> of the next carry."""
        w, u, bias, back_bias, own = weights
        both = jnp.concatenate([w, u]) if joined and join is jnp.add else None

        def step(carry: Carry, given: Any) -> tuple[Carry, tuple[jax.Array, Any]]:
            into, mask_b = given
            if both is not None:
                pre = _plus(_plus(jnp.concatenate([into, carry[0]], axis=-1) @ both, bias), back_bias)
            else:
                pre = join(_project(into, w, bias) if joined else into, _plus(multiply(carry[0], u), back_bias))

            def kept(pre: Any, carry: Carry, own: Any) -> Carry:
                return where_given(mask_b, cell(pre, carry, *own), carry)

            if not linear:
                new = kept(pre, carry, own)
                return new, (new[0], None)
            new, push = jax.linearize(jax.checkpoint(kept, policy=_dear, prevent_cse=False), pre, carry, own)
            return new, (new[0], push)

        timed = x if joined else _project(x, w, bias)
        found: tuple[Carry, tuple[jax.Array, Any]] = jax.lax.scan(step, start, (timed, mask), reverse=reverse)
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
        d_into = d_x if w is None else at_once(jnp.matmul, d_x, w) + at_once(jnp.matmul, x, d_w)
        d_pre = join(_plus(d_into, d_bias), _plus(at_once(multiply, before, d_u), d_back_bias))

        def step(d_carry: Carry, given: Any) -> tuple[Carry, jax.Array]:
            d_pre, push = given
            back = multiply(d_carry[0], u)
            d_new: Carry = push(jax.tree.map(jnp.add, d_pre, join(jnp.zeros_like(back), back)), d_carry, d_own)
            return d_new, d_new[0]

        return (last, states), jax.lax.scan(step, d_start, (d_pre, pushes), reverse=reverse)

    return piece


def _dear(primitive: Any, *_: Any, **__: Any) -> bool:
    """Whether a value is kept for the way back: what costs more to compute than to read. All else is computed again from it."""
    return primitive.name in ("tanh", "logistic")


def _plus(a: jax.Array, b: jax.Array | None) -> jax.Array:
    return a if b is None else a + b


def _project(x: jax.Array, w: jax.Array | None, bias: jax.Array | None) -> jax.Array:
    """x W + bias; where there is no W, x is that already, but for the bias."""
    return _plus(x if w is None else x @ w, bias)


def _flat(multiply: Multiply, a_txbxf: jax.Array, w: jax.Array) -> jax.Array:
    """The products of all steps, as one of (t b): on a CPU the gradient of w is then four times as quick as a sum over two axes.

    Not elsewhere: where the batch is split over devices, (t b) is not, and all of it would be gathered on each of them.
    """
    product = multiply(a_txbxf.reshape(-1, *a_txbxf.shape[2:]), w)
    return product.reshape(*a_txbxf.shape[:2], *product.shape[1:])


def _step_by_step(multiply: Multiply, a_txbxf: jax.Array, w: jax.Array) -> jax.Array:
    """The products of all steps, time an axis of its own."""
    return jax.vmap(multiply, in_axes=(0, None))(a_txbxf, w)
