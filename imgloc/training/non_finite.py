"""Stops training at the first loss that is not finite, reports the step, and saves its batch."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict
from orbax.checkpoint import CheckpointManager

from imgloc import files
from imgloc.data.batches.collate import collate
from imgloc.data.batches.pipeline import BatchDataset
from imgloc.data.batches.sampler import IndexSampler
from imgloc.errors import storage_message
from imgloc.runs.run_dir import RunDir
from imgloc.training import checkpoint
from imgloc.training.metric_queue import NonFiniteError
from imgloc.training.setup import TrainingSetup
from imgloc.training.step import TrainState


def check_finite(all_finite: Callable[[TrainState], jax.Array], state: TrainState) -> None:
    """Raises NonFiniteError for a state whose parameters are not finite although the losses of its steps were."""
    if not bool(all_finite(state)):
        step = int(state.step)
        raise NonFiniteError(f"parameters are not finite after step {step}, whose loss still was", step)


@contextlib.contextmanager
def reporting_non_finite(config: ConfigDict, run: RunDir, setup: TrainingSetup, manager: CheckpointManager) -> Iterator[None]:
    """Adds to a NonFiniteError inside it the saved batch of the step, the latest checkpoint and what to try."""
    try:
        yield
    except NonFiniteError as error:
        with contextlib.suppress(OSError):
            checkpoint.wait_until_saved(manager)
        saved = manager.latest_step()
        kept = f"the checkpoint of step {saved} is intact" if saved is not None else "no checkpoint was saved yet"
        hint = f"try a lower optim.lr (now {config.optim.lr}) or optim.clip_norm (now {config.optim.clip_norm})"
        batch = _save_and_describe_batch(config, run, setup, error.step)
        raise NonFiniteError(f"training of {run.path} stopped: {error}; {batch}; {kept}; {hint}", error.step) from None


def _save_and_describe_batch(config: ConfigDict, run: RunDir, setup: TrainingSetup, step: int) -> str:
    path = run.not_finite(step)
    if jax.process_index() == 0:
        try:
            save_batch(path, config, setup, step)
        except OSError as error:
            return f"its batch could not be saved ({storage_message(error)})"
    return f"its batch: numpy.load('{path}')"


def save_batch(path: Path, config: ConfigDict, setup: TrainingSetup, step: int) -> None:
    """Write the batch of a step, of all processes together and before batch transforms; it is computed again from config and step.

    The file is an npz of the arrays of `types.Batch`, and `ids` (b,) with the ids of the examples.
    """
    sampler = IndexSampler(setup.train, config.seed, config.train.batch_size, step - 1, step)
    dataset = BatchDataset(sampler, setup.spec, setup.augmentation)
    examples = [dataset.example(sampler.number(position)) for position in range(len(sampler))]
    batch = collate(examples, len(examples), setup.spec)
    content = io.BytesIO()
    arrays = {name: array for name, array in batch._asdict().items() if array is not None}
    np.savez_compressed(content, **arrays, ids=np.array([example.id for example in examples]))
    files.write_bytes(path, content.getvalue())
