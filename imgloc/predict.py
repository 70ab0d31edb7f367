"""Predictors: a trained model, and the trivial baselines that stand beside it; all give rows the same way."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from imgloc import build, checkpoint, mesh, runtime
from imgloc.data import pipeline
from imgloc.errors import UserError, unknown
from imgloc.optim import make_optimizer
from imgloc.step import TrainState, eval_variables, init_state, predict_step
from imgloc.types import Batch, Example, FloatArray, IntArray, Outputs, Row, Source

Shape = tuple[int, int, int]
#: Outputs (NumPy) for a batch; padding included.
Predict = Callable[[Batch], Outputs]
SUMMARY_SIZE = 10_000  # canvases of an endless training split that its summary is taken over


def abstract_state(config: ConfigDict, shape: Shape, model: nn.Module, optimizer: optax.GradientTransformation) -> TrainState:
    """Shapes and dtypes of a training state, nothing computed. Raises UserError for a model that cannot be built."""
    make = functools.partial(init_state, shape=shape, model=model, optimizer=optimizer, ema_decay=config.optim.ema)
    try:
        state: TrainState = jax.eval_shape(make, config.seed)
    except (TypeError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"model '{config.model.name}' does not build for images {shape}: {reason}") from error
    return state


def compiled_predict(model: nn.Module, devices: Mesh, dtype: Any) -> Callable[[Any, Any], Any]:
    """`predict(variables, images)` on the devices; compiled once a batch shape."""
    step = functools.partial(predict_step, model=model, dtype=dtype)
    return jax.jit(step, out_shardings=mesh.split_batch(devices), compiler_options=runtime.compiler_options())


def model_predict(variables: Any, compiled: Callable[[Any, Any], Any], devices: Mesh) -> Predict:
    """A predictor of variables that lie on the devices."""

    def predict(batch: Batch) -> Outputs:
        images = jax.device_put(batch.images_bxhxwxc, mesh.split_batch(devices))
        outputs = compiled(variables, images)
        outputs = {name: value for name, value in outputs.items() if name != "features"}
        found: Outputs = jax.device_get(outputs)
        return found

    return predict


def load_variables(config: ConfigDict, checkpoints: Path, shape: Shape, num_classes: int, which: str) -> tuple[Any, int]:
    """What prediction uses of a run's `best` or `last` checkpoint, on one device, and its step."""
    if which not in ("best", "last"):
        raise unknown("checkpoint", which, ("best", "last"))
    if not checkpoints.is_dir():
        raise UserError(f"no checkpoint in {checkpoints.parent}; train it first: imgloc train")
    model = build.make_model(config.model, num_classes)
    optimizer, _ = make_optimizer(config.optim, config.train.steps)
    target = abstract_state(config, shape, model, optimizer)
    place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), target)
    with checkpoint.open_manager(checkpoints, read_only=True) as manager:
        best = manager.best_step() if which == "best" else None
        step = manager.latest_step() if best is None else best
        if step is None:
            raise UserError(f"no whole checkpoint in {checkpoints}; train it first: imgloc train")
        return eval_variables(checkpoint.restore(manager, step, target)), int(step)


def whole_image(class_counts: IntArray) -> Predict:
    """A baseline: the box of the whole image, and the commonest class of training."""
    return _constant(class_counts, np.array([0.0, 0.0, 1.0, 1.0], np.float32))


def median_box(class_counts: IntArray, box: FloatArray) -> Predict:
    """A baseline: the median of each edge over the training boxes, and the commonest class of training."""
    return _constant(class_counts, np.asarray(box, np.float32))


def _constant(class_counts: IntArray, box: FloatArray) -> Predict:
    log_frequency = np.log(np.maximum(class_counts, 1e-9) / max(1, class_counts.sum())).astype(np.float32)

    def predict(batch: Batch) -> Outputs:
        size = len(batch.label_b)
        return {"logits": np.tile(log_frequency, (size, 1)), "box": np.tile(box, (size, 1))}

    return predict


def training_summary(source: Source) -> tuple[IntArray, FloatArray]:
    """Examples a class, and the median box of the largest objects, of a training split (see SUMMARY_SIZE)."""
    size = min(len(source), SUMMARY_SIZE) if source.info.endless else len(source)
    counts, found = np.zeros(len(source.info.classes), np.int64), []
    for index in range(size):
        example = source[index]
        counts[example.label] += 1
        if len(example.boxes_nx4):
            sides = example.boxes_nx4[:, 2:] - example.boxes_nx4[:, :2]
            found.append(example.boxes_nx4[int(np.argmax(sides.prod(axis=1)))])
    return counts, np.median(np.stack(found), axis=0) if found else np.array([0.0, 0.0, 1.0, 1.0])


def predict_rows(
    predict: Predict,
    source: Source,
    make_rows: Callable[[Outputs, Batch], list[Row]],
    split: str,
    *,
    batch_size: int,
    shape: Shape,
    max_objects: int,
    seen: Callable[[Example], None] | None = None,
) -> list[Row]:
    """One row for each example of a source, in its order, whatever the batch size; `seen` is told of each example."""
    rows: list[Row] = []
    for examples, batch in pipeline.eval_batches(source, batch_size, shape, max_objects=max_objects):
        for example, row in zip(examples, make_rows(predict(batch), batch), strict=True):
            rows.append({"id": example.id, "group": example.group, "split": split, **row})
            if seen is not None:
                seen(example)
    return rows
