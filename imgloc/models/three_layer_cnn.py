"""The seed's CNN: three convolutions with pooling, a dense layer, a softmax over the classes; here with a box as well.

As published: 3x3 kernels of 32, 64 and 128 channels, VALID, each followed by 2x2 max pooling; dense 512; kernels drawn
as Keras draws them (Glorot and Bengio, 2010, uniform), biases 0.
"""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import look_up
from imgloc.nn.conv import Conv
from imgloc.nn.pool import average_pool, max_pool
from imgloc.types import Outputs

TINY = {"channels": (4, 8), "hidden": 8}
ACTIVATIONS = {"relu": nn.relu, "sigmoid": nn.sigmoid}
POOLS = {"max": max_pool, "average": average_pool}


class Model(nn.Module):
    """Outputs: logits; box where `locate`; features: dense (b, hidden)."""

    num_classes: int
    channels: tuple[int, ...] = (32, 64, 128)
    kernel_size: int = 3
    hidden: int = 512
    activation: str = "relu"  # or sigmoid
    pooling: str = "max"  # or average
    locate: bool = True  # with a box head

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        activation = look_up("activation (model.activation)", self.activation, ACTIVATIONS)
        pool = look_up("pooling (model.pooling)", self.pooling, POOLS)
        glorot = nn.initializers.glorot_uniform()
        x = images
        for features in self.channels:
            x = pool(activation(Conv(features, (self.kernel_size, self.kernel_size), padding="VALID", kernel_init=glorot)(x)))
        dense = activation(nn.Dense(self.hidden, kernel_init=glorot)(x.reshape(x.shape[0], -1)))
        outputs = {"logits": nn.Dense(self.num_classes, kernel_init=glorot, name="classes")(dense), "features": {"dense": dense}}
        if self.locate:
            outputs["box"] = boxes.from_low_size_logits(nn.Dense(4, kernel_init=glorot, name="box")(dense), nn.sigmoid)
        return outputs
