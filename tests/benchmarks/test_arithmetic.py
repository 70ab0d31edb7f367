"""Operations counted from a jaxpr against numbers computed by hand."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import arithmetic

COUNT = arithmetic.count_operations


def taps(size: int, kernel: int, stride: int, padding: str) -> int:
    """Returns the number of products of a row of pixels with a row of a kernel, without those with padding, counted with NumPy."""
    ones, weights = np.ones(size), np.ones(kernel)
    if padding == "SAME":
        out = -(-size // stride)
        total = max((out - 1) * stride + kernel - size, 0)
        ones = np.pad(ones, (total // 2, total - total // 2))
    return int(np.convolve(ones, weights, mode="valid")[::stride].sum())


def convolve(x: jax.Array, kernel: jax.Array, stride: int, padding: str, groups: int = 1) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"), [(8, 3, 1, "VALID"), (8, 3, 1, "SAME"), (7, 3, 2, "SAME"), (2, 3, 1, "SAME")]
)
def test_a_convolution_costs_the_same_forward_and_in_both_gradients(size: int, kernel: int, stride: int, padding: str) -> None:
    x, w = np.ones((5, size, size, 4), np.float32), np.ones((kernel, kernel, 4, 6), np.float32)
    expected = 2 * 5 * 4 * 6 * taps(size, kernel, stride, padding) ** 2
    forward = functools.partial(convolve, stride=stride, padding=padding)
    assert COUNT(forward, x, w) == expected

    def weighted(x: jax.Array, w: jax.Array) -> jax.Array:  # its cotangent is not a constant
        return jnp.sum(forward(x, w) ** 2)

    assert COUNT(jax.grad(weighted, argnums=1), x, w) == 2 * expected
    assert COUNT(jax.grad(weighted, argnums=(0, 1)), x, w) == 3 * expected


def test_a_depthwise_convolution_costs_one_product_per_channel() -> None:
    x, w = np.ones((2, 6, 6, 8), np.float32), np.ones((3, 3, 1, 8), np.float32)
    forward = functools.partial(convolve, stride=1, padding="VALID", groups=8)
    expected = 2 * 2 * 8 * 12**2
    assert COUNT(forward, x, w) == expected
    assert COUNT(jax.grad(lambda x, w: jnp.sum(forward(x, w) ** 2), argnums=(0, 1)), x, w) == 3 * expected


def test_products_count_inside_jit_scan_and_the_most_expensive_branch() -> None:
    a, b = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    assert COUNT(jnp.matmul, a, b) == 2 * 3 * 4 * 5
    assert COUNT(jax.jit(jnp.matmul), a, b) == 2 * 3 * 4 * 5
    assert COUNT(lambda m: jax.lax.scan(lambda c, _: (c @ m, None), m, None, length=7)[0], np.ones((4, 4), np.float32)) == 7 * 2 * 4**3
    branches = [lambda m: m, lambda m: m @ m, lambda m: m @ m @ m]
    assert COUNT(lambda i, m: jax.lax.switch(i, branches, m), 0, np.ones((4, 4), np.float32)) == 2 * 2 * 4**3
    assert COUNT(lambda m: jnp.tanh(m) + 1, a) == 0
    batched = np.ones((9, 3, 4), np.float32), np.ones((9, 4, 5), np.float32)
    assert COUNT(jnp.matmul, *batched) == 9 * 2 * 3 * 4 * 5


def test_the_rate_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    products: list[jax.Array] = []

    def fake(call: Any, quick: bool) -> list[float]:
        products.append(call())
        return [20.0, 10.0, 40.0]

    monkeypatch.setattr(arithmetic, "repeat", fake)
    assert arithmetic.product_rate("cpu", quick=True) == 2.0 * 2048**3 / 0.010
    assert products[0].shape == (2048, 2048)
    assert products[0].dtype == jnp.float32
