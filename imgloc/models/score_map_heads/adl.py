"""The head of class activation mapping with attention-based dropout layers (Choe and Shim, 2019, arXiv:1908.10028).

In training, such a layer multiplies its maps either with a mask without their most discriminative part, or with their own attention.
The paper inserts it in several places of a network; here these are before and after the convolution of the head, so that any backbone
can be used.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.models.backbones.cnn import conv_norm_relu
from imgloc.models.heads.class_maps import class_maps
from imgloc.nn.feature_maps import FeatureMaps, last_maps


class Head(nn.Module):
    """Outputs: logits; score_maps, whose means are the logits."""

    channels: int = 64  # of the 3x3 convolution before the pooling
    drop_rate: float = 0.75  # probability of the mask; else the attention
    drop_threshold: float = 0.9  # share of the largest attention of an image from which locations are masked

    @nn.compact
    def __call__(self, maps: FeatureMaps, num_classes: int, *, label_b: jax.Array | None, train: bool) -> dict[str, jax.Array]:
        """Returns the outputs for the maps of a backbone, of which the last are used. Raises UserError for options outside [0, 1]."""
        for name in ("drop_rate", "drop_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"model.head.{name} must be from 0 to 1, got {getattr(self, name)}")
        x = conv_norm_relu(self._drop(last_maps(maps), train), self.channels, train)
        logits, score_maps = class_maps(self._drop(x, train), num_classes)
        return {"logits": logits, "score_maps": score_maps}

    def _drop(self, x: jax.Array, train: bool) -> jax.Array:
        if not train:
            return x
        use_mask = jax.random.bernoulli(self.make_rng("dropout"), self.drop_rate)
        return attention_dropout(x, use_mask, self.drop_threshold)


def attention_dropout(x_bxhxwxc: jax.Array, use_mask: jax.Array, threshold: float) -> jax.Array:
    """Returns the maps times the drop mask or, unless `use_mask`, times the importance map; one choice for the batch, as in the paper.

    The attention is the mean over the channels. The mask is 0 where it is at least `threshold` times its maximum in the image, and the
    importance is its sigmoid.
    """
    attention_bxhxwx1 = x_bxhxwxc.mean(axis=-1, keepdims=True)
    mask = attention_bxhxwx1 < threshold * attention_bxhxwx1.max(axis=(1, 2), keepdims=True)
    return x_bxhxwxc * jnp.where(use_mask, mask.astype(x_bxhxwxc.dtype), nn.sigmoid(attention_bxhxwx1))
