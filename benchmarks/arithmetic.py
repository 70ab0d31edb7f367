"""The arithmetic of a work, and the machine's rate in a large matrix product: together a lower bound of its time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr

from benchmarks.measure import repeat
from imgloc.devices import runtime


def count_operations(function: Callable[..., Any], *arguments: Any) -> float:
    """Returns the number of multiplications and additions in the matrix products and convolutions of a function's jaxpr.

    A multiply-add counts as two. Products with padding or with zeros that a dilation inserts do not count. The body of a
    scan counts once per iteration; of a cond, the most expensive branch counts. Elementwise operations do not count.
    """
    return _count_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count_jaxpr(jaxpr: Jaxpr) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            total += _product(equation)
        elif name == "conv_general_dilated":
            total += _convolution(equation)
        else:
            inner = [_count_jaxpr(body) for value in params.values() for body in _jaxprs(value)]
            total += max(inner, default=0.0) if name == "cond" else sum(inner) * (params["length"] if name == "scan" else 1)
    return total


def _jaxprs(value: Any) -> Iterator[Jaxpr]:
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
        size, taps, outputs = images[numbers.lhs_spec[2 + i]], kernel[numbers.rhs_spec[2 + i]], out[numbers.out_spec[2 + i]]
        spread, gap, before = params["lhs_dilation"][i], params["rhs_dilation"][i], params["padding"][i][0]
        positions_read = (p * stride + t * gap - before for p in range(outputs) for t in range(taps))
        total *= sum(0 <= position <= (size - 1) * spread and position % spread == 0 for position in positions_read)
    return total


def product_rate(platform: str, *, quick: bool) -> float:
    """Returns the highest rate of operations per second in a square matrix product.

    Its side is 2048, in float32, on a CPU, and 8192, in bfloat16, on an accelerator.
    """
    side, dtype = (2048, jnp.float32) if platform == "cpu" else (8192, jnp.bfloat16)
    key = jax.random.key(0)
    a, b = (jax.random.normal(k, (side, side), dtype) for k in jax.random.split(key))
    product = jax.jit(jnp.matmul, compiler_options=runtime.compiler_options())
    jax.block_until_ready(product(a, b))
    times = repeat(lambda: jax.block_until_ready(product(a, b)), quick=quick)
    return 2.0 * side**3 / (min(times) * 1e-3)
