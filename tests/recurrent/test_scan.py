"""The forms of a recurrence's product with its input: values and derivatives against plain loops, and which one is chosen where."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from imgloc.recurrent.cells.elman import elman
from imgloc.recurrent.cells.lstm import lstm

BATCH, TIME, INPUTS, UNITS = 3, 7, 4, 5
WIDE = 9  # on a CPU, an input wider than the state has a product of its own, for all steps at once


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) * 0.5 for shape in shapes]


def elman_loop(x: Any, w: Any, u: Any, bias: Any, activation: Any) -> np.ndarray:
    states = np.zeros((x.shape[0], x.shape[1], u.shape[0]))
    for b in range(x.shape[0]):
        h = np.zeros(u.shape[0])
        for t in range(x.shape[1]):
            h = activation(x[b, t] @ w + h @ u + bias)
            states[b, t] = h
    return states


def lstm_loop(x: Any, w: Any, u: Any, bias: Any, activation: Any) -> np.ndarray:
    d = u.shape[0]
    states = np.zeros((x.shape[0], x.shape[1], d))
    for b in range(x.shape[0]):
        h, c = np.zeros(d), np.zeros(d)
        for t in range(x.shape[1]):
            total = x[b, t] @ w + h @ u + bias
            i, f, g, o = total[:d], total[d : 2 * d], total[2 * d : 3 * d], total[3 * d :]
            c = scipy.special.expit(f) * c + scipy.special.expit(i) * activation(g)
            h = scipy.special.expit(o) * activation(c)
            states[b, t] = h
    return states


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


FORMULA_CASES = [(1, UNITS, jnp.tanh, np.tanh), (TIME, INPUTS, jax.nn.relu, relu), (TIME, WIDE, jnp.tanh, np.tanh)]


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
