"""What transforms that mix the images of a batch share: which images meet, their soft labels, and which examples change."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.types import Array, Batch


def partners(key: jax.Array, example_mask_b: Array, count: int) -> jax.Array:
    """The next `count` examples (b, count) of each example in one random cycle through all of them, without padding.

    So no image meets itself, and every image is as often a partner as any other. With too few examples the cycle repeats. The partner of
    padding, and of a single example, is itself.
    """
    mask_b = jnp.asarray(example_mask_b)
    order_b = jnp.argsort(jnp.where(mask_b, jax.random.uniform(key, mask_b.shape), 2.0))  # padding comes last
    place_bxc = (jnp.argsort(order_b)[:, None] + 1 + jnp.arange(count)) % jnp.maximum(mask_b.sum(), 1)
    return jnp.where(mask_b[:, None], order_b[place_bxc], jnp.arange(len(mask_b))[:, None])


def soft_labels(batch: Batch, num_classes: int) -> jax.Array:
    """The soft labels (b, k) of a batch, or its labels as one-hot rows."""
    if batch.soft_label_bxk is not None:
        return jnp.asarray(batch.soft_label_bxk)
    return jax.nn.one_hot(batch.label_b, num_classes, dtype=jnp.float32)


def with_probability(
    key: jax.Array, probability: float, changed: Batch, batch: Batch, num_classes: int = 0, *, partner_b: Array | None = None
) -> Batch:
    """Each example of `changed` with a probability, else that of `batch`; padding is that of `batch`.

    `num_classes` makes the soft labels that `changed` has and `batch` may not have. With `partner_b`, an example that is its own partner
    does not change.
    """
    change_b = jax.random.bernoulli(key, probability, batch.label_b.shape) & batch.example_mask_b
    if partner_b is not None:
        change_b &= partner_b != jnp.arange(len(partner_b))
    if num_classes:
        batch = batch._replace(soft_label_bxk=soft_labels(batch, num_classes))

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(change_b.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    chosen: Batch = jax.tree.map(choose, changed, batch)
    return chosen


def enclosing(first_bx4: Array, second_bx4: Array) -> jax.Array:
    """The smallest boxes (..., 4) that contain both."""
    low = jnp.minimum(first_bx4[..., :2], second_bx4[..., :2])
    return jnp.concatenate([low, jnp.maximum(first_bx4[..., 2:], second_bx4[..., 2:])], axis=-1)
