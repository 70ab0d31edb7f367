"""Canvases with digits among pieces of other digits, made by XLA on the host's processor, whatever trains.

What that saves over NumPy: experiments/glimpses/canvases.py.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.data.digits import SIDE
from imgloc.randomness import purpose_number
from imgloc.types import IntArray, Uint8Array

TRIES = 16  # places drawn for a digit that keeps clear of another
CLEAR = 20  # pixels, along x or y, between the middles of two digits: most digits' ink is no wider


class Layout(NamedTuple):
    """What a canvas consists of."""

    canvas: int  # pixels a side
    clutter: int  # pieces
    clutter_size: int  # pixels a side of a piece
    per_canvas: int  # digits


class Made(NamedTuple):
    """Canvases b with digits d each."""

    images_bxhxw: Uint8Array
    digits_bxd: IntArray
    corners_bxdx2: IntArray  # x and y of each digit's first pixel


def make(seed: int, purpose: str, indices_b: IntArray, first_b: IntArray, digits_nx28x28: jax.Array, layout: Layout) -> Made:
    """The canvases of indices, each a function of (seed, purpose, index) and of its first digit; other digits and pieces are drawn.

    `digits_nx28x28` lie on the host: `on_host`. What adds up to more than white is white.
    """
    high_b, low_b = (np.asarray(part, np.uint32) for part in np.divmod(np.asarray(indices_b, np.int64), 2**32))
    with jax.default_device(host()):
        found = _made(seed, np.uint32(purpose_number(purpose)), high_b, low_b, np.asarray(first_b, np.int32), digits_nx28x28, layout)
    return Made(*(np.asarray(array) for array in found))


def host() -> jax.Device:
    """The processor, or where JAX was told to leave it out the first device."""
    try:
        found: jax.Device = jax.local_devices(backend="cpu")[0]
        return found
    except RuntimeError:
        return jax.local_devices()[0]


def on_host(digits_nx28x28: Uint8Array) -> jax.Array:
    """Digits as `make` takes them."""
    found: jax.Array = jax.device_put(digits_nx28x28, host())
    return found


@functools.partial(jax.jit, static_argnames="layout")
def _made(
    seed: int, purpose: np.uint32, high_b: jax.Array, low_b: jax.Array, first_b: jax.Array, digits_nx28x28: jax.Array, layout: Layout
) -> tuple[jax.Array, jax.Array, jax.Array]:
    key = jax.random.fold_in(jax.random.key(seed), purpose)

    count, pieces, tried = len(digits_nx28x28), 5 * layout.clutter, 2 * TRIES * layout.per_canvas

    def one(high: jax.Array, low: jax.Array, first: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        own = jax.random.fold_in(jax.random.fold_in(key, high), low)
        drawn = jax.random.uniform(own, (pieces + tried + layout.per_canvas - 1,), jnp.float32)  # all at once: each is dear to compile
        canvas = _with_pieces(drawn[:pieces].reshape(layout.clutter, 5), digits_nx28x28, layout)
        chosen_d = jnp.concatenate([first[None], _whole(drawn[pieces + tried :], count)])
        corners_dx2 = _corners(drawn[pieces:][:tried].reshape(layout.per_canvas, TRIES, 2), layout)
        for digit, corner in zip(chosen_d, corners_dx2, strict=True):
            canvas = _added(canvas, digits_nx28x28[digit].astype(jnp.int32), corner)
        return jnp.minimum(canvas, 255).astype(jnp.uint8), chosen_d, corners_dx2

    made: tuple[jax.Array, jax.Array, jax.Array] = jax.vmap(one)(high_b, low_b, first_b)
    return made


def _whole(uniform: jax.Array, bound: Any) -> jax.Array:
    """Uniform whole numbers below bounds (under 2^23) from uniform numbers in [0, 1)."""
    return jnp.minimum((uniform * bound).astype(jnp.int32), jnp.asarray(bound) - 1)


def _with_pieces(uniform_px5: jax.Array, digits_nx28x28: jax.Array, layout: Layout) -> jax.Array:
    """A black canvas with pieces: crops at uniform offsets of digits drawn with replacement, at uniform places, added up."""
    size = layout.clutter_size
    cut, room = SIDE - size + 1, layout.canvas - size + 1
    drawn_px5 = _whole(uniform_px5, np.array([len(digits_nx28x28), cut, cut, room, room]))

    def with_one(canvas: jax.Array, numbers: jax.Array) -> tuple[jax.Array, None]:
        piece = jax.lax.dynamic_slice(digits_nx28x28, numbers[:3], (1, size, size))[0]
        return _added(canvas, piece.astype(jnp.int32), numbers[:2:-1]), None

    black = jnp.zeros((layout.canvas, layout.canvas), jnp.int32)
    return jax.lax.scan(with_one, black, drawn_px5)[0]


def _corners(uniform_dxtx2: jax.Array, layout: Layout) -> jax.Array:
    """Uniform corners (d, 2) of digits; each but the first keeps clear of those before, unless no place that was tried does."""
    tried_dxtx2 = _whole(uniform_dxtx2, layout.canvas - SIDE + 1)
    corners = [tried_dxtx2[0, 0]]
    for tried_tx2 in tried_dxtx2[1:]:
        apart_txd = jnp.abs(tried_tx2[:, None] - jnp.stack(corners)).max(axis=-1) >= CLEAR
        corners.append(tried_tx2[jnp.argmax(apart_txd.all(axis=1))])
    return jnp.stack(corners)


def _added(canvas: jax.Array, ink: jax.Array, corner: jax.Array) -> jax.Array:
    """A canvas with ink added at a corner (x, y)."""
    at = (corner[1], corner[0])
    return jax.lax.dynamic_update_slice(canvas, jax.lax.dynamic_slice(canvas, at, ink.shape) + ink, at)
