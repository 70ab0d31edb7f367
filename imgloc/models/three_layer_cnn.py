"""A CNN of three convolutions with pooling, a dense layer and a softmax over the classes, with an optional box head.

The defaults are those of the published Keras program: 3x3 kernels without padding, 32, 64 and 128 channels, 2x2 max pooling after each
convolution, 512 dense units, Glorot uniform kernels (Glorot and Bengio, 2010) and biases of 0.
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
    """Outputs: logits; box with `locate`; features: dense (b, hidden)."""

    num_classes: int
    channels: tuple[int, ...] = (32, 64, 128)
    kernel_size: int = 3
    hidden: int = 512
    activation: str = "relu"  # or sigmoid
    pooling: str = "max"  # or average
    locate: bool = True  # adds a box head

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
