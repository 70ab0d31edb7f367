"""Every cell, and stacks of cells, against reference loops: values, derivatives of both modes, bfloat16."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.config import registry
from imgloc.nn.cell import cell_name, make_layer
from tests.nn import loops
from tests.nn.loops import CELLS, EVERYTHING, UNITS

B, T = 2, 4
HALF = [name for name in EVERYTHING if name not in ("elman, sigmoid", "irnn", "two layers of both")]
TWICE = ("gru", "minimal_gru", "lru", "lru, associative", "conv_lstm")  # test_recurrence has the others


@functools.cache
def found(name: str) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Inputs and parameters, the states both ways, and those of inputs in bfloat16."""
    given = loops.given_to(name, B, T)

    @jax.jit
    def everything(given: Any) -> tuple[Any, Any]:
        half = EVERYTHING[name][0].apply({"params": given["params"]}, given["x"].astype(jnp.bfloat16)) if name in HALF else None
        return loops.apply_both_ways(name, given), half

    return given, *jax.device_get(everything(loops.as_float32(given)))


def test_every_cell_is_among_these() -> None:
    assert {cell_name(cell) for cell, _ in CELLS.values()} == set(registry.names("nn.cells")), "write its formula in loops.py"


@pytest.mark.parametrize("name", EVERYTHING)
def test_states_are_those_of_the_formula_either_way(name: str) -> None:
    given, states, _ = found(name)
    expected = loops.run_both_ways(name, given)
    assert expected.std() > 0.03
    np.testing.assert_allclose(states, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", HALF)
def test_bfloat16_in_bfloat16_out_though_parameters_are_float32(name: str) -> None:
    _, states, half = found(name)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(np.float32), states[0], atol=0.03 * np.abs(states[0]).max())


@pytest.mark.parametrize("name", TWICE)
def test_derivatives_are_those_of_the_formula(name: str) -> None:
    given = loops.given_to(name, B, T)
    direction, layer = loops.waves(given), EVERYTHING[name][0]
    expected = lambda step: loops.run(name, *loops.moved((given["params"], given["x"]), (direction["params"], direction["x"]), step))  # noqa: E731
    weights = loops.waves_of_states(expected(0.0))

    @jax.jit
    def derivatives(given: Any, direction: Any) -> Any:
        states = lambda given: layer.apply({"params": given["params"]}, given["x"])  # noqa: E731
        gradient = jax.grad(lambda given: (states(given) * weights).sum())
        return jax.jvp(states, (given,), (direction,))[1], jax.jvp(gradient, (given,), (direction,))

    tangent, (gradient, curvature) = jax.device_get(derivatives(loops.as_float32(given), loops.as_float32(direction)))

    # By another route: central differences of the plain loop in double precision.
    difference = (expected(1e-6) - expected(-1e-6)) / 2e-6
    np.testing.assert_allclose(tangent, difference, rtol=1e-3, atol=2e-4)
    along = lambda tree: sum(jax.tree.leaves(jax.tree.map(lambda a, d: float((a * d).sum()), tree, direction)))  # noqa: E731
    assert along(gradient) == pytest.approx((difference * weights).sum(), rel=1e-3, abs=1e-3)
    second = ((expected(1e-4) - 2 * expected(0.0) + expected(-1e-4)) * weights).sum() / 1e-8
    assert along(curvature) == pytest.approx(second, rel=2e-3, abs=2e-3)
    assert abs(second) > 0.05


def test_a_long_memory_outlasts_bfloat16() -> None:
    """A radius of 0.999 is 1 in bfloat16, or 0.996, whose 784th power is less than a tenth of its own."""
    layer = make_layer({"name": "lru", "gated": False, "ring": (0.99, 0.999)}, UNITS)
    x = np.random.default_rng(0).standard_normal((1, 784, UNITS), np.float32)
    variables = jax.jit(layer.init)(jax.random.key(0), x[:, :2])
    whole, half = (np.asarray(jax.jit(layer.apply)(variables, given), np.float32) for given in (x, jnp.asarray(x, jnp.bfloat16)))
    np.testing.assert_allclose(half, whole, atol=0.03 * np.abs(whole).max())
