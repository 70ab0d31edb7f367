"""A model with one dense layer."""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc import boxes
from imgloc.types import Outputs


class Model(nn.Module):
    """Outputs: logits, box."""

    num_classes: int
    scale: float = 1.0

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        x = nn.Dense(self.num_classes + 4)(self.scale * images.reshape(images.shape[0], -1))
        return {"logits": x[:, 4:], "box": boxes.from_low_size_logits(x[:, :4], nn.sigmoid)}
