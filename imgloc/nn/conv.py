"""Two-dimensional convolution: dense, strided, dilated, grouped or depthwise; fast on a CPU, native on an accelerator.

The fields and parameters of the layer are those of `flax.linen.Conv`, so checkpoints fit either.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import linen as nn

from imgloc.nn.conv_forms import Geometry, Padding, Pair, resolve_pads
from imgloc.nn.conv_primitive import bind
from imgloc.nn.initializers import Initializer


def conv(
    x_bxhxwxi: jax.Array,
    kernel_hxwxixo: jax.Array,
    *,
    strides: Pair = (1, 1),
    padding: Padding = "SAME",
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> jax.Array:
    """Returns the cross-correlation (b, h', w', o) of images with a kernel, which deep-learning libraries call a convolution.

    Padding is TensorFlow's SAME or VALID, or ((top, bottom), (left, right)). `dilation` is that of the kernel. With groups the kernel
    is (h, w, i / groups, o), and each group of channels produces its share of the features; groups = i is a depthwise convolution.
    Raises ValueError for shapes that do not match.
    """
    x, kernel = x_bxhxwxi, kernel_hxwxixo
    if x.ndim != 4 or kernel.ndim != 4:
        raise ValueError(f"conv expects images (b, h, w, i) and a kernel (h, w, i, o); got {x.shape}, {kernel.shape}")
    if x.shape[3] != kernel.shape[2] * groups or kernel.shape[3] % groups:
        raise ValueError(f"conv: images {x.shape} and kernel {kernel.shape} do not match in {groups} group(s)")
    if x.dtype != kernel.dtype:
        raise ValueError(f"conv expects images and kernel of one dtype; got {x.dtype}, {kernel.dtype}")
    height, width = (d * (k - 1) + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True))
    pads = resolve_pads(padding, (x.shape[1], x.shape[2]), (height, width), strides)
    geometry = Geometry(x.shape[1:], kernel.shape, _pair(strides), pads, _pair(dilation), groups)
    if 0 in geometry.out:
        raise ValueError(f"conv: a window of {geometry.window} is larger than images {x.shape} with padding {pads}")
    return bind("output", x, kernel, geometry)


def _pair(values: Sequence[int]) -> Pair:
    first, second = values
    return int(first), int(second)


class Conv(nn.Module):
    """`conv` with a learned kernel and bias; fields and parameters have the names and shapes of `flax.linen.Conv`."""

    features: int
    kernel_size: Pair = (3, 3)
    strides: Pair = (1, 1)
    padding: Padding = "SAME"
    kernel_dilation: Pair = (1, 1)
    feature_group_count: int = 1
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x_bxhxwxi: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x_bxhxwxi.shape[-1] // self.feature_group_count, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        out = conv(
            x_bxhxwxi, kernel.astype(x_bxhxwxi.dtype),
            strides=self.strides, padding=self.padding, dilation=self.kernel_dilation, groups=self.feature_group_count,
        )  # fmt: skip
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            out = out + bias.astype(out.dtype)
        return out
