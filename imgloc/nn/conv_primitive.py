"""Convolution as a primitive of its own: what to compute is settled here, how when it is lowered for a platform.

There, each of the three directions (result, gradient of the images, gradient of the kernel) takes
the form that is quickest for its sizes. A choice made while tracing could not do that: it sees
neither the platform nor the batch that vmap adds, and a vmap over kernels would become a grouped
convolution, which a CPU does not like (experiments/operation_forms has the times).
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from imgloc.nn.conv_choice import batched_form, choose
from imgloc.nn.conv_forms import FORMS, ROLES, Geometry
from imgloc.nn.mesh_axes import vary_alike

_conv = Primitive("imgloc_conv")
# role -> (what it takes, what it makes). A cotangent of an operand is what another role makes of the other two.
_SIDES = {
    "output": (("images", "kernel"), "result"),
    "image_gradient": (("result", "kernel"), "images"),
    "kernel_gradient": (("images", "result"), "kernel"),
}


def bind(role: str, a: jax.Array, b: jax.Array, geometry: Geometry) -> jax.Array:
    """Apply a role of `conv_forms.ROLES` to its two operands."""
    found: jax.Array = _conv.bind(*vary_alike(a, b), role=role, geometry=geometry)
    return found


def _result_shape(role: str, a: Any, geometry: Geometry) -> tuple[int, ...]:
    if role == "kernel_gradient":
        return geometry.kernel
    return (a.shape[0], *(geometry.out if role == "output" else geometry.image))


def _abstract(a: Any, b: Any, *, role: str, geometry: Geometry) -> Any:
    batch = None if role == "kernel_gradient" else a.sharding.spec[0]
    sharding = jax.sharding.NamedSharding(a.sharding.mesh, jax.sharding.PartitionSpec(batch, None, None, None))
    return a.update(shape=_result_shape(role, a, geometry), sharding=sharding, weak_type=False)  # the rest: shard_map's axes


def _compute(form: str, a: jax.Array, b: jax.Array, *, role: str, geometry: Geometry) -> jax.Array:
    return ROLES[role](FORMS[form], a, b, geometry)


def _on_cpu(a: jax.Array, b: jax.Array, *, role: str, geometry: Geometry) -> jax.Array:
    return _compute(choose(role, geometry), a, b, role=role, geometry=geometry)


def _transpose(position: int, cotangent: jax.Array, a: Any, b: Any, *, role: str, geometry: Geometry) -> jax.Array:
    """The cotangent of a role's operand at a position."""
    takes, makes = _SIDES[role]
    given = {**dict(zip(takes, (a, b), strict=True)), makes: cotangent}
    inverse, (needs, _) = next((other, sides) for other, sides in _SIDES.items() if sides[1] == takes[position])
    return bind(inverse, given[needs[0]], given[needs[1]], geometry)


def _batched(operands: tuple[jax.Array, jax.Array], dims: tuple[Any, Any], *, role: str, geometry: Geometry) -> tuple[jax.Array, int]:
    """Under vmap: more images are a larger batch; with a kernel for each, a batch of products."""
    a, b = operands
    if role != "kernel_gradient" and dims[1] is None:
        a = jnp.moveaxis(a, dims[0], 0)
        found = bind(role, a.reshape(a.shape[0] * a.shape[1], *a.shape[2:]), b, geometry)
        return found.reshape(*a.shape[:2], *found.shape[1:]), 0

    def each(form: str) -> Any:
        return jax.vmap(functools.partial(_compute, form, role=role, geometry=geometry), in_axes=dims)

    found = jax.lax.platform_dependent(a, b, cpu=each(batched_form(geometry)), default=each("native"))
    return found, 0


_conv.def_impl(jax.jit(_conv.bind, static_argnames=("role", "geometry")))
_conv.def_abstract_eval(_abstract)
mlir.register_lowering(_conv, mlir.lower_fun(functools.partial(_compute, "native"), multiple_results=False))
mlir.register_lowering(_conv, mlir.lower_fun(_on_cpu, multiple_results=False), platform="cpu")
ad.defbilinear(_conv, functools.partial(_transpose, 0), functools.partial(_transpose, 1))
batching.primitive_batchers[_conv] = _batched
