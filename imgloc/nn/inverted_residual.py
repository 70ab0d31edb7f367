"""Inverted residual blocks (Sandler et al., 2018, arXiv:1801.04381) with squeeze-and-excitation (Hu et al., 2017, arXiv:1709.01507).

Padding is symmetric, as in PyTorch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
from flax import linen as nn

from imgloc.nn.conv import Conv

Function = Callable[[jax.Array], jax.Array]
DENSE_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# The fan of a depthwise kernel (h, w, 1, c) is its window, which is its fan in.
DEPTHWISE_INIT = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


class InvertedResidual(nn.Module):
    """A 1x1 convolution to `hidden` channels (unless the input has them), a depthwise one, and a linear 1x1 convolution.

    With `squeezed` the channels are scaled before the last one: by the gate of a dense layer of that many units over their means.
    """

    features: int
    hidden: int
    kernel: int
    stride: int
    dilation: int
    skip: bool  # adds the input; the caller decides, because dilation may have replaced the stride
    squeezed: int  # 0: no squeeze-and-excitation
    activation: Function
    squeeze_activation: Function
    gate: Function
    norm: Callable[..., nn.Module]  # batch normalization, called with a name

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns maps (b, h / stride, w / stride, features), rounded up."""
        y = x
        if self.hidden != x.shape[-1]:
            y = self.activation(self.norm(name="expand_norm")(conv1x1(self.hidden, "expand")(y)))
        pad = self.dilation * (self.kernel - 1) // 2
        depthwise = Conv(
            self.hidden, (self.kernel, self.kernel), (self.stride, self.stride), ((pad, pad), (pad, pad)),
            kernel_dilation=(self.dilation, self.dilation), feature_group_count=self.hidden, use_bias=False,
            kernel_init=DEPTHWISE_INIT, name="depthwise",
        )  # fmt: skip
        y = self.activation(self.norm(name="depthwise_norm")(depthwise(y)))
        if self.squeezed:
            means = self.squeeze_activation(nn.Dense(self.squeezed, name="squeeze")(y.mean(axis=(1, 2), keepdims=True)))
            y = y * self.gate(nn.Dense(self.hidden, name="excite")(means))
        y = self.norm(name="project_norm")(conv1x1(self.features, "project")(y))
        out: jax.Array = x + y if self.skip else y
        return out


def conv1x1(features: int, name: str) -> Conv:
    """Returns a 1x1 convolution without a bias."""
    return Conv(features, (1, 1), use_bias=False, kernel_init=DENSE_INIT, name=name)


def stem(features: int, name: str = "stem") -> Conv:
    """Returns a 3x3 convolution of stride 2 without a bias."""
    return Conv(features, (3, 3), (2, 2), ((1, 1), (1, 1)), use_bias=False, kernel_init=DENSE_INIT, name=name)


def batch_norm(train: bool, momentum: float, epsilon: float) -> Callable[..., nn.Module]:
    """Returns a function of a name that makes the batch normalization of a network."""
    return functools.partial(nn.BatchNorm, use_running_average=not train, momentum=momentum, epsilon=epsilon)
