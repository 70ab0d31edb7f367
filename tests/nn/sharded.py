"""A process with four devices: operations split over them against one device; prints the largest differences as JSON."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from imgloc.nn.cells.gru import gru
from imgloc.nn.cells.lru import diagonal_recurrence
from imgloc.nn.cells.lstm import lstm
from imgloc.nn.conv import conv
from imgloc.nn.pool import max_pool
from tests.nn.convolutions import arrays


def lru(x_bxtxn: jax.Array, decay_2xn: jax.Array, form: str = "scan") -> jax.Array:
    return jnp.concatenate(diagonal_recurrence((x_bxtxn, -x_bxtxn), (0.3 * decay_2xn[0], 0.3 * decay_2xn[1]), form=form), axis=-1)


FUNCTIONS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {  # the first operand is split by its first axis
    "conv, plain": (conv, [(8, 5, 4, 8), (3, 3, 8, 4)]),
    "conv, one by one": (conv, [(8, 5, 4, 3), (1, 1, 3, 4)]),
    "conv, depthwise": (lambda x, k: conv(x, k, strides=(2, 1), groups=3), [(8, 5, 4, 3), (3, 3, 1, 3)]),
    "population of kernels": (lambda x, k: jax.vmap(conv, (None, 0), 1)(x, k), [(8, 5, 4, 3), (2, 3, 3, 3, 4)]),
    "max_pool": (lambda x: max_pool(x, (3, 3), (2, 2), "SAME"), [(8, 7, 6, 3)]),
    "gru": (gru, [(8, 4, 3), (3, 15), (5, 15), (15,), (5,)]),
    "lru, scan": (lru, [(8, 4, 3), (2, 3)]),
    "lru, associative": (functools.partial(lru, form="associative"), [(8, 4, 3), (2, 3)]),
    "lstm": (lstm, [(8, 4, 3), (3, 20), (5, 20), (20,)]),
}


def energy(function: Any) -> Any:
    """Per image, so that the whole is a sum over devices."""
    return lambda *operands: jnp.sin(function(*operands)).sum()


def run(function: Any, *operands: Any) -> Any:
    """Value and gradients; waited for, since faked devices that run ahead can starve each other."""
    which = tuple(range(len(operands)))
    return jax.block_until_ready(jax.jit(lambda *a: (function(*a), *jax.grad(energy(function), argnums=which)(*a)))(*operands))


def difference(found: Any, expected: Any) -> float:
    return max(float(jnp.abs(jax.device_get(a) - jax.device_get(b)).max()) for a, b in zip(found, expected, strict=True))


def main() -> None:
    jax.config.update("jax_disable_most_optimizations", True)  # as in conftest: the programs are many, small, and run once
    assert len(jax.devices()) == 4
    auto, explicit = (jax.make_mesh((4,), ("data",), axis_types=(kind,)) for kind in (AxisType.Auto, AxisType.Explicit))
    rows: dict[str, dict[str, float]] = {}
    for name, (function, shapes) in FUNCTIONS.items():
        operands, which = arrays(*shapes), tuple(range(len(shapes)))
        specs = (P("data"), *[P()] * (len(shapes) - 1))
        expected = run(function, *operands)
        split = [jax.device_put(a, NamedSharding(auto, spec)) for a, spec in zip(operands, specs, strict=True)]
        found = run(function, *split)
        assert len(found[0].sharding.device_set) == 4
        rows[name] = {"jit": difference(found, expected), "scale": max(float(jnp.abs(a).max()) for a in expected)}
        mapped = jax.shard_map(function, mesh=auto, in_specs=specs, out_specs=P("data"))
        rows[name]["shard_map"] = difference(run(mapped, *operands), expected)
        gradient = jax.grad(energy(function), argnums=which)
        inside = jax.jit(jax.shard_map(gradient, mesh=auto, in_specs=specs, out_specs=specs))
        rows[name]["gradient in shard_map"] = difference(jax.block_until_ready(inside(*operands)), expected[1:])
        if name == "conv, plain":
            with jax.set_mesh(explicit):
                split = [jax.device_put(a, NamedSharding(explicit, spec)) for a, spec in zip(operands, specs, strict=True)]
                rows[name]["explicit"] = difference(run(function, *split), expected)
        if name == "population of kernels":  # its members over one axis of a mesh, the images over the other
            mesh = jax.make_mesh((2, 2), ("members", "data"), axis_types=(AxisType.Auto,) * 2)
            inside_of_vmap = jax.shard_map(conv, mesh=mesh, in_specs=specs, out_specs=P("data"))
            split = [operands[0], jax.device_put(operands[1], NamedSharding(mesh, P("members")))]
            population = jax.vmap(inside_of_vmap, (None, 0), 1, spmd_axis_name="members")
            rows[name]["spmd_axis_name"] = difference(run(population, *split), expected)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
