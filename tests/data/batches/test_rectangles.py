"""Rectangles in whole pixels against slices of arrays."""

from __future__ import annotations

import jax
import numpy as np

from imgloc.data.batches.rectangles import as_boxes, content_rectangles, pixels_inside
from tests.drawn_batches import random_batch


def test_content_rectangles_of_letterboxed_images_are_the_parts_that_are_not_black() -> None:
    batch = random_batch(0, shape=(16, 30, 3), resize="letterbox")
    batch = batch._replace(images_bxhxwxc=np.maximum(batch.images_bxhxwxc, (batch.images_bxhxwxc.max(axis=(1, 3), keepdims=True) > 0)))
    for image, (x0, y0, x1, y1), valid in zip(batch.images_bxhxwxc, content_rectangles(batch), batch.example_mask_b, strict=True):
        expected = np.zeros_like(image)
        expected[y0:y1, x0:x1] = 1
        np.testing.assert_array_equal(image > 0, expected)
        assert expected.any() == valid


def test_pixels_inside_are_those_of_slices_and_boxes_are_shares_of_the_sides() -> None:
    batch = random_batch(0, size=3, valid=3)
    rectangles = np.array([[0, 0, 24, 16], [3, 2, 10, 16], [5, 5, 5, 9]], np.int32)
    mask = np.asarray(pixels_inside(rectangles, batch))
    for (x0, y0, x1, y1), found in zip(rectangles, mask, strict=True):
        expected = np.zeros((16, 24, 1), bool)
        expected[y0:y1, x0:x1] = True
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(jax.jit(as_boxes)(rectangles, batch), (rectangles / np.array([24, 16, 24, 16])).astype(np.float32))
