"""Scan orders of images, against plain indexing."""

from __future__ import annotations

import numpy as np
import pytest

from imgloc.nn.scan_order import SCAN_ORDERS, image_to_sequence, scan_steps
from tests.refusals import assert_refused

B, H, W, C = 2, 3, 4, 2
IMAGES = np.random.default_rng(0).random((B, H, W, C), np.float32)


def read(order: str, **options: int) -> np.ndarray:
    return np.asarray(image_to_sequence(IMAGES, order, **options))


def test_rows_columns_and_pixels_are_those_of_the_image() -> None:
    sequences = {order: read(order) for order in ("rows", "columns", "pixels")}
    assert {order: a.shape for order, a in sequences.items()} == {"rows": (B, H, W * C), "columns": (B, W, H * C), "pixels": (B, H * W, C)}
    for b, y, x, c in np.ndindex(B, H, W, C):
        value = IMAGES[b, y, x, c]
        assert sequences["rows"][b, y, x * C + c] == value
        assert sequences["columns"][b, x, y * C + c] == value
        assert sequences["pixels"][b, y * W + x, c] == value


def permuted_indices(seed: int) -> list[int]:
    """The order in which pixels are read, from an image whose values are the indices of its pixels."""
    numbered = np.arange(28 * 28, dtype=np.float32).reshape(1, 28, 28, 1)
    return [int(index) for index in np.asarray(image_to_sequence(numbered, "permuted_pixels", seed))[0, :, 0]]


def test_permuted_pixels_are_all_pixels_once_in_one_order_for_all_images() -> None:
    assert sorted(permuted_indices(0)) == list(range(784))
    assert permuted_indices(0) == permuted_indices(0)
    order = np.random.default_rng(3).permutation(H * W)
    np.testing.assert_array_equal(read("permuted_pixels", permutation_seed=3), read("pixels")[:, order])


def test_permutations_differ_from_each_other_and_from_raster_order() -> None:
    drawn = [permuted_indices(seed) for seed in range(4)]
    for i, order in enumerate((list(range(784)), *drawn)):
        for other in drawn[i:]:
            assert sum(a == b for a, b in zip(order, other, strict=True)) < 10, "a random permutation has one fixed point on average"


def test_the_published_permutation_stays() -> None:
    """A config stores only the seed, so another permutation for it would change the task of a run."""
    assert permuted_indices(0)[:8] == [318, 2, 606, 446, 758, 13, 98, 539]


@pytest.mark.parametrize(
    ("order", "seed", "contains"),
    [("row", 0, "did you mean 'rows'?"), ("permuted_pixels", -1, "at least 0"), ("rows", 1, "permutes nothing")],
)
def test_wrong_orders_and_seeds_are_refused(order: str, seed: int, contains: str) -> None:
    assert_refused(lambda: image_to_sequence(IMAGES, order, seed), contains)


@pytest.mark.parametrize("order", SCAN_ORDERS)
def test_scan_steps_are_those_that_read_each_pixel(order: str) -> None:
    numbered = np.arange(H * W, dtype=np.float32).reshape(1, H, W, 1)
    seed = 5 if order == "permuted_pixels" else 0
    steps = np.broadcast_to(scan_steps(order, H, W, seed), (H, W)).ravel()
    for step, inputs in enumerate(np.asarray(image_to_sequence(numbered, order, seed))[0]):
        assert sorted(inputs) == list(np.flatnonzero(steps == step))
