"""The two forms of the LRU: a sequential scan and an associative scan."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.nn.cells.lru import FORMS, diagonal_recurrence

N = 3
DECAY = np.array([0.999, 0.9 * np.exp(0.3j), -0.5])


def looped(inputs: np.ndarray, mask_bxt: np.ndarray, reverse: bool) -> np.ndarray:
    state, states = np.zeros(inputs[:, 0].shape, complex), np.zeros_like(inputs)
    for t in range(inputs.shape[1])[:: -1 if reverse else 1]:
        state = np.where(mask_bxt[:, t, None], DECAY * state + inputs[:, t], state)
        states[:, t] = state
    return states


@pytest.mark.parametrize(("length", "reverse"), [(1, True), (7, False), (7, True), pytest.param(784, False, marks=pytest.mark.slow)])
def test_the_associative_scan_is_the_sequential_one(length: int, reverse: bool) -> None:
    """Values and gradients within one unit of float32 per step, relative to the largest value."""
    rng = np.random.default_rng(length)
    inputs = rng.standard_normal((2, length, N)) + 1j * rng.standard_normal((2, length, N))
    mask_bxt = rng.random((2, length)) < 0.8
    weights = np.cos(np.arange(2 * length * N)).reshape(2, length, N)
    pair = lambda a: (jnp.asarray(a.real, jnp.float32), jnp.asarray(a.imag, jnp.float32))  # noqa: E731

    @jax.jit
    def states_and_gradients(inputs: Any, decay: Any) -> Any:
        def energy(inputs: Any, decay: Any, form: str) -> Any:
            states = diagonal_recurrence(inputs, decay, mask_bxt, reverse=reverse, form=form)
            return (weights * states[0] + weights[::-1] * states[1]).sum(), states

        return [jax.grad(energy, argnums=(0, 1), has_aux=True)(inputs, decay, form) for form in FORMS]

    (scan_gradient, scan), (gradient, together) = jax.device_get(states_and_gradients(pair(inputs), pair(DECAY)))
    expected = looped(inputs, mask_bxt, reverse)
    tolerance = (length + 8) * np.finfo(np.float32).eps
    for states in (scan, together):
        np.testing.assert_allclose(states[0] + 1j * states[1], expected, rtol=0, atol=tolerance * np.abs(expected).max())
    for one, other in zip(jax.tree.leaves(scan_gradient), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=tolerance * np.abs(one).max())


def test_784_steps_of_both_forms_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    inputs, mask_bxt = rng.standard_normal((1, 784, N)), np.ones((1, 784), bool)
    pair = lambda a: (jnp.asarray(a.real, jnp.float32), jnp.asarray(a.imag, jnp.float32))  # noqa: E731
    states = [jax.jit(functools.partial(diagonal_recurrence, form=form))(pair(inputs), pair(DECAY)) for form in FORMS]
    expected = looped(inputs + 0j, mask_bxt, reverse=False)
    assert np.abs(expected).max() > 20, "long memories add up"
    for real, imaginary in states:
        np.testing.assert_allclose(real + 1j * imaginary, expected, rtol=0, atol=784 * np.finfo(np.float32).eps * np.abs(expected).max())
