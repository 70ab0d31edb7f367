"""Writes a JAX function as an ONNX model: the function is traced, and each operation of the trace becomes ONNX nodes.

Every model that is traced can be written, without a table of layers: what needs a rule is one of about 80 operations of `jax.lax`. Calls
are written in place. Operations on constants alone are computed. Of the branches that depend on the platform, the one for other
platforms than the CPU is written, whose operations are the native ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal
from jax.interpreters import partial_eval

from imgloc.deployment.onnx_writer import control, elementwise, indexing, products, random_numbers, shapes
from imgloc.deployment.onnx_writer.folding import fold
from imgloc.deployment.onnx_writer.graph import LARGEST_FOLDED, Graph, Value, constant_value
from imgloc.deployment.onnx_writer.protobuf import as_model
from imgloc.errors import UserError

RULES = {
    **elementwise.RULES, **shapes.RULES, **products.RULES, **indexing.RULES, **random_numbers.RULES,
}  # fmt: skip
CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # parameters that hold the function of a call


def to_onnx(function: Callable[[Any], Mapping[str, jax.Array]], images: jax.ShapeDtypeStruct, description: str = "") -> bytes:
    """The ONNX model of a function from images to named outputs; its input is `images`, and its first axis may be the symbol `b`.

    Raises UserError for an operation without a rule.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(images)
    jaxpr, used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars), instantiate=True)
    assert all(used)
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree_util.tree_leaves_with_path(shape)]
    graph = Graph(batch_of="images")
    sizes = tuple(images.shape)
    given = Value(sizes, images.dtype, sizes, tuple(range(len(sizes))), "images")
    graph.inputs.append(("images", given))
    results = walk(graph, jaxpr, closed.consts, [given])
    for name, value in zip(names, results, strict=True):
        whole = graph.whole(value)
        graph.outputs.append((name, whole))
        tensor = graph.tensor(whole)
        graph.add_many("Identity", tensor, count=1)
        last = graph.nodes.pop()
        graph.nodes.append(type(last)(last.op, last.inputs, (name,)))
    fold(graph)
    return as_model(graph, description)


def walk(graph: Graph, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
    """Writes the operations of a jaxpr, and returns the values of its outputs."""
    known: dict[Any, Value] = {}

    def read(atom: Any) -> Value:
        if isinstance(atom, Literal):
            aval: Any = atom.aval
            return constant_value(atom.val, tuple(np.shape(atom.val)), aval.dtype)
        return known[atom]

    for variable, const in zip(jaxpr.constvars, consts, strict=True):
        known[variable] = _constant(const)
    known.update(zip(jaxpr.invars, inputs, strict=True))
    for equation in jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        known.update(zip(equation.outvars, _written(graph, equation, values), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _constant(array: Any) -> Value:
    if jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key):
        return constant_value(np.asarray(jax.random.key_data(array)).astype(np.int64), tuple(array.shape), array.dtype)
    return constant_value(np.asarray(array))


def _written(graph: Graph, equation: Any, values: list[Value]) -> list[Value]:
    """The values of the outputs of an operation. Raises UserError for one that cannot be written to ONNX."""
    try:
        return _by_rule(graph, equation, values)
    except NotImplementedError as error:
        name = equation.primitive.name
        raise UserError(f"the model uses the operation '{name}', which cannot be written to ONNX ({error}); use --to stablehlo") from error


def _by_rule(graph: Graph, equation: Any, values: list[Value]) -> list[Value]:
    """`_written`, by the rule of the operation, or by those of the operations that it calls. Raises NotImplementedError without a rule."""
    name, params = equation.primitive.name, equation.params
    if name == "platform_index":  # the last branch is that of all other platforms
        return [constant_value(np.int32(len(params["platforms"]) - 1))]
    if name in control.RULES:
        return control.RULES[name](graph, equation, values, walk)
    inner = next((params[key] for key in CALLS if key in params), None)
    if inner is not None:
        jaxpr, consts = (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())
        return walk(graph, jaxpr, consts, values)
    folded = _folded(equation, values)
    if folded is not None:
        return folded
    if name not in RULES:
        raise NotImplementedError("there is no rule for it")
    return RULES[name](graph, equation, *values)


def _folded(equation: Any, values: Sequence[Value]) -> list[Value] | None:
    """The outputs of an operation whose inputs are constants, computed by JAX; None where it is not one, or the result is large."""
    name, avals = equation.primitive.name, [variable.aval for variable in equation.outvars]
    shapes = [*(aval.shape for aval in avals), *(value.shape for value in values)]
    if not values or name in ("broadcast_in_dim", "transpose") or any(value.constant is None for value in values):
        return None
    if not all(isinstance(size, int) for shape in shapes for size in shape):
        return None
    keys = any(str(each.dtype).startswith("key<") for each in (*avals, *values))
    if (keys and name != "random_seed") or sum(int(np.prod(aval.shape)) for aval in avals) > LARGEST_FOLDED:
        return None
    with jax.default_device(jax.devices("cpu")[0]):
        given = [jax.numpy.asarray(Graph().whole(value).constant, value.dtype) for value in values]
        results = equation.primitive.bind(*given, **equation.params)
    return [_constant(result) for result in (results if equation.primitive.multiple_results else [results])]
