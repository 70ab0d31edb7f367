"""Masked steps have no effect: neither states nor gradients depend on the inputs there."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as numpy_strategies
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgloc.nn.cells.lru import FORMS, diagonal_recurrence
from imgloc.nn.recurrence import recurrent_scan
from tests.nn import loops
from tests.nn.loops import EVERYTHING

B, T = 2, 5
ALL = np.ones((B, T), bool)

lengths = st.lists(st.integers(0, T), min_size=B, max_size=B).map(lambda n: np.arange(T) < np.array(n)[:, None])
masks = lengths | numpy_strategies.arrays(bool, (B, T))
fillings = st.sampled_from([0.0, 1e30, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", EVERYTHING)
@settings(max_examples=8)
@given(mask_bxt=masks, filling=fillings)
@example(mask_bxt=ALL, filling=0.0)
@example(mask_bxt=np.array([[True, False, True, True, False], [False] * T]), filling=np.nan)
def test_a_masked_batch_is_each_sequence_of_its_kept_steps_alone(name: str, mask_bxt: np.ndarray, filling: float) -> None:
    given = loops.given_to(name, B, T)
    left_out = ~mask_bxt.reshape(B, T, *[1] * (given["x"].ndim - 2))
    filled = {**given, "x": np.where(left_out, filling, given["x"])}
    gradient, states = jax.device_get(loops.gradient_and_states(name)(loops.as_float32(filled), mask_bxt))
    loops.assert_those_of_the_loop(name, given, mask_bxt, states, gradient)
    assert not np.where(left_out, gradient["x"], 0).any()


MASK = np.array([[True, True, False, False], [False, True, False, True], [False, False, False, False]])
HELD = {False: [[1, 3, 3, 3], [0, 2, 2, 6], [0, 0, 0, 0]], True: [[3, 2, 0, 0], [6, 6, 4, 4], [0, 0, 0, 0]]}  # sums so far


@pytest.mark.parametrize("reverse", [False, True])
def test_a_masked_step_holds_the_state_of_the_step_before(reverse: bool) -> None:
    x = np.tile(np.arange(1, 5, dtype=np.float32), (3, 1))[..., None]

    @jax.jit
    def sums(x: Any) -> Any:
        one = jnp.ones(1), jnp.zeros(1)
        scanned = recurrent_scan(lambda total, _: (total,), 1, x, None, jnp.ones((1, 1)), None, MASK, reverse=reverse)
        plain = loops.plain_scan(lambda carry, x: (carry[0] + x,), (jnp.zeros((3, 1)),), jnp.swapaxes(x, 0, 1), MASK, reverse=reverse)
        return scanned, plain, *(diagonal_recurrence((x, -x), one, MASK, reverse=reverse, form=form) for form in FORMS)

    scanned, plain, *pairs = jax.device_get(sums(x))
    np.testing.assert_array_equal(scanned[..., 0], HELD[reverse])
    np.testing.assert_array_equal(plain[..., 0], HELD[reverse])
    for real, imaginary in pairs:
        np.testing.assert_array_equal(real[..., 0], HELD[reverse])
        np.testing.assert_array_equal(imaginary, -real)
