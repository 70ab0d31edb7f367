"""Folds scales and shifts of channels after a convolution, as of a BatchNorm, into its weights, and leaves out what nothing reads."""

from __future__ import annotations

import collections
from collections.abc import Iterator

import numpy as np

from imgloc.deployment.onnx_writer.graph import Graph, Node


def fold(graph: Graph) -> None:
    """Changes a graph in place; inner graphs keep their nodes."""
    while _fold_once(graph):
        pass
    _drop_unused(graph)


def _all_inputs(graph: Graph) -> Iterator[str]:
    """The names that nodes read, those of inner graphs included."""
    for node in graph.nodes:
        yield from node.inputs
        for attribute in node.attributes.values():
            if isinstance(attribute, Graph):
                yield from _all_inputs(attribute)
    yield from (name for name, _ in graph.outputs)


def _fold_once(graph: Graph) -> bool:
    """Folds one operation after each convolution; returns whether there was any."""
    uses = collections.Counter(_all_inputs(graph))
    readers = {name: node for node in graph.nodes for name in node.inputs}
    merged: dict[int, Node | None] = {}
    place = {node.outputs: i for i, node in enumerate(graph.nodes)}
    for i, conv in enumerate(graph.nodes):
        name = conv.outputs[0]
        reader = readers.get(name)
        if conv.op != "Conv" or uses[name] != 1 or reader is None or conv.inputs[1] not in graph.constants:
            continue
        folded = _merge(graph, conv, reader)
        if folded is not None:  # the merged node takes the place of the later one
            merged[i], merged[place[reader.outputs]] = None, folded
    if merged:
        graph.nodes[:] = [node for i, each in enumerate(graph.nodes) if (node := merged.get(i, each)) is not None]
    return bool(merged)


def _merge(graph: Graph, conv: Node, reader: Node) -> Node | None:
    """A convolution that does what a convolution and its reader do, or None where there is none."""
    if reader.op not in ("Add", "Sub", "Mul", "Div") or len(set(reader.inputs)) != 2:
        return None
    first = reader.inputs[0] == conv.outputs[0]
    other = graph.constants.get(reader.inputs[1] if first else reader.inputs[0])
    weights = graph.constants[conv.inputs[1]].astype(np.float64)
    features = len(weights)
    if other is None or other.shape not in ((), (1, features, 1, 1), (1, 1, 1, 1)) or (reader.op == "Div" and not first):
        return None
    factor = np.broadcast_to(other.astype(np.float64).reshape(-1), features)
    bias = graph.constants[conv.inputs[2]].astype(np.float64) if len(conv.inputs) > 2 else np.zeros(features)
    if reader.op in ("Mul", "Div"):
        factor = factor if reader.op == "Mul" else 1 / factor
        weights, bias = weights * factor[:, None, None, None], bias * factor
    elif reader.op == "Add":
        bias = bias + factor
    elif first:
        bias = bias - factor
    else:
        weights, bias = -weights, factor - bias
    names = (graph.constant(array.astype(np.float32)) for array in (weights, bias))
    return Node("Conv", (conv.inputs[0], *names), reader.outputs, conv.attributes)


def _drop_unused(graph: Graph) -> None:
    """Removes nodes and constants that nothing reads."""
    before = -1
    while before != len(graph.nodes):
        before = len(graph.nodes)
        read = set(_all_inputs(graph))
        graph.nodes[:] = [node for node in graph.nodes if read.intersection(node.outputs)]
    read = set(_all_inputs(graph))
    graph.constants = {name: array for name, array in graph.constants.items() if name in read}
