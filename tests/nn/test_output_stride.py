"""Strides that become dilation: the product of both is always that of the plain network."""

from __future__ import annotations

import pytest

from imgloc.errors import UserError
from imgloc.nn.output_stride import OUTPUT_STRIDES, check_output_stride, next_stride


@pytest.mark.parametrize(
    ("output_stride", "expected"),
    [
        (32, [(2, 1), (1, 1), (2, 1), (2, 1), (1, 1)]),
        (16, [(2, 1), (1, 1), (2, 1), (1, 2), (1, 2)]),
        (8, [(2, 1), (1, 1), (1, 2), (1, 4), (1, 4)]),
    ],
)
def test_strides_past_the_output_stride_become_dilation(output_stride: int, expected: list[tuple[int, int]]) -> None:
    current, dilation, plain, actual = 4, 1, 4, []
    for plain_stride in (2, 1, 2, 2, 1):
        stride, current, dilation = next_stride(current, dilation, plain_stride, output_stride=output_stride)
        plain *= plain_stride
        actual.append((stride, dilation))
        assert current * dilation == plain
        assert current <= output_stride
    assert actual == expected


def test_other_output_strides_are_refused() -> None:
    for output_stride in OUTPUT_STRIDES:
        check_output_stride(output_stride)
    for output_stride in set(range(-1, 40)) - set(OUTPUT_STRIDES):
        with pytest.raises(UserError, match=rf"model.output_stride\) is {output_stride}; possible: 8, 16, 32"):
            check_output_stride(output_stride)
