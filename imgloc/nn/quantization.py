"""Weights as 8-bit integers with a scale for each output channel, and training through that rounding.

Symmetric: a weight is q * scale with q from -127 to 127. Which arrays are quantized, or pruned, is the choice of `compressed_mask`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Float, PyTree

from imgloc.nn.freezing import Patterns, frozen_mask
from imgloc.nn.preprocess import Mapped, Preprocessed
from imgloc.types import Array

LARGEST = 127
KERNELS = ("kernel", "recurrent_kernel", "into", "out")  # names of matrices of weights in layers and cells; the last two are of the LRU
MIN_OUTPUTS = 16  # arrays with fewer output channels, such as those of heads, stay as they are: they are small, and matter most
PERCENTILE = 99.9
MSE_FACTORS = np.linspace(0.5, 1.0, 26, dtype=np.float32)

Scales = Callable[[Float[Array, "*axes o"]], Float[Array, " o"]]


def compressed_mask(params: PyTree, excluded: Patterns) -> PyTree:
    """True for each array of parameters that is pruned and quantized: kernels that no pattern of `excluded` matches.

    Other arrays, such as the queries of a decoder, are not sums of products, and stay as they are.
    """

    def is_kernel(path: tuple[Any, ...], leaf: Array) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/").rpartition("/")[2]  # also of a flat dict with paths as keys
        return name in KERNELS and leaf.ndim >= 2 and leaf.shape[-1] >= MIN_OUTPUTS

    kernels = jax.tree_util.tree_map_with_path(is_kernel, params)
    return jax.tree.map(lambda kernel, out: kernel and not out, kernels, frozen_mask(params, excluded))


def largest(kernel: Float[Array, "*axes o"]) -> Float[Array, " o"]:
    """The scales by which the largest weight of each output channel is 127."""
    return _scale(jnp.abs(kernel).max(axis=tuple(range(kernel.ndim - 1))))


def percentile(kernel: Float[Array, "*axes o"]) -> Float[Array, " o"]:
    """The scales by which the 99.9th percentile of each channel's magnitudes is 127; larger weights are clipped.

    Zeros, which pruning leaves, do not count.
    """
    magnitudes = jnp.where(kernel == 0, jnp.nan, jnp.abs(kernel))
    top = jnp.nanpercentile(magnitudes, PERCENTILE, axis=tuple(range(kernel.ndim - 1)), method="higher")
    return _scale(jnp.nan_to_num(top))


def mean_squared_error(kernel: Float[Array, "*axes o"]) -> Float[Array, " o"]:
    """Of 26 scales from half of `largest` to all of it, those with the least squared error in each channel."""
    full = largest(kernel)

    def error(factor: Float[Array, ""]) -> Float[Array, " o"]:
        scale = full * factor
        return jnp.square(kernel - to_integers(kernel, scale) * scale).sum(axis=tuple(range(kernel.ndim - 1)))

    return full * jnp.asarray(MSE_FACTORS)[jnp.argmin(jax.lax.map(error, jnp.asarray(MSE_FACTORS)), axis=0)]


CALIBRATIONS: Mapping[str, Scales] = {"max": largest, "percentile": percentile, "mse": mean_squared_error}


def to_integers(kernel: Float[Array, "*axes o"], scale: Float[Array, " o"]) -> Float[Array, "*axes o"]:
    """The integers, as floats, whose products with the scales are nearest to the weights."""
    return jnp.clip(jnp.round(kernel / scale), -LARGEST, LARGEST)


def fake_quantize(kernel: Float[Array, "*axes o"], scales: Scales) -> Float[Array, "*axes o"]:
    """The weights after rounding, with a gradient of 1 (straight-through estimator; Jacob et al., 2018, arXiv:1712.05877)."""
    scale = scales(jax.lax.stop_gradient(kernel))
    return kernel + jax.lax.stop_gradient(to_integers(kernel, scale) * scale - kernel)


def with_fake_quantization(model: nn.Module | Preprocessed, calibration: str, excluded: Patterns) -> Mapped:
    """The model whose parameters are rounded wherever they are used. `calibration` is a key of CALIBRATIONS."""
    quantize = functools.partial(fake_quantize, scales=CALIBRATIONS[calibration])

    def rounded(params: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf, chosen: quantize(leaf) if chosen else leaf, params, compressed_mask(params, excluded))

    return Mapped(model, rounded)


def _scale(top: Float[Array, " o"]) -> Float[Array, " o"]:
    return jnp.where(top > 0, top, 1.0) / LARGEST
