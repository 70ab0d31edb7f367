"""A scan for recurrences that multiply the state by a matrix in each step, with a custom derivative.

The gradient that autodiff derives from such a loop adds to the gradient of every weight in every step, and keeps every factor of
every derivative. Here the backward loop computes only the gradients of the pre-activations. The gradients of the weights are then one
product over many steps and the whole batch, and a step keeps only its activations and its carry. A convolution may take the place of
the product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from imgloc.errors import look_up
from imgloc.nn.masking import Carry, check_sequence, time_major, where_unmasked, zero_masked
from imgloc.nn.mesh_axes import match_varying_axes

FORMS = ("projected first", "joined")  # the product with the inputs: for many steps at once, or in each step
LONGEST, SHORTEST = 32, 8  # steps of a piece, whose gradients of weights are one product: its operands should stay in a cache
Cell: TypeAlias = Callable[[Any, Carry], Carry]  # (pre-activations, carry) -> the next carry
Multiply: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]  # (h (b, ..., d), U) -> (b, ..., g); linear in each argument
MultiplySteps: TypeAlias = Callable[[Multiply, jax.Array, jax.Array], jax.Array]  # (multiply, (t, b, ...), weights) -> all products
Join: TypeAlias = Callable[[jax.Array, jax.Array], Any]  # (x W + bias, h U + recurrent bias), (..., g) each -> pre-activations; linear


def recurrent_scan(
    cell: Cell, size: int, x_bxtxf: jax.Array, w_fxg: jax.Array | None, u_dxg: jax.Array, bias_g: jax.Array | None,
    mask_bxt: jax.Array | None, *, reverse: bool, form: str = "", recurrent_bias_g: jax.Array | None = None, join: Join = jnp.add,
    multiply: Multiply = jnp.matmul,
) -> jax.Array:  # fmt: skip
    """Returns the states (b, t, d) of carry = cell(join(x W + bias, h U + recurrent bias), carry).

    The carry has `size` arrays (b, d), which start at 0; h is the first of them, and the states are h after each step. Without W the
    inputs (b, t, ..., g) are added unchanged. `multiply` computes h U; states then are (b, t, ..., d) and U (..., d, g). `cell` may
    close over small learned arrays such as peephole weights, whose gradient is accumulated step by step; `join` and `multiply` may not.
    Where the mask (b, t) is False the carry stays unchanged. `reverse` scans from the last step to the first. `form` is one of FORMS;
    if it is empty, the faster one for the sizes is chosen. Raises UserError for other shapes of inputs and mask.
    """
    check_sequence(x_bxtxf, mask_bxt, maps=w_fxg is None)
    timed = jax.tree.map(time_major, (zero_masked(x_bxtxf, mask_bxt), mask_bxt))  # before the projection, which is larger
    leaves, tree = jax.tree.flatten((*timed, (w_fxg, u_dxg, bias_g, recurrent_bias_g)))
    x, mask, weights = jax.tree.unflatten(tree, match_varying_axes(*leaves))  # here, so that gradients are summed over devices once
    w, u, *_ = weights
    start = (match_varying_axes(jnp.zeros((*x.shape[1:-1], u.shape[-2]), x.dtype), x)[0],) * size

    # A custom derivative sees only its arguments: other arrays that the cell reads would silently have a gradient of 0.
    first = join(_project(x[0], w, weights[2]), _plus(multiply(start[0], u), weights[3]))
    cell, closed_over = jax.closure_convert(cell, first, start)

    def scan(form: str, multiply_steps: MultiplySteps) -> Callable[..., jax.Array]:
        def states(*operands: Any) -> jax.Array:
            piece = _piece(cell, join, multiply, multiply_steps, joined=form == "joined" and w is not None, reverse=reverse)
            # XLA's gradients of a convolution's kernel take up to 200 times as long in a loop, on a CPU.
            length = piece_length(len(x)) if multiply is jnp.matmul else len(x)
            return _scan_pieces(piece, *operands, length=length, reverse=reverse)

        return states

    operands = start, x, mask, (*weights, closed_over)
    if form:
        look_up("form of a recurrence", form, dict.fromkeys(FORMS))
    # experiments/operation_forms: on a CPU one joined product is faster as long as the input is not wider than the state; with another
    # `join` both forms take the same time.
    on_cpu = form or ("joined" if w is not None and x.shape[-1] <= u.shape[0] else "projected first")
    elsewhere = scan(form or "projected first", _multiply_each_step)
    return time_major(jax.lax.platform_dependent(*operands, cpu=scan(on_cpu, _multiply_flat), default=elsewhere))


def piece_length(steps: int) -> int:
    """Returns the length of equal pieces of a sequence: the largest divisor up to LONGEST, or all steps if that is below SHORTEST."""
    longest = max(length for length in range(1, min(steps, LONGEST) + 1) if steps % length == 0)
    return longest if longest >= SHORTEST else steps


def _scan_pieces(
    piece: Any, start: Carry, x_txbxf: jax.Array, mask_txb: jax.Array | None, weights: Any, *, length: int, reverse: bool
) -> jax.Array:  # fmt: skip
    """Returns the states (t, b, d) of a sequence, scanned piece by piece."""
    steps = len(x_txbxf)
    if length == steps:
        states: jax.Array = piece(start, x_txbxf, mask_txb, weights)[1]
        return states
    cut = jax.tree.map(lambda a: a.reshape(-1, length, *a.shape[1:]), (x_txbxf, mask_txb))
    pieces: jax.Array = jax.lax.scan(lambda carry, inputs: piece(carry, *inputs, weights), start, cut, reverse=reverse)[1]
    return pieces.reshape(steps, *pieces.shape[2:])


def _piece(
    cell: Callable[..., Carry], join: Join, multiply: Multiply, multiply_steps: MultiplySteps, *, joined: bool, reverse: bool
) -> Any:
    """Returns the function (start, x (t, b, f), mask (t, b) or None, weights) -> (last carry, states (t, b, d)).

    The weights are w, u, bias and recurrent bias, each of which may be None except u, and a tuple of further arguments of `cell`.
    """

    def forward(start: Carry, x: jax.Array, mask: jax.Array | None, weights: Any, *, linear: bool) -> tuple[Carry, tuple[jax.Array, Any]]:
        """Returns the last carry, the states, and with `linear` the JVP of each step: (pre-activations, carry, closed over) -> carry."""
        w, u, bias, back_bias, closed_over = weights
        both = jnp.concatenate([w, u]) if joined and join is jnp.add else None

        def step(carry: Carry, inputs: Any) -> tuple[Carry, tuple[jax.Array, Any]]:
            x_bxf, mask_b = inputs
            if both is not None:
                pre = _plus(_plus(jnp.concatenate([x_bxf, carry[0]], axis=-1) @ both, bias), back_bias)
            else:
                pre = join(_project(x_bxf, w, bias) if joined else x_bxf, _plus(multiply(carry[0], u), back_bias))

            def masked_cell(pre: Any, carry: Carry, closed_over: Any) -> Carry:
                return where_unmasked(mask_b, cell(pre, carry, *closed_over), carry)

            if not linear:
                new = masked_cell(pre, carry, closed_over)
                return new, (new[0], None)
            new, jvp = jax.linearize(jax.checkpoint(masked_cell, policy=_is_costly, prevent_cse=False), pre, carry, closed_over)
            return new, (new[0], jvp)

        timed = x if joined else _project(x, w, bias)
        scanned: tuple[Carry, tuple[jax.Array, Any]] = jax.lax.scan(step, start, (timed, mask), reverse=reverse)
        return scanned

    @jax.custom_jvp
    def piece(start: Carry, x: jax.Array, mask: jax.Array | None, weights: Any) -> tuple[Carry, jax.Array]:
        last, (states, _) = forward(start, x, mask, weights, linear=False)
        return last, states

    @piece.defjvp
    def piece_jvp(primals: Any, tangents: Any) -> Any:
        start, x, _, (w, u, *_) = primals
        d_start, d_x, _, (d_w, d_u, d_bias, d_back_bias, d_closed_over) = tangents
        last, (states, jvps) = forward(*primals, linear=True)
        before = jnp.concatenate([states[1:], start[0][None]] if reverse else [start[0][None], states[:-1]])
        d_projected = d_x if w is None else multiply_steps(jnp.matmul, d_x, w) + multiply_steps(jnp.matmul, x, d_w)
        d_pre = join(_plus(d_projected, d_bias), _plus(multiply_steps(multiply, before, d_u), d_back_bias))

        def step(d_carry: Carry, inputs: Any) -> tuple[Carry, jax.Array]:
            d_pre, jvp = inputs
            back = multiply(d_carry[0], u)
            d_new: Carry = jvp(jax.tree.map(jnp.add, d_pre, join(jnp.zeros_like(back), back)), d_carry, d_closed_over)
            return d_new, d_new[0]

        return (last, states), jax.lax.scan(step, d_start, (d_pre, jvps), reverse=reverse)

    return piece


def _is_costly(primitive: Any, *_: Any, **__: Any) -> bool:
    """Whether a value is kept for the backward pass because computing it costs more than reading it."""
    return primitive.name in ("tanh", "logistic")


def _plus(a: jax.Array, b: jax.Array | None) -> jax.Array:
    return a if b is None else a + b


def _project(x: jax.Array, w: jax.Array | None, bias: jax.Array | None) -> jax.Array:
    """Returns x W + bias, without W x + bias."""
    return _plus(x if w is None else x @ w, bias)


def _multiply_flat(multiply: Multiply, a_txbxf: jax.Array, w: jax.Array) -> jax.Array:
    """Returns the products of all steps, computed as one over (t b), whose gradient of w is four times as fast on a CPU.

    On accelerators the batch may be split over devices, and a joint axis (t b) would be gathered on each of them.
    """
    product = multiply(a_txbxf.reshape(-1, *a_txbxf.shape[2:]), w)
    return product.reshape(*a_txbxf.shape[:2], *product.shape[1:])


def _multiply_each_step(multiply: Multiply, a_txbxf: jax.Array, w: jax.Array) -> jax.Array:
    """Returns the products of all steps, with time as a separate axis."""
    return jax.vmap(multiply, in_axes=(0, None))(a_txbxf, w)
