"""The JAX models that are timed: imgloc's own, and three small ones."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from benchmarks.works import GLIMPSES, Work
from imgloc.config.registry import find
from imgloc.nn.cells import lstm
from imgloc.nn.conv import Conv
from imgloc.nn.norm import GroupNorm
from imgloc.nn.pool import max_pool
from imgloc.nn.scan_order import image_to_sequence
from imgloc.types import Outputs

IMGLOC_MODELS: dict[str, tuple[str, dict[str, Any]]] = {  # model of a work -> module in imgloc.models and its fields
    "three_layer_cnn": ("three_layer_cnn", {"locate": False}),
    "resnet18": ("resnet", {"depth": 18, "locate": False}),
    "resnet50": ("resnet", {"depth": 50, "locate": False}),
    "efficientnet_lite0": ("efficientnet_lite", {"locate": False}),
    **{name: ("ram", fields) for name, fields in GLIMPSES.items()},
}


class DigitsCNN(nn.Module):
    """Five 3x3 convolutions with GroupNorm and ReLU, pooled after the first, third and fifth; dense 128."""

    num_classes: int
    channels: tuple[int, ...] = (16, 32, 32, 64, 64)
    groups: int = 8
    hidden: int = 128

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Logits for images (b, h, w, c)."""
        x = images
        for i, features in enumerate(self.channels):
            x = nn.relu(GroupNorm(self.groups)(Conv(features, (3, 3))(x)))
            x = max_pool(x, (2, 2), strides=(2, 2)) if i % 2 == 0 else x
        x = nn.relu(nn.Dense(self.hidden)(x.reshape(x.shape[0], -1)))
        return {"logits": nn.Dense(self.num_classes, name="classes")(x)}


class RowLSTM(nn.Module):
    """An LSTM over the rows of an image, and a dense layer on its last state."""

    num_classes: int
    features: int = 50

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Logits for images (b, h, w, c), read in h steps of w * c numbers."""
        rows = lstm.Layer(self.features, name="rows")(images.reshape(*images.shape[:2], -1))
        return {"logits": nn.Dense(self.num_classes, name="classes")(rows[:, -1])}


class Recurrence(nn.Module):
    """A recurrent layer over an image, and a dense layer on its last state, averaged over space for maps."""

    num_classes: int
    cell: str
    units: int
    order: str  # rows, pixels or maps
    form: str = ""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Logits for images (b, h, w, c)."""
        maps = self.order == "maps"
        sequence = jnp.moveaxis(images, -1, 1)[..., None] if maps else image_to_sequence(images, self.order)
        settings = {"form": self.form} if self.form else {}
        last = find("nn.cells", self.cell).Layer(features=self.units, name="cell", **settings)(sequence)[:, -1]
        return {"logits": nn.Dense(self.num_classes, name="classes")(last.mean((1, 2)) if maps else last)}


def make_model(work: Work) -> nn.Module:
    """Returns the linen module of a work."""
    if work.model == "digits_cnn":
        return DigitsCNN(work.classes)
    if work.model == "lstm":
        return RowLSTM(work.classes)
    if work.model == "recurrence":
        return Recurrence(work.classes, work.cell, work.units, work.order, work.form)
    module, fields = IMGLOC_MODELS[work.model]
    model: nn.Module = find("models", module).Model(num_classes=work.classes, **fields)
    return model
