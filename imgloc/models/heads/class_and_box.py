"""Heads that predict the class and the box: from feature vectors, or the box from heat maps of its edges."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import unknown
from imgloc.nn.conv import Conv


def class_and_box(
    class_features_bxc: jax.Array, box_features_bxc: jax.Array | None, *, num_classes: int, maps_bxhxwxc: jax.Array | None = None
) -> dict[str, jax.Array]:
    """`logits` (b, num_classes) and, if there are features for it, `box` (b, 4) in float32.

    `score_maps` (b, h, w, num_classes) too if there are `maps_bxhxwxc`; see `classify`. To be called in the compact method of a module,
    to which it adds the layers `classes` and `box`.
    """
    outputs = classify(class_features_bxc, num_classes, maps_bxhxwxc)
    if box_features_bxc is not None:
        outputs["box"] = boxes.from_low_size_logits(nn.Dense(4, name="box")(box_features_bxc).astype(jnp.float32), nn.sigmoid)
    return outputs


def class_and_edges(
    maps_bxhxwxc: jax.Array, pooled_bxc: jax.Array, *, num_classes: int, score_maps: bool = False
) -> tuple[dict[str, jax.Array], jax.Array]:
    """`logits` (b, num_classes) and `box` (b, 4), and the heat maps (b, h, w, 4) whose expected positions are the edges of the box.

    With `score_maps` also those (b, h, w, num_classes) of the classes, if the pooled features are the averages of the maps. To be called
    in the compact method of a module, to which it adds the layers `classes`, `edges` and `shift`. The shift, predicted from the pooled
    features, corrects each edge by up to a twentieth of the image, since the maps are coarse.
    """
    edges = Conv(4, (3, 3), name="edges")(maps_bxhxwxc)
    shift = nn.Dense(4, kernel_init=nn.initializers.zeros, name="shift")(pooled_bxc)
    box = boxes.from_edges(straight_through_clip(soft_argmax_edges(edges) + 0.05 * jnp.tanh(shift.astype(jnp.float32))))
    return {**classify(pooled_bxc, num_classes, maps_bxhxwxc if score_maps else None), "box": box}, edges


def is_from_maps(box_from: str) -> bool:
    """Whether `class_and_edges` predicts the box, from `maps`, instead of `class_and_box`, from `pooled`. Raises UserError for others."""
    if box_from not in ("pooled", "maps"):
        raise unknown("source of the box (model.box_from)", box_from, ("pooled", "maps"))
    return box_from == "maps"


def classify(features_bxc: jax.Array, num_classes: int, maps_bxhxwxc: jax.Array | None) -> dict[str, jax.Array]:
    """`logits` (b, num_classes), by the layer `classes`, and `score_maps` (b, h, w, num_classes) if there are maps.

    The maps are those whose averages the features are. Their scores are the class activation maps (Zhou et al., 2016, arXiv:1512.04150):
    the average of a map is the logit.
    """
    classes = nn.Dense(num_classes, name="classes")
    outputs = {"logits": classes(features_bxc)}
    return outputs if maps_bxhxwxc is None else {**outputs, "score_maps": classes(maps_bxhxwxc)}


@jax.custom_jvp
def straight_through_clip(x: jax.Array) -> jax.Array:
    """x clipped to [0, 1] with a gradient of 1 everywhere (straight-through estimator; Bengio et al., 2013, arXiv:1308.3432).

    An edge outside of the image can thus still be moved back into it.
    """
    return jnp.clip(x, 0.0, 1.0)


@straight_through_clip.defjvp
def _straight_through_clip_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return jnp.clip(primals[0], 0.0, 1.0), tangents[0]


def soft_argmax_edges(maps_bxhxwx4: jax.Array) -> jax.Array:
    """Expected positions (b, 4) in [0, 1] of x0, y0, x1, y1 under the softmax of one heat map each (soft-argmax, arXiv:1801.07372)."""
    maps = maps_bxhxwx4.astype(jnp.float32)
    b, h, w, _ = maps.shape
    probability = jax.nn.softmax(maps.reshape(b, h * w, 4), axis=1).reshape(b, h, w, 4)
    # The grid reaches from 0 to 1, so that an edge may be at the border of the image.
    x = (probability.sum(axis=1) * jnp.linspace(0, 1, w)[:, None]).sum(axis=1)
    y = (probability.sum(axis=2) * jnp.linspace(0, 1, h)[:, None]).sum(axis=1)
    return jnp.stack([x[:, 0], y[:, 1], x[:, 2], y[:, 3]], axis=-1)
