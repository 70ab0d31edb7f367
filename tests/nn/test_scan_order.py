"""Images as sequences, against plain indexing."""

from __future__ import annotations

import numpy as np
import pytest

from imgloc.nn import image_sequence
from tests.refusals import assert_refused

B, H, W, C = 2, 3, 4, 2
IMAGES = np.random.default_rng(0).random((B, H, W, C), np.float32)


def read(order: str, **options: int) -> np.ndarray:
    return np.asarray(image_sequence.as_sequence(IMAGES, order, **options))


def test_rows_columns_and_pixels_are_those_of_the_image() -> None:
    found = {order: read(order) for order in ("rows", "columns", "pixels")}
    assert {order: a.shape for order, a in found.items()} == {"rows": (B, H, W * C), "columns": (B, W, H * C), "pixels": (B, H * W, C)}
    for b, y, x, c in np.ndindex(B, H, W, C):
        value = IMAGES[b, y, x, c]
        assert found["rows"][b, y, x * C + c] == value
        assert found["columns"][b, x, y * C + c] == value
        assert found["pixels"][b, y * W + x, c] == value


def places(permutation: int) -> list[int]:
    """Which pixel is read when, found from an image whose pixels say where they stand."""
    numbered = np.arange(28 * 28, dtype=np.float32).reshape(1, 28, 28, 1)
    return [int(place) for place in np.asarray(image_sequence.as_sequence(numbered, "permuted_pixels", permutation))[0, :, 0]]


def test_permuted_pixels_are_all_pixels_once_in_one_order_for_all_images() -> None:
    assert sorted(places(0)) == list(range(784))
    assert places(0) == places(0)
    order = np.random.default_rng(3).permutation(H * W)
    np.testing.assert_array_equal(read("permuted_pixels", permutation=3), read("pixels")[:, order])


def test_every_permutation_is_another_and_none_is_the_image_s_own_order() -> None:
    drawn = [places(seed) for seed in range(4)]
    for i, order in enumerate((list(range(784)), *drawn)):
        for other in drawn[i:]:
            assert sum(a == b for a, b in zip(order, other, strict=True)) < 10, "one in place is expected of a random one"


def test_the_published_permutation_stays() -> None:
    """Runs say only its seed: another draw would make them another task."""
    assert places(0)[:8] == [318, 2, 606, 446, 758, 13, 98, 539]


@pytest.mark.parametrize(
    ("order", "permutation", "contains"),
    [("row", 0, "did you mean 'rows'?"), ("permuted_pixels", -1, "at least 0"), ("rows", 1, "not shuffled")],
)
def test_orders_that_there_are_none_of_are_told(order: str, permutation: int, contains: str) -> None:
    assert_refused(lambda: image_sequence.as_sequence(IMAGES, order, permutation), contains)


@pytest.mark.parametrize("order", image_sequence.ORDERS)
def test_which_step_reads_a_place_is_told(order: str) -> None:
    numbered = np.arange(H * W, dtype=np.float32).reshape(1, H, W, 1)
    permutation = 5 if order == "permuted_pixels" else 0
    steps = np.broadcast_to(image_sequence.read_at(order, H, W, permutation), (H, W)).ravel()
    for step, read_then in enumerate(np.asarray(image_sequence.as_sequence(numbered, order, permutation))[0]):
        assert sorted(read_then) == list(np.flatnonzero(steps == step))
