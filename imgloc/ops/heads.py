"""The end of a network: its class logits and its box, each a dense layer on a vector of features."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc import boxes


def class_and_box(class_features_bxc: jax.Array, box_features_bxc: jax.Array | None, *, num_classes: int) -> dict[str, jax.Array]:
    """`logits` (b, num_classes), and `box` (b, 4) in float32 where there are features for it.

    Called in a module's compact method, to which it adds the layers `classes` and `box`.
    """
    outputs = {"logits": nn.Dense(num_classes, name="classes")(class_features_bxc)}
    if box_features_bxc is not None:
        outputs["box"] = boxes.from_low_size_logits(nn.Dense(4, name="box")(box_features_bxc).astype(jnp.float32), nn.sigmoid)
    return outputs
