"""The device mesh, the shardings of batches and of the training state, and collectives of processes.

The mesh has two axes. A batch is sharded over both; parameters, their averages and the optimizer state over `fsdp` alone.
XLA inserts the collectives, so that one jitted program runs on any number of devices.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from imgloc.errors import UserError

AXES = ("data", "fsdp")
MIN_SHARDED_SIZE = 4096  # elements: sharding a smaller array saves less memory than its gathering costs time


def make_mesh(devices: Sequence[jax.Device] | None = None, *, data: int = -1, fsdp: int = 1) -> Mesh:
    """Return a mesh of devices (by default all devices of all processes) with the axes `data` and `fsdp`.

    A size of -1 is inferred from the other. Raises UserError where the product of the sizes is not the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    count, sizes = len(devices), (data, fsdp)
    if any(size < 1 and size != -1 for size in sizes) or sizes == (-1, -1):
        raise UserError(f"config.devices has data {data} and fsdp {fsdp}; each must be at least 1, and one of them may be -1 (inferred)")
    inferred = count // math.prod(size for size in sizes if size != -1)
    data, fsdp = (inferred if size == -1 else size for size in sizes)
    if data * fsdp != count:
        divisors = ", ".join(str(size) for size in range(1, count + 1) if count % size == 0)
        raise UserError(
            f"config.devices has data {sizes[0]} x fsdp {sizes[1]}, but there are {count} device(s); "
            f"possible: fsdp one of {divisors}, with data -1 (inferred)"
        )
    # With auto axes XLA chooses the shardings of intermediates; with explicit axes, the default, every operation needs one.
    return jax.make_mesh((data, fsdp), AXES, axis_types=(jax.sharding.AxisType.Auto,) * 2, devices=devices)


def evaluation_mesh(fsdp: int) -> Mesh:
    """Return a mesh of all devices whose `fsdp` is that of training, or its greatest common divisor with the number of devices."""
    count = len(jax.devices())
    return make_mesh(fsdp=math.gcd(count, fsdp if fsdp > 0 else count))


def check_batch_size(batch_size: int, mesh: Mesh, grad_accum_steps: int = 1) -> None:
    """Raise UserError where a batch cannot be divided evenly into devices and accumulation steps."""
    parts = mesh.size * grad_accum_steps
    if batch_size % parts:
        raise UserError(
            f"train.batch_size {batch_size} is not divisible by {mesh.size} devices x {grad_accum_steps} accumulation steps; "
            f"possible: multiples of {parts}"
        )


