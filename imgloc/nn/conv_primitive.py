"""Convolution as a JAX primitive, whose implementation is chosen when it is lowered for a platform.

At that point each of the three roles (output, gradient of the images, gradient of the kernel) takes the form that is fastest for its
sizes. While tracing, neither the platform nor the batch that vmap adds is known, and a vmap over kernels would become a grouped
convolution, which is slow on a CPU (see experiments/operation_forms).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from imgloc.nn.conv_choice import batched_form, choose
from imgloc.nn.conv_forms import FORMS, ROLES, Geometry
from imgloc.nn.mesh_axes import match_varying_axes

_conv = Primitive("imgloc_conv")
# role -> (its operands, its result). The cotangent of an operand is the result of another role.
_SIGNATURES = {
    "output": (("images", "kernel"), "output"),
    "image_gradient": (("output", "kernel"), "images"),
    "kernel_gradient": (("images", "output"), "kernel"),
}


def bind(role: str, a: jax.Array, b: jax.Array, geometry: Geometry) -> jax.Array:
    """Applies a role of `conv_forms.ROLES` to its two operands."""
    result: jax.Array = _conv.bind(*match_varying_axes(a, b), role=role, geometry=geometry)
    return result


def _result_shape(role: str, a: Any, geometry: Geometry) -> tuple[int, ...]:
    if role == "kernel_gradient":
        return geometry.kernel
    return (a.shape[0], *(geometry.out if role == "output" else geometry.image))


def _abstract(a: Any, b: Any, *, role: str, geometry: Geometry) -> Any:
    batch = None if role == "kernel_gradient" else a.sharding.spec[0]
    sharding = jax.sharding.NamedSharding(a.sharding.mesh, jax.sharding.PartitionSpec(batch, None, None, None))
    return a.update(shape=_result_shape(role, a, geometry), sharding=sharding, weak_type=False)  # keeps the axes of shard_map


def _compute(form: str, a: jax.Array, b: jax.Array, *, role: str, geometry: Geometry) -> jax.Array:
    return ROLES[role](FORMS[form], a, b, geometry)


def _on_cpu(a: jax.Array, b: jax.Array, *, role: str, geometry: Geometry) -> jax.Array:
    return _compute(choose(role, geometry), a, b, role=role, geometry=geometry)


def _transpose(position: int, cotangent: jax.Array, a: Any, b: Any, *, role: str, geometry: Geometry) -> jax.Array:
    """Returns the cotangent of the operand at a position."""
    operands, result = _SIGNATURES[role]
    arrays = {**dict(zip(operands, (a, b), strict=True)), result: cotangent}
    inverse, (needed, _) = next((other, signature) for other, signature in _SIGNATURES.items() if signature[1] == operands[position])
    return bind(inverse, arrays[needed[0]], arrays[needed[1]], geometry)


def _batched(
    operands: tuple[jax.Array, jax.Array], dims: tuple[int | None, int | None], *, role: str, geometry: Geometry
) -> tuple[jax.Array, int]:
    """The rule for vmap: more images become a larger batch, several kernels a batch of products."""
    a, b = operands
    if role != "kernel_gradient" and dims[0] is not None and dims[1] is None:
        a = jnp.moveaxis(a, dims[0], 0)
        result = bind(role, a.reshape(a.shape[0] * a.shape[1], *a.shape[2:]), b, geometry)
        return result.reshape(*a.shape[:2], *result.shape[1:]), 0

    def batched(form: str) -> Callable[..., jax.Array]:
        return jax.vmap(functools.partial(_compute, form, role=role, geometry=geometry), in_axes=dims)

    return jax.lax.platform_dependent(a, b, cpu=batched(batched_form(geometry)), default=batched("native")), 0


_conv.def_impl(jax.jit(_conv.bind, static_argnames=("role", "geometry")))
_conv.def_abstract_eval(_abstract)
mlir.register_lowering(_conv, mlir.lower_fun(functools.partial(_compute, "native"), multiple_results=False))
mlir.register_lowering(_conv, mlir.lower_fun(_on_cpu, multiple_results=False), platform="cpu")
ad.defbilinear(_conv, functools.partial(_transpose, 0), functools.partial(_transpose, 1))
batching.primitive_batchers[_conv] = _batched
