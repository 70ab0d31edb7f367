"""The end of a network: its class logits, and its box from a vector of features or from heat maps of its edges."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc import boxes
from imgloc.nn.conv import Conv


def class_and_box(class_features_bxc: jax.Array, box_features_bxc: jax.Array | None, *, num_classes: int) -> dict[str, jax.Array]:
    """`logits` (b, num_classes), and `box` (b, 4) in float32 where there are features for it.

    Called in a module's compact method, to which it adds the layers `classes` and `box`.
    """
    outputs = {"logits": nn.Dense(num_classes, name="classes")(class_features_bxc)}
    if box_features_bxc is not None:
        outputs["box"] = boxes.from_low_size_logits(nn.Dense(4, name="box")(box_features_bxc).astype(jnp.float32), nn.sigmoid)
    return outputs


def class_and_edges(maps_bxhxwxc: jax.Array, pooled_bxc: jax.Array, *, num_classes: int) -> tuple[dict[str, jax.Array], jax.Array]:
    """`logits` (b, num_classes) and `box` (b, 4), and the heat maps (b, h, w, 4) whose expected positions are the box's edges.

    Called in a module's compact method, to which it adds the layers `classes`, `edges` and `shift`: what the maps' grid
    cannot say, up to a twentieth of a side, comes from the pooled features.
    """
    edges = Conv(4, (3, 3), name="edges")(maps_bxhxwxc)
    shift = nn.Dense(4, kernel_init=nn.initializers.zeros, name="shift")(pooled_bxc)
    box = boxes.from_edges(clipped_with_gradient(soft_edges(edges) + 0.05 * jnp.tanh(shift.astype(jnp.float32))))
    return {"logits": nn.Dense(num_classes, name="classes")(pooled_bxc), "box": box}, edges


@jax.custom_jvp
def clipped_with_gradient(x: jax.Array) -> jax.Array:
    """Cut to [0, 1]; its gradient is 1 beyond them too, so that an edge which was pushed out of the image can be pulled back in.

    The straight-through estimator (Bengio et al., 2013, arXiv:1308.3432).
    """
    return jnp.clip(x, 0.0, 1.0)


@clipped_with_gradient.defjvp
def _clipped_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return jnp.clip(primals[0], 0.0, 1.0), tangents[0]


def soft_edges(maps_bxhxwx4: jax.Array) -> jax.Array:
    """Expected positions (b, 4) in [0, 1] of x0, y0, x1, y1 under the softmax of one heat map each.

    Nibali et al., 2018, arXiv:1801.07372.
    """
    maps = maps_bxhxwx4.astype(jnp.float32)
    b, h, w, _ = maps.shape
    probability = jax.nn.softmax(maps.reshape(b, h * w, 4), axis=1).reshape(b, h, w, 4)
    # A grid from 0 to 1, so that an edge may lie on the image's own edge.
    x = (probability.sum(axis=1) * jnp.linspace(0, 1, w)[:, None]).sum(axis=1)
    y = (probability.sum(axis=2) * jnp.linspace(0, 1, h)[:, None]).sum(axis=1)
    return jnp.stack([x[:, 0], y[:, 1], x[:, 2], y[:, 3]], axis=-1)
