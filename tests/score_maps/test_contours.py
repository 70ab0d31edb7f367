"""The boxes of all levels at once, beside OpenCV's contours of one level at a time."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings

from imgloc.score_maps.contours import all_contours, largest_contours
from imgloc.types import FloatArray
from tests.score_maps.drawn_maps import levels_of, score_maps


def plain_boxes(map_hxw: FloatArray, level: int) -> tuple[list[list[int]], list[int]]:
    """The sorted boxes of all contours of the pixels above a level, and the box of the largest."""
    height, width = map_hxw.shape
    contours = cv2.findContours((levels_of(map_hxw) > level).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]

    def box(contour: np.ndarray) -> list[int]:
        x, y, w, h = cv2.boundingRect(contour)
        return [x, y, min(x + w, width - 1), min(y + h, height - 1)]

    return sorted(map(box, contours)), box(max(contours, key=cv2.contourArea)) if contours else [0, 0, 0, 0]


def assert_as_plain(map_hxw: FloatArray) -> None:
    contours, largest_lx4 = all_contours(map_hxw), largest_contours(map_hxw)
    assert largest_lx4.shape == (255, 4)
    values = np.unique(levels_of(map_hxw))
    for level in sorted({0, 254, *values.tolist(), *(values - (values > 0)).tolist()} - {255}):  # nothing changes between these
        boxes, largest = plain_boxes(map_hxw, level)
        assert sorted(contours.boxes_mx4[contours.level_m == level].tolist()) == boxes
        assert largest_lx4[level].tolist() == largest
    assert len(contours.level_m) == sum(len(plain_boxes(map_hxw, level)[0]) for level in range(255))


@given(score_maps())
@settings(max_examples=80, deadline=None)
def test_boxes_of_all_contours_and_of_the_largest_are_those_of_opencv(map_hxw: FloatArray) -> None:
    assert_as_plain(map_hxw)


def from_picture(picture: str) -> FloatArray:
    """A map of the digits 0 to 9 of a picture, as ninths."""
    return np.array([[int(letter) / 9 for letter in row] for row in picture.split()])


@pytest.mark.parametrize(
    "picture",
    [
        "00000 09090 00000 09090 00000",  # four single pixels of area 0: the last one
        "000000000 099909990 090909090 099909090 000000000",  # two of equal height, one ring and one arch
        "9000900 9909990 9000900",  # two of equal area in one row
        "0000000 0099000 0900900 9000090 0900909 0099000",  # a diagonal ring, as large as its hole, with a spur
        "090 000 080",  # of equal area in two rows: the last one, also where it is lower
        "880 880 000 099 099",
        "88099 88099",  # of equal area in one row, the second one higher
        "99088 99088",
        "9999990000 9000090999 9000090999 9000090999 9000090000 9999990000",  # a ring around less than the other component has
        "99999 90009 90909 90009 99999",  # a component in a hole
        "99999 90909 99999 90909 99999",  # four holes
        "9990 9090 9900 0000",  # what only touches diagonally closes a hole
        "1234 2345 3456 4567",
        "9" * 30,
    ],
)
def test_contours_of_awkward_pictures(picture: str) -> None:
    assert_as_plain(from_picture(picture))


def test_a_map_of_224_pixels_with_noise_has_the_boxes_of_opencv() -> None:
    rng = np.random.default_rng(0)
    coarse_hxw = rng.random((28, 28)).astype(np.float32)
    map_hxw = np.clip(cv2.resize(coarse_hxw, (224, 224), interpolation=cv2.INTER_CUBIC), 0, 1).astype(np.float64)
    contours, largest_lx4 = all_contours(map_hxw), largest_contours(map_hxw)
    for level in range(0, 255, 15):
        boxes, largest = plain_boxes(map_hxw, level)
        assert sorted(contours.boxes_mx4[contours.level_m == level].tolist()) == boxes
        assert largest_lx4[level].tolist() == largest
