"""Options of transforms as they come from a config: in range, or one line that says what is possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from imgloc.errors import UserError

LARGEST_SIDE = 16_384  # pixels


def check(name: str, value: Any, low: float, high: float) -> None:
    """Raises UserError unless a number lies in [low, high]."""
    if type(value) is float and low <= value <= high:  # asked for each image: the usual answer without further calls
        return
    if not (_is_number(value) and low <= value <= high):
        raise UserError(f"augmentation option '{name}' is {value!r}; possible: {low:g} to {high:g}")


def check_range(name: str, pair: Any, low: float, high: float) -> None:
    """Raises UserError unless `pair` is two numbers in [low, high], the smaller first."""
    if type(pair) is tuple and len(pair) == 2 and type(pair[0]) is type(pair[1]) is float and low <= pair[0] <= pair[1] <= high:
        return
    right = isinstance(pair, Sequence) and len(pair) == 2 and all(map(_is_number, pair))
    if not (right and low <= pair[0] <= pair[1] <= high):
        raise UserError(f"augmentation option '{name}' is {pair!r}; possible: two numbers from {low:g} to {high:g}, the smaller first")


def check_size(name: str, size: Any) -> None:
    """Raises UserError unless `size` is a height and a width in pixels."""
    right = isinstance(size, Sequence) and len(size) == 2 and all(isinstance(side, int) for side in size)
    if not (right and all(1 <= side <= LARGEST_SIDE for side in size)):
        raise UserError(f"augmentation option '{name}' is {size!r}; possible: height and width, whole numbers from 1 to {LARGEST_SIDE}")


def check_color(color: Any, channels: int) -> tuple[int, ...]:
    """A colour for `channels` channels: 0 to 255 for all of them, or one value for each. Raises UserError for anything else."""
    values = (color,) * channels if isinstance(color, int) else color
    right = isinstance(values, Sequence) and len(values) == channels and all(isinstance(value, int) for value in values)
    if not (right and all(0 <= value <= 255 for value in values)):
        raise UserError(f"augmentation option 'color' is {color!r}; possible: a whole number from 0 to 255, or {channels} of them")
    return tuple(values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
