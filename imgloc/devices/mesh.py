"""Devices and how arrays lie on them, one rule each for batches and for what is trained.

Two axes: a batch is split over both, parameters (with their averages and optimizer state) over `fsdp` alone. XLA
puts in the exchanges that follow, so that there is one program, a jit, for any number of devices; no `jax.pmap`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from imgloc.errors import UserError

AXES = ("data", "fsdp")
SMALL = 4096  # numbers; an array of fewer stays whole: gathering it would take longer than it saves memory


def make_mesh(devices: Sequence[jax.Device] | None = None, *, data: int = -1, fsdp: int = 1) -> Mesh:
    """A mesh of devices (by default all of all processes) with the axes `data` and `fsdp`; -1 is what the other leaves.

    Raises UserError where the two do not make up the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    count, given = len(devices), (data, fsdp)
    if any(size < 1 and size != -1 for size in given) or given == (-1, -1):
        raise UserError(f"config.devices.data is {data} and fsdp {fsdp}; possible: at least 1, and -1 for what is left in one of them")
    left = count // math.prod(size for size in given if size != -1)
    data, fsdp = (left if size == -1 else size for size in given)
    if data * fsdp != count:
        possible = ", ".join(str(size) for size in range(1, count + 1) if count % size == 0)
        raise UserError(
            f"config.devices asks for data {given[0]} x fsdp {given[1]}, and there are {count} device(s); "
            f"possible: fsdp one of {possible}, with data -1 (what is left)"
        )
    # Auto axes: XLA places intermediates. Explicit ones (the default) ask every operation for a sharding.
    return jax.make_mesh((data, fsdp), AXES, axis_types=(jax.sharding.AxisType.Auto,) * 2, devices=devices)


def evaluation_mesh(fsdp: int) -> Mesh:
    """All devices, with parameters split over as many as in training, or as near to that as the number of devices here allows."""
    count = len(jax.devices())
    return make_mesh(fsdp=math.gcd(count, fsdp if fsdp > 0 else count))


def check_batch_size(batch_size: int, mesh: Mesh, grad_accum_steps: int = 1) -> None:
    """Refuse a training batch that devices and accumulation steps do not divide."""
    parts = mesh.size * grad_accum_steps
    if batch_size % parts:
        raise UserError(
            f"train.batch_size {batch_size} is not divisible by {mesh.size} devices x {grad_accum_steps} accumulation steps; "
            f"possible: multiples of {parts}"
        )


def round_up(batch_size: int, mesh: Mesh) -> int:
    """The next batch size that the devices divide: evaluation pads instead of refusing."""
    return -(-batch_size // mesh.size) * mesh.size


def replicated(mesh: Mesh) -> NamedSharding:
    """One copy a device."""
    return NamedSharding(mesh, PartitionSpec())


def split_batch(mesh: Mesh) -> NamedSharding:
    """The leading axis split over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def split_parameter(shape: Sequence[int], mesh: Mesh) -> NamedSharding:
    """The longest axis (of equals the last) that `fsdp` divides, split over it; whole where there is none or the array is small."""
    parts = mesh.shape["fsdp"]
    possible = [axis for axis, size in enumerate(shape) if size % parts == 0]
    if parts == 1 or not possible or math.prod(shape) < SMALL:
        return replicated(mesh)
    longest = max(possible, key=lambda axis: (shape[axis], axis))
    return NamedSharding(mesh, PartitionSpec(*[None] * longest, "fsdp"))


def split_state(state: Any, mesh: Mesh) -> Any:
    """Where each array of a state (shapes suffice) lies, by `split_parameter`."""
    return jax.tree.map(lambda a: split_parameter(a.shape, mesh), state)


def placed(state: Any, mesh: Mesh) -> Any:
    """Shapes and dtypes of a state, each with where it lies by `split_state`: what a checkpoint is restored onto."""
    return jax.tree.map(lambda a, where: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where), state, split_state(state, mesh))


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """Each process's share of a batch (NumPy, leading axis b) as global arrays."""
    return _put(batch, split_batch(mesh))


def put_batches(batches: Any, mesh: Mesh) -> Any:
    """Each process's share of several batches (NumPy, axes steps, b) as global arrays."""
    return _put(batches, NamedSharding(mesh, PartitionSpec(None, AXES)))


def _put(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(lambda array: jax.make_array_from_process_local_data(sharding, array), tree)


def on_host(tree: Any, mesh: Mesh) -> Any:
    """All of the arrays of a tree in the memory of each process (NumPy), however they lie on the devices. All processes call this."""
    if jax.process_count() > 1:
        tree = jax.jit(lambda arrays: arrays, out_shardings=replicated(mesh))(tree)
    return jax.device_get(tree)


def own_share(tree: Any) -> Any:
    """What `put_batch` was given, of arrays (leading axis b) that lie as batches do: this process's share (NumPy)."""
    return jax.device_get(tree) if jax.process_count() == 1 else jax.tree.map(_own_rows, tree)


def _own_rows(array: jax.Array) -> Any:
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])


def barrier(name: str) -> None:
    """Wait until all processes have come here; nothing where there is one."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def from_all(content: bytes) -> list[bytes]:
    """What each process has given, in their order, in every process."""
    if jax.process_count() == 1:
        return [content]
    from jax.experimental import multihost_utils

    sizes = np.ravel(multihost_utils.process_allgather(np.array([len(content)], np.int32)))
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    found = np.reshape(multihost_utils.process_allgather(padded), (len(sizes), -1))
    return [row[:size].tobytes() for row, size in zip(found, sizes, strict=True)]


def check_alike(facts: Mapping[str, str]) -> None:
    """Wait until all processes have come here. Raises UserError, in each of them, where one has other facts than the first."""
    first, *others = (json.loads(content) for content in from_all(json.dumps(dict(facts)).encode()))
    for number, theirs in enumerate(others, start=1):
        for name, mine in first.items():
            if theirs[name] != mine:
                raise UserError(f"{name}: {mine} for process 0, {theirs[name]} for process {number}; possible: the same for all processes")


def agreed_to_stop(requested: bool, step: int) -> bool:
    """Whether to stop before this step. Of several processes all stop at the same one, or some would wait for the others for ever."""
    if jax.process_count() == 1:
        return requested
    from jax.experimental import multihost_utils

    # jax.distributed has taken over SIGTERM; it settles on a step that no process has passed.
    return bool(multihost_utils.reached_preemption_sync_point(step))


def must_wait(mesh: Mesh) -> bool:
    """Whether each step has to be waited for: faked CPU devices that run ahead starve each other's all-reduce."""
    return mesh.size > 1 and jax.default_backend() == "cpu"
