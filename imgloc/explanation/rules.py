"""Other derivatives than those of the chain rule, as rules for operations of a trace; see `imgloc.explanation.jaxprs`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.extend.core.primitives import custom_jvp_call_p, jit_p

from imgloc.explanation.jaxprs import Rule, evaluate, type_of

#: Elementwise operations. A function that consists of them and has one operand that is not constant is an activation function.
ELEMENTWISE = {
    "abs", "acos", "acosh", "add", "and", "asinh", "atan", "cbrt", "clamp", "convert_element_type", "copy", "cos", "cosh", "div", "eq",
    "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "ge", "gt", "integer_pow", "is_finite", "le", "log", "log1p", "logistic", "lt", "max",
    "min", "mul", "ne", "neg", "not", "or", "pow", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub",
    "tan", "tanh",
}  # fmt: skip
LINEAR = {"abs", "convert_element_type", "copy", "neg", "add", "sub", "mul", "div", "stop_gradient"}  # with constants, abs excepted
ROOTS = {"rsqrt", "sqrt"}
KEEPS_A_VARIANCE = {"add", "broadcast_in_dim", "reshape", "convert_element_type", "squeeze", "expand_dims"}  # on the way to its root


def flat_equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """The operations of a trace, those of jitted functions and of functions with their own derivative among them."""
    for equation in jaxpr.eqns:
        inner = _body(equation)
        yield from [equation] if inner is None else flat_equations(inner.jaxpr)


def relus(jaxpr: Jaxpr) -> list[JaxprEqn]:
    """The ReLUs of a trace, and clipped forms such as ReLU6: each maximum of an array and 0 of which no root is taken.

    The root is that of a variance, which normalization layers keep from being negative.
    """
    rooted: set[Any] = set()
    found = []
    for equation in reversed(jaxpr.eqns):
        name, inner = equation.primitive.name, _body(equation)
        if name in ROOTS or (name in KEEPS_A_VARIANCE and rooted.intersection(equation.outvars)):
            rooted.update(atom for atom in equation.invars if not isinstance(atom, Literal))
        elif inner is not None:
            found += relus(inner.jaxpr)
        elif _is_maximum_with_zero(equation) and not rooted.intersection(equation.outvars):
            found.append(equation)
    return found


def guided(found: Sequence[JaxprEqn]) -> Rule:
    """The rule of guided backpropagation for these ReLUs: the gradient is also set to 0 where it is negative."""
    places = {id(equation) for equation in found}

    def rule(equation: JaxprEqn, operands: Sequence[Any]) -> Sequence[Any] | None:
        if id(equation) in places:
            constant = next(place for place, atom in enumerate(equation.invars) if isinstance(atom, Literal))
            return [_guided(operands[1 - constant])]
        inner = _body(equation)
        if equation.primitive is custom_jvp_call_p and all(each.primitive.name in ("max", "min") for each in flat_equations(inner.jaxpr)):
            return evaluate(inner.jaxpr, inner.consts, operands, rule=rule)
        return None

    return rule


def products(jaxpr: Jaxpr, sources: Collection[Any]) -> list[JaxprEqn]:
    """The products in a trace of two values that depend on `sources`, such as those of GELU and of gates."""
    dependent = set(sources)
    found = []
    for equation in jaxpr.eqns:
        depends = [not isinstance(atom, Literal) and atom in dependent for atom in equation.invars]
        inner = _body(equation)
        if inner is not None:
            found += products(inner.jaxpr, [variable for variable, does in zip(inner.jaxpr.invars, depends, strict=True) if does])
        elif equation.primitive.name == "mul" and all(depends):
            found.append(equation)
        if any(depends):
            dependent.update(equation.outvars)
    return found


def rescale(found: Sequence[JaxprEqn], batch_size: int) -> Rule:
    """The rescale rule of DeepLIFT for images followed by their baselines in one batch (Shrikumar et al., 2017, arXiv:1704.02685).

    The gradient of an activation function is the difference of its results over the difference of its operands, and the usual gradient
    where these are equal up to 1e-6. That of a product, one of `found`, with respect to a factor is the mean of the other factor over the
    image and its baseline, so that the changes of the factors explain all of its change.
    """
    places = {id(equation) for equation in found}

    def rule(equation: JaxprEqn, operands: Sequence[Any]) -> Sequence[Any] | None:
        if id(equation) in places and operands[0].shape[:1] == operands[1].shape[:1] == (batch_size,):
            return [_product(*operands)]
        return _rescaled(equation, operands)

    return rule


def _rescaled(equation: JaxprEqn, operands: Sequence[Any]) -> Sequence[Any] | None:
    variable = [place for place, atom in enumerate(equation.invars) if not isinstance(atom, Literal)]
    if len(variable) != 1 or len(equation.outvars) != 1 or not _is_activation_function(equation):
        return None
    (place,), params = variable, equation.primitive.get_bind_params(equation.params)

    def function(x: Any) -> Any:
        result = equation.primitive.bind(*operands[:place], x, *operands[place + 1 :], **params)
        return result[0] if equation.primitive.multiple_results else result

    return [_rescale(function, operands[place])]


def _rescale(function: Callable[[Any], Any], operand: jax.Array) -> jax.Array:
    @jax.custom_vjp
    def apply(x: jax.Array) -> jax.Array:
        result: jax.Array = function(x)
        return result

    def forward(x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        result = function(x)
        return result, (x, result)

    def backward(saved: tuple[jax.Array, jax.Array], cotangent: jax.Array) -> tuple[jax.Array]:
        x, result = saved
        (usual,) = jax.vjp(function, x)[1](cotangent)
        step, change = (jnp.tile(a[: len(a) // 2] - a[len(a) // 2 :], (2, *[1] * (a.ndim - 1))) for a in (x, result))
        near = jnp.abs(step) < 1e-6
        return (jnp.where(near, usual, cotangent * change / jnp.where(near, 1.0, step)),)

    apply.defvjp(forward, backward)
    return apply(operand)


@jax.custom_vjp
def _product(x: jax.Array, y: jax.Array) -> jax.Array:
    return x * y


def _product_backward(saved: tuple[jax.Array, jax.Array], cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, y = (jnp.tile((a[: len(a) // 2] + a[len(a) // 2 :]) / 2, (2, *[1] * (a.ndim - 1))) for a in saved)
    return _summed_like(cotangent * y, x), _summed_like(cotangent * x, y)


def _summed_like(array: jax.Array, factor: jax.Array) -> jax.Array:
    """The sum over the axes along which a factor was repeated."""
    return array.sum(axis=[i for i in range(array.ndim) if factor.shape[i] < array.shape[i]], keepdims=True)


_product.defvjp(lambda x, y: (x * y, (x, y)), _product_backward)


@jax.custom_vjp
def _guided(x: jax.Array) -> jax.Array:
    return jax.nn.relu(x)


_guided.defvjp(lambda x: (jax.nn.relu(x), x > 0), lambda positive, cotangent: (jnp.where(positive, jax.nn.relu(cotangent), 0.0),))


def _body(equation: JaxprEqn) -> Any:
    """The trace of the function that an operation calls, None for others."""
    name = {jit_p: "jaxpr", custom_jvp_call_p: "call_jaxpr"}.get(equation.primitive)
    return None if name is None else equation.params[name]


def _is_maximum_with_zero(equation: JaxprEqn) -> bool:
    literals = [atom for atom in equation.invars if isinstance(atom, Literal)]
    floating = jnp.issubdtype(type_of(equation.outvars[0]).dtype, jnp.floating)
    return equation.primitive.name == "max" and len(literals) == 1 and bool(floating) and literals[0].val == 0


def _is_activation_function(equation: JaxprEqn) -> bool:
    operand = type_of(next(atom for atom in equation.invars if not isinstance(atom, Literal)))
    result = type_of(equation.outvars[0])
    if operand.shape != result.shape or not operand.shape or not jnp.issubdtype(result.dtype, jnp.floating):
        return False
    body = _body(equation)
    names = {equation.primitive.name} if body is None else {each.primitive.name for each in flat_equations(body.jaxpr)}
    return bool(names) and names <= ELEMENTWISE and (not names <= LINEAR or "abs" in names)
