"""Saving and restoring the training state with Orbax; the last checkpoint is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from imgloc.errors import UserError, reason, storage_error
from imgloc.training.optim import compiled
from imgloc.training.step import TrainState


@contextlib.contextmanager
def open_manager(folder: Path, *, read_only: bool = False) -> Iterator[ocp.CheckpointManager]:
    """The checkpoints of a run folder (absolute path); saving is asynchronous, leaving waits for it.

    A save cut off by a kill or a full disk leaves no step behind, only a temporary folder that the next manager
    clears away. Raises UserError where the checkpoints cannot be read, OSError where one could not be written.
    """
    options = ocp.CheckpointManagerOptions(
        preservation_policy=ocp.checkpoint_managers.LatestN(1), cleanup_tmp_directories=not read_only, create=not read_only
    )
    try:
        manager = ocp.CheckpointManager(folder, options=options, item_handlers={"state": ocp.StandardCheckpointHandler()})
    except OSError as error:
        raise storage_error(error, str(folder)) from error
    except Exception as error:  # Orbax raises whatever its readers of damaged files raise
        raise UserError(damaged(folder, error)) from error
    try:
        yield manager
    except BaseException:
        with contextlib.suppress(Exception):  # what happened first is what is told
            manager.close()
        raise
    with _telling_where(manager):
        manager.close()


@contextlib.contextmanager
def _telling_where(manager: ocp.CheckpointManager) -> Iterator[None]:
    """What Orbax raises where it cannot write, by whatever library, as an OSError that names the folder."""
    try:
        yield
    except Exception as error:
        raise storage_error(error, str(manager.directory)) from error


def wait(manager: ocp.CheckpointManager) -> None:
    """Wait for what is being saved. Raises OSError where it could not be written."""
    with _telling_where(manager):
        manager.wait_until_finished()


def check(manager: ocp.CheckpointManager) -> None:
    """Raises OSError where what is being saved behind the training is known to have failed; does not wait."""
    with _telling_where(manager):
        manager.check_for_errors()


def damaged(folder: Path, error: Exception) -> str:
    """What to say of checkpoints that cannot be read."""
    return f"checkpoints in {folder} cannot be read ({reason(error, lines=1)[:200]}); remove the damaged step there, or train again"


def save(manager: ocp.CheckpointManager, state: TrainState) -> None:
    """Start saving the state as its step.

    Raises OSError where this or the save before could not be written.
    """
    step = int(state.step)
    if manager.latest_step() is not None and step <= manager.latest_step():
        return  # a resumed run stands on its own last checkpoint
    # A copy: the next step is given this state's memory to write in, while the save goes on behind it.
    copied = jax.tree.map(jnp.copy, state)
    with _telling_where(manager):  # also of the save before this one, which went on behind the training
        manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(copied)))


def restore(manager: ocp.CheckpointManager, step: int, target: TrainState) -> TrainState:
    """The state of a step, placed on devices as `target` is. Raises UserError where it does not fit the model."""
    try:
        _check_fits(manager, step, target)
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        found: TrainState = manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract))).state
    except UserError:
        raise
    except Exception as error:  # Orbax raises whatever its readers of damaged files raise
        raise UserError(damaged(Path(manager.directory) / str(step), error)) from error
    return found


def _check_fits(manager: ocp.CheckpointManager, step: int, target: TrainState) -> None:
    """Orbax casts and reshapes in silence what it can; a difference is an error here."""
    metadata = manager.item_metadata(step).state
    tree = getattr(metadata, "tree", metadata)
    stored = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    wanted = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(target)}
    for name, leaf in wanted.items():
        if name not in stored:
            raise UserError(f"checkpoint {step} in {manager.directory} has no '{name}'; it is of another model or optimizer")
        if tuple(stored[name].shape) != tuple(leaf.shape) or stored[name].dtype != leaf.dtype:
            raise UserError(
                f"checkpoint {step} in {manager.directory} has '{name}' of shape {tuple(stored[name].shape)} {stored[name].dtype}, "
                f"this model {tuple(leaf.shape)} {leaf.dtype}"
            )


def _name(path: Sequence[Any]) -> str:
    """`params/a/b` for a path, whatever containers it leads through."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def warm_start(params: Any, donor: Any, skip: Sequence[str]) -> Any:
    """`params` with the values of `donor`, but for those whose path matches a pattern of `skip`.

    Raises UserError where a parameter is absent in the donor or has another shape.
    """
    patterns = compiled(skip, "train.init_skip")
    given = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(donor)}

    def pick(path: Any, leaf: Any) -> Any:
        name = _name(path)
        if any(pattern.search(name) for pattern in patterns):
            return leaf
        if name not in given or np.shape(given[name]) != np.shape(leaf):
            got = np.shape(given[name]) if name in given else "none"
            raise UserError(
                f"train.init_from: parameter '{name}' has shape {np.shape(leaf)} here and {got} there; "
                "name it in train.init_skip to start it fresh"
            )
        return given[name]

    return jax.tree_util.tree_map_with_path(pick, params)
