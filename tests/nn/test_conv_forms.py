"""Every form of a convolution, in its three directions, against XLA's own."""

from __future__ import annotations

from typing import Any

import jax
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgloc.nn.conv_forms import FORMS, ROLES, Geometry, resolve_pads
from tests.nn.convolutions import PROBLEMS, Problem, arrays, assert_close, problems


def applicable(geometry: Geometry) -> list[str]:
    """`shifted` is for depthwise convolutions, `outer` for one group; the others are for all."""
    holds = {"shifted": geometry.depthwise, "outer": geometry.groups == 1}
    return [form for form in FORMS if holds.get(form, True)]


@settings(max_examples=11)
@given(problem=problems())
@example(problem=PROBLEMS["depthwise, multiplier, uneven pads"])
@example(problem=PROBLEMS["groups, dilation"])
def test_every_form_is_the_native_operation_in_every_role(problem: Problem) -> None:
    geometry = problem.geometry
    x, kernel = arrays(problem.images, problem.kernel)
    shape = jax.eval_shape(problem.native, x, kernel).shape
    assert geometry.out == shape[1:]
    (y,) = arrays(shape)

    @jax.jit  # all in one program: compiling is what takes the time
    def both(x: Any, kernel: Any, y: Any) -> Any:
        operands = {"output": (x, kernel), "image_gradient": (y, kernel), "kernel_gradient": (x, y)}
        value, pull = jax.vjp(problem.native, x, kernel)
        expected = dict(zip(ROLES, (value, *pull(y)), strict=True))
        names = applicable(geometry)
        return {f: {role: ROLES[role](FORMS[f], *operands[role], geometry) for role in ROLES} for f in names}, expected

    found, expected = both(x, kernel, y)
    for of_form in found.values():
        assert_close(of_form, expected)


def test_problems_reach_every_form_in_ways_that_differ() -> None:
    assert {form for problem in PROBLEMS.values() for form in applicable(problem.geometry)} == set(FORMS)
    assert [name for name, problem in PROBLEMS.items() if problem.geometry.depthwise] == ["depthwise", "depthwise, multiplier, uneven pads"]


@given(size=st.integers(1, 30), window=st.integers(1, 7), stride=st.integers(1, 4))
def test_same_is_tensorflows(size: int, window: int, stride: int) -> None:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + window - size, 0)
    expected = total // 2, total - total // 2  # the odd one goes below, and to the right
    assert resolve_pads("SAME", (size, 5), (window, 1), (stride, 1)) == (expected, (0, 0))
    assert resolve_pads("SAME", (5, size), (1, window), (1, stride)) == ((0, 0), expected)


def test_other_pads_are_as_given() -> None:
    assert resolve_pads("VALID", (5, 4), (3, 2), (2, 1)) == ((0, 0), (0, 0))
    assert resolve_pads(((1, -2), (0, 3)), (5, 4), (3, 2), (2, 1)) == ((1, -2), (0, 3))


@pytest.mark.parametrize(("size", "expected"), [(4, 0), (5, 1), (7, 1), (8, 2)])
def test_a_window_that_does_not_fit_gives_no_rows(size: int, expected: int) -> None:
    geometry = Geometry((size, 9, 3), (3, 1, 3, 2), (3, 1), ((0, 0), (0, 0)), (2, 1), 1)
    assert geometry.window == (5, 1)
    assert geometry.out == (expected, 9, 2)


@pytest.mark.parametrize(
    ("channels", "kernel", "groups", "depthwise"),
    [(3, (3, 3, 1, 3), 3, True), (3, (3, 3, 1, 6), 3, True), (1, (3, 3, 1, 4), 1, False), (4, (3, 3, 2, 4), 2, False)],
)
def test_depthwise_is_one_channel_a_group(channels: int, kernel: tuple[int, ...], groups: int, depthwise: bool) -> None:
    assert Geometry((5, 5, channels), kernel, (1, 1), ((0, 0), (0, 0)), (1, 1), groups).depthwise == depthwise
