"""A head that predicts an object at each step of a set decoder: its class, its box, and whether there is one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc import boxes

LARGEST_SHIFT = 0.25  # image sides between the center of a box and that of the attention
FIRST_SIDE = -1.5  # the logit of a box's sides before training: 18 % of the image


class ObjectHead(nn.Module):
    """A dense layer, and one for each prediction. The center of a box is that of the attention plus a small learned shift."""

    num_classes: int
    units: int

    @nn.compact
    def __call__(self, states_bxmxd: jax.Array, center_bxmx2: jax.Array) -> dict[str, jax.Array]:
        """Returns `object_logits` (b, m, k), `object_boxes` (b, m, 4) in [0, 1], and `object_presence` (b, m), a logit."""
        hidden = nn.relu(nn.Dense(self.units, name="hidden")(states_bxmxd))
        place = nn.Dense(4, name="box", kernel_init=nn.initializers.normal(0.01))(hidden).astype(jnp.float32)
        center = center_bxmx2 + LARGEST_SHIFT * jnp.tanh(place[..., :2])
        half = nn.sigmoid(place[..., 2:] + FIRST_SIDE) / 2
        return {
            "object_logits": nn.Dense(self.num_classes, name="classes")(hidden),
            "object_boxes": boxes.from_edges(jnp.concatenate([center - half, center + half], axis=-1)),
            "object_presence": nn.Dense(1, name="presence")(hidden)[..., 0],
        }
