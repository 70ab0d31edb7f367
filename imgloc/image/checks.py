"""Errors for wrong options of image operations."""

from __future__ import annotations

from typing import Any

import jax

from imgloc.errors import UserError


def check_number(name: str, value: Any, *, least: Any = None, above: Any = None, most: Any = None) -> None:
    """Raises UserError where `value` is less than `least`, not greater than `above`, or greater than `most`. Traced numbers pass."""
    if any(isinstance(number, jax.core.Tracer) for number in (value, least, above, most)):
        return
    if least is not None and not value >= least:
        raise UserError(f"{name} must be at least {least}, got {value}")
    if above is not None and not value > above:
        raise UserError(f"{name} must be greater than {above}, got {value}")
    if most is not None and not value <= most:
        raise UserError(f"{name} must be at most {most}, got {value}")


def check_window(name: str, size: int, *, odd: bool = False) -> None:
    """Raises UserError where the side of a window in pixels is not an integer of at least 1, or not odd where `odd`."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or (odd and size % 2 == 0):
        raise UserError(f"{name} must be an {'odd ' if odd else ''}integer of at least 1, got {size!r}")
