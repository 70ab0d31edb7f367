"""A model with a bit of everything that could depend on how a batch lies: convolutions, batch statistics, dropout, a dense layer."""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc import boxes
from imgloc.nn.conv import Conv
from imgloc.nn.dropout import Dropout
from imgloc.nn.pool import max_pool
from imgloc.types import Outputs

TINY = {"hidden": 8}
INPUT_FIELDS = ("dropout",)


class Model(nn.Module):
    """Outputs: logits, box."""

    num_classes: int
    hidden: int = 32
    dropout: float = 0.1

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        x = max_pool(nn.relu(Conv(4, (3, 3), (2, 2))(images)), (2, 2), (2, 2), "SAME")
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(Conv(8)(x)))
        x = nn.relu(nn.Dense(self.hidden)(x.reshape(x.shape[0], -1)))
        x = Dropout(self.dropout, deterministic=not train)(x)
        return {"logits": nn.Dense(self.num_classes)(x), "box": boxes.from_low_size_logits(nn.Dense(4)(x), nn.sigmoid)}
