"""The convolutions of ConvNeXt (Liu et al., 2022, arXiv:2201.03545); the defaults are those of ConvNeXt-Tiny.

They match torchvision's and timm's, so that their weights fit. Stochastic depth, which is part of the published training, is not
implemented.
"""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.conv import Conv
from imgloc.nn.feature_maps import FeatureMaps
from imgloc.nn.standardize import standardize

TINY = {"channels": (4, 8, 8, 8), "blocks": (1, 1, 1, 1)}
EXPANSION = 4  # of the channels inside a block
LAYER_SCALE = 1e-6  # the initial factor of a block's residual
INIT = nn.initializers.truncated_normal(0.02)


class Backbone(nn.Module):
    """A stem of 4x4 patches, and stages with a 2x2 convolution of stride 2 between them."""

    channels: tuple[int, ...] = (96, 192, 384, 768)  # of each stage
    blocks: tuple[int, ...] = (3, 3, 9, 3)  # of each stage
    mean: tuple[float, ...] = (0.0,)  # subtracted from the images: one number, or one for each channel
    std: tuple[float, ...] = (1.0,)  # that the images are divided by then

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> FeatureMaps:
        """Returns the maps of the stages, at strides 4, 8, 16 and 32, rounded down."""
        if len(self.channels) != len(self.blocks) or not self.channels:
            raise UserError(f"model.channels {self.channels} and model.blocks {self.blocks} must have one number for each stage")
        stride = 4 * 2 ** (len(self.channels) - 1)
        if min(images_bxhxwxc.shape[1:3]) < stride:
            raise UserError(f"a ConvNeXt with {len(self.channels)} stages needs images of at least {stride}x{stride} pixels")
        x = standardize(images_bxhxwxc, self.mean, self.std)
        maps = []
        for stage, (channels, blocks) in enumerate(zip(self.channels, self.blocks, strict=True), start=1):
            if stage == 1:
                x = layer_norm("stem_norm")(Conv(channels, (4, 4), (4, 4), "VALID", kernel_init=INIT, name="stem")(x))
            else:
                x = layer_norm(f"stage{stage}_norm")(x)
                x = Conv(channels, (2, 2), (2, 2), "VALID", kernel_init=INIT, name=f"stage{stage}_reduce")(x)
            for block in range(1, blocks + 1):
                x = Block(name=f"stage{stage}_block{block}")(x)
            maps.append(x)
        return (*maps[:-1], x[:, None])


class Block(nn.Module):
    """A depthwise 7x7 convolution, layer normalization and two dense layers; the sum is added to the input."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        depthwise = Conv(channels, (7, 7), padding=((3, 3), (3, 3)), feature_group_count=channels, kernel_init=INIT, name="depthwise")
        y = layer_norm("norm")(depthwise(x))
        y = nn.gelu(nn.Dense(EXPANSION * channels, kernel_init=INIT, name="expand")(y), approximate=False)
        y = nn.Dense(channels, kernel_init=INIT, name="project")(y)
        scale = self.param("layer_scale", nn.initializers.constant(LAYER_SCALE), (channels,))
        return x + y * scale.astype(y.dtype)


def layer_norm(name: str) -> nn.LayerNorm:
    """Returns the layer normalization of all layers; its variance is not a difference of large numbers, as in PyTorch."""
    return nn.LayerNorm(epsilon=1e-6, use_fast_variance=False, name=name)
