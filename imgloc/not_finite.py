"""A loss that stops being a number: training stops, says where, and keeps the batch that did it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict
from orbax.checkpoint import CheckpointManager

from imgloc import checkpoint, files
from imgloc.data.batches.order import TrainOrder
from imgloc.data.batches.pipeline import Made
from imgloc.data.batches.view import stack
from imgloc.errors import of_storage
from imgloc.journal import NotFinite
from imgloc.prepare import Parts
from imgloc.rundir import RunDir
from imgloc.step import TrainState


def check_finite(is_finite: Callable[[TrainState], jax.Array], state: TrainState) -> None:
    """Raises NotFinite for a state whose parameters are no numbers, though the losses that led to it were."""
    if not bool(is_finite(state)):
        step = int(state.step)
        raise NotFinite(f"parameters are not finite after step {step}, whose loss still was", step)


@contextlib.contextmanager
def told_where_not_finite(config: ConfigDict, run: RunDir, parts: Parts, manager: CheckpointManager) -> Iterator[None]:
    """Inside it, NotFinite is told with the batch of its step, which is saved, the last checkpoint, and what to do."""
    try:
        yield
    except NotFinite as error:
        with contextlib.suppress(OSError):
            checkpoint.wait(manager)
        saved = manager.latest_step()
        kept = f"the checkpoint of step {saved} is intact" if saved is not None else "no checkpoint was saved yet"
        hint = f"try a lower optim.lr (now {config.optim.lr}) or optim.clip_norm (now {config.optim.clip_norm})"
        batch = _told_batch(config, run, parts, error.step)
        raise NotFinite(f"training of {run.path} stopped: {error}; {batch}; {kept}; {hint}", error.step) from None


def _told_batch(config: ConfigDict, run: RunDir, parts: Parts, step: int) -> str:
    path = run.not_finite(step)
    if jax.process_index() == 0:
        try:
            save_batch(path, config, parts, step)
        except OSError as error:
            return f"its batch could not be saved ({of_storage(error)})"
    return f"its batch: numpy.load('{path}')"


def save_batch(path: Path, config: ConfigDict, parts: Parts, step: int) -> None:
    """Write the batch that a step is done on, of all processes together, made again from config and step.

    An npz of the arrays of `types.Batch` and `ids` (b,), the names of the examples.
    """
    made = Made(TrainOrder(parts.train, config.seed, config.train.batch_size, step - 1, step), parts.view, parts.augmentation)
    examples = [made.example(made.order.number(position)) for position in range(len(made.order))]
    batch = stack(examples, len(examples), parts.view)
    content = io.BytesIO()
    np.savez_compressed(content, **batch._asdict(), ids=np.array([example.id for example in examples]))
    files.write_bytes(path, content.getvalue())
