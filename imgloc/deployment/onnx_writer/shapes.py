"""Operations that move elements and compute nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from imgloc.deployment.onnx_writer.elementwise import Rule
from imgloc.deployment.onnx_writer.graph import Graph, Value, stored_dtype


def broadcast(graph: Graph, equation: Any, value: Value, *sizes: Value) -> list[Value]:
    """An array repeated along new axes, or along axes of size 1. Nothing is written but a Reshape: see `graph.Value`."""
    aval, axes = equation.outvars[0].aval, equation.params["broadcast_dimensions"]
    axes = tuple(int(axis) for axis in axes)
    value = graph.ordered(value, tuple(range(len(value.shape))))
    new = [1] * len(aval.shape)
    for axis, size in zip(axes, value.sizes, strict=True):
        new[axis] = size
    shape, order = tuple(aval.shape), tuple(range(len(aval.shape)))
    if value.constant is not None:
        extra = value.constant.shape[len(value.sizes) :]
        return [Value(shape, aval.dtype, tuple(new), order, "", value.constant.reshape(*new, *extra))]
    name = value.name
    if tuple(new) != value.sizes:
        name = graph.add("Reshape", name, graph.reshape_sizes([*new, *_key_axis(aval.dtype)]))
    return [Value(shape, aval.dtype, tuple(new), order, name)]


def _key_axis(dtype: Any) -> list[int]:
    """The axis that the tensor of an array of keys has besides."""
    return [2] if str(dtype).startswith("key<") else []


def reshape(graph: Graph, equation: Any, value: Value, *sizes: Value) -> list[Value]:
    """An array with the same elements in another shape."""
    aval = equation.outvars[0].aval
    shape = tuple(aval.shape)
    if value.constant is not None and all(isinstance(size, int) for size in (*shape, *value.shape)):
        whole = graph.whole(value).constant
        assert whole is not None
        return [Value(shape, aval.dtype, shape, tuple(range(len(shape))), "", whole.reshape(*shape, *_key_axis(aval.dtype)))]
    name = graph.whole_name(_without_ones(value))
    return [graph.result(graph.add("Reshape", name, graph.reshape_sizes([*shape, *_key_axis(aval.dtype)])), aval)]


def _without_ones(value: Value) -> Value:
    """The value; in the order of its tensor, if no axis but those of size 1 changes its place, as the elements then have the same order."""
    moved = [axis for axis in value.order if value.shape[axis] != 1]
    if value.sizes != value.shape or moved != sorted(moved):
        return value
    sizes = tuple(value.sizes[axis] for axis in value.order)
    return dataclasses.replace(value, shape=sizes, sizes=sizes, order=tuple(range(len(sizes))))


def squeeze(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """An array without axes of size 1."""
    axes = tuple(axis % len(value.shape) for axis in equation.params["dimensions"])
    places = sorted(value.order.index(axis) for axis in axes)
    kept = [axis for axis in range(len(value.shape)) if axis not in axes]
    order = tuple(kept.index(axis) for axis in value.order if axis in kept)
    shape, sizes = (tuple(all_[axis] for axis in kept) for all_ in (value.shape, value.sizes))
    if value.constant is not None:
        return [Value(shape, value.dtype, sizes, order, "", np.squeeze(value.constant, tuple(places)))]
    name = graph.add("Squeeze", value.name, graph.numbers_of(places))
    return [Value(shape, value.dtype, sizes, order, name)]


def expand_dims(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """An array with new axes of size 1."""
    return reshape(graph, equation, value)


def transpose(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """An array with its axes in another order; nothing is written until an operation needs it."""
    new = [int(axis) for axis in equation.params["permutation"]]
    order = tuple(new.index(axis) for axis in value.order)
    shape, sizes = (tuple(every[axis] for axis in new) for every in (value.shape, value.sizes))
    return [dataclasses.replace(value, shape=shape, sizes=sizes, order=order)]


def concatenate(graph: Graph, equation: Any, *values: Value) -> list[Value]:
    """Arrays one after the other along an axis."""
    aval, axis = equation.outvars[0].aval, equation.params["dimension"]
    order = next((v.order for v in values if v.constant is None and v.sizes == v.shape), tuple(range(len(aval.shape))))
    filled = [_filled(graph, graph.ordered(value, order)) for value in values]
    name = graph.add("Concat", *map(graph.tensor, filled), axis=order.index(axis))
    return [Value(tuple(aval.shape), aval.dtype, tuple(aval.shape), order, name)]


def _filled(graph: Graph, value: Value) -> Value:
    """The value with its repeated axes written out, and the order of its axes unchanged."""
    if value.sizes == value.shape:
        return value
    return graph.ordered(graph.whole(value), value.order)


def stack(graph: Graph, equation: Any, *values: Value) -> list[Value]:
    """Arrays side by side along a new axis."""
    aval, axis = equation.outvars[0].aval, equation.params["axis"]
    place = graph.numbers_of([axis])
    names = [graph.add("Unsqueeze", graph.whole_name(value), place) for value in values]
    return [graph.result(graph.add("Concat", *names, axis=axis), aval)]


def split(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """Parts of an array along an axis."""
    axis, sizes = equation.params["axis"], [int(size) for size in equation.params["sizes"]]
    value = _filled(graph, value)
    place = value.order.index(axis)
    names = graph.add_many("Split", graph.tensor(value), graph.numbers_of(sizes), count=len(sizes), axis=place)
    shapes = [tuple(variable.aval.shape) for variable in equation.outvars]
    return [
        dataclasses.replace(value, shape=shape, sizes=shape, name=name, constant=None) for shape, name in zip(shapes, names, strict=True)
    ]


def sliced(
    graph: Graph, value: Value, starts: Sequence[Any], limits: Sequence[Any], strides: Sequence[int], shape: tuple[Any, ...]
) -> Value:
    """The part of an array between starts and limits; axes that depend on the batch are taken whole."""
    changed = [i for i, size in enumerate(value.shape) if isinstance(size, int) and (starts[i], limits[i], strides[i]) != (0, size, 1)]
    if not changed:
        return value
    repeated = [i for i in changed if value.sizes[i] != value.shape[i]]
    sizes = tuple(1 if value.sizes[i] != value.shape[i] else shape[i] for i in range(len(shape)))
    changed = [i for i in changed if i not in repeated]
    places = [value.order.index(i) for i in changed]
    if value.constant is not None:
        cut = [slice(None)] * len(value.shape)
        for place, i in zip(places, changed, strict=True):
            cut[place] = slice(int(starts[i]), int(limits[i]), int(strides[i]))
        return dataclasses.replace(value, shape=shape, sizes=sizes, constant=value.constant[tuple(cut)])
    name = value.name
    if changed:
        ranges = ([int(each[i]) for i in changed] for each in (starts, limits))
        first, last = (graph.numbers_of(numbers) for numbers in ranges)
        steps = [int(strides[i]) for i in changed]
        rest = (graph.numbers_of(steps),) if any(step != 1 for step in steps) else ()
        name = graph.add("Slice", name, first, last, graph.numbers_of(places), *rest)
    return dataclasses.replace(value, shape=shape, sizes=sizes, name=name)


def slice_(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """A part of an array between constant limits."""
    params, shape = equation.params, tuple(equation.outvars[0].aval.shape)
    strides = params["strides"] or (1,) * len(shape)
    return [sliced(graph, value, params["start_indices"], params["limit_indices"], strides, shape)]


def reverse(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """An array with some axes backwards."""
    value = _filled(graph, value)
    places = [value.order.index(axis) for axis in equation.params["dimensions"]]
    numbers = graph.numbers_of
    last, steps = numbers([-(2**31)] * len(places)), numbers([-1] * len(places))
    name = graph.add("Slice", graph.tensor(value), numbers([-1] * len(places)), last, numbers(places), steps)
    return [dataclasses.replace(value, name=name, constant=None)]


def pad(graph: Graph, equation: Any, value: Value, filling: Value) -> list[Value]:
    """An array with a value around it; negative widths cut. Zeros between elements are not supported."""
    config, aval = equation.params["padding_config"], equation.outvars[0].aval
    if any(int(inner) for _, _, inner in config):
        raise NotImplementedError("padding between elements")
    value = _filled(graph, value)
    order = value.order
    widths = [int(config[axis][0]) for axis in order] + [int(config[axis][1]) for axis in order]
    name = graph.add("Pad", graph.tensor(value), graph.numbers_of(widths), graph.whole_name(filling))
    return [Value(tuple(aval.shape), aval.dtype, tuple(aval.shape), order, name)]


def iota(graph: Graph, equation: Any, *sizes: Value) -> list[Value]:
    """The numbers 0, 1, 2, ... along an axis."""
    import onnx

    aval, axis = equation.outvars[0].aval, equation.params["dimension"]
    shape, order = tuple(aval.shape), tuple(range(len(aval.shape)))
    own, new = shape[axis], [1] * len(shape)
    new[axis] = own
    if isinstance(own, int):
        return [Value(shape, aval.dtype, tuple(new), order, "", np.arange(own).astype(aval.dtype).reshape(new))]
    count = graph.add("Squeeze", graph.size_tensor(own))
    name = graph.add("Range", graph.constant(np.int64(0)), count, graph.constant(np.int64(1)))
    kind = onnx.helper.np_dtype_to_tensor_dtype(stored_dtype(aval.dtype))
    name = graph.add("Reshape", graph.add("Cast", name, to=kind), graph.reshape_sizes(new))
    return [Value(shape, aval.dtype, tuple(new), order, name)]


def tile(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """An array repeated along its axes."""
    aval = equation.outvars[0].aval
    return [graph.result(graph.add("Tile", graph.whole_name(value), graph.numbers_of(equation.params["reps"])), aval)]


def batch_size(graph: Graph, equation: Any) -> list[Value]:
    """A size that depends on the batch, as a number."""
    import onnx

    aval = equation.outvars[0].aval
    kind = onnx.helper.np_dtype_to_tensor_dtype(stored_dtype(aval.dtype))
    name = graph.add("Squeeze", graph.size_tensor(equation.params["dim"]))
    return [graph.result(graph.add("Cast", name, to=kind), aval)]


RULES: dict[str, Rule] = {
    "broadcast_in_dim": broadcast, "reshape": reshape, "squeeze": squeeze, "expand_dims": expand_dims, "transpose": transpose,
    "concatenate": concatenate, "stack": stack, "split": split, "slice": slice_, "rev": reverse, "pad": pad, "iota": iota, "tile": tile,
    "dim_as_value": batch_size,
}  # fmt: skip
