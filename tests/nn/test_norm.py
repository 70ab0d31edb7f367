"""Group normalization against linen's, through its derivatives, and against its definition."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.nn.norm import GroupNorm, group_norm


def images(shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape) * 2 + 1, dtype)


@pytest.mark.parametrize(("shape", "groups"), [((2, 5, 7, 12), 4), ((1, 1, 1, 6), 3), ((3, 4, 4, 8), 1), ((2, 3, 3, 4), 4)])
def test_layer_is_linens_in_value_parameters_and_gradients(shape: tuple[int, ...], groups: int) -> None:
    x = images(shape)
    ours, linens = GroupNorm(groups), nn.GroupNorm(groups)
    variables = linens.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(0), x)) == jax.tree.map(jnp.shape, variables)
    variables = jax.tree.map(lambda a: a + images(a.shape), variables)

    def run(layer: nn.Module) -> Any:
        def energy(variables: Any, x: Any) -> Any:
            return jnp.sin(layer.apply(variables, x)).sum()

        gradients = jax.grad(energy, argnums=(0, 1))
        return jax.jit(lambda v, x: (layer.apply(v, x), gradients(v, x), jax.jvp(lambda x: gradients(v, x), (x,), (x,))))(variables, x)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-3), run(ours), run(linens))


def test_each_group_of_each_image_has_mean_0_and_variance_1() -> None:
    x = images((3, 6, 5, 8))
    found = group_norm(x, jnp.ones(8), jnp.zeros(8), groups=2)
    members = np.asarray(found).reshape(3, 30, 2, 4)
    np.testing.assert_allclose(members.mean(axis=(1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(members.var(axis=(1, 3)), 1, atol=1e-4)


def test_bfloat16_images_have_float32_moments() -> None:
    x = images((2, 16, 16, 8)) + 20
    exact = group_norm(x, jnp.ones(8), jnp.zeros(8), groups=2)
    rounded = group_norm(x.astype(jnp.bfloat16), jnp.ones(8), jnp.zeros(8), groups=2)
    assert rounded.dtype == jnp.bfloat16
    np.testing.assert_allclose(rounded.astype(jnp.float32), exact, atol=0.1)


def test_groups_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="8 channels cannot be divided into 3 groups"):
        group_norm(images((1, 2, 2, 8)), jnp.ones(8), jnp.zeros(8), groups=3)
