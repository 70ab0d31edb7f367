"""EfficientNet-Lite0 (Tan and Le, 2019, arXiv:1905.11946, in TensorFlow's Lite variant), with an output stride to choose.

Inverted residual blocks (MBConv; Sandler et al., 2018, arXiv:1801.04381) without squeeze-and-excitation,
ReLU6, stem and head of one width at every scale. TensorFlow's SAME padding, so weights made there fit.
Stochastic depth, a part of the published training, is left out.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.models.heads.class_and_box import class_and_box
from imgloc.nn.conv import Conv
from imgloc.nn.output_stride import check_output_stride, next_stride
from imgloc.types import Outputs

TINY = {"width": 0.1, "depth": 0.25, "head": 64}
STEM = 32  # channels
CHANNEL_STEP = 8  # scaled channels are multiples of it
DENSE_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# A depthwise kernel's fan is its window: (h, w, 1, c) has that as its fan in.
DEPTHWISE_INIT = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


class Stage(NamedTuple):
    """A row of the paper's table 1: MBConv blocks that share their kernel and the channels they give."""

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


class Model(nn.Module):
    """Outputs: logits; box where `locate`; features: stem, stage1 to stage7 and head (b, h, w, c), pooled (b, head).

    Width and depth of Lite0 are 1; of Lite1 to Lite4: 1 and 1.1, 1.1 and 1.2, 1.2 and 1.4, 1.4 and 1.8.
    """

    num_classes: int
    width: float = 1.0  # scale of the stages' channels
    depth: float = 1.0  # scale of the number of blocks in all stages but the first and the last
    head: int = 1280  # channels after the stages
    dropout: float = 0.2  # before the classes
    output_stride: int = 32  # image pixels a cell of the last map: 8, 16 or 32
    locate: bool = True  # with a box head

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_output_stride(self.output_stride)
        if min(self.width, self.depth) <= 0:
            raise UserError(f"scales (model.width, model.depth) are {self.width} and {self.depth}; possible: above 0, 1 for Lite0")
        x = Conv(STEM, (3, 3), (2, 2), use_bias=False, kernel_init=DENSE_INIT, name="stem")(images)
        x = nn.relu6(_norm(train, "stem_norm")(x))
        features = {"stem": x}

        reached, dilation = 2, 1  # the product of strides so far, and what the next depthwise convolutions step over
        for number, stage in enumerate(STAGES, start=1):
            scaled = number not in (1, len(STAGES))
            for index in range(math.ceil(stage.blocks * self.depth) if scaled else stage.blocks):
                wanted = stage.stride if index == 0 else 1
                before = dilation
                stride, reached, dilation = next_stride(reached, dilation, wanted, output_stride=self.output_stride)
                out = scaled_channels(stage.channels, self.width)
                skip = index > 0 or (wanted == 1 and x.shape[-1] == out)
                block = Block(out, stage.expansion, stage.kernel, stride, before, skip, name=f"stage{number}_block{index + 1}")
                x = block(x, train=train)
            features[f"stage{number}"] = x

        x = Conv(self.head, (1, 1), use_bias=False, kernel_init=DENSE_INIT, name="head")(x)
        features["head"] = x = nn.relu6(_norm(train, "head_norm")(x))
        features["pooled"] = pooled = x.mean(axis=(1, 2))
        dropped = nn.Dropout(self.dropout, deterministic=not train)(pooled)
        return {**class_and_box(dropped, pooled if self.locate else None, num_classes=self.num_classes), "features": features}


class Block(nn.Module):
    """MBConv: a 1x1 convolution to more channels (where `expansion` is above 1), a depthwise one, a 1x1 back without activation."""

    features: int
    expansion: int
    kernel: int
    stride: int
    dilation: int
    skip: bool  # the input is added; said by the caller, as it depends on the stride before dilation took its place

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        norm = functools.partial(_norm, train)
        hidden = x.shape[-1] * self.expansion
        y = x
        if self.expansion > 1:
            y = nn.relu6(norm("expand_norm")(Conv(hidden, (1, 1), use_bias=False, kernel_init=DENSE_INIT, name="expand")(y)))
        depthwise = Conv(
            hidden, (self.kernel, self.kernel), (self.stride, self.stride), kernel_dilation=(self.dilation, self.dilation),
            feature_group_count=hidden, use_bias=False, kernel_init=DEPTHWISE_INIT, name="depthwise",
        )  # fmt: skip
        y = nn.relu6(norm("depthwise_norm")(depthwise(y)))
        y = norm("project_norm")(Conv(self.features, (1, 1), use_bias=False, kernel_init=DENSE_INIT, name="project")(y))
        out: jax.Array = x + y if self.skip else y
        return out


def scaled_channels(channels: int, width: float) -> int:
    """The multiple of 8 nearest to `channels` times `width`, and never less than nine tenths of it."""
    wanted = channels * width
    nearest = max(CHANNEL_STEP, int(wanted + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return nearest + CHANNEL_STEP if nearest < 0.9 * wanted else nearest


def _norm(train: bool, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=not train, momentum=0.99, epsilon=1e-3, name=name)
