"""Whether a score is a linear function of the means of maps, read from its trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.extend.core.primitives import custom_jvp_call_p, jit_p

from imgloc.explanation.jaxprs import type_of

#: Operations that are linear in their operands together.
LINEAR = {
    "add", "sub", "neg", "reduce_sum", "reshape", "broadcast_in_dim", "squeeze", "expand_dims", "transpose", "slice", "concatenate",
    "convert_element_type", "copy", "pad", "rev",
}  # fmt: skip
BILINEAR = {"mul", "dot_general"}  # linear if one operand is constant
FIRST_ONLY = {"div", "gather", "dynamic_slice"}  # linear in the first operand


#: What a value of the trace is: independent of the maps, a linear function of their means, the maps themselves, or anything else.
CONSTANT, MEANS, MAPS, OTHER = range(4)


def is_linear_after_average_pooling(score_of: Callable[[jax.Array], jax.Array], maps_bxhxwxc: jax.Array) -> bool:
    """Whether the score (b,) is a linear function of the means (b, c) of the maps over their locations, plus a constant."""
    jaxpr = jax.make_jaxpr(score_of)(maps_bxhxwxc).jaxpr
    return _results(jaxpr, [MAPS])[0] == MEANS


def _results(jaxpr: Jaxpr, arguments: Sequence[int]) -> list[int]:
    kinds: dict[Any, int] = {**dict.fromkeys(jaxpr.constvars, CONSTANT), **dict(zip(jaxpr.invars, arguments, strict=True))}

    def kind_of(atom: Any) -> int:
        return CONSTANT if isinstance(atom, Literal) else kinds[atom]

    for equation in jaxpr.eqns:
        kinds.update(zip(equation.outvars, _of_equation(equation, [kind_of(atom) for atom in equation.invars]), strict=True))
    return [kind_of(atom) for atom in jaxpr.outvars]


def _of_equation(equation: JaxprEqn, kinds: Sequence[int]) -> list[int]:
    highest, count = max(kinds, default=CONSTANT), len(equation.outvars)
    if highest == CONSTANT:
        return [CONSTANT] * count
    if equation.primitive is jit_p:
        return _results(equation.params["jaxpr"].jaxpr, kinds)
    if equation.primitive is custom_jvp_call_p:
        return _results(equation.params["call_jaxpr"].jaxpr, kinds)
    name, dependent = equation.primitive.name, [kind != CONSTANT for kind in kinds]
    if highest == MAPS:
        pooled = name == "reduce_sum" and {1, 2} <= set(equation.params["axes"]) and len(type_of(equation.invars[0]).shape) == 4
        return [MEANS if pooled else OTHER] * count
    linear = (
        name in LINEAR
        or (name in BILINEAR and sum(dependent) == 1)
        or (name in FIRST_ONLY and not any(dependent[1:]))
        or (name == "select_n" and not dependent[0])
    )
    return [highest if linear else OTHER] * count
