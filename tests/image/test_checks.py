"""Errors for wrong options."""

from __future__ import annotations

import jax
import pytest

from imgloc.image.checks import check_number, check_window
from tests.refusals import assert_refused


def test_numbers_outside_their_range_are_refused() -> None:
    assert_refused(lambda: check_number("box.sigma", -1, least=0), "box.sigma must be at least 0, got -1")
    assert_refused(lambda: check_number("box.h", 0, above=0), "box.h must be greater than 0, got 0")
    assert_refused(lambda: check_number("box.high", 1.5, most=1), "box.high must be at most 1, got 1.5")
    assert_refused(lambda: check_number("box.h", float("nan"), above=0), "got nan")
    check_number("box.h", 1, least=1, above=0, most=1)


def test_a_traced_number_passes() -> None:
    def check(x: jax.Array) -> jax.Array:
        check_number("sigma", x, least=0)
        return x

    assert jax.jit(check)(-1.0) == -1


@pytest.mark.parametrize("size", [0, -3, 2.0, True])
def test_sizes_that_no_window_has_are_refused(size: object) -> None:
    assert_refused(lambda: check_window("median.size", size), f"median.size must be an integer of at least 1, got {size!r}")  # type: ignore[arg-type]


def test_an_even_size_is_refused_where_it_must_be_odd() -> None:
    check_window("median.size", 4)
    assert_refused(lambda: check_window("median.size", 4, odd=True), "median.size must be an odd integer of at least 1, got 4")
