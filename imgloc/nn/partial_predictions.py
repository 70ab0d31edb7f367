"""The predictions of a recurrent model if it stopped after part of its input: at which steps, and what it had seen by then."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.types import IntArray


def evenly_spaced_steps(count: int, limit: int) -> IntArray:
    """Returns the indices of up to `limit` of `count` steps, evenly spaced; the last step is always included."""
    kept = min(count, limit)
    return (np.arange(1, kept + 1) * count + kept - 1) // kept - 1


def seen_by_step(read_at: IntArray, steps_s: IntArray) -> jax.Array:
    """Returns `(s, *read_at.shape)`: 1.0 where a place has been read by a step, else 0.0; `read_at` is the step that reads each place."""
    steps = steps_s.reshape(-1, *[1] * read_at.ndim)
    return jnp.asarray(read_at <= steps, jnp.float32)


def with_final_prediction(predictions_bxsxk: jax.Array, final_bxk: jax.Array) -> jax.Array:
    """Returns the predictions (b, s, k) with the last one replaced by the model's own, as products of other shapes round differently."""
    return jnp.concatenate([predictions_bxsxk[:, :-1], final_bxk[:, None].astype(predictions_bxsxk.dtype)], axis=1)


def broadcast_to_batch(array: jax.Array, examples: int) -> jax.Array:
    """Returns the same array for each of b examples, (b, ...)."""
    return jnp.broadcast_to(array, (examples, *array.shape))
