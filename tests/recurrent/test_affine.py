"""The forms of a recurrence's product with its input: values and derivatives against plain loops, and which one is chosen where."""

from __future__ import annotations

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.recurrent.affine import LONGEST, SHORTEST, piece_length
from imgloc.recurrent.cells.elman import elman
from imgloc.recurrent.cells.lstm import lstm
from tests.recurrent import loops

BATCH, TIME, INPUTS, UNITS = 3, 7, 4, 5
WIDE = 9  # on a CPU, an input wider than the state has a product of its own, for all steps at once


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) * 0.5 for shape in shapes]


def by_sequence(loop: Any, x: Any, w: Any, u: Any, bias: Any, activation: Any) -> np.ndarray:
    """A loop of tests/recurrent/loops.py over each sequence of a batch."""
    return np.stack([loop({"kernel": w, "recurrent_kernel": u, "bias": bias}, sequence, activation) for sequence in x])


elman_loop, lstm_loop = functools.partial(by_sequence, loops.elman), functools.partial(by_sequence, loops.lstm)
FORMULA_CASES = [(1, UNITS, jnp.tanh, np.tanh), (TIME, INPUTS, jax.nn.relu, loops.relu), (TIME, WIDE, jnp.tanh, np.tanh)]


@pytest.mark.parametrize(("length", "inputs", "activation", "plain"), FORMULA_CASES)
def test_elman_is_its_formula(length: int, inputs: int, activation: Any, plain: Any) -> None:
    given = arrays((BATCH, length, inputs), (inputs, UNITS), (UNITS, UNITS), (UNITS,))
    found = jax.jit(lambda *a: elman(*a, activation=activation))(*(jnp.asarray(a, jnp.float32) for a in given))
    np.testing.assert_allclose(found, elman_loop(*given, plain), atol=1e-5)


@pytest.mark.parametrize(("length", "inputs", "activation", "plain"), FORMULA_CASES)
def test_lstm_is_its_formula(length: int, inputs: int, activation: Any, plain: Any) -> None:
    given = arrays((BATCH, length, inputs), (inputs, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,))
    found = jax.jit(lambda *a: lstm(*a, activation=activation))(*(jnp.asarray(a, jnp.float32) for a in given))
    np.testing.assert_allclose(found, lstm_loop(*given, plain), atol=1e-5)


@pytest.mark.parametrize("inputs", [INPUTS, WIDE])
@pytest.mark.parametrize(("function", "loop", "gates"), [(elman, elman_loop, 1), (lstm, lstm_loop, 4)], ids=["elman", "lstm"])
def test_derivatives_are_those_of_the_loop(function: Any, loop: Any, gates: int, inputs: int) -> None:
    given = arrays((2, 5, inputs), (inputs, gates * UNITS), (UNITS, gates * UNITS), (gates * UNITS,))
    directions = [np.cos(np.arange(a.size)).reshape(a.shape) for a in given]
    weights = np.cos(np.arange(2 * 5 * UNITS)).reshape(2, 5, UNITS)
    given32, directions32 = ([jnp.asarray(a, jnp.float32) for a in part] for part in (given, directions))

    @jax.jit
    def derivatives(given: Any, directions: Any) -> Any:
        energy = lambda given: (function(*given) * weights).sum()  # noqa: E731
        curvature = jax.jvp(jax.grad(energy), (given,), (directions,))[1]
        return jax.grad(energy)(given), jax.jvp(lambda given: function(*given), (given,), (directions,))[1], curvature

    gradient, tangent, curvature = derivatives(given32, directions32)

    # By another route: central differences of the plain loop in double precision.
    def moved(step: float, which: int | None = None) -> np.ndarray:
        return loop(*(a + step * d * (which in (None, i)) for i, (a, d) in enumerate(zip(given, directions, strict=True))), np.tanh)

    np.testing.assert_allclose(tangent, (moved(1e-6) - moved(-1e-6)) / 2e-6, rtol=1e-3, atol=1e-4)
    for which, (found, direction) in enumerate(zip(gradient, directions, strict=True)):
        wanted = ((moved(1e-6, which) - moved(-1e-6, which)) * weights).sum() / 2e-6
        assert float((found * direction).sum()) == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    second = ((moved(1e-4) - 2 * moved(0) + moved(-1e-4)) * weights).sum() / 1e-8
    found = sum(float((c * d).sum()) for c, d in zip(curvature, directions, strict=True))
    assert found == pytest.approx(second, rel=1e-3, abs=1e-3)
    assert abs(second) > 0.1


def test_what_an_activation_reads_beside_its_argument_has_a_gradient() -> None:
    """Over several pieces, each of which has its part in it."""
    given, gain = arrays((2, 33, INPUTS), (INPUTS, UNITS), (UNITS, UNITS), (UNITS,)), np.linspace(0.5, 1.5, UNITS)
    weights = np.cos(np.arange(2 * 33 * UNITS)).reshape(2, 33, UNITS)

    def energy(gain: Any) -> Any:
        return (elman(*(jnp.asarray(a, jnp.float32) for a in given), activation=lambda a: jnp.tanh(gain * a)) * weights).sum()

    gradient = jax.jit(jax.grad(energy))(jnp.asarray(gain, jnp.float32))
    at = lambda gain: (elman_loop(*given, lambda a: np.tanh(gain * a)) * weights).sum()  # noqa: E731
    wanted = [(at(gain + step) - at(gain - step)) / 2e-6 for step in 1e-6 * np.eye(UNITS)]
    assert np.abs(wanted).min() > 0.01
    np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("platform", "sums"), [("cpu", 0), ("cuda", 2), ("tpu", 2)])
def test_a_batch_that_accelerators_share_stays_where_it_is(platform: str, sums: int) -> None:
    """Gradients of both kernels as sums over time and batch: made one axis of both, a batch split over devices would be gathered."""
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


@pytest.mark.parametrize(("steps", "length"), [(1, 1), (28, 28), (32, 32), (33, 11), (34, 17), (37, 37), (62, 31), (784, 28), (785, 785)])
def test_pieces_are_equal_and_neither_long_nor_short_unless_there_is_one(steps: int, length: int) -> None:
    assert piece_length(steps) == length
    assert steps % length == 0
    assert length == steps or SHORTEST <= length <= LONGEST


@pytest.mark.parametrize("name", ["elman", "lstm(activation=relu, form='projected first')", "gru"])
def test_a_sequence_of_several_pieces_is_one(name: str) -> None:
    given, mask_bxt = loops.given_to(name, 2, 33), np.random.default_rng(0).random((2, 33)) < 0.8
    assert piece_length(33) == 11
    gradient, states = jax.device_get(loops.gradient_and_states(name)(loops.as_float32(given), mask_bxt))
    loops.assert_those_of_the_loop(name, given, mask_bxt, states, gradient)
