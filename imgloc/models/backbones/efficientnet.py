"""The convolutions of EfficientNet (Tan and Le, 2019, arXiv:1905.11946), with a choice of output stride.

They match torchvision's and timm's, which pad symmetrically, so that their weights fit; TensorFlow's do not. Stochastic depth, which is
part of the published training, is not implemented.
"""

from __future__ import annotations

import math

import jax
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.models.backbones.efficientnet_lite import STAGES, STEM, BlockPlan, apply_stages, scaled_channels
from imgloc.nn.feature_maps import FeatureMaps
from imgloc.nn.inverted_residual import InvertedResidual, batch_norm, conv1x1, stem
from imgloc.nn.output_stride import check_output_stride
from imgloc.nn.standardize import standardize

TINY = {"width": 0.1, "depth": 0.25, "last": 16}
SQUEEZE = 4  # the ratio of a block's input channels to the units of its squeeze-and-excitation


class Backbone(nn.Module):
    """The stem, the seven stages, and a last 1x1 convolution. Width and depth are 1 and 1 for B0, and 1 and 1.1 for B1."""

    width: float = 1.0  # scale of the number of channels of the stem and the stages
    depth: float = 1.0  # scale of the number of blocks of each stage
    last: int = 1280  # channels of the last convolution; not scaled
    output_stride: int = 32  # image pixels per cell of the last feature map: 8, 16 or 32
    mean: tuple[float, ...] = (0.0,)  # subtracted from the images: one number, or one for each channel
    std: tuple[float, ...] = (1.0,)  # that the images are divided by then

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> FeatureMaps:
        """Returns the maps of the stem and of the stages, those of the last convolution in the place of the last stage's."""
        check_output_stride(self.output_stride)
        if min(self.width, self.depth) <= 0:
            raise UserError(f"model.width and model.depth must be above 0 (1 for B0), got {self.width} and {self.depth}")
        norm = batch_norm(train, momentum=0.9, epsilon=1e-5)
        x = nn.silu(norm(name="stem_norm")(stem(scaled_channels(STEM, self.width))(standardize(images_bxhxwxc, self.mean, self.std))))

        def block(x: jax.Array, at: BlockPlan) -> jax.Array:
            channels = x.shape[-1]
            out: jax.Array = InvertedResidual(
                at.features, channels * at.expansion, at.kernel, at.stride, at.dilation, at.skip, squeezed=max(1, channels // SQUEEZE),
                activation=nn.silu, squeeze_activation=nn.silu, gate=nn.sigmoid, norm=norm, name=at.name,
            )(x)  # fmt: skip
            return out

        maps = apply_stages(x, block, [math.ceil(stage.blocks * self.depth) for stage in STAGES], self.width, self.output_stride)
        last = nn.silu(norm(name="last_norm")(conv1x1(self.last, "last")(maps[-1])))
        return (x, *maps[:-1], last[:, None])
