"""Adversarial complementary learning: a second classifier sees what the first one does not need (Zhang et al., 2018, arXiv:1804.06962).

Both are trained with the cross-entropy: the second one is the output `second_logits`, which needs an entry of its own in the losses.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.models.backbones.cnn import conv_norm_relu
from imgloc.models.heads.class_maps import class_maps
from imgloc.nn.feature_maps import FeatureMaps, last_maps
from imgloc.nn.min_max import min_max


class Head(nn.Module):
    """Outputs: logits and second_logits of the two classifiers; score_maps, the larger value of their normalized maps.

    The location of the true class in training, and of the predicted class in evaluation, is hidden from the second classifier. The paper's
    scores with a known class hide that of the true class, which differs for images of which the class is wrong.
    """

    channels: int = 64  # of the two 3x3 convolutions of each classifier, 1024 in the paper
    threshold: float = 0.6  # of the normalized map of the first classifier, from which locations are hidden

    @nn.compact
    def __call__(self, maps: FeatureMaps, num_classes: int, *, label_b: jax.Array | None, train: bool) -> dict[str, jax.Array]:
        """Returns the outputs for the last maps of a backbone, and for the true classes (b,) where they are known."""
        features_bxhxwxc = last_maps(maps)
        logits, first = Classifier(self.channels, num_classes, name="first")(features_bxhxwxc, train=train)
        left = without_class(features_bxhxwxc, first, logits.argmax(axis=-1) if label_b is None else label_b, self.threshold)
        second_logits, second = Classifier(self.channels, num_classes, name="second")(left, train=train)
        return {"logits": logits, "second_logits": second_logits, "score_maps": jnp.maximum(min_max(first), min_max(second))}


class Classifier(nn.Module):
    """Two convolutions, and the maps of the classes."""

    channels: int
    num_classes: int

    @nn.compact
    def __call__(self, features_bxhxwxc: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Returns logits (b, k) and the maps (b, h, w, k) whose means they are."""
        x = conv_norm_relu(conv_norm_relu(features_bxhxwxc, self.channels, train), self.channels, train)
        return class_maps(x, self.num_classes)


def without_class(features_bxhxwxc: jax.Array, maps_bxhxwxk: jax.Array, label_b: jax.Array, threshold: float) -> jax.Array:
    """Returns the features, zero where the normalized map of a class is at least the threshold."""
    own_bxhxwx1 = jnp.take_along_axis(maps_bxhxwxk, label_b[:, None, None, None], axis=-1)
    return features_bxhxwxc * (min_max(jax.lax.stop_gradient(own_bxhxwx1)) < threshold).astype(features_bxhxwxc.dtype)
