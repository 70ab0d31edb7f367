"""Convolution against XLA's own, through every derivative and transformation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.ops.conv import Conv, conv

CASES = {  # images, kernel, strides, padding: each reason to gather windows, and none
    "few channels": ((2, 7, 6, 3), (3, 3, 3, 5), (1, 1), "SAME"),
    "one by one": ((2, 5, 5, 8), (1, 1, 8, 4), (1, 1), "VALID"),
    "one by one, stride": ((2, 7, 5, 8), (1, 1, 8, 4), (2, 3), "SAME"),
    "stride": ((2, 9, 8, 6), (3, 3, 6, 4), (2, 2), "SAME"),
    "stride, even kernel": ((2, 8, 7, 6), (4, 2, 6, 4), (2, 1), "VALID"),
    "tiny image": ((2, 2, 2, 8), (3, 3, 8, 4), (1, 1), "SAME"),
    "native": ((2, 7, 6, 8), (3, 2, 8, 4), (1, 1), "SAME"),
}


def native(x: Any, kernel: Any, strides: tuple[int, int], padding: str) -> Any:
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def arrays(*shapes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(sum(map(sum, shapes)))
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def close(found: Any, expected: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-4), found, expected)


def value_and_gradients(function: Any) -> Any:
    """Value, a cotangent pulled back and a tangent pushed forward."""

    def run(x: Any, kernel: Any, dx: Any, dk: Any) -> Any:
        value, tangent = jax.jvp(function, (x, kernel), (dx, dk))
        _, pull = jax.vjp(function, x, kernel)
        return value, tangent, pull(jnp.cos(value))

    return jax.jit(run)


@settings(max_examples=12)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    channels=st.sampled_from([1, 3, 6]),
    padding=st.sampled_from(["SAME", "VALID"]),
)
def test_values_and_both_gradients_on_a_grid_of_shapes(size, window, strides, channels, padding) -> None:
    if padding == "VALID":
        window = (min(window[0], size[0]), min(window[1], size[1]))
    shapes = (2, *size, channels), (*window, channels, 2)
    given_arrays = arrays(*shapes, *shapes)
    found = value_and_gradients(lambda x, k: conv(x, k, strides=strides, padding=padding))(*given_arrays)
    expected = value_and_gradients(lambda x, k: native(x, k, strides, padding))(*given_arrays)
    assert found[0].shape == expected[0].shape
    close(found, expected)


@pytest.mark.parametrize("case", CASES)
def test_first_and_second_derivatives(case: str) -> None:
    image, window, strides, padding = CASES[case]
    given_arrays = arrays(image, window, image, window)

    def everything(function: Any) -> Any:
        def energy(x: Any, k: Any) -> Any:
            return jnp.sin(function(x, k)).sum()

        def run(x: Any, k: Any, dx: Any, dk: Any) -> Any:
            gradient = jax.grad(energy, argnums=(0, 1))
            forward_over_reverse = jax.jvp(gradient, (x, k), (dx, dk))[1]
            reverse_over_reverse = jax.grad(lambda x, k: sum((g**2).sum() for g in gradient(x, k)), argnums=(0, 1))(x, k)
            return function(x, k), gradient(x, k), forward_over_reverse, jax.tree.map(lambda a: a / 10, reverse_over_reverse)

        return jax.jit(run)

    found = everything(lambda x, k: conv(x, k, strides=strides, padding=padding))(*given_arrays)
    expected = everything(lambda x, k: native(x, k, strides, padding))(*given_arrays)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=3e-3), found, expected)


@pytest.mark.parametrize("case", CASES)
def test_vmap_over_kernels_and_bfloat16(case: str) -> None:
    image, window, strides, padding = CASES[case]
    x, kernels = arrays(image, (3, *window))
    found = jax.jit(jax.vmap(lambda k: conv(x, k, strides=strides, padding=padding)))(kernels)
    expected = [native(x, k, strides, padding) for k in kernels]
    close(found, jnp.stack(expected))
    half = conv(x.astype(jnp.bfloat16), kernels[0].astype(jnp.bfloat16), strides=strides, padding=padding)
    assert half.dtype == jnp.bfloat16
    scale = float(jnp.abs(expected[0]).max())
    np.testing.assert_allclose(half.astype(jnp.float32), expected[0], atol=0.03 * scale)


@pytest.mark.parametrize("case", ["few channels", "stride", "native"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_layer_has_the_parameters_of_linens(case: str, use_bias: bool) -> None:
    image, window, strides, padding = CASES[case]
    (x,) = arrays(image)
    settings_ = {"strides": strides, "padding": padding, "use_bias": use_bias}
    ours, theirs = Conv(window[3], window[:2], **settings_), nn.Conv(window[3], window[:2], **settings_)
    variables = ours.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, theirs.init(jax.random.key(0), x))
    variables = jax.tree.map(lambda a: a + 0.5, variables)  # a bias that counts
    close(ours.apply(variables, x), theirs.apply(variables, x))


def test_layer_computes_in_the_images_dtype_with_float32_parameters() -> None:
    x = jnp.ones((1, 4, 4, 3), jnp.bfloat16)
    out, variables = Conv(2).init_with_output(jax.random.key(0), x)
    assert out.dtype == jnp.bfloat16
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_ranks_are_asserted() -> None:
    with pytest.raises(ValueError, match=r"conv wants images \(b, h, w, i\)"):
        conv(jnp.ones((4, 4, 3)), jnp.ones((3, 3, 3, 2)))
    with pytest.raises(ValueError, match=r"conv wants images \(b, h, w, i\)"):
        conv(jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 2)))
