"""Bilinear sampling on the device against the host's, which is OpenCV."""

from __future__ import annotations

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batches.bilinear import UNIT, Taps, sample, taps
from imgloc.data.transforms.pixels import resize_image

SHAPES = ((23, 31, 3), (40, 9, 1))


@jax.jit
def stretched(image_hxwxc: np.ndarray, rows: tuple[int, ...], columns: tuple[int, ...]) -> jax.Array:
    """The image with the source pixels of each axis (start, length, source start, source length) stretched."""
    height, width = image_hxwxc.shape[:2]
    down, across = taps(*rows, height), taps(*columns, width)
    return sample(image_hxwxc, (), Taps(*(a[:, None] for a in down)), across)


@given(st.integers(0, 10_000), st.sampled_from(SHAPES))
def test_a_window_stretched_to_a_rectangle_is_that_of_the_host(seed: int, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    sides = []
    for side in shape[:2]:
        length = int(rng.integers(1, side + 1))
        source = int(rng.integers(1, min(side, 2 * length - 1) + 1))  # the host averages areas from half the size on
        sides.append((int(rng.integers(side - length + 1)), length, int(rng.integers(side - source + 1)), source))
    result = np.asarray(stretched(image, *sides))
    assert result.shape == image.shape
    (y, length_y, source_y, source_h), (x, length_x, source_x, source_w) = sides
    expected = resize_image(image[source_y : source_y + source_h, source_x : source_x + source_w], length_y, length_x)
    inside = result[y : y + length_y, x : x + length_x]
    assert np.abs(inside.astype(int) - expected).max() <= 1
    if (length_y, length_x) == (source_h, source_w):
        np.testing.assert_array_equal(inside, expected)


def test_every_pixel_may_come_from_another_image_of_a_batch() -> None:
    images, index = np.random.default_rng(0).integers(0, 256, (4, 6, 9, 3), dtype=np.uint8), np.random.default_rng(1).integers(0, 4, (6, 9))
    rows, columns = (taps(0, side, 0, side, side) for side in (6, 9))
    result = sample(images, (index,), Taps(*(a[:, None] for a in rows)), columns)
    np.testing.assert_array_equal(result, np.take_along_axis(images, index[None, ..., None], axis=0)[0])


def test_taps_stay_inside_the_source_for_every_output() -> None:
    for length in (0, 1, 5, 9):
        low, high, weight = taps(3, length, 2, 4, 20)
        assert min(low.min(), high.min()) == 2
        assert max(low.max(), high.max()) == 5
        assert 0 <= int(weight.min()) <= int(weight.max()) <= UNIT


def test_a_weight_is_that_of_the_distance_to_the_centers() -> None:
    low, high, weight = taps(0, 4, 0, 2, 4)  # twice as large: centers are at -0.25, 0.25, 0.75 and 1.25 source pixels
    np.testing.assert_array_equal(np.stack([low, high, weight * 4 // UNIT]), [[0, 0, 0, 1], [0, 1, 1, 1], [3, 1, 3, 1]])
