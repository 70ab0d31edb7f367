"""Dropout with a traced rate against that of Flax, whose rate is a constant."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.nn.dropout import Dropout
from tests.refusals import assert_refused


class Twice(nn.Module):
    """Two layers of dropout of a class, whose random numbers depend on their names."""

    layer: Any
    rate: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(self.rate, deterministic=False)(x) + 10 * self.layer(self.rate, deterministic=False)(x)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_traced_rate_gives_the_bits_of_flax(dtype: Any) -> None:
    x, keys = jnp.arange(1, 201, dtype=dtype), {"dropout": jax.random.key(3)}

    @jax.jit
    def traced(rate: jax.Array) -> jax.Array:
        return Twice(Dropout, rate).apply({}, x, rngs=keys)

    for rate in (0.2, 0.7):
        result, expected = traced(jnp.float32(rate)), jax.jit(lambda rate=rate: Twice(nn.Dropout, rate).apply({}, x, rngs=keys))()
        assert result.dtype == expected.dtype == dtype
        kept = np.asarray(expected) != 0
        np.testing.assert_array_equal(np.asarray(result) != 0, kept)
        np.testing.assert_allclose(*(np.asarray(a, np.float32) for a in (result, expected)), rtol=1e-6 if dtype == jnp.float32 else 0.01)
        assert 0.5 * (1 - rate) < kept.mean() < 1
    assert traced._cache_size() == 1  # type: ignore[attr-defined]


def test_there_is_none_at_a_rate_of_0_nor_in_evaluation() -> None:
    x = jnp.arange(8.0)
    assert Dropout(0.0, deterministic=False).apply({}, x) is x
    assert Dropout(0.9, deterministic=True).apply({}, x) is x


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, float("nan")])
def test_rates_out_of_range_are_refused(rate: float) -> None:
    assert_refused(lambda: Dropout(rate, deterministic=True).apply({}, jnp.ones(3)), "must be at least 0 and less than 1")
