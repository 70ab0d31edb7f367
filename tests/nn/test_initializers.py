"""Initial values of parameters: limits, orthogonality per gate or jointly, biases, the IRNN's identity, the LRU's ring."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
import scipy.stats

from imgloc.nn.cell import make_layer
from imgloc.nn.cells import gru, minimal_gru

INPUTS, UNITS = 24, 16


@functools.cache
def drawn(cell: str, units: int = UNITS, shape: tuple[int, ...] = (1, 2, INPUTS), **settings: Any) -> Any:
    """Parameters of a layer of that cell."""
    init = jax.jit(lambda key: make_layer({"name": cell, **settings}, units).init(key, np.zeros(shape, np.float32)))
    return jax.device_get(init(jax.random.key(0)))["params"]


def assert_glorot(kernel: np.ndarray) -> None:
    limit = np.sqrt(6 / sum(kernel.shape))
    assert 0.97 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.08)


@pytest.mark.parametrize(
    ("cell", "settings", "gates"),
    [("elman", {}, 1), ("lstm", {}, 4), ("gru", {"update_bias": 2.0}, 3), ("minimal_gru", {"gate_bias": -1.0}, 2)],
)
def test_each_gate_is_separately_glorot_and_orthogonal(cell: str, settings: dict[str, float], gates: int) -> None:
    params = drawn(cell, **settings)
    kernels, recurrent = (np.split(params[name], gates, axis=-1) for name in ("kernel", "recurrent_kernel"))
    for kernel in kernels:
        assert_glorot(kernel)
    for kernel in recurrent:
        np.testing.assert_allclose(kernel.T @ kernel, np.eye(UNITS), atol=1e-5)
    for parts in (kernels, recurrent):
        assert len({part.tobytes() for part in parts}) == gates, "two gates have equal kernels"


def test_joint_kernels_are_one_matrix_as_in_keras() -> None:
    params = drawn("lstm", kernel_init="joint", forget_bias=2.5)
    assert_glorot(params["kernel"])
    np.testing.assert_allclose(params["recurrent_kernel"] @ params["recurrent_kernel"].T, np.eye(UNITS), atol=1e-5)


@pytest.mark.parametrize(
    ("cell", "settings", "bias"),
    [
        ("elman", {}, [0]), ("lstm", {}, [0, 1, 0, 0]), ("lstm", {"kernel_init": "joint", "forget_bias": 2.5}, [0, 2.5, 0, 0]),
        ("gru", {"update_bias": 2.0}, [0, 2, 0]), ("minimal_gru", {"gate_bias": -1.0}, [-1, 0]),
    ],
)  # fmt: skip
def test_biases_start_at_the_constants_of_their_gates(cell: str, settings: dict[str, Any], bias: list[float]) -> None:
    params = drawn(cell, **settings)
    np.testing.assert_array_equal(params["bias"], np.repeat(bias, UNITS))
    assert not params.get("recurrent_bias", np.zeros(1)).any()
    assert (gru.Layer(UNITS).update_bias, minimal_gru.Layer(UNITS).gate_bias) == (0.0, 1.0)


def test_an_irnn_starts_with_the_identity() -> None:
    params = drawn("irnn", units=64)
    np.testing.assert_array_equal(params["recurrent_kernel"], np.eye(64))
    assert params["kernel"].std() == pytest.approx(0.001, rel=0.05)
    assert abs(params["kernel"].mean()) < 1e-4
    assert not params["bias"].any()
    forgetful = drawn("irnn", units=64, scale=0.01, input_std=0.5)
    np.testing.assert_allclose(forgetful["recurrent_kernel"], 0.01 * np.eye(64))
    assert forgetful["kernel"].std() == pytest.approx(0.5, rel=0.05)


def test_convolutional_kernels_are_drawn_per_gate() -> None:
    params = drawn("conv_lstm", units=8, shape=(1, 2, 6, 6, 16), kernel_size=5, forget_bias=2.0)
    assert params["kernel"].shape == (5, 5, 16, 32)
    assert params["kernel"].std() == pytest.approx((5 * 5 * 16) ** -0.5, rel=0.03)  # LeCun: one over the numbers that are added up
    for kernel in np.split(params["recurrent_kernel"].reshape(-1, 32), 4, axis=-1):
        np.testing.assert_allclose(kernel.T @ kernel, np.eye(8), atol=1e-5)
    np.testing.assert_array_equal(params["bias"], np.repeat([0, 2, 0, 0], 8))


def test_an_lru_s_eigenvalues_are_uniform_over_a_ring() -> None:
    ring, max_phase = (0.2, 0.999), 6.28
    params = drawn("lru", units=8, ring=ring, max_phase=max_phase, state_size=2000)
    radius, phase = np.exp(-np.exp(params["log_rate"].astype(float))), np.exp(params["log_phase"].astype(float))
    low, high = np.square(ring)
    assert low - 1e-6 <= radius.min() ** 2 < radius.max() ** 2 <= high + 1e-6
    assert scipy.stats.kstest(radius**2, scipy.stats.uniform(low, high - low).cdf).pvalue > 0.01  # area: uniform in the square
    assert scipy.stats.kstest(phase, scipy.stats.uniform(0, max_phase).cdf).pvalue > 0.01
    assert abs(scipy.stats.pearsonr(radius, phase).statistic) < 0.08
    np.testing.assert_allclose(np.exp(params["log_gamma"]), np.sqrt(1 - radius**2), rtol=1e-3)
    assert params["into"].std() == pytest.approx((2 * 8) ** -0.5, rel=0.03)  # B: |b|^2 of a complex number is 1 / d
    assert params["out"].std() == pytest.approx(2000**-0.5, rel=0.03)
    assert {name: np.shape(params[name]) for name in ("into", "out", "skip")} == {"into": (8, 4000), "out": (4000, 8), "skip": (8,)}


def test_an_lru_has_an_encoder_only_where_the_input_has_other_features() -> None:
    for units, more in ((UNITS, {"encoder"}), (INPUTS, set())):
        shapes = jax.eval_shape(
            make_layer({"name": "lru", "gated": False}, units).init, jax.random.key(0), np.zeros((1, 2, INPUTS), np.float32)
        )
        assert set(shapes["params"]) == {"log_rate", "log_phase", "log_gamma", "into", "out", "skip"} | more
