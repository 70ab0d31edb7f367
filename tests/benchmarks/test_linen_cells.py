"""linen's cells with imgloc's arguments return the states of imgloc's cells."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import linen_cells
from imgloc.nn.cells import conv_lstm, elman, gru, lstm, minimal_gru

BATCH, TIME, INPUTS, UNITS = 2, 4, 3, 5
CASES: dict[str, tuple[Any, Any, tuple[int, ...], dict[str, Any]]] = {  # name -> both functions, gates of each parameter, options
    "elman": (elman.elman, linen_cells.elman, (1, 1, 1), {"activation": jnp.tanh}),
    "irnn": (elman.elman, linen_cells.elman, (1, 1, 1), {"activation": jax.nn.relu}),
    "lstm": (lstm.lstm, linen_cells.lstm, (4, 4, 4), {"activation": jnp.tanh}),
    "gru": (gru.gru, linen_cells.gru, (3, 3, 3, 1), {}),
    "minimal_gru": (minimal_gru.minimal_gru, linen_cells.minimal_gru, (2, 2, 2, 1), {}),
    "conv_lstm": (conv_lstm.conv_lstm, linen_cells.conv_lstm, (4, 4, 4), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_linen_s_states_are_the_same(name: str) -> None:
    ours, theirs, gates, options = CASES[name]
    maps, window = ((6, 6), (3, 3)) if name == "conv_lstm" else ((), ())
    widths = [gate * UNITS for gate in gates]
    shapes = [(*window, INPUTS, widths[0]), (*window, UNITS, widths[1]), *((width,) for width in widths[2:])]
    rng = np.random.default_rng(0)
    arguments = [jnp.asarray(0.5 * rng.standard_normal(shape), jnp.float32) for shape in [(BATCH, TIME, *maps, INPUTS), *shapes]]
    expected = jax.jit(lambda: ours(*arguments, None, **options))()
    states = jax.jit(lambda: theirs(*arguments, None, reverse=False, form="", **options))()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(states, expected, atol=1e-5)
