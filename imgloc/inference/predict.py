"""A model as a predictor, and the rows that any predictor gives."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import WHOLE_IMAGE, collate, ordered_truth
from imgloc.devices import mesh, runtime
from imgloc.errors import UserError, reason
from imgloc.interfaces import Task
from imgloc.nn.apply import blank_input, input_of, predict_step
from imgloc.nn.preprocess import AnyModel
from imgloc.types import DICT_OUTPUTS, Batch, Example, FloatArray, InputSpec, Outputs, Predict, Row, Shape, Source, Truth

Compiled = Callable[[Any, Any], Any]  # (variables, images) -> outputs on the devices


def abstract_variables(model: AnyModel, shape: Shape, name: str) -> Any:
    """Shapes and dtypes of the variables of a model for images of a shape (h, w, c); nothing is computed.

    Raises UserError where the model cannot be built.
    """
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(0)}
    images = jax.eval_shape(lambda: blank_input(model, 1, shape, jnp.float32))
    with naming_model(name, shape):
        return jax.eval_shape(functools.partial(model.init, train=False), keys, images)


@contextlib.contextmanager
def naming_model(name: str, shape: Shape) -> Iterator[None]:
    """Raises UserError, with the name of the model, for any error of building it for images of a shape (h, w, c)."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a model may raise anything for fields that make no sense
        raise UserError(f"model '{name}' cannot be built for images {shape}: {reason(error, lines=1)}") from error


def abstract_outputs(model: AnyModel, variables: Any, shape: Shape, batch_size: int = 1) -> Mapping[str, Any]:
    """Shapes and dtypes of the outputs of a model; nothing is computed."""
    images = jax.eval_shape(lambda: blank_input(model, batch_size, shape, jnp.uint8))
    outputs: Mapping[str, Any] = jax.eval_shape(functools.partial(predict_step, model=model), variables, images)
    return outputs


def compiled_predict(model: AnyModel, task: Task, devices: Mesh, dtype: Any, *, everywhere: bool = False) -> Compiled:
    """A compiled function that returns the outputs that the task uses; others are not computed.

    With `everywhere`, every process has the outputs of all images, and not only those of its share.
    """

    def step(variables: Any, images: Any) -> Any:
        outputs = predict_step(variables, images, model=model, dtype=dtype)
        return {name: value for name, value in outputs.items() if name in task.outputs or name in task.optional_outputs}

    sharding = mesh.replicated_sharding(devices) if everywhere else mesh.batch_sharding(devices)
    return jax.jit(step, out_shardings=sharding, compiler_options=runtime.compiler_options())


def compiled_partial_predictions(model: AnyModel, devices: Mesh, dtype: Any) -> Compiled:
    """A compiled function that returns the output `partial_predictions`, all of it in every process."""

    def step(variables: Any, images: Any) -> Any:
        return predict_step(variables, images, model=model, dtype=dtype)["partial_predictions"]

    return jax.jit(step, out_shardings=mesh.replicated_sharding(devices), compiler_options=runtime.compiler_options_once())


def model_predict(variables: Any, compiled: Compiled, devices: Mesh) -> Predict:
    """A predictor of variables that lie on the devices, for each process's share of a batch."""

    def predict(batch: Batch) -> Outputs:
        outputs: Outputs = mesh.local_part(compiled(variables, mesh.put_batch(input_of(batch), devices)))
        return outputs

    return predict


def task_rows(task: Task, outputs: Outputs, batch: Batch, truths: Sequence[Truth]) -> list[Row]:
    """The truth and prediction columns of each example of a batch, padding left out, and the calibration of the task.

    `truths` are those of the examples.

    An example for which an output of the task is NaN or infinite has the columns of outputs that are zero, and `finite` False.
    """
    content_bx4 = np.where(batch.example_mask_b[:, None], batch.content_bx4, WHOLE_IMAGE)
    arrays = {name: np.asarray(value) for name, value in outputs.items() if name not in DICT_OUTPUTS}
    finite_b = np.all([np.isfinite(value.reshape(len(value), -1)).all(axis=1) for value in arrays.values()], axis=0)
    if not finite_b.all():
        arrays = {name: np.where(finite_b.reshape(-1, *[1] * (value.ndim - 1)), value, 0) for name, value in arrays.items()}
    predictions = task.postprocess(arrays, content_bx4)
    rows = []
    for i, truth in zip(np.flatnonzero(batch.example_mask_b).tolist(), truths, strict=True):
        row = {**task.truth_columns(truth), **task.prediction_columns(predictions, i)}
        row = task.with_calibration({**row, **task.true_class_columns(predictions, i, truth.label)}, task.calibration)
        rows.append(row if finite_b[i] else {**row, "finite": False})
    return rows


def partial_predictions(
    compiled: Compiled, task: Task, variables: Any, devices: Mesh, examples: Sequence[Example], spec: InputSpec
) -> list[tuple[Outputs, FloatArray]]:
    """The output `partial_predictions` of each example (NumPy, without the axis b), and the part of the input that shows its image.

    Boxes and fixations are of the image, not of the input. Every process passes all examples and gets all results.
    """
    batch = collate(examples, mesh.round_up(len(examples), devices), spec, truth_in_input=False)
    share = len(batch.label_b) // jax.process_count()
    own = batch.images_bxhxwxc[jax.process_index() * share : (jax.process_index() + 1) * share]
    outputs = dict(jax.device_get(compiled(variables, mesh.put_batch(own, devices))))
    content_bx4 = np.where(batch.example_mask_b[:, None], batch.content_bx4, WHOLE_IMAGE)
    outputs |= task.partial_to_image(outputs, content_bx4)
    return [({name: value[i] for name, value in outputs.items()}, content_bx4[i]) for i in range(len(examples))]


def predict_rows(
    predictors: Mapping[str, Predict],
    source: Source,
    task: Task,
    split: str,
    *,
    batch_size: int,
    spec: InputSpec,
    threads: int,
) -> dict[str, list[Row]]:
    """For each predictor, one row for each example of a source (`pipeline.finite_size` of them), in order, for any batch size.

    Examples that cannot be decoded have no row. All are read once for all predictors. Of several processes each predicts its share
    of every batch, and all get all rows. Raises UserError where no example can be decoded.
    """
    place, count = jax.process_index(), jax.process_count()
    own: dict[str, list[list[Row]]] = {name: [] for name in predictors}  # by batch
    for examples, batch in pipeline.eval_batches(source, batch_size, spec, threads=threads, process_index=place, process_count=count):
        for name, predict in predictors.items():
            rows = zip(examples, task_rows(task, predict(batch), batch, list(map(ordered_truth, examples))), strict=True)
            own[name].append([{**_identity(example, split), **row} for example, row in rows])
    shares = [own] if count == 1 else [json.loads(share) for share in mesh.gather_bytes(json.dumps(own).encode())]
    merged = {
        name: [row for batches in zip(*(share[name] for share in shares), strict=True) for rows in batches for row in rows]
        for name in predictors
    }
    for every in merged.values():  # a column of some rows is a column of all
        if any("finite" in row for row in every):
            every[:] = [{**row, "finite": row.get("finite", True)} for row in every]
    if not all(merged.values()):
        raise UserError(f"none of the {pipeline.finite_size(source):,} images of split '{split}' can be decoded; see imgloc data check")
    return merged


def _identity(example: Example, split: str) -> Row:
    attributes = {"attributes": dict(example.attributes)} if example.attributes else {}
    return {"id": example.id, "group": example.group, "split": split, **attributes}
