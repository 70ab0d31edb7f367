"""The output stride of a CNN: pixels of the image per cell of the last feature map.

Once the maps have the output stride, later strides become dilation (Chen et al., 2017, arXiv:1706.05587, section 3.1), which gives
finer maps from the same parameters.
"""

from __future__ import annotations

from imgloc.errors import UserError

OUTPUT_STRIDES = (8, 16, 32)


def check_output_stride(output_stride: int) -> None:
    """Raises UserError unless a model's field `output_stride` is one of OUTPUT_STRIDES."""
    if output_stride not in OUTPUT_STRIDES:
        raise UserError(f"output stride (model.output_stride) is {output_stride}; possible: {', '.join(map(str, OUTPUT_STRIDES))}")


def next_stride(current: int, dilation: int, stride: int, *, output_stride: int) -> tuple[int, int, int]:
    """Returns the stride of the next convolution, which has `stride` in the plain network, and the new `current` and `dilation`.

    `current` is the product of the strides before it, and `dilation` the dilation so far. The returned dilation applies to the
    convolutions after it.
    """
    actual = stride if current * stride <= output_stride else 1
    return actual, current * actual, dilation * stride // actual
