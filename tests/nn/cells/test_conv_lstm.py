"""A convolutional LSTM that passes over its maps more than once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.nn.cell import make_layer
from tests.refusals import assert_refused

MAPS = np.random.default_rng(0).standard_normal((2, 2, 3, 3, 1)).astype(np.float32)
MASK = np.array([[True, False], [True, True]])


def test_passes_are_repetitions_of_the_maps() -> None:
    plain, twice = make_layer("conv_lstm", 2), make_layer({"name": "conv_lstm", "num_passes": 2}, 2)
    shapes = jax.eval_shape(plain.init, jax.random.key(0), MAPS)
    params = jax.tree.map(lambda a: 0.3 * np.cos(np.arange(a.size, dtype=np.float32)).reshape(a.shape), shapes)
    again = MAPS[:, [0, 0, 1, 1]], MASK[:, [0, 0, 1, 1]]
    found = jax.jit(lambda p: twice.apply(p, MAPS, MASK))(params)
    np.testing.assert_allclose(found, jax.jit(lambda p: plain.apply(p, *again))(params), atol=1e-6)
    assert np.abs(found[:, 1] - found[:, 0]).max() > 1e-3, "the state changes"
    np.testing.assert_array_equal(found[0, 2:], jnp.stack([found[0, 1]] * 2))


def test_no_pass_is_refused() -> None:
    assert_refused(
        lambda: make_layer({"name": "conv_lstm", "num_passes": 0}, 2).init(jax.random.key(0), MAPS), "'num_passes' of cell 'conv_lstm' is 0"
    )
