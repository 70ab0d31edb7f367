"""The leaves of a map, beside labels of one level at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import ndimage

from imgloc.score_maps.level_sets import FRACTION_BITS, LEVELS, heights_of, level_sets
from imgloc.types import FloatArray
from tests.score_maps.drawn_maps import levels_of, score_maps

NEIGHBORHOODS = {4: ndimage.generate_binary_structure(2, 1), 8: ndimage.generate_binary_structure(2, 2)}


@pytest.mark.parametrize("connectivity", [4, 8])
@given(score_maps())
@settings(max_examples=30, deadline=None)
def test_each_component_of_each_level_is_that_of_one_leaf(connectivity: int, map_hxw: FloatArray) -> None:
    sets = level_sets(heights_of(map_hxw), connectivity)
    np.testing.assert_array_equal(sets.level_hxw, levels_of(map_hxw))
    for level in range(0, LEVELS - 1, 6):
        labels_hxw, count = ndimage.label(sets.level_hxw > level, NEIGHBORHOODS[connectivity])
        living = np.flatnonzero((sets.end_k <= level) & (level < sets.peak_k))
        assert len(living) == count
        leaf_hxw = sets.leaf_hxw.copy()
        while (ended := (sets.end_k[leaf_hxw] > level)).any():
            leaf_hxw = np.where(ended, sets.parent_k[leaf_hxw], leaf_hxw)
        pairs = np.unique(np.stack([labels_hxw, leaf_hxw])[:, labels_hxw > 0], axis=1)
        assert pairs.shape[1] == count
        assert sorted(pairs[1].tolist()) == living.tolist()


def test_leaves_are_sorted_and_end_in_lower_parents() -> None:
    sets = level_sets(heights_of(np.random.default_rng(0).random((40, 30))), 8)
    assert (np.diff(sets.peak_k) <= 0).all()
    ends = sets.end_k > 0
    assert ends.sum() > 20
    assert (sets.end_k[sets.parent_k[ends]] < sets.end_k[ends]).all()


def test_a_smooth_map_has_a_leaf_for_each_peak_and_few_more() -> None:
    row_hx1, column_1xw = np.arange(100)[:, None], np.arange(100)[None]
    peaks = [np.exp(-((row_hx1 - row) ** 2 + (column_1xw - column) ** 2) / 200) for row, column in ((25, 25), (70, 40), (40, 80))]
    sets = level_sets(heights_of(np.max(peaks, axis=0)), 8)
    assert 3 <= len(sets.peak_k) < 20


def test_heights_are_levels_with_a_fraction() -> None:
    map_1xn = np.append(np.random.default_rng(0).random(1000), [0.0, 1.0, 1 / 255, np.nextafter(1 / 255, 0)])[None]
    np.testing.assert_array_equal(heights_of(map_1xn) >> FRACTION_BITS, (map_1xn * 255).astype(np.uint8))
