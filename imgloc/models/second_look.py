"""A two-stage convolutional localizer: the second stage reads a crop around the box that the first stage predicts.

The first stage predicts class logits and, from heat maps at stride 4, the edges of the box as expected positions (soft-argmax; Nibali et
al., 2018, arXiv:1801.07372). The crop is sampled as in spatial transformers (Jaderberg et al., 2015, arXiv:1506.02025). From it, the
second stage predicts a correction of the logits and the edges again. No gradient passes through the position of the crop, so a recipe
needs a loss on `first_box` as well.
"""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc import boxes
from imgloc.models.heads.class_and_box import soft_argmax_edges
from imgloc.nn import glimpse
from imgloc.nn.conv import Conv
from imgloc.nn.dropout import Dropout
from imgloc.nn.pool import global_max_pool, max_pool
from imgloc.types import Outputs

TINY = {"stem": (4, 4), "middle": 4, "deep": 8, "look": (4, 4, 4), "hidden": 8, "crop": 8}
INPUT_FIELDS = ("dropout",)  # inputs of the compiled training step


class Model(nn.Module):
    """Outputs: logits, box, first_logits, first_box; features: deep (b, h, w, c), edges (b, h, w, 4), crop (b, s, s, c)."""

    explained_layer: ClassVar[str] = "deep"  # of methods that explain by a layer, where all of the score passes through none

    num_classes: int
    stem: tuple[int, ...] = (16, 32)  # channels of the two stride-2 convolutions
    middle: int = 32  # channels at stride 4
    deep: int = 64  # channels at stride 8
    look: tuple[int, ...] = (32, 64, 128)  # channels of the convolutions of the second stage
    hidden: int = 192  # units of the dense layer of the second stage
    crop: int = 24  # pixels a side of the crop
    margin: float = 1.3  # ratio of the side of the crop to that of the box
    jitter: float = 0.1  # of the crop in training: standard deviation of its center, in box sides, and of its log side
    dropout: float = 0.25

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        deep, edges, first_box, first_logits = FirstStage(self.stem, self.middle, self.deep, self.num_classes, name="first")(
            images, train=train
        )
        second = SecondStage(self.look, self.hidden, self.dropout, self.num_classes, name="second")
        window = self._window(first_box, 4 / images.shape[1], train)
        crop = glimpse.read_window(images, glimpse.bilinear_weights(window, self.crop, *images.shape[1:3]))
        logits_correction, edges_in_crop = second(crop, train=train)
        # From coordinates of the crop to those of the image: edge = center + (position - 1/2) side.
        center, side = jnp.tile(window[:, :2], (1, 2)), jnp.tile(window[:, 2:], (1, 2))
        box = boxes.from_edges(center + (edges_in_crop - 0.5) * side)
        outputs = {"logits": first_logits + logits_correction, "box": box, "first_logits": first_logits, "first_box": first_box}
        return {**outputs, "features": {"deep": deep, "edges": edges, "crop": crop}}

    def _window(self, box: jax.Array, min_side: float, train: bool) -> jax.Array:
        """Center and sides (b, 4) of the crop: the box with a margin, randomly shifted and scaled in training."""
        box = jax.lax.stop_gradient(box)
        center, side = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
        if train and self.jitter > 0:
            noise = jax.random.normal(self.make_rng("dropout"), box.shape, box.dtype) * self.jitter
            center, side = center + noise[:, :2] * side, side * jnp.exp(noise[:, 2:])
        return jnp.concatenate([center, jnp.maximum(side * self.margin, min_side)], axis=-1)


class FirstStage(nn.Module):
    """The first stage: the last maps, heat maps of the edges, box and class logits from the whole image."""

    stem: tuple[int, ...]
    middle: int
    deep: int
    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        x = images
        for features in self.stem:
            x = _conv_norm_relu(x, features, train, strides=2)
        x = _conv_norm_relu(x, self.middle, train)
        y = max_pool(x)
        y = _conv_norm_relu(y, self.deep, train)
        y = _conv_norm_relu(y, self.deep, train)
        logits = nn.Dense(self.num_classes)(global_max_pool(y))

        context = nn.relu(Conv(self.middle, (1, 1))(y))
        context = jax.image.resize(context, (*x.shape[:3], self.middle), "nearest")
        x = _conv_norm_relu(jnp.concatenate([x, context], axis=-1), self.middle, train)
        edges = Conv(4, (3, 3))(x)
        shift = nn.Dense(4, kernel_init=nn.initializers.zeros)(y.mean(axis=(1, 2)))
        return y, edges, boxes.from_edges(soft_argmax_edges(edges) + 0.05 * jnp.tanh(shift.astype(jnp.float32))), logits


class SecondStage(nn.Module):
    """The second stage: class logits and box edges, in coordinates of the crop."""

    channels: tuple[int, ...]
    hidden: int
    dropout: float | jax.Array
    num_classes: int

    @nn.compact
    def __call__(self, crop: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        x = crop
        for i, features in enumerate(self.channels):
            x = _conv_norm_relu(x, features, train)
            if i < 2:
                x = max_pool(x)
            if i == 0:
                fine = x
        edges = soft_argmax_edges(Conv(4, (3, 3))(_conv_norm_relu(fine, self.channels[0] // 2, train)))
        x = x.reshape(x.shape[0], -1)
        x = Dropout(self.dropout, deterministic=not train)(x)
        x = nn.relu(nn.Dense(self.hidden)(x))
        x = Dropout(self.dropout, deterministic=not train)(x)
        shift = nn.Dense(4, kernel_init=nn.initializers.zeros)(x)
        return nn.Dense(self.num_classes)(x), edges + 0.1 * jnp.tanh(shift.astype(jnp.float32))


def _conv_norm_relu(x: jax.Array, features: int, train: bool, strides: int = 1) -> jax.Array:
    x = Conv(features, (3, 3), (strides, strides), use_bias=False)(x)
    return nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.95)(x))
