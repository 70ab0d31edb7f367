"""Class activation mapping with thresholded average pooling, negative weight clamping and percentiles (Bae, Noh and Kim, ECCV 2020).

"Rethinking Class Activation Mapping for Weakly Supervised Object Localization" finds three reasons why the maps of CAM cover only part
of an object, and removes each: the average over the whole image favors channels that are active in small areas; negative weights cancel
activations inside of the object; and the maximum, which thresholds refer to, varies more than a high percentile. In its tables the three
together are better than CAM, Hide-and-Seek and ADL on the same networks.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.models.backbones.cnn import conv_norm_relu
from imgloc.nn.feature_maps import FeatureMaps, last_maps


class Head(nn.Module):
    """Outputs: logits; score_maps, with weights of at least 0 and cut at the percentile."""

    channels: int = 64  # of the 3x3 convolution before the pooling
    pooling_threshold: float = 0.1  # share of the maximum of a channel from which its locations are averaged
    percentile: float = 90.0  # of a map, which takes the place of its maximum

    @nn.compact
    def __call__(self, maps: FeatureMaps, num_classes: int, *, label_b: jax.Array | None, train: bool) -> dict[str, jax.Array]:
        """Returns the outputs for the maps of a backbone, of which the last are used. Raises UserError for options out of range."""
        if not 0 <= self.pooling_threshold < 1:
            raise UserError(f"model.head.pooling_threshold must be at least 0 and below 1, got {self.pooling_threshold}")
        if not 0 < self.percentile <= 100:
            raise UserError(f"model.head.percentile must be above 0 and at most 100, got {self.percentile}")
        x = conv_norm_relu(last_maps(maps), self.channels, train)
        classes = nn.Dense(num_classes, name="classes")
        logits = classes(thresholded_average(x, self.pooling_threshold))
        weights_cxk = jnp.maximum(classes.variables["params"]["kernel"], 0)
        return {"logits": logits, "score_maps": cut_at_percentile(x @ weights_cxk, self.percentile)}


def thresholded_average(x_bxhxwxc: jax.Array, threshold: float) -> jax.Array:
    """Returns the mean (b, c) of each channel over the locations where it is above `threshold` times its maximum; 0 without any."""
    above = (x_bxhxwxc > threshold * x_bxhxwxc.max(axis=(1, 2), keepdims=True)).astype(x_bxhxwxc.dtype)
    return (x_bxhxwxc * above).sum(axis=(1, 2)) / jnp.maximum(above.sum(axis=(1, 2)), 1)


def cut_at_percentile(maps_bxhxwxk: jax.Array, percentile: float) -> jax.Array:
    """Returns maps whose values are at most their percentile, so that a share of their range is a share of it."""
    flat_bxpxk = maps_bxhxwxk.reshape(maps_bxhxwxk.shape[0], -1, maps_bxhxwxk.shape[-1])
    limit_bxk = jnp.percentile(flat_bxpxk.astype(jnp.float32), percentile, axis=1).astype(maps_bxhxwxk.dtype)
    return jnp.minimum(maps_bxhxwxk, limit_bxk[:, None, None])
