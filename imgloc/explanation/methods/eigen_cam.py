"""Eigen-CAM (Muhammad and Yeasin, 2020, arXiv:2008.00299)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def eigen_cam(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """The first principal component of the layer over its locations, positive part; it does not depend on the target.

    Channels are centered over the locations, as pytorch-grad-cam does; the paper does not center. The sign of a principal component is
    arbitrary; here it is the one that goes with the mean of the channels, so that active locations are high.
    """
    activation, _ = question.split(images_bxhxwxc)
    b, h, w, c = activation.shape
    x_bxnxc = activation.reshape(b, h * w, c)
    x_bxnxc = x_bxnxc - x_bxnxc.mean(axis=1, keepdims=True)
    if h * w <= c:  # the eigenvectors of the smaller of the two products
        values, vectors = jnp.linalg.eigh(jnp.einsum("bnc,bmc->bnm", x_bxnxc, x_bxnxc))
        projected_bxn = vectors[..., -1] * jnp.sqrt(jnp.maximum(values[:, -1:], 0.0))
    else:
        _, vectors = jnp.linalg.eigh(jnp.einsum("bnc,bnd->bcd", x_bxnxc, x_bxnxc))
        projected_bxn = jnp.einsum("bnc,bc->bn", x_bxnxc, vectors[..., -1])
    sign_bx1 = jnp.where((projected_bxn * x_bxnxc.mean(axis=-1)).sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    return jax.nn.relu((sign_bx1 * projected_bxn).reshape(b, h, w))


METHOD = Method(
    "what varies most over the positions of a layer; it does not depend on the target",
    eigen_cam,
    cost="one forward pass up to the layer",
    at_layer=True,
)
