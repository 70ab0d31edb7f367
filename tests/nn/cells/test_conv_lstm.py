"""A convolutional LSTM that looks at maps more than once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.nn.cell import make_layer
from tests.refusals import assert_refused

MAPS = np.random.default_rng(0).standard_normal((2, 2, 3, 3, 1)).astype(np.float32)
MASK = np.array([[True, False], [True, True]])


def test_looks_are_the_maps_again() -> None:
    plain, twice = make_layer("conv_lstm", 2), make_layer("conv_lstm(looks=2)", 2)
    shapes = jax.eval_shape(plain.init, jax.random.key(0), MAPS)
    params = jax.tree.map(lambda a: 0.3 * np.cos(np.arange(a.size, dtype=np.float32)).reshape(a.shape), shapes)
    again = MAPS[:, [0, 0, 1, 1]], MASK[:, [0, 0, 1, 1]]
    found = jax.jit(lambda p: twice.apply(p, MAPS, MASK))(params)
    np.testing.assert_allclose(found, jax.jit(lambda p: plain.apply(p, *again))(params), atol=1e-6)
    assert np.abs(found[:, 1] - found[:, 0]).max() > 1e-3, "it goes on"
    np.testing.assert_array_equal(found[0, 2:], jnp.stack([found[0, 1]] * 2))


def test_no_look_is_told() -> None:
    assert_refused(lambda: make_layer("conv_lstm(looks=0)", 2).init(jax.random.key(0), MAPS), "'looks' of cell 'conv_lstm' is 0")