def round_up(batch_size: int, mesh: Mesh) -> int:
    """Return the batch size rounded up to a multiple of the number of devices, for evaluation, which pads batches."""
    return -(-batch_size // mesh.size) * mesh.size


def replicated_sharding(mesh: Mesh) -> NamedSharding:
    """Return the sharding with a full copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Return the sharding of a batch: its leading axis is split over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def parameter_sharding(shape: Sequence[int], mesh: Mesh | AbstractMesh) -> NamedSharding:
    """Return the sharding of a parameter: its longest axis that `fsdp` divides is split, of equally long axes the last.

    An array without such an axis, or with fewer than MIN_SHARDED_SIZE elements, is replicated.
    """
    parts = mesh.shape["fsdp"]
    divisible = [axis for axis, size in enumerate(shape) if size % parts == 0]
    if parts == 1 or not divisible or math.prod(shape) < MIN_SHARDED_SIZE:
        return NamedSharding(mesh, PartitionSpec())
    longest = max(divisible, key=lambda axis: (shape[axis], axis))
    return NamedSharding(mesh, PartitionSpec(*[None] * longest, "fsdp"))


def state_sharding(state: PyTree[jax.ShapeDtypeStruct], mesh: Mesh) -> PyTree[NamedSharding]:
    """Return the sharding of each array of a training state."""
    return jax.tree.map(lambda a: parameter_sharding(a.shape, mesh), state)


def abstract_state(state: PyTree[jax.ShapeDtypeStruct], mesh: Mesh) -> PyTree[jax.ShapeDtypeStruct]:
    """Return the shapes and dtypes of a training state with their shardings, as the target for restoring a checkpoint."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=parameter_sharding(a.shape, mesh)), state)


def abstract_batch(batch: PyTree[np.ndarray], mesh: Mesh) -> PyTree[jax.ShapeDtypeStruct]:
    """Return the shapes, dtypes and shardings of a batch."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=batch_sharding(mesh)), batch)


def put_batch(batch: PyTree[np.ndarray], mesh: Mesh) -> PyTree[jax.Array]:
    """Return the global arrays of a batch, of which each process passes its own part (leading axis b)."""
    return _put(batch, batch_sharding(mesh))


def put_batches(batches: PyTree[np.ndarray], mesh: Mesh) -> PyTree[jax.Array]:
    """Return the global arrays of several batches, of which each process passes its own part (leading axes steps, b)."""
    return _put(batches, NamedSharding(mesh, PartitionSpec(None, AXES)))


def put_everywhere(tree: PyTree[np.ndarray], mesh: Mesh) -> PyTree[jax.Array]:
    """Return arrays or numbers, which are the same in all processes, with a full copy on each device."""
    return _put(jax.tree.map(np.asarray, tree), replicated_sharding(mesh))


def _put(tree: PyTree[np.ndarray], sharding: NamedSharding) -> PyTree[jax.Array]:
    return jax.tree.map(lambda array: jax.make_array_from_process_local_data(sharding, array), tree)


def gather_to_host(tree: PyTree[jax.Array], mesh: Mesh) -> PyTree[np.ndarray]:
    """Return the full arrays in the memory of each process. All processes must call this."""
    if jax.process_count() > 1:
        tree = jax.jit(lambda arrays: arrays, out_shardings=replicated_sharding(mesh))(tree)
    return jax.device_get(tree)


def local_part(tree: PyTree[jax.Array]) -> PyTree[np.ndarray]:
    """Return the part of this process of arrays that are sharded as a batch; the inverse of `put_batch`."""
    return jax.device_get(tree) if jax.process_count() == 1 else jax.tree.map(_local_rows, tree)


def _local_rows(array: jax.Array) -> np.ndarray:
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])


def barrier(name: str) -> None:
    """Wait until all processes have called this."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def gather_bytes(content: bytes) -> list[bytes]:
    """Return the contents that the processes pass, in the order of the processes. All processes must call this."""
    if jax.process_count() == 1:
        return [content]
    from jax.experimental import multihost_utils

    sizes = np.ravel(multihost_utils.process_allgather(np.array([len(content)], np.int32)))
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    rows = np.reshape(multihost_utils.process_allgather(padded), (len(sizes), -1))
    return [row[:size].tobytes() for row, size in zip(rows, sizes, strict=True)]


def check_same_on_all_processes(facts: Mapping[str, str]) -> None:
    """Wait until all processes have called this. Raises UserError in all of them where the facts of one differ from the first."""
    first, *others = (json.loads(content) for content in gather_bytes(json.dumps(dict(facts)).encode()))
    for index, other in enumerate(others, start=1):
        for name, expected in first.items():
            if other[name] != expected:
                raise UserError(
                    f"{name} must be the same for all processes: it is {expected} for process 0, {other[name]} for process {index}"
                )


def should_stop(requested: bool, step: int) -> bool:
    """Return whether to stop before this step; several processes agree, because otherwise some would wait for the others forever."""
    if jax.process_count() == 1:
        return requested
    from jax.experimental import multihost_utils

    # jax.distributed handles SIGTERM and chooses a step that no process has passed.
    return bool(multihost_utils.reached_preemption_sync_point(step))


def must_block(mesh: Mesh) -> bool:
    """Return whether to block on each step: CPU devices that run ahead starve the all-reduce of the others."""
    return mesh.size > 1 and jax.default_backend() == "cpu"
