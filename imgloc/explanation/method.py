"""The declaration of an explanation method (`METHOD`), and what all of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from imgloc.explanation.question import Question
from imgloc.nn.min_max import min_max

#: `(question, images_bxhxwxc in [0, 1], keys_b, **options)` -> raw score maps (b, h', w'), higher where the score comes from.
Explain: TypeAlias = Callable[..., jax.Array]


@dataclass(frozen=True)
class Method:
    """An explanation method: one file of imgloc/explanation/methods.

    `function(question, images_bxhxwxc, keys_b, **options)` takes a random key for each image. It is pure and can be jitted with the
    options as constants. It returns raw maps (b, h', w') of any size, in float32.
    """

    meaning: str  # one sentence
    function: Explain
    cost: str  # such as "one forward and one backward pass"
    at_layer: bool = False  # whether it explains by the maps of a layer
    bounded: bool = False  # whether it compares scores of changed images, so that those of classes should be probabilities
    signed: bool = False  # whether the maps have values for and against the score, of which the magnitude shows where


def score_maps(method: Method, question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array, **options: Any) -> jax.Array:
    """The maps (b, h', w') of a method, normalized to [0, 1]; see `normalize`."""
    return normalize(method.function(question, images_bxhxwxc, keys_b, **options), signed=method.signed)


def normalize(maps_bxhxw: jax.Array, *, signed: bool = False) -> jax.Array:
    """Maps scaled to [0, 1] by the smallest and the largest value of each; of `signed` maps the magnitude.

    A map that is constant up to the rounding of float32, or that contains NaN or infinity, becomes zeros.
    """
    maps = maps_bxhxw.astype(jnp.float32)
    usable_bx1x1 = jnp.isfinite(maps).all(axis=(1, 2), keepdims=True)
    maps = jnp.where(usable_bx1x1, jnp.abs(maps) if signed else maps, 0.0)
    return min_max(maps, flat=1e-6)
