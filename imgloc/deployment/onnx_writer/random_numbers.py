"""Random numbers of JAX's generator Threefry (Salmon et al., 2011, doi:10.1145/2063384.2063405), which give the same bits as in JAX.

Numbers of 32 bits are stored as int64 below 2**32. A key is an axis of two of them. The counters are those of
`jax_threefry_partitionable`, the default.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imgloc.deployment.onnx_writer.elementwise import WORD, Rule
from imgloc.deployment.onnx_writer.graph import Graph, Value

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def threefry(graph: Graph, key: tuple[str, str], counts: tuple[str, str]) -> tuple[str, str]:
    """Two words (the names of tensors) for a key of two words and two counters: 20 rounds, with a key added after every fourth."""

    def constant(number: int) -> str:
        return graph.constant(np.int64(number))

    def word(name: str) -> str:
        return graph.add("BitwiseAnd", name, constant(WORD))

    def plus(a: str, b: str) -> str:
        return word(graph.add("Add", a, b))

    def rotated(x: str, bits: int) -> str:
        high = word(graph.add("Mul", x, constant(2**bits)))
        return graph.add("BitwiseOr", high, graph.add("Div", x, constant(2 ** (32 - bits))))

    third = graph.add("BitwiseXor", graph.add("BitwiseXor", *key), constant(PARITY))
    keys = (*key, third)
    x, y = plus(counts[0], key[0]), plus(counts[1], key[1])
    for i in range(5):
        for bits in ROTATIONS[i % 2]:
            x = plus(x, y)
            y = graph.add("BitwiseXor", x, rotated(y, bits))
        x, y = plus(x, keys[(i + 1) % 3]), plus(plus(y, keys[(i + 2) % 3]), constant(i + 1))
    return x, y


def _words(graph: Graph, key: Value, axes: int) -> tuple[str, str]:
    """The two words of keys (...), each of shape (..., 1, ..., 1) with `axes` new axes."""
    name, rank = graph.whole_name(key), len(key.shape)
    words = (graph.add("Gather", name, graph.constant(np.int64(i)), axis=rank) for i in (0, 1))
    places = graph.numbers_of([rank + i for i in range(axes)])
    first, second = (graph.add("Unsqueeze", each, places) if axes else each for each in words)
    return first, second


def _counts(graph: Graph, shape: tuple[int, ...]) -> tuple[str, str]:
    """The high and the low words of the numbers of the elements of a shape."""
    numbers = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    return graph.constant(numbers >> 32), graph.constant(numbers & WORD)


def _joined(graph: Graph, words: tuple[str, str], rank: int, aval: Any) -> list[Value]:
    """The keys of two words each."""
    place = graph.numbers_of([rank])
    return [graph.result(graph.add("Concat", *(graph.add("Unsqueeze", word, place) for word in words), axis=rank), aval)]


def fold_in(graph: Graph, equation: Any, key: Value, data: Value) -> list[Value]:
    """A key for each number of 32 bits."""
    aval = equation.outvars[0].aval
    rank = len(aval.shape)
    words = _words(graph, key, 0)
    zero = graph.constant(np.int64(0))
    return _joined(graph, threefry(graph, words, (zero, graph.whole_name(data))), rank, aval)


def split(graph: Graph, equation: Any, key: Value) -> list[Value]:
    """Several keys for each key."""
    shape, aval = tuple(equation.params["shape"]), equation.outvars[0].aval
    words = threefry(graph, _words(graph, key, len(shape)), _counts(graph, shape))
    return _joined(graph, words, len(aval.shape), aval)


def bits(graph: Graph, equation: Any, key: Value) -> list[Value]:
    """Numbers of 32 random bits for each key."""
    params, aval = equation.params, equation.outvars[0].aval
    if params["bit_width"] != 32:
        raise NotImplementedError(f"random numbers of {params['bit_width']} bits")
    shape = tuple(params["shape"])
    words = threefry(graph, _words(graph, key, len(shape)), _counts(graph, shape))
    return [graph.result(graph.add("BitwiseXor", *words), aval)]


RULES: dict[str, Rule] = {"random_fold_in": fold_in, "random_split": split, "random_bits": bits}
