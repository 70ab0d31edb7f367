"""Pooling against XLA's reduce_window, ties and NaN included."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.nn.pool import average_pool, global_max_pool, max_pool


def native_max(x: Any, window: tuple[int, int], strides: tuple[int, int], padding: str) -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, *window, 1), (1, *strides, 1), padding)


def native_average(x: Any, window: tuple[int, int], strides: tuple[int, int], padding: str) -> Any:
    total = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, *window, 1), (1, *strides, 1), padding)
    return total / (window[0] * window[1])


PAIRS = {"max": (max_pool, native_max), "average": (average_pool, native_average)}


def value_and_pullback(function: Any) -> Any:
    def run(x: Any, cotangent_seed: Any) -> Any:
        value, pull = jax.vjp(function, x)
        return value, pull(jnp.cos(value + cotangent_seed))[0]

    return jax.jit(run)


@pytest.mark.parametrize("kind", PAIRS)
@settings(max_examples=10)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["SAME", "VALID"]),
)
def test_values_and_gradients_on_a_grid_of_shapes(kind, size, window, strides, padding) -> None:
    ours, theirs = PAIRS[kind]
    if padding == "VALID":
        window = (min(window[0], size[0]), min(window[1], size[1]))
    # Four levels only: ties in nearly every window. XLA gives a tied gradient to the first of the window.
    x = jnp.asarray(np.random.default_rng(sum(size)).integers(0, 4, (2, *size, 3)), jnp.float32)
    found = value_and_pullback(lambda x: ours(x, window, strides, padding))(x, 0.3)
    expected = value_and_pullback(lambda x: theirs(x, window, strides, padding))(x, 0.3)
    assert found[0].shape == expected[0].shape
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)


def test_a_tie_goes_to_the_first_winner_alone() -> None:
    x = jnp.asarray([[1.0, 2.0], [2.0, 2.0]]).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(jax.grad(lambda x: max_pool(x).sum())(x).reshape(2, 2), [[0, 1], [0, 0]])
    tied = jnp.zeros((2, 8, 8, 3))
    weights = jnp.arange(2 * 4 * 4 * 3.0).reshape(2, 4, 4, 3) + 1
    found = jax.grad(lambda x: (max_pool(x) * weights).sum())(tied)
    np.testing.assert_array_equal(found[:, ::2, ::2], weights)
    assert found.sum() == weights.sum()


@pytest.mark.parametrize("kind", PAIRS)
def test_strides_default_to_the_window_and_padding_to_valid(kind: str) -> None:
    ours, theirs = PAIRS[kind]
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 7, 8, 3)), jnp.float32)
    np.testing.assert_allclose(ours(x), theirs(x, (2, 2), (2, 2), "VALID"), rtol=1e-6)
    np.testing.assert_allclose(ours(x, (3, 2)), theirs(x, (3, 2), (3, 2), "VALID"), rtol=1e-6)


@pytest.mark.parametrize("kind", PAIRS)
def test_forward_mode_second_derivative_and_vmap(kind: str) -> None:
    ours, theirs = PAIRS[kind]
    rng = np.random.default_rng(1)
    x, dx = (jnp.asarray(rng.standard_normal((2, 6, 5, 2)), jnp.float32) for _ in range(2))

    def everything(function: Any) -> Any:
        gradient = jax.grad(lambda x: (function(x) ** 3).sum())
        return jax.jit(lambda x, dx: (jax.jvp(function, (x,), (dx,))[1], jax.jvp(gradient, (x,), (dx,))[1]))(x, dx)

    found = everything(lambda x: ours(x, (3, 2), (2, 2), "VALID"))
    if kind == "average":
        expected = everything(lambda x: theirs(x, (3, 2), (2, 2), "VALID"))
    else:  # reduce_window's maximum has no forward mode: the tangent of the winner, found by hand
        windows = [(x[:, i : i + 3 : 2, j : j + 3 : 2], dx[:, i : i + 3 : 2, j : j + 3 : 2]) for i in range(3) for j in range(2)]
        values, tangents = (np.stack(part) for part in zip(*windows, strict=True))
        winner = values.argmax(axis=0)[None]
        tangent = np.take_along_axis(tangents, winner, axis=0)[0]
        np.testing.assert_allclose(found[0], tangent, rtol=1e-6)
        value = np.take_along_axis(values, winner, axis=0)[0]
        pull = jax.vjp(lambda x: theirs(x, (3, 2), (2, 2), "VALID"), x)[1]
        expected = tangent, pull(jnp.asarray(6 * value * tangent))[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)
    np.testing.assert_array_equal(jax.vmap(ours)(x[:, None]), ours(x)[:, None])


def test_nan_in_a_window_comes_out_as_nan() -> None:
    x = np.random.default_rng(2).standard_normal((1, 8, 8, 1)).astype(np.float32)
    places = [(0, 0), (2, 3), (5, 4), (7, 7)]  # every cell of a 2x2 window once
    for row, column in places:
        x[0, row, column, 0] = np.nan
    expected = np.zeros((4, 4), bool)
    for row, column in places:
        expected[row // 2, column // 2] = True
    for pool in (max_pool, average_pool):
        np.testing.assert_array_equal(np.isnan(pool(jnp.asarray(x)))[0, ..., 0], expected)


def test_infinity_and_bfloat16() -> None:
    x = jnp.asarray([[-jnp.inf, -jnp.inf], [-jnp.inf, -5.0]]).reshape(1, 2, 2, 1)
    assert float(max_pool(x)[0, 0, 0, 0]) == -5.0
    assert float(max_pool(jnp.full((1, 3, 3, 1), -7.0), (2, 2), (2, 2), "SAME")[0, 1, 1, 0]) == -7.0  # not the padding
    for pool in (max_pool, average_pool):
        assert pool(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_ranks_are_asserted() -> None:
    for pool in (max_pool, average_pool):
        with pytest.raises(ValueError, match=r"pooling expects images \(b, h, w, c\)"):
            pool(jnp.ones((4, 4, 3)))


def test_the_global_maximum_and_its_gradient_are_those_of_jax() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 5, 6)).astype(np.float32)
    x[0, :, :, 0] = 1.0  # a tie of all
    x[1, 2, 1:3, 1] = 9.0  # of two
    cotangent = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    ours, pullback = jax.vjp(global_max_pool, x)
    theirs, their_pullback = jax.vjp(lambda x: jnp.max(x, axis=(1, 2)), x)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(pullback(cotangent)[0], their_pullback(cotangent)[0], rtol=1e-6)
    assert np.count_nonzero(pullback(cotangent)[0][0, :, :, 0]) == 20
    assert np.abs(jax.jvp(jax.grad(lambda x: (global_max_pool(x) ** 2).sum()), (x,), (x,))[1]).max() > 0
