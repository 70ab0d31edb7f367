"""The floor of a work: its multiplications and additions, and how many the machine does a second in a matrix product."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.measure import repeat
from imgloc.devices import runtime


def count_operations(function: Callable[..., Any], *arguments: Any) -> float:
    """Multiplications and additions in the matrix products and convolutions of a function, read from its jaxpr.

    A multiply-add counts as two. What meets padding or the zeros that a dilation inserts counts as
    nothing, a scan's body once a turn, of a cond the dearest branch. Elementwise work is left out.
    """
    return _in_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _in_jaxpr(jaxpr: Any) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            total += _product(equation)
        elif name == "conv_general_dilated":
            total += _convolution(equation)
        else:
            inner = [_in_jaxpr(found) for value in params.values() for found in _jaxprs(value)]
            total += max(inner, default=0.0) if name == "cond" else sum(inner) * (params["length"] if name == "scan" else 1)
    return total


def _jaxprs(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _jaxprs(item)
    elif hasattr(value, "eqns"):
        yield getattr(value, "jaxpr", value)


def _product(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    depth = math.prod(left[axis] for axis in contracted)
    return 2.0 * float(depth * equation.outvars[0].aval.size)


def _convolution(equation: Any) -> float:
    params = equation.params
    images, kernel, out = (v.aval.shape for v in (*equation.invars, equation.outvars[0]))
    numbers = params["dimension_numbers"]
    total: float = 2.0 * out[numbers.out_spec[0]] * out[numbers.out_spec[1]] * kernel[numbers.rhs_spec[1]]
    for i, stride in enumerate(params["window_strides"]):
        size, taps, positions = images[numbers.lhs_spec[2 + i]], kernel[numbers.rhs_spec[2 + i]], out[numbers.out_spec[2 + i]]
        spread, gap, before = params["lhs_dilation"][i], params["rhs_dilation"][i], params["padding"][i][0]
        places = (p * stride + t * gap - before for p in range(positions) for t in range(taps))
        total *= sum(0 <= place <= (size - 1) * spread and place % spread == 0 for place in places)
    return total


def product_rate(platform: str, *, quick: bool) -> float:
    """Operations a second in a square matrix product: 2048 in float32 on a CPU, 8192 in bfloat16 on an accelerator; the fastest."""
    side, dtype = (2048, jnp.float32) if platform == "cpu" else (8192, jnp.bfloat16)
    key = jax.random.key(0)
    a, b = (jax.random.normal(k, (side, side), dtype) for k in jax.random.split(key))
    product = jax.jit(jnp.matmul, compiler_options=runtime.compiler_options())
    jax.block_until_ready(product(a, b))
    times = repeat(lambda: jax.block_until_ready(product(a, b)), quick=quick)
    return 2.0 * side**3 / (min(times) * 1e-3)
