"""Class activation mapping: a convolution, global average pooling and a dense layer (Zhou et al., 2016, arXiv:1512.04150)."""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc.models.backbones.cnn import conv_norm_relu
from imgloc.models.heads.class_maps import class_maps
from imgloc.nn.feature_maps import FeatureMaps, last_maps


class Head(nn.Module):
    """Outputs: logits; score_maps, whose means are the logits."""

    channels: int = 64  # of the 3x3 convolution before the pooling, which the paper adds with 1024 channels (section 3)

    @nn.compact
    def __call__(self, maps: FeatureMaps, num_classes: int, *, label_b: jax.Array | None, train: bool) -> dict[str, jax.Array]:
        """Returns the outputs for the maps of a backbone, of which the last are used."""
        logits, score_maps = class_maps(conv_norm_relu(last_maps(maps), self.channels, train), num_classes)
        return {"logits": logits, "score_maps": score_maps}
