"""The recurrent scan in pieces: its derivatives against autodiff of a plain scan."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.nn.cells.elman import elman
from imgloc.nn.cells.lstm import lstm
from imgloc.nn.masking import time_major
from imgloc.nn.recurrence import LONGEST, SHORTEST, piece_length, recurrent_scan
from tests.nn.loops import plain_scan

BATCH, INPUTS, UNITS = 2, 3, 4
TIME, WIDE = 7, 9  # on a CPU, an input wider than the state has a product of its own, for all steps at once
LONG = 40  # two pieces of 20


def join(into: jax.Array, back: jax.Array) -> tuple[jax.Array, jax.Array]:
    return into[..., :UNITS] + back[..., :UNITS], into[..., UNITS:] * 2.0 - back[..., UNITS:]


def cell(pre: Any, carry: Any) -> Any:
    gate, new = pre
    state = jax.nn.sigmoid(gate) * carry[1] + jax.nn.relu(new + 0.1 * carry[0])
    return jnp.tanh(state), state


def plain(x: Any, w: Any, u: Any, bias: Any, back_bias: Any, mask: Any, reverse: bool) -> jax.Array:
    def step(carry: Any, x_bxf: jax.Array) -> Any:
        return cell(join(x_bxf @ w + bias, carry[0] @ u + back_bias), carry)

    return plain_scan(step, (jnp.zeros((BATCH, UNITS)),) * 2, time_major(x), mask, reverse=reverse)


def quick(x: Any, w: Any, u: Any, bias: Any, back_bias: Any, mask: Any, reverse: bool) -> jax.Array:
    return recurrent_scan(cell, 2, x, w, u, bias, mask, reverse=reverse, recurrent_bias_g=back_bias, join=join)


@pytest.mark.parametrize("reverse", [False, True])
def test_values_and_first_and_second_derivatives_are_those_of_the_plain_loop(reverse: bool) -> None:
    rng = np.random.default_rng(0)
    shapes = (BATCH, LONG, INPUTS), (INPUTS, 2 * UNITS), (UNITS, 2 * UNITS), (2 * UNITS,), (2 * UNITS,)
    given, direction = ([jnp.asarray(0.4 * rng.standard_normal(shape), jnp.float32) for shape in shapes] for _ in range(2))
    mask = jnp.asarray(rng.random((BATCH, LONG)) < 0.8)
    weights = jnp.asarray(rng.standard_normal((BATCH, LONG, UNITS)), jnp.float32)

    def derivatives(function: Any) -> Any:
        def energy(given: Any) -> jax.Array:
            return (function(*given, mask, reverse) * weights).sum()

        gradient, curvature = jax.jit(lambda given: jax.jvp(jax.grad(energy), (given,), (direction,)))(given)
        return jax.jit(lambda: function(*given, mask, reverse))(), gradient, curvature

    for actual, expected in zip(jax.tree.leaves(derivatives(quick)), jax.tree.leaves(derivatives(plain)), strict=True):
        scale = np.abs(expected).max()
        assert scale > 0.1
        np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-5)


@pytest.mark.parametrize(("steps", "length"), [(1, 1), (28, 28), (32, 32), (33, 11), (34, 17), (37, 37), (62, 31), (784, 28), (785, 785)])
def test_pieces_are_equal_and_within_the_limits_unless_there_is_one(steps: int, length: int) -> None:
    assert piece_length(steps) == length
    assert steps % length == 0
    assert length == steps or SHORTEST <= length <= LONGEST


def test_no_gradient_of_a_weight_is_accumulated_step_by_step() -> None:
    """The gradient has one product for each of the two matrices that contracts the steps of a piece and the batch."""
    shapes = (BATCH, LONG, INPUTS), (INPUTS, 2 * UNITS), (UNITS, 2 * UNITS), (2 * UNITS,), (2 * UNITS,)
    given = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    program = jax.jit(jax.grad(lambda *a: quick(*a, None, False).sum(), argnums=(1, 2))).lower(*given).as_text()
    depth = BATCH * LONG // 2
    for rows in (INPUTS, UNITS):  # of W and of U
        assert f"(tensor<{depth}x{2 * UNITS}xf32>, tensor<{depth}x{rows}xf32>)" in program


def test_values_that_an_activation_closes_over_have_a_gradient() -> None:
    """Over two pieces, each of which contributes to it."""
    rng = np.random.default_rng(0)
    shapes = (BATCH, LONG, INPUTS), (INPUTS, UNITS), (UNITS, UNITS), (UNITS,)
    x, w, u, bias = (jnp.asarray(0.5 * rng.standard_normal(shape), jnp.float32) for shape in shapes)

    def quick_energy(gain: jax.Array) -> jax.Array:
        return jnp.square(elman(x, w, u, bias, activation=lambda a: jnp.tanh(gain * a))).sum()

    def plain_energy(gain: jax.Array) -> jax.Array:
        def step(carry: Any, x_bxf: jax.Array) -> Any:
            return (jnp.tanh(gain * (x_bxf @ w + carry[0] @ u + bias)),)

        return jnp.square(plain_scan(step, (jnp.zeros((BATCH, UNITS)),), time_major(x))).sum()

    gain = jnp.linspace(0.5, 1.5, UNITS)
    actual, expected = (jax.jit(jax.grad(energy))(gain) for energy in (quick_energy, plain_energy))
    assert jnp.abs(expected).min() > 0.1
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize(("platform", "sums"), [("cpu", 0), ("cuda", 2), ("tpu", 2)])
def test_a_batch_split_over_accelerators_is_not_gathered(platform: str, sums: int) -> None:
    """The gradients of both kernels contract time and batch as two axes; one joint axis would gather a batch that is split over devices."""
    shapes = (BATCH, TIME, INPUTS), (INPUTS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)
    gradient = jax.jit(jax.grad(lambda x, *weights: lstm(x, *weights).sum(), argnums=(1, 2)))
    traced = gradient.trace(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes))
    assert traced.lower(lowering_platforms=(platform,)).as_text().count("contracting_dims = [0, 1] x [0, 1]") == sums


def products(function: Any, gates: int, inputs: int, platform: str) -> tuple[int, int]:
    """Matrix products outside the loop and inside it, in the lowered program."""
    shapes = (BATCH, TIME, inputs), (inputs, gates * UNITS), (UNITS, gates * UNITS), (gates * UNITS,)
    traced = jax.jit(function).trace(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes))
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    total = program.count("stablehlo.dot_general")
    # The projection alone has the time among its axes.
    outside = len(re.findall(rf"stablehlo\.dot_general.*-> tensor<{TIME}x{BATCH}x{gates * UNITS}xf32>", program))
    return outside, total - outside


@pytest.mark.parametrize(("function", "gates"), [(elman, 1), (lstm, 4)], ids=["elman", "lstm"])
def test_a_narrow_input_joins_the_states_product_on_a_cpu_only(function: Any, gates: int) -> None:
    assert products(function, gates, INPUTS, "cpu") == (0, 1)
    for platform, inputs in (("cpu", WIDE), ("cuda", INPUTS), ("cuda", WIDE), ("tpu", INPUTS)):
        assert products(function, gates, inputs, platform) == (1, 1)
