"""Two-dimensional convolution: quick on a CPU, the native operation on an accelerator.

XLA on a CPU is slow where a convolution has few input channels, a stride, or a tiny image; there
the windows are gathered and multiplied in one product (im2col). The choice is made when the step
is lowered for a platform. Every path is plain JAX: any derivative, vmap and sharding work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

Padding = Literal["SAME", "VALID"] | Sequence[tuple[int, int]]


def conv(
    x_bxhxwxi: jax.Array,
    kernel_hxwxixo: jax.Array,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: Padding = "SAME",
    kernel_dilation: tuple[int, int] = (1, 1),
    feature_group_count: int = 1,
) -> jax.Array:
    """Cross-correlation of images with a kernel, as deep-learning libraries call a convolution.

    Returns (b, h', w', o), with TensorFlow's SAME or VALID padding. The kernel is not flipped.
    """
    if x_bxhxwxi.ndim != 4 or kernel_hxwxixo.ndim != 4:
        raise ValueError(f"conv wants images (b, h, w, i) and a kernel (h, w, i, o); got {x_bxhxwxi.shape}, {kernel_hxwxixo.shape}")

    def native(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, rhs_dilation=kernel_dilation, feature_group_count=feature_group_count,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    def gathered(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return _im2col_conv(x, kernel, strides, padding)

    if max(kernel_dilation) > 1 or feature_group_count > 1 or not _prefers_im2col(x_bxhxwxi.shape, kernel_hxwxixo.shape, strides):
        return native(x_bxhxwxi, kernel_hxwxixo)
    out: jax.Array = jax.lax.platform_dependent(x_bxhxwxi, kernel_hxwxixo, cpu=gathered, default=native)
    return out


def _prefers_im2col(images: Sequence[int], kernel: Sequence[int], strides: tuple[int, int]) -> bool:
    """Whether gathering wins on a CPU: measured on two cores for these four cases, not for others."""
    height, width, channels = images[1:]
    return kernel[:2] == (1, 1) or channels <= 4 or max(strides) > 1 or max(height, width) <= 2


def _im2col_conv(x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding) -> jax.Array:
    k_h, k_w, _, features = kernel.shape
    pads = pads_of(x.shape[1:3], (k_h, k_w), strides, padding)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    windows = window_slices(x, (k_h, k_w), strides)
    columns = jnp.concatenate(windows, axis=-1)
    return columns @ kernel.reshape(-1, features)


def pads_of(size: Sequence[int], window: tuple[int, int], strides: tuple[int, int], padding: Padding) -> Sequence[tuple[int, int]]:
    """Explicit pairs (before, after) of rows and of columns."""
    if isinstance(padding, str):
        pads: Sequence[tuple[int, int]] = jax.lax.padtype_to_pads(size, window, strides, padding)
        return pads
    return padding


def window_slices(x: jax.Array, window: tuple[int, int], strides: tuple[int, int]) -> list[jax.Array]:
    """The image seen through each cell of a sliding window: h*w strided slices (b, h', w', c), row by row."""
    out_h = (x.shape[1] - window[0]) // strides[0] + 1
    out_w = (x.shape[2] - window[1]) // strides[1] + 1
    return [
        x[:, i : i + (out_h - 1) * strides[0] + 1 : strides[0], j : j + (out_w - 1) * strides[1] + 1 : strides[1], :]
        for i in range(window[0])
        for j in range(window[1])
    ]


class Conv(nn.Module):
    """`conv` with a learned kernel and bias; parameters are named and shaped as `flax.linen.Conv`'s."""

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: Padding = "SAME"
    kernel_dilation: tuple[int, int] = (1, 1)
    feature_group_count: int = 1
    use_bias: bool = True
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x_bxhxwxi: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x_bxhxwxi.shape[-1] // self.feature_group_count, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        out = conv(
            x_bxhxwxi, kernel.astype(x_bxhxwxi.dtype), strides=self.strides, padding=self.padding,
            kernel_dilation=self.kernel_dilation, feature_group_count=self.feature_group_count,
        )  # fmt: skip
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            out = out + bias.astype(out.dtype)
        return out
