"""The convolutions of EfficientNet-Lite (Tan and Le, 2019, arXiv:1905.11946, in TensorFlow's Lite variant), with a choice of output stride.

The Lite variant has inverted residual blocks (MBConv; Sandler et al., 2018, arXiv:1801.04381) without squeeze-and-excitation, ReLU6, and a
stem whose width is not scaled. Padding is TensorFlow's SAME, so that its weights fit. Stochastic depth, which is part of the
published training, is not implemented.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.conv import Conv
from imgloc.nn.feature_maps import FeatureMaps
from imgloc.nn.inverted_residual import DENSE_INIT, DEPTHWISE_INIT
from imgloc.nn.output_stride import check_output_stride, next_stride
from imgloc.nn.standardize import standardize

TINY = {"width": 0.1, "depth": 0.25}
STEM = 32  # channels
CHANNEL_STEP = 8  # scaled numbers of channels are multiples of this


class Stage(NamedTuple):
    """A row of table 1 of the paper: MBConv blocks with the same kernel size and output channels."""

    expansion: int
    kernel: int
    stride: int  # of the first block
    channels: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)


class Backbone(nn.Module):
    """The stem and the seven stages.

    Width and depth are 1 and 1 for Lite0; for Lite1 to Lite4: 1 and 1.1, 1.1 and 1.2, 1.2 and 1.4, 1.4 and 1.8.
    """

    width: float = 1.0  # scale of the number of channels of the stages
    depth: float = 1.0  # scale of the number of blocks in all stages but the first and the last
    output_stride: int = 32  # image pixels per cell of the last feature map: 8, 16 or 32
    mean: tuple[float, ...] = (0.0,)  # subtracted from the images: one number, or one for each channel
    std: tuple[float, ...] = (1.0,)  # that the images are divided by then

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> FeatureMaps:
        """Returns the maps of the stem and of the stages, the last ones (b, 1, h', w', d)."""
        check_output_stride(self.output_stride)
        images = standardize(images_bxhxwxc, self.mean, self.std)
        if min(self.width, self.depth) <= 0:
            raise UserError(f"model.width and model.depth must be above 0 (1 for Lite0), got {self.width} and {self.depth}")
        x = Conv(STEM, (3, 3), (2, 2), use_bias=False, kernel_init=DENSE_INIT, name="stem")(images)
        x = nn.relu6(norm(train, "stem_norm")(x))

        def block(x: jax.Array, at: BlockPlan) -> jax.Array:
            out: jax.Array = Block(at.features, at.expansion, at.kernel, at.stride, at.dilation, at.skip, name=at.name)(x, train=train)
            return out

        maps = apply_stages(x, block, blocks_of_stages(self.depth), self.width, self.output_stride)
        return (x, *maps[:-1], maps[-1][:, None])


class Block(nn.Module):
    """MBConv: a 1x1 convolution to `expansion` times the channels (unless it is 1), a depthwise and a linear 1x1 convolution."""

    features: int
    expansion: int
    kernel: int
    stride: int
    dilation: int
    skip: bool  # adds the input; the caller decides, because dilation may have replaced the stride

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        batch_norm = functools.partial(norm, train)
        hidden = x.shape[-1] * self.expansion
        y = x
        if self.expansion > 1:
            y = nn.relu6(batch_norm("expand_norm")(Conv(hidden, (1, 1), use_bias=False, kernel_init=DENSE_INIT, name="expand")(y)))
        depthwise = Conv(
            hidden, (self.kernel, self.kernel), (self.stride, self.stride), kernel_dilation=(self.dilation, self.dilation),
            feature_group_count=hidden, use_bias=False, kernel_init=DEPTHWISE_INIT, name="depthwise",
        )  # fmt: skip
        y = nn.relu6(batch_norm("depthwise_norm")(depthwise(y)))
        y = batch_norm("project_norm")(Conv(self.features, (1, 1), use_bias=False, kernel_init=DENSE_INIT, name="project")(y))
        out: jax.Array = x + y if self.skip else y
        return out


class BlockPlan(NamedTuple):
    """What a block of a stage is, as the width and the output stride of the network make it."""

    name: str
    features: int
    expansion: int
    kernel: int
    stride: int
    dilation: int
    skip: bool


def apply_stages(
    x: jax.Array, block: Callable[[jax.Array, BlockPlan], jax.Array], blocks: Sequence[int], width: float, output_stride: int
) -> list[jax.Array]:
    """Returns the maps of each of `STAGES` for those of a stem of stride 2; `blocks` is the number of blocks of each stage."""
    maps = []
    reached, dilation = 2, 1  # product of the strides so far, and dilation of the next depthwise convolutions
    for number, (stage, count) in enumerate(zip(STAGES, blocks, strict=True), start=1):
        features = scaled_channels(stage.channels, width)
        for index in range(count):
            plain_stride = stage.stride if index == 0 else 1
            dilation_before = dilation
            stride, reached, dilation = next_stride(reached, dilation, plain_stride, output_stride=output_stride)
            skip = plain_stride == 1 and x.shape[-1] == features
            name = f"stage{number}_block{index + 1}"
            x = block(x, BlockPlan(name, features, stage.expansion, stage.kernel, stride, dilation_before, skip))
        maps.append(x)
    return maps


def blocks_of_stages(depth: float) -> tuple[int, ...]:
    """The number of blocks of each stage: scaled, and rounded up, in all but the first and the last."""
    return (STAGES[0].blocks, *(math.ceil(stage.blocks * depth) for stage in STAGES[1:-1]), STAGES[-1].blocks)


def scaled_channels(channels: int, width: float) -> int:
    """The multiple of 8 that is nearest to `channels * width` but at least nine tenths of it."""
    scaled = channels * width
    nearest = max(CHANNEL_STEP, int(scaled + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return nearest + CHANNEL_STEP if nearest < 0.9 * scaled else nearest


def norm(train: bool, name: str) -> nn.BatchNorm:
    """Returns the batch normalization of all layers."""
    return nn.BatchNorm(use_running_average=not train, momentum=0.99, epsilon=1e-3, name=name)
