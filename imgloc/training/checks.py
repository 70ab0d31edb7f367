"""Checks that a model, its losses and its task fit together, on shapes alone and before anything is written."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from imgloc.config.build import fit_of
from imgloc.config.renames import unknown_name
from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import collate, ordered_truth
from imgloc.errors import UserError, reason
from imgloc.evaluation import scoring
from imgloc.inference import predict
from imgloc.inference.outputs import check_outputs
from imgloc.interfaces import Task
from imgloc.nn.apply import apply_train
from imgloc.nn.preprocess import AnyModel
from imgloc.training import step
from imgloc.training.objective import WeightedLoss, check_losses
from imgloc.training.step import TrainState
from imgloc.types import DICT_OUTPUTS, Batch, Example, InputSpec, Source


def check_shapes(
    config: ConfigDict,
    spec: InputSpec,
    abstract: TrainState,
    model: AnyModel,
    task: Task,
    losses: Sequence[WeightedLoss],
    trace_step: Callable[[Batch], None],
    validation: Source,
) -> None:
    """Run a training step and an evaluation on shapes alone, so that everything that cannot work fails before anything is written."""
    example = example_with_box(validation)
    batch = collate([example], config.train.batch_size, spec)
    name, size, classes = config.model.name, config.train.batch_size, len(validation.info.classes)
    forward = functools.partial(apply_train, key=jax.random.key(0), model=model)
    try:
        train_outputs = jax.eval_shape(forward, abstract.params, abstract.model_state, batch)[0]
        outputs = predict.abstract_outputs(model, jax.eval_shape(step.eval_variables, abstract), spec.shape, size)
    except UserError:
        raise
    except Exception as error:  # a model may raise any error for unexpected inputs
        raise UserError(f"model '{name}' fails for images {spec.shape}: {reason(error, lines=1)}") from error
    check_losses(losses, train_outputs, name, size, classes)
    try:
        trace_step(batch)
    except UserError:
        raise
    except Exception as error:  # so may a loss or a batch transform
        transforms = " and data.batch_transforms" if config.data.batch_transforms else ""
        parts = f"model '{name}' with losses {', '.join(config.losses)}{transforms}"
        raise UserError(f"a training step of {parts} fails: {reason(error, lines=1)}") from error
    check_predictions(config, task, outputs, example, batch, classes)


def example_with_box(source: Source) -> Example:
    """The first readable example of a source, with a box of its class, so that every metric applies to it."""
    first = pipeline.first_readable_example(source)
    whole_image = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)
    label = max(0, first.label)
    return dataclasses.replace(first, boxes_nx4=whole_image, labels_n=np.array([label], np.int32), label=label, difficult_n=None)


def check_predictions(config: ConfigDict, task: Task, outputs: Mapping[str, Any], example: Example, batch: Batch, classes: int) -> None:
    """Raises UserError where the task cannot use outputs (shapes) for a batch of one example, and where they do not have `best_metric`."""
    check_outputs(task, config.task, outputs, config.model.name, len(batch.label_b), classes)
    blank = {key: np.zeros(value.shape, np.float32) for key, value in outputs.items() if key not in DICT_OUTPUTS}
    rows = predict.task_rows(task, blank, batch, [ordered_truth(example)])
    scoring.check_columns(rows[0], task.metrics)
    metrics = scoring.means(rows, task.metrics)
    if (config.train.eval_every or fit_of(config.model.name)) and config.train.best_metric not in metrics:
        raise unknown_name("metric (train.best_metric)", config.train.best_metric, metrics)
