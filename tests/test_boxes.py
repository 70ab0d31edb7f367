"""Boxes against the polygons of shapely, with NumPy and with JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc import boxes

# Edges on a grid, so that touching, equal and empty boxes are frequent and float32 is exact.
edge = st.integers(0, 16).map(lambda i: i / 16)
ordered = st.tuples(edge, edge, edge, edge).map(lambda e: (min(e[0], e[2]), min(e[1], e[3]), max(e[0], e[2]), max(e[1], e[3])))
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def polygon_iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    p, q = shapely.box(*a), shapely.box(*b)
    union = p.union(q).area
    return float(p.intersection(q).area / union) if union > 0 else 0.0


def polygon_giou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    p, q = shapely.box(*a), shapely.box(*b)
    hull = shapely.envelope(shapely.MultiPoint([a[:2], a[2:], b[:2], b[2:]]))
    return polygon_iou(a, b) - (float((hull.area - p.union(q).area) / hull.area) if hull.area > 0 else 0.0)


@settings(max_examples=300)
@given(ordered, ordered)
def test_area_intersection_and_iou_are_those_of_polygons(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    x, y = np.array(a), np.array(b)
    assert boxes.area(x) == pytest.approx(shapely.box(*a).area, abs=1e-12)
    assert boxes.intersection(x, y) == pytest.approx(shapely.box(*a).intersection(shapely.box(*b)).area, abs=1e-12)
    assert boxes.iou(x, y) == pytest.approx(polygon_iou(a, b), abs=1e-12)
    assert boxes.iou(x, y) == boxes.iou(y, x)


@settings(max_examples=300)
@given(ordered, ordered)
def test_giou_is_that_of_polygons_and_bounded(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    value = boxes.giou(np.array(a), np.array(b))
    assert value == pytest.approx(polygon_giou(a, b), abs=1e-12)
    assert -1 <= value <= boxes.iou(np.array(a), np.array(b)) <= 1


def test_jax_agrees_with_numpy_under_jit_and_vmap() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 17, (2, 500, 4)) / np.float32(16)  # including inverted and empty boxes
    assert ((a[:, 2:] < a[:, :2]).any(axis=1)).sum() > 100
    for function in (boxes.iou, boxes.giou, boxes.intersection):
        expected = function(a.astype(np.float64), b.astype(np.float64))
        np.testing.assert_allclose(jax.jit(function)(a, b), expected, atol=1e-6)
        np.testing.assert_allclose(jax.vmap(function)(jnp.asarray(a), jnp.asarray(b)), expected, atol=1e-6)
        assert function(jnp.asarray(a), jnp.asarray(b)).dtype == jnp.float32
    np.testing.assert_allclose(jax.jit(boxes.area)(a), boxes.area(a), atol=1e-7)


@pytest.mark.parametrize("function", [boxes.iou, boxes.giou, boxes.diou])
def test_gradients_are_finite_everywhere_and_correct_where_smooth(function) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 9, (2, 400, 4)) / np.float32(8)
    gradient = jax.jit(jax.vmap(jax.grad(function, argnums=(0, 1))))
    for part in gradient(a, b):
        assert np.isfinite(part).all()
    smooth = np.array([[0.1, 0.2, 0.53, 0.71]]), np.array([[0.3, 0.13, 0.82, 0.6]])
    actual = np.asarray(gradient(*(s.astype(np.float32) for s in smooth))[0][0])
    step = 1e-6
    expected = [
        (function(smooth[0] + step * np.eye(4)[i], smooth[1]) - function(smooth[0] - step * np.eye(4)[i], smooth[1]))[0] / (2 * step)
        for i in range(4)
    ]
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(expected).min() > 1e-2


def test_special_boxes() -> None:
    unit, empty = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.5, 0.5, 0.5, 0.5])
    inverted = np.array([0.8, 0.2, 0.2, 0.8])
    left, right = np.array([0.0, 0.0, 0.5, 1.0]), np.array([0.5, 0.0, 1.0, 1.0])
    assert boxes.area(inverted) == 0
    assert boxes.area(-unit) == 0
    assert boxes.intersection(inverted, unit) == 0
    assert boxes.iou(inverted, unit) == 0
    assert boxes.iou(empty, empty) == 0
    assert boxes.giou(empty, empty) == 0
    assert boxes.iou(unit, unit) == 1
    assert boxes.giou(unit, unit) == 1
    assert boxes.iou(left, right) == 0
    assert boxes.giou(left, right) == 0
    corners = np.array([0.0, 0.0, 0.1, 0.1]), np.array([0.9, 0.9, 1.0, 1.0])
    assert boxes.giou(*corners) == pytest.approx(-0.98)
    assert boxes.diou(*corners) == pytest.approx(-0.81)  # centers 0.9 apart along each axis, corners 1.0
    assert boxes.diou(empty, empty) == 0
    assert boxes.diou(unit, unit) == boxes.ciou(unit, unit) == 1


def test_functions_are_elementwise_over_any_leading_axes() -> None:
    a = np.random.default_rng(2).random((2, 3, 5, 4))
    b = np.random.default_rng(3).random((2, 3, 5, 4))
    for function in (boxes.iou, boxes.giou, boxes.intersection):
        assert function(a, b).shape == (2, 3, 5)
        assert function(a, b)[1, 2, 4] == function(a[1, 2, 4], b[1, 2, 4])


@settings(max_examples=300)
@given(st.lists(finite, min_size=4, max_size=4))
def test_any_finite_logits_give_a_valid_box(logits: list[float]) -> None:
    array = np.array(logits, np.float32)
    for box in (
        boxes.from_low_size_logits(array, scipy.special.expit),
        boxes.from_low_size_logits(jnp.asarray(array), jax.nn.sigmoid),
        boxes.from_low_size_logits(jnp.asarray(array, jnp.bfloat16), jax.nn.sigmoid),
    ):
        x0, y0, x1, y1 = (float(value) for value in box)
        assert 0 <= x0 <= x1 <= 1
        assert 0 <= y0 <= y1 <= 1


def test_logits_reach_every_box() -> None:
    expected = np.array([0.25, 0.1, 0.35, 0.9])
    size = expected[2:] - expected[:2]
    logits = np.concatenate([scipy.special.logit(expected[:2] / (1 - size)), scipy.special.logit(size)])
    np.testing.assert_allclose(boxes.from_low_size_logits(logits, scipy.special.expit), expected, atol=1e-12)


@given(ordered, ordered, ordered)
def test_windows_and_back(a: tuple[float, ...], b: tuple[float, ...], edges: tuple[float, ...]) -> None:
    """In a window, its corners are (0, 0) and (1, 1) and its center is (.5, .5); a box clipped to it is the intersection."""
    window = np.array(edges) + np.array([0, 0, 0.5, 0.25])
    pair = np.array([a, b])
    inside = boxes.to_window(pair, window)
    np.testing.assert_allclose(boxes.from_window(inside, window), pair, atol=1e-12)
    center = (window[:2] + window[2:]) / 2
    np.testing.assert_allclose(boxes.to_window(np.concatenate([window[:2], center]), window), [0, 0, 0.5, 0.5], atol=1e-12)
    np.testing.assert_allclose(boxes.to_window(window, window), [0, 0, 1, 1], atol=1e-12)
    expected = boxes.intersection(pair, np.broadcast_to(window, pair.shape)) / boxes.area(window)
    np.testing.assert_allclose(boxes.area(boxes.clip_to_image(inside)), expected, atol=1e-12)
    np.testing.assert_array_equal(boxes.from_letterbox(pair, window), boxes.clip_to_image(inside))
    assert np.asarray(boxes.from_letterbox(jnp.asarray(pair, jnp.float32), jnp.asarray(window, jnp.float32))).dtype == np.float32


@given(ordered, st.integers(1, 2000), st.integers(1, 2000))
def test_pixels_and_back(box: tuple[float, ...], width: int, height: int) -> None:
    pixels = boxes.to_pixels(np.array(box), width, height)
    np.testing.assert_allclose(pixels, [box[0] * width, box[1] * height, box[2] * width, box[3] * height])
    np.testing.assert_allclose(boxes.from_pixels(pixels, width, height), box, atol=1e-12)
    assert boxes.to_pixels(np.array(box, np.float32), width, height).dtype == np.float32


whole = st.tuples(*[st.integers(-50, 4000)] * 4)


def test_conventions_by_hand() -> None:
    """The first three pixels of a row, the first of a column, in each convention."""
    edges = np.array([0.0, 0.0, 3.0, 1.0])
    for given_box, convert, back in (
        ([1, 1, 3, 1], boxes.from_voc_inclusive, boxes.to_voc_inclusive),
        ([0, 0, 2, 0], boxes.from_inclusive, boxes.to_inclusive),
        ([0, 0, 3, 1], boxes.from_coco_xywh, boxes.to_coco_xywh),
        ([1.5, 0.5, 3, 1], boxes.from_yolo_cxcywh, boxes.to_yolo_cxcywh),
    ):
        np.testing.assert_array_equal(convert(np.array(given_box, np.float64)), edges)
        np.testing.assert_array_equal(back(edges), given_box)
    np.testing.assert_array_equal(boxes.from_ymin_xmin_ymax_xmax(np.array([[0.1, 0.2, 0.3, 0.4]])), [[0.2, 0.1, 0.4, 0.3]])
    np.testing.assert_array_equal(boxes.from_coco_xywh(np.array([10.0, 20.0, 3.0, 4.0])), [10, 20, 13, 24])
    np.testing.assert_array_equal(boxes.from_yolo_cxcywh(np.array([10.0, 20.0, 4.0, 6.0])), [8, 17, 12, 23])


@given(whole)
def test_conventions_and_back(box: tuple[int, ...]) -> None:
    for name in ("voc_inclusive", "inclusive", "coco_xywh", "yolo_cxcywh"):
        convert, back = getattr(boxes, f"to_{name}"), getattr(boxes, f"from_{name}")
        for array in (np.array(box, np.float64), np.array([[box]], np.float32), jnp.asarray(box, jnp.float32)):
            assert convert(array).dtype == array.dtype
            np.testing.assert_array_equal(back(convert(array)), array)


def test_conversions_of_inclusive_and_of_tfds_boxes() -> None:
    inclusive = np.array([[0, 0, 63, 63], [5, 7, 5, 7]], np.float32)
    assert boxes.from_inclusive(inclusive).tolist() == [[0, 0, 64, 64], [5, 7, 6, 8]]
    assert boxes.from_ymin_xmin_ymax_xmax(np.array([[0.1, 0.2, 0.3, 0.4]])).tolist() == [[0.2, 0.1, 0.4, 0.3]]


def test_the_share_of_the_smaller_box_that_the_other_covers() -> None:
    a = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 2, 2], [0, 0, 1, 1]], np.float32)
    b = np.array([[1, 1, 2, 3], [3, 3, 5, 5], [0, 0, 8, 8], [2, 0, 3, 1]], np.float32)
    for one, other in ((a, b), (b, a)):
        np.testing.assert_allclose(boxes.share_of_smaller(one, other), [1, 0.25, 1, 0])
