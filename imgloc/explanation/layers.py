"""The layers of a model by name, read from its trace.

A layer is an entry of the output `features`, under its name, or the output of a linen module, under its path, such as `trunk/Conv_0`.
The second call of a module is `PATH:1`.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.extend.core import ClosedJaxpr, Var

from imgloc.errors import UserError, listed, unknown
from imgloc.explanation.jaxprs import reached, type_of
from imgloc.types import Outputs

SHOWN = 12  # names of layers in a message


class Traced(NamedTuple):
    """The trace of a score, and the values of it that are layers, in the order of computation."""

    closed: ClosedJaxpr  # of (context leaves, images) -> (score_b, layers)
    layers: Mapping[str, Var]

    @property
    def images(self) -> Var:
        """The images in the trace."""
        images: Var = self.closed.jaxpr.invars[-1]
        return images

    @property
    def score(self) -> Var:
        """The score in the trace."""
        score: Var = self.closed.jaxpr.outvars[0]
        return score


def trace(score_and_outputs: Callable[[Any, jax.Array], tuple[jax.Array, Outputs]], context: Any, images: Any) -> Traced:
    """Traces a function of a context, such as variables, and images that applies linen modules, and finds its layers."""

    def named(context: Any, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        modules: dict[str, jax.Array] = {}
        calls: collections.Counter[str] = collections.Counter()

        def record(call: Callable[..., Any], args: Any, kwargs: Any, where: nn.module.InterceptorContext) -> Any:
            out = call(*args, **kwargs)
            path = "/".join(where.module.path)
            if path and where.method_name == "__call__" and isinstance(out, jax.Array):
                modules[f"{path}:{calls[path]}" if calls[path] else path] = out
                calls[path] += 1
            return out

        with nn.intercept_methods(record):
            score_b, outputs = score_and_outputs(context, images)
        features = {name: value for name, value in outputs.get("features", {}).items() if isinstance(value, jax.Array)}
        return score_b, {**modules, **features}

    closed, (_, shapes) = jax.make_jaxpr(named, return_shape=True)(context, images)
    jaxpr = closed.jaxpr
    place = {variable: number for number, equation in enumerate(jaxpr.eqns) for variable in equation.outvars}
    by_name = dict(zip(sorted(shapes), jaxpr.outvars[1:], strict=True))  # leaves of a dict are in the order of its keys
    present = {name: variable for name, variable in by_name.items() if isinstance(variable, Var) and variable in place}
    in_order = dict(sorted(present.items(), key=lambda item: place[item[1]]))
    return Traced(closed, in_order)


def find_layer(traced: Traced, name: str, *, default: str = "") -> str:
    """The name of a layer that is checked, or of the default one where the name is empty.

    That is the last one through which all of the score passes; without one, `default`, which a model may declare, where the score has a
    gradient there. Raises UserError where there is none, where it has no maps (b, h, w, c), and where the score does not depend on it.
    """
    maps = {key: variable for key, variable in traced.layers.items() if _is_maps(variable)}
    possible = listed(list(maps), SHOWN) if maps else "no layer of this model has maps (b, h, w, c)"
    if not name:
        for key, variable in reversed(maps.items()):
            if traced.score not in reached(traced.closed.jaxpr, [traced.images], without=variable):
                return key
        if default in maps and traced.score in reached(traced.closed.jaxpr, [maps[default]], with_gradient=True):
            return default
        raise UserError(f"the target depends on the image along several paths, and no layer is part of all; name a layer: {possible}")
    if name not in traced.layers:
        raise unknown("layer", name, list(maps)) if maps else UserError(f"unknown layer '{name}'; {possible}")
    variable = traced.layers[name]
    if name not in maps:
        raise UserError(f"layer '{name}' has the shape {type_of(variable).shape}; expected maps (b, h, w, c); possible: {possible}")
    if traced.score not in reached(traced.closed.jaxpr, [variable]):
        raise UserError(f"the target does not depend on layer '{name}'; possible: {possible}")
    return name


def map_shapes(traced: Traced) -> dict[str, tuple[int, ...]]:
    """The shapes (b, h, w, c) of the layers that have maps, in the order of computation."""
    return {name: tuple(type_of(variable).shape) for name, variable in traced.layers.items() if _is_maps(variable)}


def _is_maps(variable: Var) -> bool:
    shape, dtype = type_of(variable).shape, type_of(variable).dtype
    return len(shape) == 4 and shape[1] * shape[2] > 1 and bool(jnp.issubdtype(dtype, jnp.floating))
