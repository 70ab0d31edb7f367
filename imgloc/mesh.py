"""Devices and how arrays lie on them: the batch is split over `data`, everything else is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from imgloc.errors import UserError


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of devices (by default all of all processes) along one axis, `data`."""
    devices = jax.devices() if devices is None else devices
    # Auto axes: XLA places intermediates. Explicit ones (the default) ask every operation for a sharding.
    return jax.make_mesh((len(devices),), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=devices)


def local_mesh() -> Mesh:
    """The devices of this process: each process evaluates for itself."""
    return make_mesh(jax.local_devices())


def check_batch_size(batch_size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Refuse a training batch that devices and accumulation steps do not divide."""
    parts = mesh.size * accumulate
    if batch_size % parts:
        raise UserError(
            f"train.batch_size {batch_size} is not divisible by {mesh.size} devices x {accumulate} accumulation steps; "
            f"possible: multiples of {parts}"
        )


def round_up(batch_size: int, mesh: Mesh) -> int:
    """The next batch size that the devices divide: evaluation pads instead of refusing."""
    return -(-batch_size // mesh.size) * mesh.size


def replicated(mesh: Mesh) -> NamedSharding:
    """One copy a device."""
    return NamedSharding(mesh, PartitionSpec())


def split_batch(mesh: Mesh) -> NamedSharding:
    """The leading axis split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """Each process's share of a batch (NumPy, leading axis b) as global arrays."""
    return _put(batch, split_batch(mesh))


def put_batches(batches: Any, mesh: Mesh) -> Any:
    """Each process's share of several batches (NumPy, axes steps, b) as global arrays."""
    return _put(batches, NamedSharding(mesh, PartitionSpec(None, "data")))


def _put(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(lambda array: jax.make_array_from_process_local_data(sharding, array), tree)


def barrier(name: str) -> None:
    """Wait until all processes have come here; nothing where there is one."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


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
