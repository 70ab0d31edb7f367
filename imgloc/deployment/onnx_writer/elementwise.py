"""Elementwise operations, conversions and reductions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imgloc.deployment.onnx_writer.graph import Graph, Value, constant_value, stored_dtype

Rule = Callable[..., list[Value]]
WORD = 0xFFFFFFFF
ERF_INV_CENTRAL = (  # M. Giles, 2012, Approximating the erfinv function, table 5: for w = -log(1 - x^2) below 5
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
ERF_INV_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip


def aligned(graph: Graph, values: Sequence[Value]) -> tuple[list[str], tuple[int, ...], tuple[Any, ...]]:
    """The tensors of values with one order of axes, that order, and the sizes of the axes of what they give together."""
    rank = max(len(value.shape) for value in values)
    arrays = [value for value in values if len(value.shape) == rank]
    order = next((v.order for v in arrays if v.constant is None and v.sizes == v.shape), None)
    order = order or next((v.order for v in arrays if v.constant is None), tuple(range(rank)))
    names = [graph.tensor(graph.ordered(value, order) if len(value.shape) == rank else value) for value in values]
    sizes = tuple(next((v.sizes[i] for v in arrays if v.sizes[i] != 1), 1) for i in range(rank))
    return names, order, sizes


def computed(graph: Graph, equation: Any, values: Sequence[Value], write: Callable[..., str], *, wraps: bool = False) -> list[Value]:
    """The value of an elementwise operation; `write(*names)` adds its nodes."""
    aval = equation.outvars[0].aval
    names, order, sizes = aligned(graph, values)
    name = write(*names)
    if wraps and str(aval.dtype) == "uint32":
        name = graph.add("BitwiseAnd", name, graph.constant(np.int64(WORD)))
    return [Value(tuple(aval.shape), aval.dtype, sizes, order, name)]


def simple(op: str, *, wraps: bool = False) -> Rule:
    """The rule of an operation that is one node."""

    def rule(graph: Graph, equation: Any, *values: Value) -> list[Value]:
        return computed(graph, equation, values, lambda *names: graph.add(op, *names), wraps=wraps)

    return rule


def chain(*ops: str) -> Rule:
    """The rule of an operation that is several nodes of one input, one after the other."""

    def rule(graph: Graph, equation: Any, value: Value) -> list[Value]:
        def write(name: str) -> str:
            for op in ops:
                name = graph.add(op, name)
            return name

        return computed(graph, equation, [value], write)

    return rule


def logical(on_bools: str, on_numbers: str) -> Rule:
    """The rule of an operation that is another node for truth values than for bits."""

    def rule(graph: Graph, equation: Any, *values: Value) -> list[Value]:
        op = on_bools if values[0].dtype == np.bool_ else on_numbers
        return computed(graph, equation, values, lambda *names: graph.add(op, *names))

    return rule


def number(graph: Graph, like: Value, value: float) -> str:
    """A constant of the stored dtype of a value."""
    return graph.constant(np.asarray(value, stored_dtype(like.dtype)))


def not_equal(graph: Graph, equation: Any, *values: Value) -> list[Value]:
    """a != b."""
    return computed(graph, equation, values, lambda *names: graph.add("Not", graph.add("Equal", *names)))


def select(graph: Graph, equation: Any, which: Value, *cases: Value) -> list[Value]:
    """The elements of two arrays, by a mask."""
    if len(cases) != 2 or which.dtype != np.bool_:
        raise NotImplementedError("a selection among more than two arrays")
    return computed(graph, equation, [which, cases[1], cases[0]], lambda *names: graph.add("Where", *names))


def clamp(graph: Graph, equation: Any, low: Value, value: Value, high: Value) -> list[Value]:
    """Values between limits."""
    return computed(graph, equation, [low, value, high], lambda a, x, b: graph.add("Min", graph.add("Max", x, a), b))


def power(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """x to the power of an integer."""
    exponent = number(graph, value, equation.params["y"])
    return computed(graph, equation, [value], lambda name: graph.add("Pow", name, exponent))


def square(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """x * x."""
    return computed(graph, equation, [value], lambda name: graph.add("Mul", name, name), wraps=True)


def remainder(graph: Graph, equation: Any, *values: Value) -> list[Value]:
    """The remainder with the sign of the dividend."""
    return computed(graph, equation, values, lambda *names: graph.add("Mod", *names, fmod=1))


def one_plus(op: str) -> Rule:
    """The rule of op(1 + x)."""

    def rule(graph: Graph, equation: Any, value: Value) -> list[Value]:
        return computed(graph, equation, [value], lambda name: graph.add(op, graph.add("Add", name, number(graph, value, 1))))

    return rule


def less_one(op: str) -> Rule:
    """The rule of op(x) - 1."""

    def rule(graph: Graph, equation: Any, value: Value) -> list[Value]:
        return computed(graph, equation, [value], lambda name: graph.add("Sub", graph.add(op, name), number(graph, value, 1)))

    return rule


def erfc(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """1 - erf(x)."""
    return computed(graph, equation, [value], lambda name: graph.add("Sub", number(graph, value, 1), graph.add("Erf", name)))


def erf_inv(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """The inverse of erf, by the two polynomials of Giles."""

    def polynomial(w: str, coefficients: Sequence[float]) -> str:
        total = number(graph, value, coefficients[0])
        for coefficient in coefficients[1:]:
            total = graph.add("Add", graph.add("Mul", total, w), number(graph, value, coefficient))
        return total

    def write(x: str) -> str:
        w = graph.add("Neg", graph.add("Log", graph.add("Sub", number(graph, value, 1), graph.add("Mul", x, x))))
        central = polynomial(graph.add("Sub", w, number(graph, value, 2.5)), ERF_INV_CENTRAL)
        tail = polynomial(graph.add("Sub", graph.add("Sqrt", w), number(graph, value, 3)), ERF_INV_TAIL)
        return graph.add("Mul", x, graph.add("Where", graph.add("Less", w, number(graph, value, 5)), central, tail))

    return computed(graph, equation, [value], write)


def is_finite(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """Neither NaN nor infinite."""
    return computed(graph, equation, [value], lambda x: graph.add("Not", graph.add("Or", graph.add("IsNaN", x), graph.add("IsInf", x))))


def round_(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """The nearest integer; halves go to even ones, or away from zero."""
    if int(equation.params["rounding_method"]) == 1:
        return computed(graph, equation, [value], lambda x: graph.add("Round", x))
    half = number(graph, value, 0.5)

    def away(x: str) -> str:
        return graph.add("Mul", graph.add("Sign", x), graph.add("Floor", graph.add("Add", graph.add("Abs", x), half)))

    return computed(graph, equation, [value], away)


def convert(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """The array in another dtype. Floats become integers by truncation."""
    import onnx

    new = equation.params["new_dtype"]
    if value.constant is not None and str(new) != "uint32":
        return [dataclasses.replace(value, dtype=np.dtype(new), constant=value.constant.astype(new))]
    target = stored_dtype(new)
    if stored_dtype(value.dtype) == target and str(new) != "uint32":
        return [dataclasses.replace(value, dtype=new)]
    kind = onnx.helper.np_dtype_to_tensor_dtype(target)
    return computed(graph, equation, [value], lambda name: graph.add("Cast", name, to=kind), wraps=True)


def shift(*, left: bool) -> Rule:
    """The rule of a shift by constant bits of unsigned numbers, which are stored as int64."""

    def rule(graph: Graph, equation: Any, value: Value, bits: Value) -> list[Value]:
        if bits.constant is None:
            raise NotImplementedError("a shift by a number of bits that is computed")
        factor = constant_value(np.int64(1) << bits.constant.astype(np.int64), bits.shape, np.dtype(np.int64))
        return computed(graph, equation, [value, factor], lambda *names: graph.add("Mul" if left else "Div", *names), wraps=True)

    return rule


def bitcast(graph: Graph, equation: Any, value: Value) -> list[Value]:
    """The positive, normal float32 whose bits are given."""
    if str(value.dtype) != "uint32" or str(equation.params["new_dtype"]) != "float32":
        raise NotImplementedError(f"the bits of {value.dtype} as {equation.params['new_dtype']}")

    def write(bits: str) -> str:
        import onnx

        fraction = graph.add("Cast", graph.add("BitwiseAnd", bits, graph.constant(np.int64(0x7FFFFF))), to=onnx.TensorProto.FLOAT)
        exponent = graph.add("Cast", graph.add("Div", bits, graph.constant(np.int64(2**23))), to=onnx.TensorProto.FLOAT)
        power = graph.add("Pow", graph.constant(np.float32(2)), graph.add("Sub", exponent, graph.constant(np.float32(127))))
        significand = graph.add("Add", graph.add("Mul", fraction, graph.constant(np.float32(2**-23))), graph.constant(np.float32(1)))
        return graph.add("Mul", significand, power)

    return computed(graph, equation, [value], write)


def reduction(op: str) -> Rule:
    """The rule of a reduction over axes."""

    def rule(graph: Graph, equation: Any, value: Value) -> list[Value]:
        axes, aval = equation.params["axes"], equation.outvars[0].aval
        value = value if all(value.sizes[axis] == value.shape[axis] for axis in axes) else graph.whole(value)
        name, is_bool = graph.tensor(value), value.dtype == np.bool_
        if is_bool:
            name = _cast(graph, name, np.int32)
        places = graph.numbers_of(sorted(value.order.index(axis) for axis in axes))
        name = graph.add({"or": "ReduceMax", "and": "ReduceMin"}.get(op, op), name, places, keepdims=0)
        if is_bool:
            name = _cast(graph, name, np.bool_)
        if str(aval.dtype) == "uint32":
            name = graph.add("BitwiseAnd", name, graph.constant(np.int64(WORD)))
        kept = [axis for axis in range(len(value.shape)) if axis not in axes]
        order = tuple(kept.index(axis) for axis in value.order if axis in kept)
        return [Value(tuple(aval.shape), aval.dtype, tuple(value.sizes[axis] for axis in kept), order, name)]

    return rule


def _cast(graph: Graph, name: str, dtype: Any) -> str:
    import onnx

    return graph.add("Cast", name, to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def unchanged(graph: Graph, equation: Any, *values: Value) -> list[Value]:
    """The arrays themselves."""
    return list(values)


RULES: dict[str, Rule] = {
    "add": simple("Add", wraps=True), "sub": simple("Sub", wraps=True), "mul": simple("Mul", wraps=True), "div": simple("Div"),
    "add_any": simple("Add"), "max": simple("Max"), "min": simple("Min"), "pow": simple("Pow"), "neg": simple("Neg"), "abs": simple("Abs"),
    "exp": simple("Exp"), "log": simple("Log"), "sqrt": simple("Sqrt"), "tanh": simple("Tanh"), "logistic": simple("Sigmoid"),
    "sin": simple("Sin"), "cos": simple("Cos"), "floor": simple("Floor"), "ceil": simple("Ceil"), "sign": simple("Sign"),
    "erf": simple("Erf"), "eq": simple("Equal"), "lt": simple("Less"), "le": simple("LessOrEqual"), "gt": simple("Greater"),
    "ge": simple("GreaterOrEqual"), "rsqrt": chain("Sqrt", "Reciprocal"), "log1p": one_plus("Log"), "expm1": less_one("Exp"),
    "atan": simple("Atan"), "acos": simple("Acos"), "asin": simple("Asin"),
    "and": logical("And", "BitwiseAnd"), "or": logical("Or", "BitwiseOr"), "xor": logical("Xor", "BitwiseXor"),
    "not": logical("Not", "BitwiseNot"), "ne": not_equal, "select_n": select, "clamp": clamp, "integer_pow": power, "square": square,
    "rem": remainder, "erfc": erfc, "erf_inv": erf_inv, "is_finite": is_finite, "round": round_, "convert_element_type": convert,
    "shift_left": shift(left=True), "shift_right_logical": shift(left=False), "bitcast_convert_type": bitcast,
    "reduce_sum": reduction("ReduceSum"), "reduce_max": reduction("ReduceMax"), "reduce_min": reduction("ReduceMin"),
    "reduce_prod": reduction("ReduceProd"), "reduce_or": reduction("or"), "reduce_and": reduction("and"),
    "stop_gradient": unchanged, "copy": unchanged, "copy_p": unchanged, "optimization_barrier": unchanged,
}  # fmt: skip
