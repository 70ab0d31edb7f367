"""Loops and branches: scans become Scan, other loops Loop, branches If. Bodies see the tensors outside of them by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imgloc.deployment.onnx_writer.graph import Graph, Value
from imgloc.deployment.onnx_writer.lstm import as_lstm

Walk = Callable[[Graph, Any, Sequence[Any], Sequence[Value]], list[Value]]  # (graph, jaxpr, its constants, its inputs) -> its outputs


def formal(graph: Graph, aval: Any, shape: tuple[Any, ...] | None = None) -> Value:
    """A new input of an inner graph."""
    shape = tuple(aval.shape) if shape is None else shape
    value = Value(shape, aval.dtype, shape, tuple(range(len(shape))), graph.fresh("input"))
    graph.inputs.append((value.name, value))
    return value


def returned(graph: Graph, values: Sequence[Value]) -> None:
    """Makes values the outputs of an inner graph; each becomes a separate tensor that the inner graph computes."""
    for value in values:
        whole = graph.whole(value)
        graph.outputs.append((graph.add("Identity", graph.tensor(whole)), whole))


def scan(graph: Graph, equation: Any, values: Sequence[Value], walk: Walk) -> list[Value]:
    """A loop over the first axis of arrays; the loop of an LSTM becomes ONNX's LSTM node."""
    params = equation.params
    native = as_lstm(graph, equation, values)
    if native is not None:
        return native
    consts, carries = params["num_consts"], params["num_carry"]
    closed = params["jaxpr"]
    fixed, start, sequences = values[:consts], values[consts : consts + carries], values[consts + carries :]
    body = graph.inner()
    carry = [formal(body, variable.aval) for variable in closed.jaxpr.invars[consts : consts + carries]]
    elements = [formal(body, variable.aval) for variable in closed.jaxpr.invars[consts + carries :]]
    names = [graph.whole_name(each) for each in sequences]
    if not names:  # a Scan has a sequence; its elements are not read
        names = [graph.constant(np.zeros(int(params["length"]), np.int64))]
        body.inputs.append((body.fresh("input"), Value((), np.dtype(np.int64), (), ())))
    kept = [graph.whole(each) if each.constant is None else each for each in fixed]
    returned(body, walk(body, closed.jaxpr, closed.consts, [*kept, *carry, *elements]))
    direction, sequences_out = int(params["reverse"]), len(equation.outvars) - carries
    directions: dict[str, Any] = {"scan_output_directions": [direction] * sequences_out} if sequences_out else {}
    found = graph.add_many(
        "Scan", *map(graph.whole_name, start), *names, count=len(equation.outvars), body=body, num_scan_inputs=len(names),
        scan_input_directions=[direction] * len(names), **directions,
    )  # fmt: skip
    return [graph.result(name, variable.aval) for name, variable in zip(found, equation.outvars, strict=True)]


def while_(graph: Graph, equation: Any, values: Sequence[Value], walk: Walk) -> list[Value]:
    """A loop that a condition ends."""
    params = equation.params
    cond_consts, body_consts = params["cond_nconsts"], params["body_nconsts"]
    of_cond, of_body, start = values[:cond_consts], values[cond_consts : cond_consts + body_consts], values[cond_consts + body_consts :]
    of_cond, of_body, start = ([graph.whole(each) for each in part] for part in (of_cond, of_body, start))
    cond, closed = params["cond_jaxpr"], params["body_jaxpr"]
    (first,) = walk(graph, cond.jaxpr, cond.consts, [*of_cond, *start])
    body = graph.inner()
    body.inputs.append((body.fresh("input"), Value((), np.dtype(np.int64), (), ())))
    body.inputs.append((body.fresh("input"), Value((), np.dtype(np.bool_), (), ())))
    carry = [formal(body, variable.aval) for variable in closed.jaxpr.invars[body_consts:]]
    new = [body.whole(each) for each in walk(body, closed.jaxpr, closed.consts, [*of_body, *carry])]
    again = walk(body, cond.jaxpr, cond.consts, [*of_cond, *new])
    returned(body, [*again, *new])
    names = [graph.whole_name(first), *map(graph.tensor, start)]
    found = graph.add_many("Loop", "", *names, count=len(equation.outvars), body=body)
    return [graph.result(name, variable.aval) for name, variable in zip(found, equation.outvars, strict=True)]


def cond(graph: Graph, equation: Any, values: Sequence[Value], walk: Walk) -> list[Value]:
    """One of two branches, or the one that is known to be taken."""
    index, operands = values[0], values[1:]
    branches = equation.params["branches"]
    if index.constant is not None:
        branch = branches[min(max(int(index.constant), 0), len(branches) - 1)]
        return walk(graph, branch.jaxpr, branch.consts, operands)
    if len(branches) != 2:
        raise NotImplementedError(f"{len(branches)} branches")
    import onnx

    kept = [graph.whole(each) if each.constant is None else each for each in operands]
    graphs = []
    for branch in branches:
        inner = graph.inner()
        returned(inner, walk(inner, branch.jaxpr, branch.consts, kept))
        graphs.append(inner)
    chosen = graph.add("Cast", graph.whole_name(index), to=onnx.TensorProto.BOOL)
    found = graph.add_many("If", chosen, count=len(equation.outvars), then_branch=graphs[1], else_branch=graphs[0])
    return [graph.result(name, variable.aval) for name, variable in zip(found, equation.outvars, strict=True)]


RULES = {"scan": scan, "while": while_, "cond": cond}
