"""Gathering, scattering, sorting and cumulative operations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jax.lax import GatherScatterMode

from imgloc.deployment.onnx_writer.elementwise import Rule
from imgloc.deployment.onnx_writer.graph import Graph, Value, stored_dtype
from imgloc.deployment.onnx_writer.shapes import sliced


def gather(graph: Graph, equation: Any, operand: Value, places: Value) -> list[Value]:
    """Parts of an array at places that are given: a Slice, a Gather along an axis, or a Gather of single elements."""
    params, aval = equation.params, equation.outvars[0].aval
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    removed = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    constant = graph.whole(places).constant
    if constant is not None and constant.ndim == 1 and not numbers.operand_batching_dims:
        return [_one_part(graph, aval, operand, constant, numbers, sizes)]
    axes, rank = numbers.start_index_map, len(operand.shape)
    others = [axis for axis in range(rank) if axis not in axes]
    whole_elsewhere = all(sizes[axis] == operand.shape[axis] for axis in others)
    if len(axes) == 1 and removed == tuple(axes) and whole_elsewhere and _is_in_bounds(params["mode"], constant, operand.shape[axes[0]]):
        axis, extra = axes[0], len(places.shape) - 1
        if tuple(i for i in range(len(aval.shape)) if i not in numbers.offset_dims) == tuple(range(axis, axis + extra)):
            index = graph.add("Squeeze", graph.whole_name(places), graph.numbers_of([extra]))
            return [graph.result(graph.add("Gather", graph.whole_name(operand), index, axis=axis), aval)]
    return [_elements(graph, aval, operand, places, params)]


def _is_in_bounds(mode: Any, constant: np.ndarray | None, size: int) -> bool:
    if mode == GatherScatterMode.PROMISE_IN_BOUNDS:
        return True
    return constant is not None and bool(((constant >= 0) & (constant < size)).all())


def _one_part(graph: Graph, aval: Any, operand: Value, place: np.ndarray, numbers: Any, sizes: Any) -> Value:
    """The part of an array at one constant place."""
    starts = [0] * len(operand.shape)
    for number, axis in zip(place.tolist(), numbers.start_index_map, strict=True):
        starts[axis] = min(max(number, 0), operand.shape[axis] - sizes[axis])
    limits = [start + size for start, size in zip(starts, sizes, strict=True)]
    part = sliced(graph, operand, starts, limits, [1] * len(starts), tuple(sizes))
    if not numbers.collapsed_slice_dims:
        return part
    part = graph.whole(part)
    if part.constant is not None:
        squeezed = np.squeeze(part.constant, tuple(numbers.collapsed_slice_dims))
        return Value(tuple(aval.shape), aval.dtype, tuple(aval.shape), tuple(range(len(aval.shape))), "", squeezed)
    return graph.result(graph.add("Squeeze", part.name, graph.numbers_of(list(numbers.collapsed_slice_dims))), aval)


def _elements(graph: Graph, aval: Any, operand: Value, places: Value, params: Any) -> Value:
    """The elements of an array, each at its own place in the flat array."""
    numbers, sizes, mode = params["dimension_numbers"], params["slice_sizes"], params["mode"]
    flat, inside = flat_places(graph, operand, places, numbers, sizes, numbers.offset_dims, aval.shape, mode)
    elements = graph.add("Reshape", graph.whole_name(operand), graph.numbers_of([-1]))
    found = graph.add("Gather", elements, flat, axis=0)
    if inside:
        filling = np.asarray(params["fill_value"]).astype(stored_dtype(aval.dtype))  # `lax.gather` has replaced None
        found = graph.add("Where", inside, found, graph.constant(filling))
    return graph.result(found, aval)


def flat_places(
    graph: Graph, operand: Value, places: Value, numbers: Any, sizes: Any, window_axes: Any, shape: Any, mode: Any
) -> tuple[str, str]:  # fmt: skip
    """The places (int64) in the flat array of all elements of `shape`, and the name of a mask of those inside, or "" if all are.

    `window_axes` are the axes of `shape` along which a part extends; the others are those of the places.
    """
    import onnx

    names = ("collapsed_slice_dims", "operand_batching_dims", "start_indices_batching_dims", "start_index_map")
    names = names if hasattr(numbers, "collapsed_slice_dims") else (
        "inserted_window_dims", "operand_batching_dims", "scatter_indices_batching_dims", "scatter_dims_to_operand_dims",
    )  # fmt: skip
    removed, operand_batch, places_batch, index_map = (tuple(getattr(numbers, name)) for name in names)
    rank, outer = len(shape), [axis for axis in range(len(shape)) if axis not in window_axes]
    window_of = [axis for axis in range(len(operand.shape)) if axis not in (*removed, *operand_batch)]
    index = graph.add("Cast", graph.whole_name(places), to=onnx.TensorProto.INT64)
    total, mask = "", ""
    for axis in range(len(operand.shape)):
        terms = []
        if axis in window_of:
            terms.append(_range(graph, sizes[axis], window_axes[window_of.index(axis)], rank))
        if axis in operand_batch:
            terms.append(_range(graph, operand.shape[axis], outer[places_batch[operand_batch.index(axis)]], rank))
        if axis in index_map:
            own = graph.add("Gather", index, graph.constant(np.int64(index_map.index(axis))), axis=len(places.shape) - 1)
            axes_sizes: list[Any] = [1] * rank
            for place, outer_axis in enumerate(outer):
                axes_sizes[outer_axis] = places.shape[place]
            own = graph.add("Reshape", own, graph.reshape_sizes(axes_sizes))
            if mode != GatherScatterMode.PROMISE_IN_BOUNDS:
                last = graph.add("Squeeze", graph.size_tensor(operand.shape[axis] - sizes[axis]))
                zero = graph.constant(np.int64(0))
                clipped = graph.add("Max", graph.add("Min", own, last), zero)
                if mode == GatherScatterMode.FILL_OR_DROP:
                    mask = graph.add("And", mask, graph.add("Equal", clipped, own)) if mask else graph.add("Equal", clipped, own)
                own = clipped
            terms.append(own)
        for term in terms:
            stride = operand.shape[axis + 1 :]
            scaled = term if not stride else graph.add("Mul", term, _product(graph, stride))
            total = graph.add("Add", total, scaled) if total else scaled
    return graph.add("Expand", total or graph.constant(np.zeros([1] * rank, np.int64)), graph.sizes_tensor(shape)), mask


def _product(graph: Graph, sizes: Any) -> str:
    if all(isinstance(size, int) for size in sizes):
        return graph.constant(np.int64(math.prod(sizes)))
    return graph.add("ReduceProd", graph.sizes_tensor(sizes), keepdims=0)


def _range(graph: Graph, size: Any, axis: int, rank: int) -> str:
    """The numbers from 0 along an axis of `rank` axes."""
    shape: list[Any] = [1] * rank
    shape[axis] = size
    if isinstance(size, int):
        return graph.constant(np.arange(size).reshape(shape))
    count = graph.add("Squeeze", graph.size_tensor(size))
    numbers = graph.add("Range", graph.constant(np.int64(0)), count, graph.constant(np.int64(1)))
    return graph.add("Reshape", numbers, graph.reshape_sizes(shape))


def scatter(reduction: str) -> Rule:
    """The rule of writing elements to places of an array, in place of the elements there, or joined with them."""

    def rule(graph: Graph, equation: Any, operand: Value, places: Value, updates: Value) -> list[Value]:
        params, aval = equation.params, equation.outvars[0].aval
        numbers, mode = params["dimension_numbers"], params["mode"]
        window = iter(updates.shape[axis] for axis in numbers.update_window_dims)
        alone = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
        sizes = [1 if axis in alone else next(window) for axis in range(len(operand.shape))]
        flat, inside = flat_places(graph, operand, places, numbers, sizes, numbers.update_window_dims, updates.shape, mode)
        flat, values = (graph.add("Reshape", name, graph.numbers_of([-1])) for name in (flat, graph.whole_name(updates)))
        elements = graph.add("Reshape", graph.whole_name(operand), graph.numbers_of([-1]))
        if inside:  # what lies outside goes to one more element, which is cut off again
            repeated = graph.add("Expand", inside, graph.sizes_tensor(updates.shape))
            mask = graph.add("Reshape", repeated, graph.numbers_of([-1]))
            flat = graph.add("Where", mask, flat, graph.add("Size", elements))
            elements = graph.add("Concat", elements, graph.constant(np.zeros(1, stored_dtype(aval.dtype))), axis=0)
        name = graph.add("ScatterElements", elements, flat, values, axis=0, reduction=reduction)
        if inside:
            name = graph.add("Slice", name, graph.numbers_of([0]), graph.numbers_of([-1]), graph.numbers_of([0]))
        return [graph.result(graph.add("Reshape", name, graph.reshape_sizes(aval.shape)), aval)]

    return rule


def top_k(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """The largest elements along the last axis, and their places."""
    import onnx

    params = equation.params
    count, axis = graph.numbers_of([int(params["k"])]), int(params.get("axis", -1))
    values, places = graph.add_many("TopK", graph.whole_name(value), count, count=2, axis=axis, largest=1, sorted=1)
    first, second = (variable.aval for variable in equation.outvars)
    return [graph.result(values, first), graph.result(graph.add("Cast", places, to=onnx.TensorProto.INT32), second)]


def sort(graph: Graph, equation: Any, *values: Value) -> list[Value]:
    """One array sorted along an axis, rising."""
    if len(values) != 1:
        raise NotImplementedError("sorting several arrays together")
    axis, size = equation.params["dimension"], values[0].shape[equation.params["dimension"]]
    found, _ = graph.add_many("TopK", graph.whole_name(values[0]), graph.numbers_of([int(size)]), count=2, axis=axis, largest=0, sorted=1)
    return [graph.result(found, equation.outvars[0].aval)]


def extreme(op: str) -> Rule:
    """The rule of the place of the largest or the smallest element along an axis, the first one of ties."""

    def rule(graph: Graph, equation: Any, value: Value) -> list[Value]:
        import onnx

        aval, (axis,) = equation.outvars[0].aval, equation.params["axes"]
        name = graph.add(op, graph.whole_name(value), axis=int(axis), keepdims=0)
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(aval.dtype))
        return [graph.result(graph.add("Cast", name, to=kind), aval)]

    return rule


def cumulative_sum(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """Sums of all elements up to each one along an axis."""
    params = equation.params
    axis = graph.constant(np.int64(params["axis"]))
    name = graph.add("CumSum", graph.whole_name(value), axis, reverse=int(params["reverse"]))
    return [graph.result(name, equation.outvars[0].aval)]


RULES: dict[str, Rule] = {
    "gather": gather, "scatter": scatter("none"), "scatter-add": scatter("add"), "scatter-max": scatter("max"),
    "scatter-min": scatter("min"),
    "top_k": top_k, "sort": sort, "argmax": extreme("ArgMax"), "argmin": extreme("ArgMin"), "cumsum": cumulative_sum,
}  # fmt: skip
