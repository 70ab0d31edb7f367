"""What each step of a model that reads an image in several steps adds to the score: each row, column or glimpse."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.errors import UserError
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def step_gain(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """The change of the score at each step, spread evenly over the part of the image that the step reads.

    That part is the window of the step where the model has fixations, else what no earlier step has read. The first step is compared
    with that of a black image. Raises UserError where the model has no partial predictions of what the target reads.
    """
    gain_bxs, read_bxsxhxw = _gains(question, images_bxhxwxc)
    share = read_bxsxhxw / jnp.maximum(read_bxsxhxw.sum(axis=(2, 3), keepdims=True), 1e-6)
    return jnp.einsum("bs,bshw->bhw", gain_bxs, share)


def _gains(question: Question, images_bxhxwxc: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The gain of each step, and the share of each cell of a grid over the image that it reads."""
    partial = question.outputs(images_bxhxwxc).get("partial_predictions")
    black = question.outputs(jnp.zeros_like(images_bxhxwxc)).get("partial_predictions")
    if partial is None or black is None:
        raise UserError("step_gain requires a model that reads an image in several steps (output partial_predictions), as recurrent ones")

    def score_at_step(outputs: dict[str, jax.Array]) -> jax.Array:
        return question.objective(outputs, question.index_bxm)

    try:
        score_bxs = jax.vmap(score_at_step, in_axes=1, out_axes=1)(partial)
        before_b = score_at_step({name: value[:, 0] for name, value in black.items()})
    except KeyError as error:
        raise UserError(f"step_gain: the partial predictions of this model have no {error}; possible: another target") from error
    gain_bxs = jnp.diff(score_bxs, axis=1, prepend=before_b[:, None])
    seen_bxsxhxw = partial["seen"]
    if "fixations" in partial:
        return gain_bxs, _covered(partial["fixations"], *seen_bxsxhxw.shape[2:])
    return gain_bxs, jnp.diff(seen_bxsxhxw, axis=1, prepend=0)


def _covered(windows_bxsx4: jax.Array, height: int, width: int) -> jax.Array:
    """The share (b, s, height, width) of each cell of a grid that lies in a window."""

    def along(low_bxs: jax.Array, high_bxs: jax.Array, size: int) -> jax.Array:
        edges = jnp.arange(size + 1) / size
        overlap = jnp.minimum(high_bxs[..., None], edges[1:]) - jnp.maximum(low_bxs[..., None], edges[:-1])
        return jnp.maximum(overlap, 0.0) * size

    x0, y0, x1, y1 = jnp.moveaxis(windows_bxsx4, -1, 0)
    return along(y0, y1, height)[..., :, None] * along(x0, x1, width)[..., None, :]


METHOD = Method(
    "what each step of a recurrent model adds to the score: each row, column or glimpse",
    step_gain,
    cost="one forward pass for the image and one for a black image",
    signed=True,
)
