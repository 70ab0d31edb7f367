"""Score maps as levels, and their boxes with continuous edges."""

from __future__ import annotations

import cv2
import numpy as np

from imgloc.score_maps.levels import as_levels, box_above, resized


def test_the_box_of_a_map_reaches_its_border() -> None:
    levels = np.zeros((4, 8), np.uint8)
    levels[2:, 6:] = 9
    np.testing.assert_array_equal(box_above(levels, 8), [6 / 8, 2 / 4, 1, 1])
    np.testing.assert_array_equal(box_above(levels, 9), np.zeros(4))


def test_a_flat_map_stays_flat_when_it_is_resized() -> None:
    flat = np.full((14, 14), 0.3)
    assert not resized(flat).any()
    assert np.ptp(cv2.resize(flat, (224, 224), interpolation=cv2.INTER_CUBIC)) > 0, "the resize alone makes rounding errors of it"
    assert resized(flat + np.eye(14)).max() == 1


def test_levels_are_truncated() -> None:
    np.testing.assert_array_equal(as_levels(np.array([[0.0, 0.5, 0.999, 1.0]])), [[0, 127, 254, 255]])
