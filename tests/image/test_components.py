"""Connected components against scikit-image."""

from __future__ import annotations

from typing import get_args

import jax
import numpy as np
import pytest
import skimage.measure
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.image import components
from imgloc.types import BoolArray, IntArray
from tests.refusals import assert_refused

label = {c: jax.jit(lambda values, c=c: components.label(values, connectivity=c)) for c in (1, 2)}
regions = jax.jit(components.regions, static_argnames=("max_count", "order"))


def spiral(side: int) -> BoolArray:
    """A path of one pixel that winds inward, with one pixel between its turns."""
    mask = np.zeros((side, side), bool)
    y, x, dy, dx, turns = 0, 0, 0, 1, 0
    mask[0, 0] = True
    while turns < 2:
        ahead, next_one = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
        free = all(0 <= place < side for place in ahead) and not mask[ahead]
        if free and not (all(0 <= place < side for place in next_one) and mask[next_one]):
            (y, x), turns = ahead, 0
            mask[y, x] = True
        else:
            dy, dx, turns = dx, -dy, turns + 1
    return mask


def assert_labels_are_those_of_scikit_image(values: IntArray | BoolArray, connectivity: int) -> None:
    expected = np.stack([skimage.measure.label(one, connectivity=connectivity) for one in values])
    np.testing.assert_array_equal(label[connectivity](values), expected)


@pytest.mark.parametrize("connectivity", [1, 2])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.2, 0.8), kinds=st.integers(1, 3))
def test_labels_are_those_of_scikit_image(connectivity: int, seed: int, share: float, kinds: int) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(1, kinds + 1, (3, 17, 23)) * (random.uniform(size=(3, 17, 23)) < share)
    assert_labels_are_those_of_scikit_image(values.astype(np.int32), connectivity)


@pytest.mark.parametrize("connectivity", [1, 2])
def test_spirals_checkerboards_and_full_and_empty_masks(connectivity: int) -> None:
    path = spiral(64)
    assert path.sum() > 64 * 30
    board = np.indices((64, 64)).sum(axis=0) % 2 == 0
    masks = np.stack([path, ~path, path[::-1], path.T, board, np.ones_like(path), np.zeros_like(path)])
    assert_labels_are_those_of_scikit_image(masks, connectivity)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 9), (2, 9, 1)])
def test_images_of_one_pixel_row_or_column(shape: tuple[int, int, int]) -> None:
    assert_labels_are_those_of_scikit_image(np.random.default_rng(0).uniform(size=shape) < 0.6, 2)


@pytest.mark.parametrize("max_count", [1, 40])
def test_regions_are_those_of_scikit_image(max_count: int) -> None:
    masks = np.random.default_rng(1).uniform(size=(3, 20, 30)) < 0.35
    masks[2] = False
    labels = np.stack([skimage.measure.label(mask) for mask in masks])
    height, width = masks.shape[1:]
    for order in get_args(components.Order):
        found = regions(labels, max_count, order=order)
        for b, one in enumerate(labels):
            properties = skimage.measure.regionprops(one)
            assert found.count_b[b] == len(properties)
            if order == "area":
                properties.sort(key=lambda region: -region.area)
            chosen = properties[:max_count]
            n = len(chosen)
            np.testing.assert_array_equal(found.labels_bxn[b], [region.label for region in chosen] + [0] * (max_count - n))
            np.testing.assert_array_equal(found.areas_bxn[b, :n], [region.area for region in chosen])
            edges = np.array([region.bbox for region in chosen]).reshape(-1, 4)[:, [1, 0, 3, 2]] / [width, height, width, height]
            np.testing.assert_allclose(found.boxes_bxnx4[b, :n], edges, atol=1e-7)
            centers = np.array([region.centroid for region in chosen]).reshape(-1, 2)[:, ::-1]
            np.testing.assert_allclose(found.centers_bxnx2[b, :n], (centers + 0.5) / [width, height], atol=1e-6)
            assert not np.any(found.boxes_bxnx4[b, n:])
            assert not np.any(found.centers_bxnx2[b, n:])
            assert not np.any(found.areas_bxn[b, n:])


def test_labels_are_the_same_under_vmap() -> None:
    masks = np.random.default_rng(2).uniform(size=(2, 2, 9, 8)) < 0.5
    nested = jax.jit(jax.vmap(components.label))(masks)
    np.testing.assert_array_equal(nested.reshape(4, 9, 8), label[2](masks.reshape(4, 9, 8)))


def test_wrong_arguments_are_refused() -> None:
    masks = np.zeros((1, 3, 3), bool)
    assert_refused(lambda: components.label(masks[0]), "(b, h, w)")
    assert_refused(lambda: components.label(masks.astype(np.float32)), "booleans or integers", "threshold")
    assert_refused(lambda: components.label(masks, connectivity=8), "connectivity must be 1 or 2, got 8")
    assert_refused(lambda: components.regions(masks, 1), "labels must be integers")
    assert_refused(lambda: components.regions(masks.astype(int), 0), "max_count must be at least 1")
    assert_refused(lambda: components.regions(masks.astype(int), 1, order="size"), "unknown order 'size'")  # type: ignore[arg-type]
