"""The ONNX graph that is being written, and the arrays of the traced function as its tensors.

A tensor may hold its array with the axes in another order, and with axes of size 1 that are still to be repeated. Transpositions and
broadcasts are then written only where an operation needs them: a convolution wants channels first, and between two convolutions nothing
is transposed.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imgloc.errors import UserError

OPSET = 18  # the first with bitwise operations, and with reductions of scattered elements
IR_VERSION = 10
LARGEST_FOLDED = 2**22  # elements of a constant that is computed in advance
LINEAR_AT = (3, 4, 5, 8, 97, 1000)  # batch sizes at which the size of an axis is compared with the line through those of 1 and 2
# uint32 has few operations in ONNX runtimes: such arrays are int64, reduced modulo 2**32 after each operation that may exceed it.
STORED = {"uint32": np.dtype(np.int64)}


def stored_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of the tensor that holds an array of a dtype; keys of random numbers are two numbers of 32 bits."""
    name = str(dtype)
    return (
        np.dtype(np.int64) if name.startswith("key<") else STORED.get(name, np.dtype(name) if name != "bfloat16" else np.dtype(np.float32))
    )


@dataclass(frozen=True)
class Value:
    """An array of the function: a tensor by its name, or a constant.

    Axis i of the tensor is axis `order[i]` of the array, and `sizes` are those of the axes of the array in the tensor. A size is 1
    instead of the size of the array, `shape`, where the array repeats the tensor along that axis.
    """

    shape: tuple[Any, ...]
    dtype: Any
    sizes: tuple[Any, ...]
    order: tuple[int, ...]
    name: str = ""
    constant: np.ndarray | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the tensor is the array: no axis is moved, and none is to be repeated."""
        return self.sizes == self.shape and self.order == tuple(range(len(self.shape)))


def constant_value(array: Any, shape: tuple[Any, ...] | None = None, dtype: Any = None) -> Value:
    """A constant; `shape` is that of the array that repeats it, if it is not its own."""
    array = np.asarray(array)
    sizes = array.shape[: len(shape)] if shape is not None else array.shape  # keys have one more axis
    return Value(sizes if shape is None else shape, array.dtype if dtype is None else dtype, sizes, tuple(range(len(sizes))), "", array)


@dataclass(frozen=True)
class Node:
    """An ONNX node: an operation with the names of its inputs and outputs. Attributes may be graphs, `Graph`."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """Nodes in order. Constants and the size of the batch belong to the outermost graph, `root`, whose tensors inner graphs see."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    root: Graph | None = None
    inputs: list[tuple[str, Value]] = field(default_factory=list)  # of inner graphs
    outputs: list[tuple[str, Value]] = field(default_factory=list)
    batch_of: str = ""  # the tensor whose first axis is the batch
    known: dict[Any, str] = field(default_factory=dict)  # names of constants by content

    def inner(self) -> Graph:
        """A graph of the body of a loop or of a branch."""
        return Graph(root=self.root or self, numbers=self.numbers)

    def fresh(self, op: str) -> str:
        """A new name of a tensor."""
        return f"{op.lower()}_{next(self.numbers)}"

    def add(self, op: str, *inputs: str, count: int = 1, **attributes: Any) -> str:
        """Adds a node and returns the name of its first output."""
        return self.add_many(op, *inputs, count=count, **attributes)[0]

    def add_many(self, op: str, *inputs: str, count: int, **attributes: Any) -> tuple[str, ...]:
        """Adds a node and returns the names of its outputs."""
        names = tuple(self.fresh(op) for _ in range(count))
        self.nodes.append(Node(op, tuple(inputs), names, attributes))
        return names

    def constant(self, array: Any) -> str:
        """The name of a constant; equal constants are one."""
        root, array = self.root or self, np.ascontiguousarray(array) if np.ndim(array) else np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in root.known:
            root.known[key] = root.fresh("constant")
            root.constants[root.known[key]] = array
        return root.known[key]

    def numbers_of(self, values: Sequence[int]) -> str:
        """A constant int64 vector."""
        return self.constant(np.asarray(values, np.int64))

    def sizes_tensor(self, sizes: Sequence[Any]) -> str:
        """An int64 vector of sizes, some of which depend on the batch."""
        if all(isinstance(size, (int, np.integer)) for size in sizes):
            return self.numbers_of([int(size) for size in sizes])
        return self.add("Concat", *(self.size_tensor(size) for size in sizes), axis=0)

    def size_tensor(self, size: Any) -> str:
        """A vector of one size: a number, or a multiple of the batch plus a number."""
        if isinstance(size, (int, np.integer)):
            return self.numbers_of([int(size)])
        root = self.root or self
        key = ("size", str(size))
        if key not in root.known:
            first, second = (size_for_batch(size, batch) for batch in (1, 2))
            if any(size_for_batch(size, batch) != first + (second - first) * (batch - 1) for batch in LINEAR_AT):
                raise UserError(f"an axis of size {size} is not a linear function of the batch size; use --batch N")
            batch = root.add("Shape", root.batch_of, start=0, end=1)
            scaled = root.add("Mul", batch, root.numbers_of([second - first]))
            root.known[key] = root.add("Add", scaled, root.numbers_of([2 * first - second]))
        return root.known[key]

    def tensor(self, value: Value) -> str:
        """The name of the tensor of a value as it is; a constant is added."""
        if value.constant is None:
            return value.name
        return self.constant(value.constant.astype(stored_dtype(value.dtype)))

    def ordered(self, value: Value, order: tuple[int, ...]) -> Value:
        """The value with the axes of its tensor in an order; axes that are to be repeated stay so."""
        if value.order == order:
            return value
        axes = [value.order.index(axis) for axis in order]
        if value.constant is not None:
            return dataclasses.replace(value, order=order, constant=np.transpose(value.constant, axes))
        if [a for a in axes if value.sizes[value.order[a]] != 1] == sorted(a for a in axes if value.sizes[value.order[a]] != 1):
            sizes = [value.sizes[axis] for axis in order]
            if sum(not isinstance(size, int) for size in sizes) <= 1:  # only axes of size 1 move
                return dataclasses.replace(value, order=order, name=self.add("Reshape", value.name, self.reshape_sizes(sizes)))
        return dataclasses.replace(value, order=order, name=self.add("Transpose", value.name, perm=axes))

    def reshape_sizes(self, sizes: Sequence[Any]) -> str:
        """The sizes for a Reshape: one that depends on the batch is inferred."""
        symbolic = [i for i, size in enumerate(sizes) if not isinstance(size, (int, np.integer))]
        if len(symbolic) > 1:
            return self.sizes_tensor(sizes)
        return self.numbers_of([-1 if i in symbolic else int(size) for i, size in enumerate(sizes)])

    def whole(self, value: Value) -> Value:
        """The value with a tensor that is the array itself."""
        if value.is_whole:
            return value
        value = self.ordered(value, tuple(range(len(value.shape))))
        if value.sizes == value.shape:
            return value
        static = all(isinstance(size, (int, np.integer)) for size in value.shape)
        if value.constant is not None and static:
            return dataclasses.replace(value, sizes=value.shape, constant=np.broadcast_to(value.constant, value.shape))
        repeats = [1 if size == known else size for size, known in zip(value.shape, value.sizes, strict=True)]
        name = self.add("Expand", self.tensor(value), self.sizes_tensor(repeats))
        return dataclasses.replace(value, sizes=value.shape, name=name, constant=None)

    def whole_name(self, value: Value) -> str:
        """The name of a tensor that is the array itself."""
        return self.tensor(self.whole(value))

    def result(self, name: str, aval: Any) -> Value:
        """The value of a tensor that is the array of an abstract value."""
        return Value(tuple(aval.shape), aval.dtype, tuple(aval.shape), tuple(range(len(aval.shape))), name)


def size_for_batch(size: Any, batch: int) -> int:
    """The size of an axis for a batch."""
    return int(size) if isinstance(size, (int, np.integer)) else int(size._evaluate({"b": batch}))
