"""Bounding boxes of shapes, compared with shapely's and with points on their outlines."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.annotated import shapes

number = st.floats(-1000, 1000)
side = st.floats(0.1, 500)


@given(st.lists(st.tuples(number, number), min_size=1, max_size=6))
def test_the_box_of_points(points: list[tuple[float, float]]) -> None:
    assert shapes.bounding_box(points) == list(shapely.MultiPoint(points).bounds)


@given(number, number, side, side, st.floats(-7, 7))
def test_the_box_of_an_ellipse_touches_its_outline(x: float, y: float, radius_x: float, radius_y: float, angle: float) -> None:
    turns = np.linspace(0, 2 * math.pi, 20_001)
    along, across = radius_x * np.cos(turns), radius_y * np.sin(turns)
    points_x = x + along * math.cos(angle) - across * math.sin(angle)
    points_y = y + along * math.sin(angle) + across * math.cos(angle)
    expected = [points_x.min(), points_y.min(), points_x.max(), points_y.max()]
    np.testing.assert_allclose(shapes.ellipse_box(x, y, radius_x, radius_y, angle=angle), expected, atol=1e-3)


@given(number, number, side, side, st.floats(-7, 7))
def test_the_box_of_a_rotated_box(x: float, y: float, width: float, height: float, angle: float) -> None:
    polygon = shapely.affinity.rotate(shapely.box(x, y, x + width, y + height), angle, origin="center", use_radians=True)
    np.testing.assert_allclose(shapes.rotated_box([x, y, x + width, y + height], angle), polygon.bounds, atol=1e-6)


@pytest.mark.parametrize("value", [None, {}, [1, 2], [[1]], [[1, 2, 3]], [["a", 1]], [[1, float("nan")]]])
def test_other_values_are_no_points(value: object) -> None:
    with pytest.raises(ValueError, match=r"point|number|coordinate"):
        shapes.parse_points(value)
    assert shapes.parse_points([[1, "2.5"]]) == [(1, 2.5)]


def test_no_points_have_no_box() -> None:
    with pytest.raises(ValueError, match="no points"):
        shapes.bounding_box([])
