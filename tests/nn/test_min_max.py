"""Maps scaled to [0, 1]."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.nn.min_max import min_max


@pytest.mark.parametrize("channels", [(), (2,)])
def test_a_map_reaches_from_0_to_1_and_a_flat_one_is_0(channels: tuple[int, ...]) -> None:
    maps = np.random.default_rng(0).standard_normal((2, 3, 4, *channels)).astype(np.float32)
    maps[1] = 5
    found = np.asarray(min_max(jnp.asarray(maps)))
    low, high = maps[0].min(axis=(0, 1)), maps[0].max(axis=(0, 1))
    np.testing.assert_allclose(found[0], (maps[0] - low) / (high - low), atol=1e-6)
    assert not found[1].any()


def test_a_map_that_varies_little_beside_its_values_is_flat() -> None:
    maps = jnp.asarray([[[100.0, 100.01]], [[-0.01, 0.0]]])
    np.testing.assert_array_equal(min_max(maps, flat=1e-3), [[[0, 0]], [[0, 1]]])
    np.testing.assert_array_equal(min_max(maps), [[[0, 1]], [[0, 1]]])
