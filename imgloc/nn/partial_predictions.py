"""What a recurrent model would have answered had it stopped reading earlier: after which steps, and what it had read by then."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.types import IntArray


def evenly(count: int, at_most: int) -> IntArray:
    """The indices of up to `at_most` of `count` steps, evenly spaced; the last step is always one of them."""
    kept = min(count, at_most)
    return (np.arange(1, kept + 1) * count + kept - 1) // kept - 1


def read_by(places: IntArray, steps_s: IntArray) -> jax.Array:
    """1.0 where a place has been read by a step, else 0.0, (s, *places.shape); `places` says which step reads each."""
    steps = steps_s.reshape(-1, *[1] * places.ndim)
    return jnp.asarray(places <= steps, jnp.float32)


def ending_with(answers_bxsxk: jax.Array, answer_bxk: jax.Array) -> jax.Array:
    """Answers (b, s, k) whose last one is the model's own, bit for bit: products of other shapes round otherwise."""
    return jnp.concatenate([answers_bxsxk[:, :-1], answer_bxk[:, None].astype(answers_bxsxk.dtype)], axis=1)


def for_each(array: jax.Array, examples: int) -> jax.Array:
    """The same array (b, ...) for each of b examples."""
    return jnp.broadcast_to(array, (examples, *array.shape))
