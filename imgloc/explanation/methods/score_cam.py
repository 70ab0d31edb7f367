"""Score-CAM (Wang et al., 2019, arXiv:1910.01279)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.explanation.method import Method, normalize
from imgloc.explanation.question import Question


def score_cam(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array, *, channels: int = 0) -> jax.Array:
    """Channels weighted by a softmax of the scores of the image seen through each of them, positive part (algorithm 1).

    A channel is enlarged bilinearly and normalized to be a mask. `channels` above 0 reads only those that vary most over the image. Masks
    are enlarged with pixels as areas; pytorch-grad-cam aligns the centers of their corners instead. The paper subtracts the score
    of a baseline, which the softmax makes irrelevant.
    """
    activation, _ = question.split(images_bxhxwxc)
    if 0 < channels < activation.shape[-1]:
        _, chosen = jax.lax.top_k(activation.std(axis=(1, 2)), channels)
        activation = jnp.take_along_axis(activation, chosen[:, None, None], axis=-1)

    def score_through(maps_bxhxw: jax.Array) -> jax.Array:
        mask = normalize(jax.image.resize(maps_bxhxw, images_bxhxwxc.shape[:3], "linear"))
        return question.score(images_bxhxwxc * mask[..., None])

    scores_cxb = jax.lax.map(score_through, jnp.moveaxis(activation, -1, 0))
    return jax.nn.relu(jnp.einsum("bhwc,cb->bhw", activation, jax.nn.softmax(scores_cxb, axis=0)))


METHOD = Method(
    "the channels of a layer, weighted by the score of the image seen through each of them",
    score_cam,
    cost="one forward pass for each channel of the layer",
    at_layer=True,
)
