"""Operations counted from a jaxpr against numbers worked out by hand."""

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
    """Products of one row of pixels with a kernel's row that meet no padding, counted with NumPy."""
    ones, weights = np.ones(size), np.ones(kernel)
    if padding == "SAME":
        out = -(-size // stride)
        total = max((out - 1) * stride + kernel - size, 0)
        ones = np.pad(ones, (total // 2, total - total // 2))
    return int(np.convolve(ones, weights, mode="valid")[::stride].sum())


def convolve(x: Any, kernel: Any, stride: int, padding: str, groups: int = 1) -> Any:
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

    def weighted(x: Any, w: Any) -> Any:  # a cotangent that is no constant
        return jnp.sum(forward(x, w) ** 2)

    assert COUNT(jax.grad(weighted, argnums=1), x, w) == 2 * expected
    assert COUNT(jax.grad(weighted, argnums=(0, 1)), x, w) == 3 * expected


def test_a_depthwise_convolution_costs_a_product_a_channel() -> None:
    x, w = np.ones((2, 6, 6, 8), np.float32), np.ones((3, 3, 1, 8), np.float32)
    forward = functools.partial(convolve, stride=1, padding="VALID", groups=8)
    expected = 2 * 2 * 8 * 12**2
    assert COUNT(forward, x, w) == expected
    assert COUNT(jax.grad(lambda x, w: jnp.sum(forward(x, w) ** 2), argnums=(0, 1)), x, w) == 3 * expected


def test_products_count_inside_jit_scan_and_the_dearest_branch() -> None:
    a, b = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    assert COUNT(jnp.matmul, a, b) == 2 * 3 * 4 * 5
    assert COUNT(jax.jit(jnp.matmul), a, b) == 2 * 3 * 4 * 5
    assert COUNT(lambda m: jax.lax.scan(lambda c, _: (c @ m, None), m, None, length=7)[0], np.ones((4, 4), np.float32)) == 7 * 2 * 4**3
    branches = [lambda m: m, lambda m: m @ m, lambda m: m @ m @ m]
    assert COUNT(lambda i, m: jax.lax.switch(i, branches, m), 0, np.ones((4, 4), np.float32)) == 2 * 2 * 4**3
    assert COUNT(lambda m: jnp.tanh(m) + 1, a) == 0
    batched = np.ones((9, 3, 4), np.float32), np.ones((9, 4, 5), np.float32)
    assert COUNT(jnp.matmul, *batched) == 9 * 2 * 3 * 4 * 5


def test_the_rate_of_products_is_that_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []

    def fake(call: Any, quick: bool) -> list[float]:
        done.append(call())
        return [20.0, 10.0, 40.0]

    monkeypatch.setattr(arithmetic, "repeat", fake)
    assert arithmetic.product_rate("cpu", quick=True) == 2.0 * 2048**3 / 0.010
    assert done[0].shape == (2048, 2048)
    assert done[0].dtype == jnp.float32
