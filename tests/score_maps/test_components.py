"""Boxes and areas of components, beside those of one level and one component at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from scipy import ndimage

from imgloc.score_maps.components import boxes_of, components_of, doubled_areas_of
from imgloc.score_maps.level_sets import heights_of, level_sets
from imgloc.types import BoolArray, FloatArray
from tests.score_maps.drawn_maps import levels_of, score_maps


def doubled_area(is_in_hxw: BoolArray) -> int:
    """Twice the area of the squares between four pixel centers, and the triangles between three."""
    total = 0
    for row in range(is_in_hxw.shape[0] - 1):
        for column in range(is_in_hxw.shape[1] - 1):
            total += max(int(is_in_hxw[row : row + 2, column : column + 2].sum()) - 2, 0)
    return total


@given(score_maps(largest=10))
@settings(max_examples=30, deadline=None)
def test_components_have_the_boxes_and_areas_of_labelled_pixels(map_hxw: FloatArray) -> None:
    components = components_of(level_sets(heights_of(map_hxw), 8))
    boxes_mx4, areas_m = boxes_of(components), doubled_areas_of(components)
    values = np.unique(levels_of(map_hxw)).tolist()
    for level in sorted({*values, *(value - 1 for value in values if value)} - {255}):
        labels_hxw, count = ndimage.label(levels_of(map_hxw) > level, np.ones((3, 3)))
        expected = [
            [columns.start, rows.start, columns.stop - 1, rows.stop - 1, doubled_area(labels_hxw == number)]
            for number, (rows, columns) in enumerate(ndimage.find_objects(labels_hxw), start=1)
        ]
        here = components.level_m == level
        assert here.sum() == count
        assert sorted(np.column_stack([boxes_mx4, areas_m])[here].tolist()) == sorted(expected)


def test_a_map_of_zeros_has_no_component() -> None:
    components = components_of(level_sets(heights_of(np.zeros((5, 4))), 8))
    assert boxes_of(components).shape == (0, 4)
    assert doubled_areas_of(components).shape == (0,)
