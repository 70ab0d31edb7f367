"""The convolutions of MobileNetV3-Large (Howard et al., 2019, arXiv:1905.02244), with a choice of output stride.

They match torchvision's and timm's, paddings included, so that their weights fit.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.models.backbones.efficientnet_lite import scaled_channels
from imgloc.nn.feature_maps import FeatureMaps
from imgloc.nn.inverted_residual import InvertedResidual, batch_norm, conv1x1, stem
from imgloc.nn.output_stride import check_output_stride, next_stride
from imgloc.nn.standardize import standardize

TINY = {"width": 0.1}
STEM = 16  # channels
LAST_EXPANSION = 6  # the ratio of the channels of the last convolution to those of the last stage
SQUEEZE = 4  # the ratio of a block's hidden channels to the units of its squeeze-and-excitation


class BlockSpec(NamedTuple):
    """A block: a row of table 1 of the paper."""

    stage: int
    kernel: int
    hidden: int
    channels: int
    squeezed: bool
    hard_swish: bool  # else ReLU
    stride: int


BLOCKS = (
    BlockSpec(1, 3, 16, 16, False, False, 1),
    BlockSpec(2, 3, 64, 24, False, False, 2),
    BlockSpec(2, 3, 72, 24, False, False, 1),
    BlockSpec(3, 5, 72, 40, True, False, 2),
    BlockSpec(3, 5, 120, 40, True, False, 1),
    BlockSpec(3, 5, 120, 40, True, False, 1),
    BlockSpec(4, 3, 240, 80, False, True, 2),
    BlockSpec(4, 3, 200, 80, False, True, 1),
    BlockSpec(4, 3, 184, 80, False, True, 1),
    BlockSpec(4, 3, 184, 80, False, True, 1),
    BlockSpec(5, 3, 480, 112, True, True, 1),
    BlockSpec(5, 3, 672, 112, True, True, 1),
    BlockSpec(6, 5, 672, 160, True, True, 2),
    BlockSpec(6, 5, 960, 160, True, True, 1),
    BlockSpec(6, 5, 960, 160, True, True, 1),
)


def block_names() -> list[str]:
    """The names of the blocks, in order: `stage1_block1` and so on."""
    stages = [row.stage for row in BLOCKS]
    return [f"stage{stage}_block{stages[: number + 1].count(stage)}" for number, stage in enumerate(stages)]


class Backbone(nn.Module):
    """The stem, the six stages, and a last 1x1 convolution."""

    width: float = 1.0  # scale of the number of channels
    output_stride: int = 32  # image pixels per cell of the last feature map: 8, 16 or 32
    epsilon: float = 1e-3  # of batch normalization: that of torchvision; timm's is 1e-5
    mean: tuple[float, ...] = (0.0,)  # subtracted from the images: one number, or one for each channel
    std: tuple[float, ...] = (1.0,)  # that the images are divided by then

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> FeatureMaps:
        """Returns the maps of the stem and of the stages, those of the last convolution in the place of the last stage's."""
        check_output_stride(self.output_stride)
        if self.width <= 0:
            raise UserError(f"model.width must be above 0, got {self.width}")
        norm = batch_norm(train, momentum=0.99, epsilon=self.epsilon)
        images = standardize(images_bxhxwxc, self.mean, self.std)
        x = nn.hard_swish(norm(name="stem_norm")(stem(scaled_channels(STEM, self.width))(images)))
        maps = {0: x}  # by stage

        reached, dilation = 2, 1  # product of the strides so far, and dilation of the next depthwise convolutions
        for row, name in zip(BLOCKS, block_names(), strict=True):
            dilation_before = dilation
            stride, reached, dilation = next_stride(reached, dilation, row.stride, output_stride=self.output_stride)
            hidden, out = (scaled_channels(channels, self.width) for channels in (row.hidden, row.channels))
            activation = nn.hard_swish if row.hard_swish else nn.relu
            maps[row.stage] = x = InvertedResidual(
                out, hidden, row.kernel, stride, dilation_before, row.stride == 1 and x.shape[-1] == out,
                squeezed=scaled_channels(hidden // SQUEEZE, 1) if row.squeezed else 0, activation=activation, squeeze_activation=nn.relu,
                gate=nn.hard_sigmoid, norm=norm, name=name,
            )(x)  # fmt: skip
        last = nn.hard_swish(norm(name="last_norm")(conv1x1(LAST_EXPANSION * x.shape[-1], "last")(x)))
        return (*list(maps.values())[:-1], last[:, None])
