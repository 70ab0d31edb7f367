"""Validation of the options of transforms, and its messages."""

from __future__ import annotations

from typing import Any

import pytest

from imgloc.data.transforms.options import check_color, check_number, check_range, check_size
from imgloc.errors import UserError
from tests.refusals import assert_refused


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf"), "0.5", None, True, (0.1, 0.2)])
def test_an_invalid_number_raises(value: Any) -> None:
    check_number("flip", 0, 0.0, 1.0)
    check_number("flip", 1.0, 0.0, 1.0)
    assert_refused(lambda: check_number("flip", value, 0.0, 1.0), "option 'flip' must be from 0 to 1", f"got {value!r}")


@pytest.mark.parametrize("pair", [(0.5, 0.1), (0.1, 1.1), (-1, 0), (0.1,), 0.5, "ab", None, (0.1, "b")])
def test_an_invalid_range_raises(pair: Any) -> None:
    check_range("sigma", [0, 1.0], 0.0, 1.0)
    check_range("sigma", (0.5, 0.5), 0.0, 1.0)
    assert_refused(lambda: check_range("sigma", pair, 0.0, 1.0), "option 'sigma'", "two numbers from 0 to 1")


@pytest.mark.parametrize("size", [(0, 5), (5,), 5, (5.0, 5), (20_000, 5), "ab"])
def test_an_invalid_size_raises(size: Any) -> None:
    check_size("size", (1, 16_384))
    assert_refused(lambda: check_size("size", size), "option 'size'", "a height and a width")


def test_a_color_is_one_number_or_one_for_each_channel() -> None:
    assert check_color(7, 3) == (7, 7, 7)
    assert check_color(7, 1) == (7,)
    assert check_color([1, 2, 3], 3) == (1, 2, 3)
    for color in (256, -1, (1, 2), (1, 2, 300), 0.5, "red"):
        assert_refused(lambda color=color: check_color(color, 3), "option 'color'", "0 to 255, or 3 of them")


def test_a_name_with_dots_is_named_as_a_key_of_the_config() -> None:
    key = "data.batch_transforms.mosaic.scale"
    for check, value in ((check_number, 3), (check_range, (2, 1))):
        with pytest.raises(UserError, match=rf"^{key} must be "):
            check(key, value, 0.0, 1.0)
