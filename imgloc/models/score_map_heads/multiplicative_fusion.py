"""Class activation mapping of shallow and deep features that are multiplied (Wei et al., CVPR 2021, arXiv:2108.00873).

"Shallow Feature Matters for Weakly Supervised Object Localization" observes that added or concatenated shallow features do not improve
the maps, because the background of the shallow ones remains, and that a product removes it: a location needs both. This is its first
stage, the initial maps. The channel attention before the product and the second stage, a segmentation network that is trained on these
maps, are left out.
"""

from __future__ import annotations

import functools
import operator

import jax
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.models.backbones.cnn import conv_norm_relu
from imgloc.models.heads.class_maps import class_maps
from imgloc.nn.feature_maps import FeatureMaps, last_maps


class Head(nn.Module):
    """Outputs: logits; score_maps, whose means are the logits, as fine as the finest fused maps."""

    channels: int = 64  # of the 3x3 convolution of each fused map
    fused: int = 2  # maps of the backbone that are multiplied, the coarsest ones

    @nn.compact
    def __call__(self, maps: FeatureMaps, num_classes: int, *, label_b: jax.Array | None, train: bool) -> dict[str, jax.Array]:
        """Returns the outputs for the maps of a backbone, of which there may be fewer than `fused`."""
        if self.fused < 1:
            raise UserError(f"model.head.fused must be at least 1, got {self.fused}")
        deep = (*maps[:-1], last_maps(maps))[-self.fused :]
        size = (*deep[0].shape[:3], self.channels)
        factors = [jax.image.resize(conv_norm_relu(each, self.channels, train), size, "bilinear") for each in deep]
        logits, score_maps = class_maps(functools.reduce(operator.mul, factors), num_classes)
        return {"logits": logits, "score_maps": score_maps}
