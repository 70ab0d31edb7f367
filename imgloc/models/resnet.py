"""Residual networks of 18 and 50 layers (He et al., 2016, arXiv:1512.03385), with an output stride to choose.

As PyTorch builds them, paddings included, so that weights made there fit: the stride of a bottleneck
lies in its 3x3 convolution ("v1.5"), not in the first 1x1. The finer maps of a smaller output stride
are, at every n-th position, the maps of the plain network.
"""

from __future__ import annotations

import functools

import jax
from flax import linen as nn

from imgloc.errors import UserError, unknown
from imgloc.models.heads.class_and_box import class_and_box, class_and_edges
from imgloc.nn.conv import Conv
from imgloc.nn.output_stride import check_output_stride, next_stride
from imgloc.nn.pool import max_pool
from imgloc.types import Outputs

TINY = {"width": 8}
STAGES = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}  # depth -> blocks of each stage
BOTTLENECK = (50,)  # depths whose blocks narrow and widen; the others have two 3x3 convolutions
EXPANSION = 4  # channels that leave a bottleneck, in those of its 3x3 convolution
HE = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Model(nn.Module):
    """Outputs: logits; box where `locate`; features: stem (stride 2), stage1 (4) to stage4 (`output_stride`), pooled (b, c), edges."""

    num_classes: int
    depth: int = 18  # or 50
    width: int = 64  # channels of the stem; each stage has twice those of the one before
    output_stride: int = 32  # image pixels a cell of the last map: 8, 16 or 32
    locate: bool = True  # with a box head
    box_from: str = "pooled"  # features; or maps: a heat map of each edge on the last map, finer with a smaller output_stride

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        if self.depth not in STAGES:
            raise UserError(f"depth (model.depth) is {self.depth}; possible: {', '.join(map(str, STAGES))}")
        check_output_stride(self.output_stride)
        if self.box_from not in ("pooled", "maps"):
            raise unknown("place of the box (model.box_from)", self.box_from, ("pooled", "maps"))
        x = Conv(self.width, (7, 7), (2, 2), ((3, 3), (3, 3)), use_bias=False, kernel_init=HE, name="stem")(images)
        x = nn.relu(_norm(train, "stem_norm")(x))
        features = {"stem": x}
        x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))

        reached, dilation = 4, 1  # the product of strides so far, and what the next 3x3 convolutions step over
        for stage, blocks in enumerate(STAGES[self.depth]):
            for index in range(blocks):
                wanted = 2 if stage > 0 and index == 0 else 1
                before = dilation
                stride, reached, dilation = next_stride(reached, dilation, wanted, output_stride=self.output_stride)
                block = Block(
                    self.width * 2**stage, stride, (before, dilation), self.depth in BOTTLENECK, name=f"stage{stage + 1}_block{index + 1}"
                )
                x = block(x, train=train)
            features[f"stage{stage + 1}"] = x

        features["pooled"] = pooled = x.mean(axis=(1, 2))
        if self.locate and self.box_from == "maps":
            outputs, features["edges"] = class_and_edges(x, pooled, num_classes=self.num_classes)
        else:
            outputs = class_and_box(pooled, pooled if self.locate else None, num_classes=self.num_classes)
        return {**outputs, "features": features}


class Block(nn.Module):
    """A residual block, basic or bottleneck: what its convolutions give is added to its input, or to a 1x1 projection of it."""

    features: int
    stride: int
    dilation: tuple[int, int]  # of the convolution that bears the stride, and of those after it
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
        # Not by the stride: where dilation has taken its place, the parameters must stay the same.
        if x.shape[-1] != out:
            x = norm("shortcut_norm")(_conv1x1(out, self.stride, "shortcut")(x))
        return nn.relu(x + y)


def _conv3x3(features: int, stride: int, dilation: int, name: str) -> Conv:
    pads = ((dilation, dilation), (dilation, dilation))
    return Conv(
        features, (3, 3), (stride, stride), pads, kernel_dilation=(dilation, dilation), use_bias=False, kernel_init=HE, name=name
    )  # fmt: skip


def _conv1x1(features: int, stride: int, name: str) -> Conv:
    return Conv(features, (1, 1), (stride, stride), "VALID", use_bias=False, kernel_init=HE, name=name)


def _norm(train: bool, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, name=name)
