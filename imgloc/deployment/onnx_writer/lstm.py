"""Recognizes the scan of an LSTM, which ONNX has as a node that runtimes compute faster than a Scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import Literal

from imgloc.deployment.onnx_writer.graph import Graph, Value

GATES = (0, 3, 1, 2)  # input, forget, candidate, output, as `imgloc.nn.cells.lstm` orders them, in the order of ONNX: i, o, f, c
_I, _F, _G, _O = (f"split(add(x, dot_general(h, u))).{i}" for i in range(4))
_CELL = f"add(mul(logistic({_F}), c), mul(logistic({_I}), tanh({_G})))"
_STATE = f"mul(logistic({_O}), tanh({_CELL}))"
LSTM = (_STATE, _CELL, _STATE)  # the new state, the new cell, and the state again as the output of the step


def expressions(jaxpr: Any, names: Sequence[str]) -> tuple[str, ...]:
    """The outputs of a jaxpr as expressions of its inputs; parameters of operations are left out."""
    known = dict(zip(jaxpr.invars, names, strict=True))
    for equation in jaxpr.eqns:
        inputs = (str(atom.val) if isinstance(atom, Literal) else known.get(atom, "?") for atom in equation.invars)
        text = f"{equation.primitive.name}({', '.join(inputs)})"
        for i, variable in enumerate(equation.outvars):
            known[variable] = text if len(equation.outvars) == 1 else f"{text}.{i}"
    return tuple("?" if isinstance(atom, Literal) else known.get(atom, "?") for atom in jaxpr.outvars)


def as_lstm(graph: Graph, equation: Any, values: Sequence[Value]) -> list[Value] | None:
    """The outputs of a scan that is an LSTM with constant weights, as an LSTM node; None for another scan."""
    params = equation.params
    if (params["num_consts"], params["num_carry"], len(values)) != (1, 2, 4):
        return None
    if expressions(params["jaxpr"].jaxpr, ("u", "h", "c", "x")) != LSTM:
        return None
    recurrent, state, cell, steps = values
    weights = graph.whole(recurrent).constant
    found = _projection(graph, steps)
    if weights is None or found is None:
        return None
    given, kernel, bias = found
    axis = graph.numbers_of([0])
    starts = [graph.add("Unsqueeze", graph.whole_name(each), axis) for each in (state, cell)]
    matrices = [graph.constant(_by_gate(matrix)[None]) for matrix in (kernel, weights)]
    biases = graph.constant(np.concatenate([_by_gate(bias[None])[:, 0], np.zeros_like(bias)])[None])
    names = graph.add_many(
        "LSTM",
        given,
        *matrices,
        biases,
        "",
        *starts,
        count=3,
        hidden_size=len(weights),
        direction="reverse" if params["reverse"] else "forward",
    )
    squeezed = [graph.add("Squeeze", name, graph.numbers_of([axis])) for name, axis in zip(names, (1, 0, 0), strict=True)]
    every, last, last_cell = squeezed
    return [graph.result(name, variable.aval) for name, variable in zip((last, last_cell, every), equation.outvars, strict=True)]


def _by_gate(matrix: np.ndarray) -> np.ndarray:
    """A matrix (f, 4 d) as ONNX has it: (4 d, f), with the gates in its order."""
    parts = np.split(matrix.astype(np.float32), 4, axis=1)
    return np.concatenate([parts[gate] for gate in GATES], axis=1).T


def _projection(graph: Graph, steps: Value) -> tuple[str, np.ndarray, np.ndarray] | None:
    """The tensor (t, b, f), the kernel (f, 4 d) and the bias (4 d,) from which the pre-activations of all steps are computed."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    constants = (graph.root or graph).constants
    node, bias = makers.get(steps.name), np.zeros(steps.shape[-1], np.float32)
    if not steps.is_whole or node is None:
        return None
    if node.op == "Add":
        name = next((name for name in node.inputs if name in constants), "")
        if not name or constants[name].size != len(bias):
            return None
        bias = constants[name].reshape(-1)
        node = makers.get(next(other for other in node.inputs if other != name))
    if node is None or node.op != "MatMul" or node.inputs[1] not in constants:
        return None
    return node.inputs[0], constants[node.inputs[1]], bias
