"""Boxes of score maps at thresholds: maps whose boxes are known, and connected regions found by SciPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.score_maps.at_thresholds import THRESHOLDS, boxes_at_thresholds
from imgloc.score_maps.levels import SIDE, as_levels, resized


def test_a_threshold_is_strict_and_a_share_of_the_range() -> None:
    score_map = np.zeros((SIDE, SIDE))
    score_map[56:168, 28:224] = 30  # reaches the right edge
    score_map[100:112, 40:60] = 100
    boxes = boxes_at_thresholds(score_map * 7 - 3)  # neither scale nor offset matter
    assert len(boxes) == len(THRESHOLDS) == 20
    for threshold, box in zip(THRESHOLDS, boxes, strict=True):
        expected = [28, 56, 224, 168] if threshold < 0.3 else [40, 100, 60, 112]
        np.testing.assert_array_equal(box * SIDE, expected, err_msg=str(threshold))


def test_a_box_may_be_the_whole_map() -> None:
    ramp = np.ones((SIDE, SIDE))
    ramp[100, 100] = 0
    np.testing.assert_array_equal(boxes_at_thresholds(ramp), np.tile([0.0, 0.0, 1.0, 1.0], (20, 1)))


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan])
def test_a_flat_map_has_no_box(value: float) -> None:
    np.testing.assert_array_equal(boxes_at_thresholds(np.full((7, 5), value)), np.zeros((20, 4)))


def test_a_small_map_is_resized_as_by_the_protocol() -> None:
    small = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    enlarged = cv2.resize(small.astype(np.float64), (224, 224), interpolation=cv2.INTER_CUBIC)
    expected = (enlarged - enlarged.min()) / (enlarged - enlarged.min()).max() * 255
    levels = as_levels(resized(small))
    assert np.abs(levels.astype(int) - expected.astype(int)).max() <= 1  # other roundings before the truncation
    assert (levels.min(), levels.max()) == (0, 255)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_box_encloses_the_region_of_the_largest_contour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score_map = scipy.ndimage.gaussian_filter(rng.random((9, 6)), 1.0)
    levels = as_levels(resized(score_map))
    for threshold, box in zip(THRESHOLDS, boxes_at_thresholds(score_map), strict=True):
        regions, count = scipy.ndimage.label(levels > int(threshold * 255), np.ones((3, 3)))  # 8-connected
        filled = [scipy.ndimage.binary_fill_holes(regions == number + 1) for number in range(count)]
        largest = filled[int(np.argmax([_polygon_area(region) for region in filled]))]
        y, x = np.nonzero(largest)
        np.testing.assert_array_equal(np.round(box * SIDE), [x.min(), y.min(), x.max() + 1, y.max() + 1])


def _polygon_area(region_hxw: np.ndarray) -> float:
    """The area of the polygon through the centers of the border pixels of a region without holes, by Pick's theorem."""
    inside = scipy.ndimage.binary_erosion(region_hxw, scipy.ndimage.generate_binary_structure(2, 1))
    return float(inside.sum() + (region_hxw.sum() - inside.sum()) / 2 - 1)
