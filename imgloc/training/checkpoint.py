"""Saves and restores the training state with Orbax; only the latest checkpoint is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding

from imgloc.devices import mesh
from imgloc.errors import UserError, reason, storage_error
from imgloc.inference.bundle import checksum, named
from imgloc.training.step import TrainState


@contextlib.contextmanager
def open_manager(folder: Path, *, read_only: bool = False) -> Iterator[ocp.CheckpointManager]:
    """The checkpoint manager of a folder (an absolute path). Saves are asynchronous; leaving the context waits for them.

    A save that a kill or a full disk interrupts leaves only a temporary folder, which the next manager removes.
    Raises UserError where the checkpoints cannot be read and OSError where one could not be written.
    """
    options = ocp.CheckpointManagerOptions(
        preservation_policy=ocp.checkpoint_managers.LatestN(1), cleanup_tmp_directories=not read_only, create=not read_only
    )
    handlers = {"state": ocp.StandardCheckpointHandler(), "checksums": ocp.JsonCheckpointHandler()}
    try:
        manager = ocp.CheckpointManager(folder, options=options, item_handlers=handlers)
    except OSError as error:
        raise storage_error(error, str(folder)) from error
    except Exception as error:  # Orbax does not document what it raises for damaged files
        raise _damaged(folder, error) from error
    try:
        yield manager
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to report
            manager.close()
        raise
    with _as_storage_error(manager):
        manager.close()


@contextlib.contextmanager
def _as_storage_error(manager: ocp.CheckpointManager) -> Iterator[None]:
    """Turns every error of a write into an OSError that names the folder."""
    try:
        yield
    except Exception as error:
        raise storage_error(error, str(manager.directory)) from error


def _damaged(folder: Path, error: Exception) -> UserError:
    message = f"checkpoints in {folder} cannot be read ({reason(error, lines=1)[:200]}); remove the damaged step there, or train again"
    return UserError(message)


def wait_until_saved(manager: ocp.CheckpointManager) -> None:
    """Wait for the current save. Raises OSError where it failed."""
    with _as_storage_error(manager):
        manager.wait_until_finished()


def check_for_errors(manager: ocp.CheckpointManager) -> None:
    """Raises OSError where the current save has already failed; does not wait."""
    with _as_storage_error(manager):
        manager.check_for_errors()


def save(manager: ocp.CheckpointManager, state: TrainState) -> None:
    """Start to save the state under its step, with a checksum of each array, unless that step is saved already.

    All processes call this. Raises OSError where this save or the one before it failed.
    """
    step = int(state.step)
    if manager.latest_step() is not None and step <= manager.latest_step():
        return
    # A copy: the next step reuses the memory of this state while the save is still running.
    copied = jax.tree.map(jnp.copy, state)
    with _as_storage_error(manager):
        items = {"state": ocp.args.StandardSave(copied), "checksums": ocp.args.JsonSave(_checksums(copied))}
        manager.save(step, args=ocp.args.Composite(**items))


def _checksums(state: TrainState) -> dict[str, str]:
    """A checksum of each array of the state, by path; one whole array is in memory at a time. All processes call this."""

    def whole(leaf: jax.Array) -> np.ndarray:
        layout = leaf.sharding.mesh if isinstance(leaf.sharding, NamedSharding) else None
        return np.asarray(mesh.gather_to_host(leaf, layout) if isinstance(layout, Mesh) else leaf)

    return {name: checksum(whole(leaf)) for name, leaf in named(state).items()}


def restore(manager: ocp.CheckpointManager, step: int, target: TrainState) -> TrainState:
    """The state of a step, with the shardings of `target`. Raises UserError where it does not fit the model or is damaged."""
    try:
        _check_fits(manager, step, target)
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        items = {"state": ocp.args.StandardRestore(abstract), "checksums": ocp.args.JsonRestore()}
        restored = manager.restore(step, args=ocp.args.Composite(**items))
        state: TrainState = restored.state
    except UserError:
        raise
    except Exception as error:  # Orbax does not document what it raises for damaged files
        raise _damaged(Path(manager.directory) / str(step), error) from error
    for name, value in _checksums(state).items():
        if restored.checksums.get(name) != value:
            raise _damaged(Path(manager.directory) / str(step), ValueError(f"array '{name}' has another checksum than when it was saved"))
    return state


def _check_fits(manager: ocp.CheckpointManager, step: int, target: TrainState) -> None:
    """Raises UserError for any difference: Orbax silently casts and reshapes what it can."""
    metadata = manager.item_metadata(step).state
    stored = named(getattr(metadata, "tree", metadata))
    for name, leaf in named(target).items():
        if name not in stored:
            raise UserError(
                f"checkpoint {step} in {manager.directory} has no '{name}'; it is of another model or optimizer; choose another --workdir"
            )
        shape, dtype = tuple(stored[name].shape), stored[name].dtype
        if shape != tuple(leaf.shape) or dtype != leaf.dtype:
            expected = f"{tuple(leaf.shape)} {leaf.dtype}"
            raise UserError(
                f"checkpoint {step} in {manager.directory} has '{name}' of shape {shape} {dtype}, "
                f"expected {expected}; choose another --workdir"
            )
