"""Cutout: the size and place of rectangles, and the share of an object that they may cover."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.data.transforms import erase
from imgloc.types import Example
from tests.data.transforms.rectangles import assert_boxes_follow, draw_example, examples, generators
from tests.refusals import assert_refused

sides = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: (min(pair), max(pair)))


@settings(max_examples=80)
@given(examples(), generators, sides, st.floats(0, 1))
def test_at_most_the_allowed_share_of_an_object_is_covered(
    example: Example, rng: np.random.Generator, side: tuple[float, float], covers: float
) -> None:
    before = example.image_hxwxc.copy()
    result = erase.cutout(example, rng, probability=1.0, side=side, covers=covers, color=77)
    assert np.array_equal(example.image_hxwxc, before), "the argument was modified"
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


def test_the_share_of_rectangles_is_the_probability_and_they_reach_all_places() -> None:
    example, rng = draw_example((30, 40), []), np.random.default_rng(0)
    results = [erase.cutout(example, rng, probability=0.5, side=(0.2, 0.3), color=(1, 2, 3)) for _ in range(400)]
    assert 160 < sum(result is not example for result in results) < 240
    hidden = np.any([(result.image_hxwxc == (1, 2, 3)).all(axis=-1) for result in results], axis=0)
    assert hidden[[0, -1]].any(axis=1).all()
    assert hidden[:, [0, -1]].any(axis=0).all()
    assert hidden.mean() > 0.9, "200 rectangles may miss the corners"
    assert erase.cutout(example, rng, probability=0.0) is example


def test_without_a_valid_place_nothing_is_erased() -> None:
    example, rng = draw_example((30, 40), [(0, 0, 40, 30)]), np.random.default_rng(0)
    assert erase.cutout(example, rng, probability=1.0, covers=0.0) is example
    assert erase.cutout(example, rng, probability=1.0, covers=1.0, side=(1.0, 1.0)) is not example


def test_invalid_options_raise() -> None:
    example, rng = draw_example((30, 40), []), np.random.default_rng(0)
    assert_refused(lambda: erase.cutout(example, rng, probability=2), "'cutout' must be", "got 2")
    assert_refused(lambda: erase.cutout(example, rng, side=(0.1, 2)), "'side' must be", "got (0.1, 2)")
    assert_refused(lambda: erase.cutout(example, rng, covers=-1), "'covers' must be", "got -1")
