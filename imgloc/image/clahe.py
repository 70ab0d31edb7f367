"""Contrast limited adaptive histogram equalization (CLAHE)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from imgloc.errors import UserError
from imgloc.image.borders import pad
from imgloc.image.color import hsv_to_rgb, rgb_to_hsv
from imgloc.image.histograms import divided, rescale, tally
from imgloc.image.scale import as_float
from imgloc.types import Array

GRAYS = 2**14  # gray levels that scikit-image computes with


def clahe(images_bxhxwxc: Array, *, tile: int | tuple[int, int] | None = None, clip_limit: float = 0.01, bins: int = 256) -> jax.Array:
    """Returns images with the contrast of each neighborhood stretched, in [0, 1]: `skimage.exposure.equalize_adapthist`.

    The image is cut to tiles of `tile` pixels, or (height, width); without it, of an eighth of the image's sides. Counts of a tile's
    histogram above `clip_limit` times its pixels are spread over the other bins; 0 sets no limit. The cumulative histograms of the four
    nearest tiles are interpolated. Images of 3 channels are converted to HSV, and their value is equalized.
    Values must be in [0, 1]. All steps before the last one compute integers, so the gradient is not useful.
    Raises UserError for other numbers of channels than 1 and 3, a tile below 1 pixel or of more than 131,072 pixels, fewer than 2 or
    more than 16,384 bins, and a clip limit outside [0, 1]. Source: Zuiderveld, "Contrast limited adaptive histogram equalization",
    Graphics Gems IV, 1994.
    """
    images = as_float(images_bxhxwxc)
    if images.shape[-1] == 3:
        hsv = rgb_to_hsv(images)
        value = clahe(hsv[..., 2:], tile=tile, clip_limit=clip_limit, bins=bins)
        return hsv_to_rgb(jnp.concatenate([hsv[..., :2], value], axis=-1))
    if images.shape[-1] != 1:
        raise UserError(f"clahe expects images of 1 or 3 channels, got {images.shape[-1]}")
    default = tuple(max(side // 8, 1) for side in images.shape[1:3])
    height, width = default if tile is None else (tile, tile) if isinstance(tile, int) else tile
    if min(height, width) < 1 or height * width > 2**31 // GRAYS:
        raise UserError(f"clahe.tile must have sides of at least 1 and at most {2**31 // GRAYS} pixels, got {height} x {width}")
    if not 2 <= bins <= GRAYS:
        raise UserError(f"clahe.bins must be from 2 to {GRAYS}, got {bins}")
    if not 0 <= clip_limit <= 1:
        raise UserError(f"clahe.clip_limit must be from 0 to 1, got {clip_limit}")
    equalized = _equalize(_grays(images[..., 0]), (height, width), clip_limit, bins)
    return rescale(equalized.astype(images.dtype)[..., None])


def _grays(images_bxhxw: jax.Array) -> jax.Array:
    """Integers of 16 bits, stretched to [0, GRAYS - 1]; exact, because 2 * 65535 * GRAYS fits in 31 bits."""
    numbers = jnp.round(jnp.clip(images_bxhxw, 0, 1) * 65535).astype(jnp.int32)
    low, high = jnp.min(numbers, axis=(1, 2), keepdims=True), jnp.max(numbers, axis=(1, 2), keepdims=True)
    span = jnp.maximum(high - low, 1)
    twice = 2 * (GRAYS - 1) * (numbers - low) + span
    # The integer division is not vectorized; the quotient of floats, at most GRAYS, is off by at most one.
    rounded = (twice.astype(jnp.float32) / (2 * span).astype(jnp.float32)).astype(jnp.int32)
    left = twice - rounded * 2 * span
    rounded, left = rounded - (left < 0), left + jnp.where(left < 0, 2 * span, 0)
    rounded, left = rounded + (left >= 2 * span), left - jnp.where(left >= 2 * span, 2 * span, 0)
    rounded = rounded - ((left == 0) & (rounded % 2 == 1))  # half to even
    return jnp.where(low == high, jnp.minimum(numbers, GRAYS - 1), rounded)


def _equalize(grays_bxhxw: jax.Array, tile: tuple[int, int], clip_limit: float, bins: int) -> jax.Array:
    batch, *sides = grays_bxhxw.shape
    # Half a tile before the image, and whole tiles and half a tile after it.
    pads = [(k // 2, -side % k + math.ceil(k / 2)) for k, side in zip(tile, sides, strict=True)]
    padded = pad(grays_bxhxw[..., None], pads[0], pads[1], "mirror")[..., 0] // (1 + GRAYS // bins)
    rows, columns = (padded.shape[axis + 1] // tile[axis] for axis in (0, 1))
    middle = padded[:, tile[0] // 2 :, tile[1] // 2 :][:, : (rows - 1) * tile[0], : (columns - 1) * tile[1]]
    maps = _maps(_tiles(middle, tile), clip_limit, bins)
    maps = jnp.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    # Gray levels of the left and the right tile share a number of 28 bits, which halves the look-ups.
    pairs = maps[:, :, :columns] * GRAYS + maps[:, :, 1 : columns + 1]
    blocks = _tiles(padded, tile)
    places = blocks + bins * jnp.arange(batch * (rows + 1) * columns).reshape(batch, rows + 1, columns, 1)[:, :rows]
    y, x = (part.reshape(-1) for part in np.mgrid[: tile[0], : tile[1]])
    result = jnp.zeros(blocks.shape, jnp.float32)
    for below in (0, 1):
        both = pairs.reshape(-1).at[places + below * bins * columns].get(mode="promise_in_bounds")
        for right, values in enumerate((both // GRAYS, both % GRAYS)):
            weights = (y if below else tile[0] - y) * (x if right else tile[1] - x)
            result = result + _quotient(values * weights.astype(np.int32), tile[0] * tile[1])
    flat = result.astype(jnp.int32).reshape(batch, rows, columns, *tile)
    whole = flat.transpose(0, 1, 3, 2, 4).reshape(padded.shape)
    return whole[:, pads[0][0] : pads[0][0] + sides[0], pads[1][0] : pads[1][0] + sides[1]]


def _tiles(images_bxhxw: jax.Array, tile: tuple[int, int]) -> jax.Array:
    """Pixels (b, rows, columns, tile's pixels) of tiles side by side."""
    batch, height, width = images_bxhxw.shape
    rows, columns = height // tile[0], width // tile[1]
    return images_bxhxw.reshape(batch, rows, tile[0], columns, tile[1]).transpose(0, 1, 3, 2, 4).reshape(batch, rows, columns, -1)


def _quotient(numbers: jax.Array, divisor: int) -> jax.Array:
    """The quotient in float32; correctly rounded for numbers below 2^24 and powers of two, else nearly so."""
    if divisor & (divisor - 1) == 0:
        return numbers.astype(jnp.float32) * (1 / divisor)  # the product with a power of two is exact
    whole = numbers // divisor
    split = whole + divided((numbers - whole * divisor).astype(jnp.float32), divisor)
    return jnp.where(numbers < 2**24, divided(numbers.astype(jnp.float32), divisor), split)


def _maps(tiles_bxrxcxp: jax.Array, clip_limit: float, bins: int) -> jax.Array:
    """The gray level (b, r, c, n) that each bin gets in each tile."""
    *lead, pixels = tiles_bxrxcxp.shape
    flat = tiles_bxrxcxp.reshape(-1, pixels)
    counts = tally(flat, bins)
    limit = max(int(clip_limit * pixels), 1) if clip_limit > 0 else pixels
    cumulative = jnp.cumsum(jax.vmap(lambda one: _clipped(one, limit))(counts), axis=1)
    # Of each cumulative count, in double precision: the products are truncated, so that their last bit matters. Spreading the excess may
    # add a few counts too many, fewer than there are bins.
    table = np.minimum(np.arange(pixels + bins + 1) * ((GRAYS - 1) / pixels), GRAYS - 1).astype(np.int32)
    return jnp.asarray(table)[jnp.minimum(cumulative, pixels + bins)].reshape(*lead, bins)


def _clipped(counts_n: jax.Array, limit: int) -> jax.Array:
    """Counts of at most `limit`, with the excess spread over the other bins: first equally, then one by one at equal distances."""
    bins = counts_n.shape[0]
    excess = jnp.sum(jnp.maximum(counts_n - limit, 0))
    counts = jnp.minimum(counts_n, limit)
    increment = excess // bins
    upper = limit - increment
    spread = jnp.where(counts < upper, counts + increment, counts)
    spread = jnp.where(spread >= upper, limit, spread)
    excess = excess - jnp.sum(spread - counts)
    number = jnp.arange(bins)

    def step(state: tuple[jax.Array, jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        counts, excess, index, before = state
        under = counts < limit
        distance = jnp.maximum(1, jnp.sum(under) // excess)
        chosen = under & (number >= index) & ((number - index) % distance == 0)
        left = excess - jnp.sum(chosen)
        # After the last index a pass begins again, unless the last one changed nothing.
        last = index == bins - 1
        stuck = last & (left == before)
        return counts + chosen, jnp.where(stuck, 0, left), jnp.where(last, 0, index + 1), jnp.where(last, left, before)

    return lax.while_loop(lambda state: state[1] > 0, step, (spread, excess, jnp.asarray(0), excess))[0]
