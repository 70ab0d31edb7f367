"""Reading and evaluating the trace of a function (a jaxpr), with some of its values or operations replaced.

A trace knows every intermediate value of a model. So the gradient of any layer, and other derivatives than those of the chain rule,
need no change in the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jax.extend.core.primitives import jit_p

#: Returns the results of an operation for the values of its operands, or None where it is to be computed as it is.
Rule = Callable[[JaxprEqn, Sequence[Any]], Sequence[Any] | None]


def no_rule(_: JaxprEqn, __: Sequence[Any]) -> None:
    """Replaces nothing."""


def evaluate(
    jaxpr: Jaxpr,
    constants: Sequence[Any],
    arguments: Sequence[Any],
    *,
    rule: Rule = no_rule,
    given: Mapping[Var, Any] | None = None,
    requested: Sequence[Any] | None = None,
) -> list[Any]:
    """Returns the results of a trace for arguments, or those of its values that are `requested`.

    `rule` replaces operations, also those in functions that are jitted inside of the trace. `given` replaces intermediate values; what
    only they depend on is not computed.
    """
    values: dict[Var, Any] = {
        **dict(zip(jaxpr.constvars, constants, strict=True)), **dict(zip(jaxpr.invars, arguments, strict=True)), **(given or {}),
    }  # fmt: skip

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    results_of = jaxpr.outvars if requested is None else requested
    for equation in needed_equations(jaxpr, results_of, given or {}):
        operands = [read(atom) for atom in equation.invars]
        results = rule(equation, operands)
        if results is None and equation.primitive is jit_p and rule is not no_rule:
            inner = equation.params["jaxpr"]
            results = evaluate(inner.jaxpr, inner.consts, operands, rule=rule)
        if results is None:
            bound = equation.primitive.bind(*operands, **equation.primitive.get_bind_params(equation.params))
            results = bound if equation.primitive.multiple_results else [bound]
        values.update({**dict(zip(equation.outvars, results, strict=True)), **(given or {})})
    return [read(atom) for atom in results_of]


def needed_equations(jaxpr: Jaxpr, requested: Sequence[Any], given: Mapping[Var, Any]) -> list[JaxprEqn]:
    """The operations, in order, that values of a trace depend on where some others are given."""
    needed = {atom for atom in requested if isinstance(atom, Var)} - given.keys()
    equations = []
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            equations.append(equation)
            needed.update({atom for atom in equation.invars if isinstance(atom, Var)} - given.keys())
    return equations[::-1]


def reached(jaxpr: Jaxpr, sources: Sequence[Var], *, without: Var | None = None, with_gradient: bool = False) -> set[Var]:
    """The values of a trace that depend on some of its values; with `without`, those that do so by paths around that value.

    With `with_gradient`, paths through `stop_gradient` do not count.
    """
    found = set(sources)
    for equation in jaxpr.eqns:
        if with_gradient and equation.primitive.name == "stop_gradient":
            continue
        if any(isinstance(atom, Var) and atom in found for atom in equation.invars):
            found.update(variable for variable in equation.outvars if variable is not without)
    return found


def type_of(atom: Any) -> Any:
    """The shape and dtype of a value of a trace."""
    return atom.aval
