"""Convolution, pooling over windows and matrix products."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np

from imgloc.deployment.onnx_writer.elementwise import Rule
from imgloc.deployment.onnx_writer.graph import Graph, Value

CHANNELS_FIRST = (0, 3, 1, 2)


def our_convolution(graph: Graph, equation: Any, images: Value, kernel: Value) -> list[Value]:
    """The convolution of `imgloc.nn.conv`."""
    geometry = equation.params["geometry"]
    if equation.params["role"] != "output":
        raise NotImplementedError("the gradient of a convolution")
    return convolution(graph, equation.outvars[0].aval, images, kernel, geometry.strides, geometry.pads, geometry.dilation, geometry.groups)


def native_convolution(graph: Graph, equation: Any, images: Value, kernel: Value) -> list[Value]:
    """A convolution of `jax.lax` over images (b, h, w, c)."""
    params = equation.params
    numbers = params["dimension_numbers"]
    layout = tuple(numbers.lhs_spec), tuple(numbers.rhs_spec), tuple(numbers.out_spec)
    if layout != ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)) or params["batch_group_count"] != 1 or set(params["lhs_dilation"]) != {1}:
        raise NotImplementedError("a convolution that is transposed, or not over images (b, h, w, c)")
    strides, pads, dilation = params["window_strides"], params["padding"], params["rhs_dilation"]
    return convolution(graph, equation.outvars[0].aval, images, kernel, strides, pads, dilation, params["feature_group_count"])


def convolution(
    graph: Graph, aval: Any, images: Value, kernel: Value, strides: Any, pads: Any, dilation: Any, groups: int
) -> list[Value]:  # fmt: skip
    """A convolution of images (b, h, w, i) with a kernel (h, w, i / groups, o); ONNX wants channels first in both."""
    images = graph.ordered(images if images.sizes == images.shape else graph.whole(images), CHANNELS_FIRST)
    weights = graph.ordered(kernel if kernel.sizes == kernel.shape else graph.whole(kernel), (3, 2, 0, 1))
    (top, bottom), (left, right) = pads
    name = graph.add(
        "Conv", graph.tensor(images), graph.tensor(weights), strides=[int(s) for s in strides], group=int(groups),
        pads=[int(top), int(left), int(bottom), int(right)], dilations=[int(d) for d in dilation],
        kernel_shape=[int(size) for size in kernel.shape[:2]],
    )  # fmt: skip
    return [Value(tuple(aval.shape), aval.dtype, tuple(aval.shape), CHANNELS_FIRST, name)]


def window_rule(*, largest: bool) -> Rule:
    """The rule of the maximum, or of the sum, over windows of images (b, h, w, c)."""

    def rule(graph: Graph, equation: Any, images: Value) -> list[Value]:
        params, aval = equation.params, equation.outvars[0].aval
        window, strides, padding = params["window_dimensions"], params["window_strides"], params["padding"]
        dilated = {*params["base_dilation"], *params["window_dilation"]} != {1}
        if len(window) != 4 or dilated or any(each[axis] != 1 for each in (window, strides) for axis in (0, 3)):
            raise NotImplementedError("windows that are not over the height and width of images (b, h, w, c)")
        images = graph.ordered(images if images.sizes == images.shape else graph.whole(images), CHANNELS_FIRST)
        (top, bottom), (left, right) = padding[1:3]
        geometry: dict[str, Any] = {
            "kernel_shape": [int(size) for size in window[1:3]], "strides": [int(size) for size in strides[1:3]],
            "pads": [int(top), int(left), int(bottom), int(right)],
        }  # fmt: skip
        if largest:
            name = graph.add("MaxPool", graph.tensor(images), **geometry)
        else:
            mean = graph.add("AveragePool", graph.tensor(images), count_include_pad=1, **geometry)
            name = graph.add("Mul", mean, graph.constant(np.asarray(math.prod(window), np.float32)))
        return [Value(tuple(aval.shape), aval.dtype, tuple(aval.shape), CHANNELS_FIRST, name)]

    return rule


def dot(graph: Graph, equation: Any, a: Value, b: Value) -> list[Value]:
    """A product of arrays over some of their axes: MatMul where the axes allow it, else Einsum."""
    (contract_a, contract_b), (batch_a, batch_b) = equation.params["dimension_numbers"]
    contract_a, contract_b, batch_a, batch_b = (tuple(int(axis) for axis in axes) for axes in (contract_a, contract_b, batch_a, batch_b))
    aval, count = equation.outvars[0].aval, len(batch_a)
    rank_a, rank_b = len(a.shape), len(b.shape)
    in_front = batch_a == batch_b == tuple(range(count))
    if in_front and len(contract_a) == 1 and rank_b == count + 2 and rank_a >= count + 1 and (count == 0 or rank_a == count + 2):
        free_a = tuple(axis for axis in range(count, rank_a) if axis not in contract_a)
        free_b = tuple(axis for axis in range(count, rank_b) if axis not in contract_b)
        first = _arranged(graph, a, (*batch_a, *free_a, *contract_a))
        second = _arranged(graph, b, (*batch_b, *contract_b, *free_b))
        return [graph.result(graph.add("MatMul", first, second), aval)]
    letters = iter(string.ascii_lowercase)
    names_a = [next(letters) for _ in range(rank_a)]
    names_b = [next(letters) for _ in range(rank_b)]
    for axis_a, axis_b in zip((*batch_a, *contract_a), (*batch_b, *contract_b), strict=True):
        names_b[axis_b] = names_a[axis_a]
    out = [names_a[axis] for axis in batch_a]
    out += [name for axis, name in enumerate(names_a) if axis not in (*batch_a, *contract_a)]
    out += [name for axis, name in enumerate(names_b) if axis not in (*batch_b, *contract_b)]
    text = f"{''.join(names_a)},{''.join(names_b)}->{''.join(out)}"
    return [graph.result(graph.add("Einsum", graph.whole_name(a), graph.whole_name(b), equation=text), aval)]


def _arranged(graph: Graph, value: Value, order: tuple[int, ...]) -> str:
    """The tensor of a value with its axes in an order."""
    return graph.tensor(graph.ordered(value if value.sizes == value.shape else graph.whole(value), order))


RULES: dict[str, Rule] = {
    "imgloc_conv": our_convolution, "conv_general_dilated": native_convolution, "dot_general": dot,
    "reduce_window_max": window_rule(largest=True), "reduce_window_sum": window_rule(largest=False),
}  # fmt: skip
