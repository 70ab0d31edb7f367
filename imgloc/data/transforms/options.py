"""Validation of the options of transforms, which come from a config.

Messages name an option of an augmentation, or, by a name with dots, the whole key of a config.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

from imgloc.errors import UserError

LARGEST_SIDE = 16_384  # pixels


def check_number(name: str, value: object, low: float, high: float) -> None:
    """Raises UserError unless `value` is a number in [low, high]."""
    if type(value) is float and low <= value <= high:  # called for each image: the common case first
        return
    if not (_is_number(value) and low <= value <= high):
        raise UserError(f"{_option(name)} must be from {low:g} to {high:g}, got {value!r}")


def check_range(name: str, pair: object, low: float, high: float) -> None:
    """Raises UserError unless `pair` is two numbers in [low, high], the smaller one first."""
    if type(pair) is tuple and len(pair) == 2 and type(pair[0]) is type(pair[1]) is float and low <= pair[0] <= pair[1] <= high:
        return
    numbers = pair if isinstance(pair, Sequence) and len(pair) == 2 and all(map(_is_number, pair)) else ()
    if not (numbers and low <= numbers[0] <= numbers[1] <= high):
        raise UserError(f"{_option(name)} must be two numbers from {low:g} to {high:g}, the smaller one first, got {pair!r}")


def check_size(name: str, size: object) -> None:
    """Raises UserError unless `size` is a height and a width in pixels."""
    sides = size if isinstance(size, Sequence) and len(size) == 2 else ()
    if not (sides and all(isinstance(side, int) and 1 <= side <= LARGEST_SIDE for side in sides)):
        raise UserError(f"augmentation option '{name}' must be a height and a width, integers from 1 to {LARGEST_SIDE}, got {size!r}")


def check_color(color: object, channels: int) -> tuple[int, ...]:
    """The color as one value in 0..255 for each channel; a single integer is repeated. Raises UserError for other values."""
    values = (color,) * channels if isinstance(color, int) else color if isinstance(color, Sequence) else ()
    if len(values) != channels or not all(isinstance(value, int) and 0 <= value <= 255 for value in values):
        raise UserError(f"augmentation option 'color' must be an integer from 0 to 255, or {channels} of them, got {color!r}")
    return tuple(values)


def _option(name: str) -> str:
    return name if "." in name else f"augmentation option '{name}'"


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
