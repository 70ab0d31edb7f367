"""Holes: of the size asked for, anywhere, and never over more of an object than allowed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.data.transforms import erase
from imgloc.types import Example
from tests.data.transforms.rectangles import assert_boxes_follow, drawn, examples, generators
from tests.refusals import assert_refused

sides = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: (min(pair), max(pair)))


@settings(max_examples=80)
@given(examples(), generators, sides, st.floats(0, 1))
def test_no_more_of_an_object_is_hidden_than_allowed(
    example: Example, rng: np.random.Generator, side: tuple[float, float], covers: float
) -> None:
    before = example.image_hxwxc.copy()
    result = erase.cutout(example, rng, chance=1.0, side=side, covers=covers, color=77)
    assert np.array_equal(example.image_hxwxc, before), "the image given was painted on"
    assert result.boxes_nx4 is example.boxes_nx4
    for label in example.labels_n:
        drawn_pixels = (before[..., label] == 255).sum()
        assert (result.image_hxwxc[..., label] == 255).sum() >= (1 - covers) * drawn_pixels - 1e-3
    if covers == 0:
        assert_boxes_follow(result)
    hole = (result.image_hxwxc == 77).all(axis=-1)
    rows, columns = hole.any(axis=1).sum(), hole.any(axis=0).sum()
    assert hole.sum() == rows * columns, "not one rectangle"
    if hole.any():
        height, width = hole.shape
        assert side[0] * height - 0.51 <= rows <= side[1] * height + 0.51
        assert side[0] * width - 0.51 <= columns <= side[1] * width + 0.51


def test_holes_come_as_often_as_asked_and_everywhere() -> None:
    example, rng = drawn((30, 40), []), np.random.default_rng(0)
    results = [erase.cutout(example, rng, chance=0.5, side=(0.2, 0.3), color=(1, 2, 3)) for _ in range(400)]
    assert 160 < sum(result is not example for result in results) < 240
    hidden = np.any([(result.image_hxwxc == (1, 2, 3)).all(axis=-1) for result in results], axis=0)
    assert hidden[[0, -1]].any(axis=1).all()
    assert hidden[:, [0, -1]].any(axis=0).all()
    assert hidden.mean() > 0.9, "200 holes may miss the corners"
    assert erase.cutout(example, rng, chance=0.0) is example


def test_a_hole_that_finds_no_place_is_not_made() -> None:
    example, rng = drawn((30, 40), [(0, 0, 40, 30)]), np.random.default_rng(0)
    assert erase.cutout(example, rng, chance=1.0, covers=0.0) is example
    assert erase.cutout(example, rng, chance=1.0, covers=1.0, side=(1.0, 1.0)) is not example


def test_mistakes_are_refused() -> None:
    example, rng = drawn((30, 40), []), np.random.default_rng(0)
    assert_refused(lambda: erase.cutout(example, rng, chance=2), "'cutout' is 2")
    assert_refused(lambda: erase.cutout(example, rng, side=(0.1, 2)), "'side' is (0.1, 2)")
    assert_refused(lambda: erase.cutout(example, rng, covers=-1), "'covers' is -1")
