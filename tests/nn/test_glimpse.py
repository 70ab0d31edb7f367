"""Windows against NumPy crops, Pillow's resizing and the formulas of the filters."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgloc.nn import glimpse

IMAGES = np.random.default_rng(0).random((2, 20, 28, 3), np.float32)
H, W = IMAGES.shape[1:3]


@functools.cache
def levels() -> list[jax.Array]:
    return jax.jit(functools.partial(glimpse.mean_pyramid, scales=3))(IMAGES)


@settings(max_examples=30)
@given(x=st.floats(-0.3, 1.3), y=st.floats(-0.3, 1.3), scale=st.integers(1, 4))
def test_a_crop_equals_a_pooled_numpy_crop_also_beyond_the_edge(x: float, y: float, scale: int) -> None:
    size, side = 4, 4 * scale
    center = np.array([[x, y], [y, x]], np.float32)
    crops = glimpse.read_window(IMAGES, glimpse.crop_weights(jnp.asarray(center), size, scale, H, W))
    from_pyramid = crops if scale == 3 else glimpse.read_crops(levels(), jnp.asarray(center), size)[scale // 2]
    padded = np.pad(IMAGES, ((0, 0), (50, 50), (50, 50), (0, 0)))
    for image, place, ours, read in zip(padded, center, np.asarray(crops), np.asarray(from_pyramid), strict=True):
        left, top = (int(np.round(np.float32(p) * np.float32(n) - side / 2)) + 50 for p, n in zip(place, (W, H), strict=True))
        expected = image[top : top + side, left : left + side]
        np.testing.assert_allclose(ours, expected.reshape(size, scale, size, scale, 3).mean(axis=(1, 3)), atol=1e-6)
        np.testing.assert_allclose(read, ours, atol=1e-6)
    if scale == 1:
        edges = np.asarray(glimpse.crop_boxes(jnp.asarray(center), size, H, W)) * [W, H, W, H] + 50
        for image, ours, (x0, y0, x1, y1) in zip(padded, np.asarray(crops), np.rint(edges).astype(int), strict=True):
            np.testing.assert_allclose(ours, image[y0:y1, x0:x1], atol=1e-6)


def test_a_window_of_the_whole_image_in_its_size_equals_the_image() -> None:
    square = IMAGES[:, :20, :20]
    whole = jnp.array([[0.5, 0.5, 1.0, 1.0]] * 2)
    np.testing.assert_allclose(glimpse.read_window(square, glimpse.bilinear_weights(whole, 20, 20, 20)), square, atol=1e-5)


def test_a_bilinear_window_equals_pillow_s_crop_and_resize() -> None:
    picture = np.random.default_rng(1).random((64, 64), np.float32)
    window = jnp.array([[0.5, 0.375, 0.25, 0.5]])  # columns 24 to 40, rows 8 to 40
    ours = glimpse.read_window(picture[None, :, :, None], glimpse.bilinear_weights(window, 16, 64, 64))[0, :, :, 0]
    theirs = np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BILINEAR, box=(24, 8, 40, 40)))
    # Pillow renormalizes its filters at the edge of the crop and does not read pixels beyond it.
    np.testing.assert_allclose(ours[2:-2, 2:-2], theirs[2:-2, 2:-2], atol=0.02)


@pytest.mark.parametrize("std", [0.4, 3.0])
def test_gaussian_filters_match_their_formula(std: float) -> None:
    window = np.array([[0.4, 0.6, 0.5, 0.25], [0.9, 0.1, 0.3, 0.3]], np.float32)
    rows, columns = glimpse.gaussian_weights(jnp.asarray(window), jnp.full(2, std), 5, H, W)
    for weights, center, side, length in ((rows, window[:, 1], window[:, 3], H), (columns, window[:, 0], window[:, 2], W)):
        for b in range(2):
            for i in range(5):
                mean = center[b] * length + (i - 2) * side[b] * length / 4
                density = np.array([np.exp(-((a + 0.5 - mean) ** 2) / (2 * std**2)) for a in range(length)])
                np.testing.assert_allclose(weights[b, i], density / density.sum(), atol=1e-5)
