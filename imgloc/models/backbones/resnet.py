"""The convolutions of residual networks of 18 and 50 layers (He et al., 2016, arXiv:1512.03385), with a choice of output stride.

They match torchvision's, paddings included, so that its weights fit: the stride of a bottleneck block is in its 3x3 convolution ("v1.5"),
not in the first 1x1. With a smaller output stride, every n-th position of a finer map equals the map of the plain network.
"""

from __future__ import annotations

import functools

import jax
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.conv import Conv
from imgloc.nn.feature_maps import FeatureMaps
from imgloc.nn.output_stride import check_output_stride, next_stride
from imgloc.nn.pool import max_pool
from imgloc.nn.standardize import standardize

TINY = {"width": 8}
STAGES = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}  # depth -> blocks of each stage
BOTTLENECK = (50,)  # depths with bottleneck blocks; the others have basic blocks of two 3x3 convolutions
EXPANSION = 4  # ratio of the output channels of a bottleneck to those of its 3x3 convolution
HE_NORMAL = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Backbone(nn.Module):
    """The stem and the four stages."""

    depth: int = 18  # or 50
    width: int = 64  # channels of the stem; each stage has twice as many as the one before
    output_stride: int = 32  # image pixels per cell of the last feature map: 8, 16 or 32
    mean: tuple[float, ...] = (0.0,)  # subtracted from the images: one number, or one for each channel
    std: tuple[float, ...] = (1.0,)  # that the images are divided by then

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> FeatureMaps:
        """Returns the maps of the stem (stride 2) and of stages 1 (4) to 4 (`output_stride`), the last ones (b, 1, h', w', d)."""
        if self.depth not in STAGES:
            raise UserError(f"model.depth must be one of {', '.join(map(str, STAGES))}, got {self.depth}")
        check_output_stride(self.output_stride)
        images = standardize(images_bxhxwxc, self.mean, self.std)
        x = Conv(self.width, (7, 7), (2, 2), ((3, 3), (3, 3)), use_bias=False, kernel_init=HE_NORMAL, name="stem")(images)
        x = nn.relu(_norm(train, "stem_norm")(x))
        maps = [x]
        x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))

        reached, dilation = 4, 1  # product of the strides so far, and dilation of the next 3x3 convolutions
        for stage, blocks in enumerate(STAGES[self.depth]):
            for index in range(blocks):
                plain_stride = 2 if stage > 0 and index == 0 else 1
                dilation_before = dilation
                stride, reached, dilation = next_stride(reached, dilation, plain_stride, output_stride=self.output_stride)
                name, dilations = f"stage{stage + 1}_block{index + 1}", (dilation_before, dilation)
                x = Block(self.width * 2**stage, stride, dilations, self.depth in BOTTLENECK, name=name)(x, train=train)
            maps.append(x)
        return (*maps[:-1], x[:, None])


class Block(nn.Module):
    """A basic or bottleneck residual block; its shortcut is a 1x1 convolution where the number of channels changes."""

    features: int
    stride: int
    dilation: tuple[int, int]  # of the convolution with the stride, and of those after it
    bottleneck: bool

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        norm = functools.partial(_norm, train)
        before, after = self.dilation
        if self.bottleneck:
            out = self.features * EXPANSION
            y = nn.relu(norm("norm1")(_conv1x1(self.features, 1, "conv1")(x)))
            y = nn.relu(norm("norm2")(_conv3x3(self.features, self.stride, before, "conv2")(y)))
            y = norm("norm3")(_conv1x1(out, 1, "conv3")(y))
        else:
            out = self.features
            y = nn.relu(norm("norm1")(_conv3x3(out, self.stride, before, "conv1")(x)))
            y = norm("norm2")(_conv3x3(out, 1, after, "conv2")(y))
        # The stride does not decide: dilation may replace it, and the parameters must be those of the plain network.
        if x.shape[-1] != out:
            x = norm("shortcut_norm")(_conv1x1(out, self.stride, "shortcut")(x))
        return nn.relu(x + y)


def _conv3x3(features: int, stride: int, dilation: int, name: str) -> Conv:
    pads = ((dilation, dilation), (dilation, dilation))
    return Conv(
        features, (3, 3), (stride, stride), pads, kernel_dilation=(dilation, dilation), use_bias=False, kernel_init=HE_NORMAL, name=name
    )  # fmt: skip


def _conv1x1(features: int, stride: int, name: str) -> Conv:
    return Conv(features, (1, 1), (stride, stride), "VALID", use_bias=False, kernel_init=HE_NORMAL, name=name)


def _norm(train: bool, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, name=name)
