"""Output stride: how many pixels of the image a cell of a network's last map stands for, to be chosen.

Where the maps are as small as wanted, later strides turn into dilation (Chen et al., 2017,
arXiv:1706.05587, section 3.1): finer maps from the same parameters.
"""

from __future__ import annotations

from imgloc.errors import UserError

OUTPUT_STRIDES = (8, 16, 32)


def check_output_stride(output_stride: int) -> None:
    """Raises UserError where a model's field `output_stride` is none of OUTPUT_STRIDES."""
    if output_stride not in OUTPUT_STRIDES:
        raise UserError(f"output stride (model.output_stride) is {output_stride}; possible: {', '.join(map(str, OUTPUT_STRIDES))}")


def next_stride(reached: int, dilation: int, wanted: int, *, output_stride: int) -> tuple[int, int, int]:
    """The stride that a convolution gets which has `wanted` in the plain network, and then the new `reached` and `dilation`.

    `reached` is the product of the strides before it, `dilation` what its taps step over: the returned
    one holds for the convolutions after it.
    """
    stride = wanted if reached * wanted <= output_stride else 1
    return stride, reached * stride, dilation * wanted // stride
